//! A number that changes, and whoever waits for that.
//!
//! `tests/signal.rs` has this file checked by loom, with loom's atomics and locks in the place of [`sync`](crate::sync).

use std::task::Waker;

use slab::Slab;
use smallvec::SmallVec;

use crate::sync::{AT_ONCE, AtomicU64, Mutex, Ordering};

/// A number that changes, and whoever waits for that.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    /// Written by who tells, read by all.
    version: AtomicU64,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    /// A slot for each who may wait, with its waker while it does.
    slots: Slab<Option<Waker>>,
    /// Whether somebody goes round. What is told meanwhile is left to them.
    in_round: bool,
}

impl Waiting {
    fn take_all(&mut self) -> Wakers {
        self.slots.iter_mut().filter_map(|(_, slot)| slot.take()).collect()
    }
}

/// Nearly always there is one.
type Wakers = SmallVec<[Waker; 2]>;

/// Where somebody is who wakes up more than can be woken up at once.
#[derive(Debug)]
pub(crate) struct Round {
    /// Those who are still asleep. Woken up from the end.
    asleep: Wakers,
    /// The version that these, and all before them, are woken up for.
    told: u64,
}

impl Signal {
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    pub(crate) fn bump(&self) {
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Wakes up all who had registered before, or as many of them as are woken up at once: whoever gets a round
    /// [goes on](Self::go_on) until it is over. To be called after [`bump`](Self::bump): who registers later sees the new
    /// version.
    #[must_use = "the others sleep on until the round is over"]
    pub(crate) fn wake(&self) -> Option<Round> {
        let mut waiting = self.waiting.lock();
        if waiting.in_round {
            return None;
        }
        let mut round = Round { told: self.version(), asleep: waiting.take_all() };
        waiting.in_round = round.asleep.len() > AT_ONCE;
        let goes_on = waiting.in_round;
        drop(waiting);
        round.wake_some();
        goes_on.then_some(round)
    }

    /// Wakes up the next ones, and those again for whom there is news by then; `false` once nobody is left.
    pub(crate) fn go_on(&self, round: &mut Round) -> bool {
        if round.asleep.is_empty() {
            let mut waiting = self.waiting.lock();
            // Who tells of something after this look finds that nobody goes round any more.
            let version = self.version();
            if version == round.told {
                waiting.in_round = false;
                return false;
            }
            round.told = version;
            round.asleep = waiting.take_all();
        }
        round.wake_some();
        true
    }

    pub(crate) fn join(&self) -> usize {
        self.waiting.lock().slots.insert(None)
    }

    pub(crate) fn is_waited_for_by_one(&self) -> bool {
        self.waiting.lock().slots.len() == 1
    }

    /// Its waker, where it was waiting, and how many are left.
    pub(crate) fn leave(&self, slot: usize) -> (Option<Waker>, usize) {
        let mut waiting = self.waiting.lock();
        let waker = waiting.slots.try_remove(slot).flatten();
        (waker, waiting.slots.len())
    }

    /// Has the waker woken up at the next [`wake`](Self::wake). Look at the version again afterwards.
    pub(crate) fn register(&self, slot: usize, waker: &Waker) {
        let mut waiting = self.waiting.lock();
        let Some(place) = waiting.slots.get_mut(slot) else { return };
        let before = match place {
            Some(known) if known.will_wake(waker) => None,
            _ => place.replace(waker.clone()),
        };
        drop(waiting);
        drop(before);
    }
}

impl Round {
    /// Called without the lock: a waker may run anything.
    fn wake_some(&mut self) {
        let rest = self.asleep.len().saturating_sub(AT_ONCE);
        self.asleep.drain(rest..).for_each(Waker::wake);
    }
}
