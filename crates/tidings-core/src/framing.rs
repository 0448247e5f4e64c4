//! How one transport writes events into a stream, as pure functions.

use std::fmt;

use crate::{cursor::Cursor, log::Entry};

/// How one transport writes events into a stream.
///
/// Each framing is a `static`, and known by its address: what one reader has had encoded is handed to the next. So the
/// functions must depend on nothing but their arguments.
pub struct Framing {
    /// Appends an event; the cursor is the place after it, as readers of this scope name it.
    pub event: fn(&Entry, Cursor, &mut Vec<u8>),
    /// Appends a gap: the place of the last event that is no longer kept, and the data as one line of JSON.
    pub gap: fn(Cursor, &str, &mut Vec<u8>),
    /// What is sent where there has been nothing to send for a while.
    pub heartbeat: &'static [u8],
}

impl Framing {
    /// Whether both are one and the same.
    pub(crate) fn is(&'static self, other: &'static Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl fmt::Debug for Framing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Framing").finish_non_exhaustive()
    }
}
