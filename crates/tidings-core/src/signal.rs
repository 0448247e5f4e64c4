//! A number that changes, and whoever waits for that.
//!
//! `tests/signal.rs` has this file checked by loom, with loom's atomics and locks in the place of [`sync`](crate::sync).

use std::task::Waker;

use slab::Slab;

use crate::sync::{AtomicU64, Mutex, Ordering};

/// A number that changes, and whoever waits for that.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    /// Written by who tells, read by all.
    version: AtomicU64,
    /// A slot for each who may wait, with its waker while it does.
    waiting: Mutex<Slab<Option<Waker>>>,
}

impl Signal {
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    pub(crate) fn bump(&self) {
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Wakes up all who had registered before. To be called after [`bump`](Self::bump): who registers later sees the
    /// new version.
    pub(crate) fn wake(&self) {
        let wakers: Vec<Waker> = self.waiting.lock().iter_mut().filter_map(|(_, slot)| slot.take()).collect();
        // Woken without the lock: a waker may run anything.
        wakers.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn join(&self) -> usize {
        self.waiting.lock().insert(None)
    }

    /// Its waker, where it was waiting, and how many are left.
    pub(crate) fn leave(&self, slot: usize) -> (Option<Waker>, usize) {
        let mut waiting = self.waiting.lock();
        let waker = waiting.try_remove(slot).flatten();
        (waker, waiting.len())
    }

    /// Has the waker woken up at the next [`wake`](Self::wake). Look at the version again afterwards.
    pub(crate) fn register(&self, slot: usize, waker: &Waker) {
        let mut waiting = self.waiting.lock();
        let Some(place) = waiting.get_mut(slot) else { return };
        let before = match place {
            Some(known) if known.will_wake(waker) => None,
            _ => place.replace(waker.clone()),
        };
        drop(waiting);
        drop(before);
    }
}
