//! The wake-up that all readers wait on, checked by loom: in every order in which threads can run, and with every value
//! that they can see of each other's writes.

/// What the file under test takes from `crate::sync`.
mod sync {
    pub(crate) use loom::sync::{
        MutexGuard,
        atomic::{AtomicU64, Ordering},
    };

    /// As few as can be, so that three are a crowd.
    pub(crate) const AT_ONCE: usize = 1;

    /// loom's lock, with the signatures of the real one.
    #[derive(Debug)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T: Default> Default for Mutex<T> {
        fn default() -> Self {
            Self(loom::sync::Mutex::new(T::default()))
        }
    }

    impl<T> Mutex<T> {
        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().expect("nobody panics while they hold it")
        }
    }
}

#[path = "../src/signal.rs"]
mod signal;

use std::{
    sync::atomic::AtomicBool,
    task::{Context, Poll, Wake, Waker},
};

use loom::{
    sync::Arc,
    thread::{self, JoinHandle},
};
use signal::Signal;

/// What came of a look at the signal.
struct Look {
    poll: Poll<()>,
    woken: std::sync::Arc<Woken>,
}

/// Whether a waker was called. Read once all threads have ended, and so none of loom's.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.store(true, sync::Ordering::Relaxed);
    }
}

impl Look {
    fn new(signal: &Signal, slot: usize, poll: impl Fn(&Signal, usize, &Context<'_>) -> Poll<()>) -> Self {
        let woken = std::sync::Arc::new(Woken::default());
        let waker = Waker::from(std::sync::Arc::clone(&woken));
        Self { poll: poll(signal, slot, &Context::from_waker(&waker)), woken }
    }

    fn assert_told_after(&self, teller: JoinHandle<()>) {
        join(teller);
        self.assert_told();
    }

    /// To be called once all have been told.
    fn assert_told(&self) {
        let woken = self.woken.0.load(sync::Ordering::Relaxed);
        assert!(self.poll.is_ready() || woken, "a wake-up is lost");
    }
}

/// Waits until the version is another one than 0, as readers do: whoever has registered looks again.
fn register_then_look(signal: &Signal, slot: usize, cx: &Context<'_>) -> Poll<()> {
    signal.register(slot, cx.waker());
    look(signal)
}

fn look(signal: &Signal) -> Poll<()> {
    if signal.version() == 0 { Poll::Pending } else { Poll::Ready(()) }
}

fn tell(signal: &Signal) {
    signal.bump();
    wake(signal);
}

fn wake(signal: &Signal) {
    if let Some(mut round) = signal.wake() {
        while signal.go_on(&mut round) {}
    }
}

fn spawn<T: 'static>(signal: &Arc<Signal>, run: impl FnOnce(&Signal) -> T + 'static) -> JoinHandle<T> {
    let signal = Arc::clone(signal);
    thread::spawn(move || run(&signal))
}

fn join<T>(thread: JoinHandle<T>) -> T {
    thread.join().expect("it ends well")
}

#[test]
fn who_waits_is_told() {
    loom::model(|| {
        let signal = Arc::new(Signal::default());
        let slot = signal.join();
        let teller = spawn(&signal, tell);
        Look::new(&signal, slot, register_then_look).assert_told_after(teller);
        assert!(signal.is_waited_for_by_one());
        assert_eq!((signal.version(), signal.leave(slot).1), (1, 0));
    });
}

#[test]
fn all_who_wait_are_told() {
    loom::model(|| {
        let signal = Arc::new(Signal::default());
        let (one, other) = (signal.join(), signal.join());
        let teller = spawn(&signal, tell);
        let waiter = spawn(&signal, move |signal| Look::new(signal, one, register_then_look));
        Look::new(&signal, other, register_then_look).assert_told_after(teller);
        join(waiter).assert_told();
    });
}

#[test]
fn two_may_tell_at_once() {
    loom::model(|| {
        let signal = Arc::new(Signal::default());
        let slot = signal.join();
        let tellers = [spawn(&signal, tell), spawn(&signal, tell)];
        let look = Look::new(&signal, slot, register_then_look);
        tellers.into_iter().for_each(join);
        look.assert_told();
        assert_eq!(signal.version(), 2);
    });
}

/// Who tells of something while another one goes round leaves it to them.
#[test]
fn who_waits_again_during_a_round_is_told_of_what_came_meanwhile() {
    loom::model(|| {
        let signal = Arc::new(Signal::default());
        let (one, other) = (signal.join(), signal.join());
        let looks = [one, other].map(|slot| Look::new(&signal, slot, register_then_look));
        let later = spawn(&signal, tell);
        tell(&signal);
        join(later);
        looks.iter().for_each(Look::assert_told);

        let again = Look::new(&signal, one, |signal, slot, cx| {
            signal.register(slot, cx.waker());
            if signal.version() == 2 { Poll::Pending } else { Poll::Ready(()) }
        });
        tell(&signal);
        again.assert_told();
    });
}

#[test]
fn who_waits_while_one_goes_round_and_another_tells_is_told() {
    loom::model(|| {
        let signal = Arc::new(Signal::default());
        let (one, other) = (signal.join(), signal.join());
        let first = [one, other].map(|slot| Look::new(&signal, slot, register_then_look));
        signal.bump();
        let mut round = signal.wake().expect("two are a crowd");
        let later = spawn(&signal, tell);
        let seen = signal.version();
        let again = Look::new(&signal, one, |signal, slot, cx| {
            signal.register(slot, cx.waker());
            if signal.version() == seen { Poll::Pending } else { Poll::Ready(()) }
        });
        while signal.go_on(&mut round) {}
        join(later);
        first.iter().for_each(Look::assert_told);
        // Unless all had been told before it began to wait.
        if seen == 1 {
            again.assert_told();
        }
    });
}

#[test]
fn who_leaves_takes_nothing_from_who_waits() {
    loom::model(|| {
        let signal = Arc::new(Signal::default());
        let (leaver, slot) = (signal.join(), signal.join());
        let teller = spawn(&signal, tell);
        let leaving = spawn(&signal, move |signal| {
            Look::new(signal, leaver, register_then_look);
            drop(signal.leave(leaver));
        });
        Look::new(&signal, slot, register_then_look).assert_told_after(teller);
        join(leaving);
        assert_eq!(signal.leave(slot).1, 0);
    });
}

#[test]
fn who_comes_into_a_slot_that_was_left_is_told() {
    loom::model(|| {
        let signal = Arc::new(Signal::default());
        let before = signal.join();
        let teller = spawn(&signal, tell);
        drop(signal.leave(before));
        let slot = signal.join();
        assert_eq!(slot, before);
        Look::new(&signal, slot, register_then_look).assert_told_after(teller);
    });
}

// ---- What would be wrong is found ----------------------------------------------------------

#[test]
#[should_panic(expected = "a wake-up is lost")]
fn who_looks_and_then_registers_may_miss_it() {
    loom::model(|| {
        let signal = Arc::new(Signal::default());
        let slot = signal.join();
        let teller = spawn(&signal, tell);
        let look_then_register = |signal: &Signal, slot, cx: &Context<'_>| {
            let seen = look(signal);
            signal.register(slot, cx.waker());
            seen
        };
        Look::new(&signal, slot, look_then_register).assert_told_after(teller);
    });
}

#[test]
#[should_panic(expected = "a wake-up is lost")]
fn who_is_woken_up_before_the_version_changes_may_miss_it() {
    loom::model(|| {
        let signal = Arc::new(Signal::default());
        let slot = signal.join();
        let teller = spawn(&signal, |signal| {
            wake(signal);
            signal.bump();
        });
        Look::new(&signal, slot, register_then_look).assert_told_after(teller);
    });
}
