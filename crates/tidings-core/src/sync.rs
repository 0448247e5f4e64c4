//! What [`signal`](crate::signal) is made of, in one place so that a test can put other things there.

pub(crate) use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) use parking_lot::Mutex;
