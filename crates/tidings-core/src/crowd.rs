//! Waking up many, so that all others get their turn meanwhile.
//!
//! Ten thousand readers that are woken up at once keep a core busy for a tenth of a second, and who reports the next event,
//! or has to do with another job altogether, would stand in line behind them. So they are woken up some at a time. What is
//! told meanwhile reaches each with the rest when it is its turn: the more there is to do, the less often.

use std::{fmt, sync::Arc};

use parking_lot::Mutex;
use tokio::{runtime::Handle, task::yield_now};

use crate::signal::{Round, Signal};

/// Wakes up who waits for a signal, some at a time. Dropping it wakes up all that are left.
#[derive(Debug)]
pub(crate) struct Crowd<S: AsRef<Signal>> {
    signal: S,
    round: Option<Round>,
}

impl<S: AsRef<Signal>> Crowd<S> {
    /// Wakes up the first, and all where they are few.
    pub(crate) fn wake(signal: S) -> Self {
        let round = signal.as_ref().wake();
        Self { signal, round }
    }

    /// Whether there is no need to go on.
    pub(crate) fn is_awake(&self) -> bool {
        self.round.is_none()
    }

    pub(crate) fn signal(&self) -> &S {
        &self.signal
    }

    /// Wakes up the others. Where more news comes than there is time for, it takes as long as that goes on.
    pub(crate) async fn go_on(mut self) {
        while self.wake_some() {
            yield_now().await;
        }
    }

    fn wake_some(&mut self) -> bool {
        let goes_on = self.round.as_mut().is_some_and(|round| self.signal.as_ref().go_on(round));
        if !goes_on {
            self.round = None;
        }
        goes_on
    }
}

impl<S: AsRef<Signal>> Drop for Crowd<S> {
    fn drop(&mut self) {
        while self.wake_some() {}
    }
}

/// Where crowds are woken up: on the runtime of a host while it is driven, and at once without one.
#[derive(Clone, Default)]
pub(crate) struct Crowds(Arc<Mutex<Option<Handle>>>);

impl Crowds {
    /// Wakes them up on this runtime until what is returned is dropped.
    pub(crate) fn run_on(&self, runtime: Handle) -> Running {
        *self.0.lock() = Some(runtime);
        Running(self.clone())
    }

    /// Wakes up the others of a crowd.
    pub(crate) fn go_on<S: AsRef<Signal> + Send + 'static>(&self, crowd: Crowd<S>) {
        let runtime = self.0.lock().clone();
        if let Some(runtime) = runtime {
            // A runtime that has come to its end drops it at once, and so wakes them up too.
            runtime.spawn(crowd.go_on());
        }
    }
}

impl fmt::Debug for Crowds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Crowds")
    }
}

/// Has crowds woken up on a runtime for as long as it is there.
#[must_use = "dropping it ends it"]
#[derive(Debug)]
pub(crate) struct Running(Crowds);

impl Drop for Running {
    fn drop(&mut self) {
        *self.0.0.lock() = None;
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::poll_fn,
        sync::atomic::{AtomicUsize, Ordering},
        task::{Context, Poll, Wake, Waker},
    };

    use tokio::task::JoinSet;

    use super::*;
    use crate::sync::AT_ONCE;

    const MANY: usize = 20 * AT_ONCE;

    #[derive(Debug, Default)]
    struct Shared {
        signal: Signal,
        told: AtomicUsize,
    }

    impl AsRef<Signal> for Arc<Shared> {
        fn as_ref(&self) -> &Signal {
            &self.signal
        }
    }

    impl Shared {
        fn told(&self) -> usize {
            self.told.load(Ordering::Relaxed)
        }

        fn poll_changed(&self, slot: usize, seen: u64, cx: &Context<'_>) -> Poll<u64> {
            self.signal.register(slot, cx.waker());
            let version = self.signal.version();
            if version == seen { Poll::Pending } else { Poll::Ready(version) }
        }

        /// So many who wait for one version after the other, until the last.
        async fn waiting(self: &Arc<Self>, last: u64) -> JoinSet<()> {
            let mut tasks = JoinSet::new();
            for _ in 0..MANY {
                let (shared, slot) = (Arc::clone(self), self.signal.join());
                tasks.spawn(async move {
                    let mut seen = 0;
                    while seen < last {
                        seen = poll_fn(|cx| shared.poll_changed(slot, seen, cx)).await;
                        shared.told.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            yield_now().await;
            tasks
        }
    }

    async fn all_end(mut tasks: JoinSet<()>) {
        while let Some(ended) = tasks.join_next().await {
            ended.expect("it ends well");
        }
    }

    #[tokio::test]
    async fn who_comes_later_need_not_wait_for_a_whole_crowd() {
        let (shared, crowds) = (Arc::new(Shared::default()), Crowds::default());
        let _running = crowds.run_on(Handle::current());
        let tasks = shared.waiting(1).await;
        shared.signal.bump();
        crowds.go_on(Crowd::wake(Arc::clone(&shared)));
        for turn in 1..5 {
            yield_now().await;
            assert!((1..=(turn + 1) * AT_ONCE).contains(&shared.told()), "{} in turn {turn}", shared.told());
        }
        all_end(tasks).await;
        assert_eq!(shared.told(), MANY);
    }

    #[tokio::test]
    async fn what_comes_during_a_round_reaches_each_with_the_rest() {
        let (shared, crowds) = (Arc::new(Shared::default()), Crowds::default());
        let _running = crowds.run_on(Handle::current());
        let tasks = shared.waiting(2).await;
        for _ in 0..2 {
            shared.signal.bump();
            let crowd = Crowd::wake(Arc::clone(&shared));
            if !crowd.is_awake() {
                crowds.go_on(crowd);
            }
            yield_now().await;
        }
        all_end(tasks).await;
        // Those whose turn came before the second one, and no others, were told twice.
        assert!((MANY..=MANY + 3 * AT_ONCE).contains(&shared.told()), "{}", shared.told());
    }

    impl Wake for Shared {
        fn wake(self: Arc<Self>) {
            self.told.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn without_a_host_that_is_driven_all_are_woken_up_at_once() {
        let (shared, crowds) = (Arc::new(Shared::default()), Crowds::default());
        drop(crowds.run_on(Handle::current()));
        let waker = Waker::from(Arc::clone(&shared));
        for _ in 0..MANY {
            shared.signal.register(shared.signal.join(), &waker);
        }
        shared.signal.bump();
        crowds.go_on(Crowd::wake(Arc::clone(&shared)));
        assert_eq!(shared.told(), MANY);
    }

    #[test]
    fn a_runtime_that_ends_leaves_nobody_asleep() {
        let (shared, crowds) = (Arc::new(Shared::default()), Crowds::default());
        let runtime = || tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let (host, readers) = (runtime(), runtime());
        let tasks = readers.block_on(shared.waiting(1));
        let _running = crowds.run_on(host.handle().clone());
        shared.signal.bump();
        crowds.go_on(Crowd::wake(Arc::clone(&shared)));
        drop(host);
        readers.block_on(all_end(tasks));
        assert_eq!(shared.told(), MANY);

        // Nor does one that has ended before.
        let tasks = readers.block_on(shared.waiting(2));
        shared.signal.bump();
        crowds.go_on(Crowd::wake(Arc::clone(&shared)));
        readers.block_on(all_end(tasks));
    }
}
