//! How one transport writes events into a stream, as pure functions.

use std::fmt;

use bytes::Bytes;

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

/// How what a framing gives is put onto a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    /// As it is: whoever sends it delimits it.
    Identity,
    /// As chunks (RFC 9112, 7.1), one for each event: so any run of events is a run of whole chunks, and the same bytes
    /// serve all readers wherever each of them begins.
    Chunked,
}

impl Coding {
    /// Appends what `write` appends.
    pub(crate) fn encode(self, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        let start = out.len();
        write(out);
        let length = out.len() - start;
        if self == Self::Chunked && length > 0 {
            out.extend_from_slice(b"\r\n");
            let digits = (usize::BITS - length.leading_zeros()).div_ceil(4);
            // Four bits are always within the sixteen digits.
            let digit = |place: u32| b"0123456789abcdef"[length >> (4 * place) & 0xF];
            out.splice(start..start, (0..digits).rev().map(digit).chain(*b"\r\n"));
        }
    }

    /// The same of bytes that are there.
    pub(crate) fn encoded(self, bytes: Bytes) -> Bytes {
        match self {
            Self::Chunked if !bytes.is_empty() => {
                let mut out = Vec::with_capacity(bytes.len() + 12);
                self.encode(&mut out, |out| out.extend_from_slice(&bytes));
                out.into()
            }
            Self::Identity | Self::Chunked => bytes,
        }
    }
}

impl fmt::Debug for Framing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Framing").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_says_how_long_it_is_and_nothing_is_no_chunk() {
        let mut out = b"before".to_vec();
        Coding::Chunked.encode(&mut out, |out| out.extend_from_slice(&[b'x'; 26]));
        Coding::Chunked.encode(&mut out, |_| {});
        // An empty chunk would end the body.
        assert_eq!(String::from_utf8_lossy(&out), format!("before1a\r\n{}\r\n", "x".repeat(26)));
        assert_eq!(Coding::Chunked.encoded(Bytes::from_static(b":\n")), "2\r\n:\n\r\n");
        assert_eq!(Coding::Identity.encoded(Bytes::from_static(b":\n")), ":\n");
    }
}
