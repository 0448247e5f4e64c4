//! Ticks that many streams share, so that a parked stream holds no timer of its own.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::MissedTickBehavior;

use crate::{crowd::Crowd, signal::Signal};

/// A tick that many streams share. Cloning it is cheap, and each clone counts for itself.
pub struct Pulse {
    signal: Arc<Signal>,
    slot: usize,
    seen: u64,
}

impl Pulse {
    fn new(signal: Arc<Signal>) -> Self {
        Self { slot: signal.join(), seen: signal.version(), signal }
    }

    /// Ready once for all ticks since the last time.
    pub(crate) fn poll_tick(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.signal.version() == self.seen {
            self.signal.register(self.slot, cx.waker());
        }
        // Looked at once more, for a tick in between.
        let version = self.signal.version();
        if version == self.seen {
            return Poll::Pending;
        }
        self.seen = version;
        Poll::Ready(())
    }
}

impl Clone for Pulse {
    fn clone(&self) -> Self {
        Self::new(self.signal.clone())
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.signal.leave(self.slot);
    }
}

impl fmt::Debug for Pulse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pulse").finish_non_exhaustive()
    }
}

/// All pulses of a host.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pulses(Arc<Mutex<Vec<Periodic>>>);

/// A signal, and how often it is given.
type Periodic = (Duration, Arc<Signal>);

impl Pulses {
    pub(crate) fn every(&self, period: Duration) -> Pulse {
        let mut pulses = self.0.lock();
        let known = pulses.iter().find(|(known, _)| *known == period).map(|(_, signal)| signal.clone());
        let signal = known.unwrap_or_else(|| {
            let signal = Arc::<Signal>::default();
            pulses.push((period, signal.clone()));
            signal
        });
        Pulse::new(signal)
    }

    /// Ticks for ever, for all pulses that were asked for by now.
    pub(crate) async fn run(&self) {
        let pulses = self.0.lock().clone();
        let tickers = pulses.into_iter().map(|(period, signal)| async move {
            let mut ticks = tokio::time::interval(period.max(Duration::from_millis(1)));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                signal.bump();
                Crowd::wake(Arc::clone(&signal)).go_on().await;
            }
        });
        let mut set = tokio::task::JoinSet::new();
        tickers.for_each(|ticker| {
            set.spawn(ticker);
        });
        while set.join_next().await.is_some() {}
        std::future::pending().await
    }

    /// One tick for everybody, so that all streams look up.
    pub(crate) fn tick_all(&self) {
        // Copied, so that nobody is woken with the lock held: a waker may run anything.
        let pulses = self.0.lock().clone();
        for (_, signal) in pulses {
            signal.bump();
            drop(Crowd::wake(signal));
        }
    }
}
