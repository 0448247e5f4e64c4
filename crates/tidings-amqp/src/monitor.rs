//! How the relay is doing, for `/readyz` and for the log.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use parking_lot::Mutex;
use tidings_core::{Feed, Health, Status, Timestamp};

use crate::fault::Fault;

/// What is connected to the broker by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// What publishes events.
    Publishing,
    /// What takes submissions.
    Consuming,
}

/// How the relay is doing: it works while all its sides are connected.
#[derive(Debug)]
pub(crate) struct Monitor {
    feed: Feed,
    sides: &'static [Side],
    state: Mutex<State>,
    /// Up to which position of the log events are confirmed. Written by the publishing side.
    confirmed: AtomicU64,
    /// Shared with the transport, which its host may ask.
    unroutable: Arc<AtomicU64>,
}

#[derive(Debug)]
struct State {
    connected: Vec<Side>,
    health: Health,
    since: Timestamp,
    /// What has been logged of the present trouble, so that it is told once and not at every try.
    told: Told,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Told {
    Nothing,
    Away,
    Refusal,
}

impl Monitor {
    pub(crate) fn new(feed: Feed, sides: &'static [Side], unroutable: Arc<AtomicU64>) -> Self {
        let state = State { connected: Vec::new(), health: Health::Down, since: now(), told: Told::Nothing };
        Self { feed, sides, state: Mutex::new(state), confirmed: AtomicU64::new(0), unroutable }
    }

    pub(crate) fn status(&self) -> Status {
        // Read before the end of the log: otherwise what is written and confirmed in between would make it less than
        // nothing.
        let confirmed = self.confirmed.load(Ordering::Acquire);
        let lag = self.feed.end().number().saturating_sub(confirmed);
        let state = self.state.lock();
        Status::new(state.health, state.since, lag)
    }

    pub(crate) fn connected(&self, side: Side) {
        let mut state = self.state.lock();
        if !state.connected.contains(&side) {
            state.connected.push(side);
        }
        if state.health == Health::Down && self.sides.iter().all(|side| state.connected.contains(side)) {
            state.health = Health::Up;
            state.since = now();
            match std::mem::replace(&mut state.told, Told::Nothing) {
                Told::Nothing => tracing::info!("the broker is there"),
                Told::Away | Told::Refusal => tracing::info!("the broker is back"),
            }
        }
    }

    pub(crate) fn lost(&self, side: Side, fault: &Fault) {
        let mut state = self.state.lock();
        state.connected.retain(|connected| *connected != side);
        if state.health == Health::Up {
            state.health = Health::Down;
            state.since = now();
        }
        let tell = if fault.is_refusal() { Told::Refusal } else { Told::Away };
        if state.told < tell {
            state.told = tell;
            tracing::warn!(?side, %fault, "the broker can't be used for now; trying again until it can");
        } else {
            tracing::debug!(?side, %fault, "the broker still can't be used");
        }
    }

    /// Events are confirmed up to this position of the log.
    pub(crate) fn confirmed(&self, position: u64) {
        self.confirmed.store(position, Ordering::Release);
    }

    /// An event was returned: no queue is bound for it.
    pub(crate) fn returned(&self) {
        self.unroutable.fetch_add(1, Ordering::Relaxed);
    }
}

fn now() -> Timestamp {
    SystemTime::now().into()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tidings_core::{MemoryLog, Retention};

    use super::*;

    fn monitor() -> Monitor {
        let feed = Feed::new(Arc::new(MemoryLog::new(Retention::default())));
        Monitor::new(feed, &[Side::Publishing, Side::Consuming], Arc::default())
    }

    fn away() -> Fault {
        Fault::Silent { doing: "answer", within: Duration::from_secs(1) }
    }

    #[test]
    fn it_works_while_all_sides_are_connected() {
        let monitor = monitor();
        assert_eq!(monitor.status().health, Health::Down);
        monitor.connected(Side::Publishing);
        assert_eq!(monitor.status().health, Health::Down);
        monitor.connected(Side::Consuming);
        assert_eq!(monitor.status().health, Health::Up);
        monitor.lost(Side::Publishing, &away());
        monitor.connected(Side::Consuming);
        assert_eq!(monitor.status().health, Health::Down);
    }

    #[test]
    fn trouble_is_told_once_and_once_more_where_the_broker_refuses() {
        let monitor = monitor();
        let told = || monitor.state.lock().told;
        monitor.lost(Side::Consuming, &away());
        monitor.lost(Side::Publishing, &away());
        assert_eq!(told(), Told::Away);
        monitor.lost(Side::Publishing, &Fault::Refused(crate::fault::Unkept::Event));
        monitor.lost(Side::Publishing, &away());
        assert_eq!(told(), Told::Refusal);
        monitor.connected(Side::Publishing);
        monitor.connected(Side::Consuming);
        assert_eq!(told(), Told::Nothing);
    }
}
