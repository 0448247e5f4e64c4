//! What [`signal`](crate::signal) is made of, in one place so that a test can put other things there.

pub(crate) use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) use parking_lot::Mutex;

/// How many are woken up at once. Where more wait, whoever else has something to do gets a turn between them: at some
/// microseconds for each, a write to a socket, this is well below a millisecond.
pub(crate) const AT_ONCE: usize = 64;
