//! Server-Sent Events as they come from a stream, in pieces of any size: of each its number and its time stamp.

use std::sync::LazyLock;

use memchr::{memchr, memmem};

/// What stands before the time stamp in the data of each event that is reported here.
pub(super) const STAMP: &str = r#""t":"#;

static STAMP_FINDER: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new(STAMP));

/// What is read from one stream.
#[derive(Debug, Default)]
pub(super) struct Events {
    /// The beginning of a line whose end has not come yet.
    line: Vec<u8>,
    block: Block,
}

/// What has come of one event.
#[derive(Debug, Default)]
struct Block {
    seq: Option<u64>,
    stamp: Option<u64>,
}

impl Events {
    /// Takes a part of the stream, and tells of each event that ends in it the seq, and the stamp where it has one.
    pub(super) fn feed(&mut self, mut input: &[u8], mut tell: impl FnMut(u64, Option<u64>)) {
        while let Some(end) = memchr(b'\n', input) {
            let (line, rest) = input.split_at(end);
            input = &rest[1..];
            if self.line.is_empty() {
                self.block.line(line, &mut tell);
            } else {
                self.line.extend_from_slice(line);
                self.block.line(&self.line, &mut tell);
                self.line.clear();
            }
        }
        self.line.extend_from_slice(input);
    }
}

impl Block {
    fn line(&mut self, line: &[u8], tell: &mut impl FnMut(u64, Option<u64>)) {
        if let Some(id) = line.strip_prefix(b"id: ") {
            self.seq = number(id);
        } else if line.starts_with(b"data: ") {
            self.stamp = STAMP_FINDER.find(line).and_then(|at| number(&line[at + STAMP.len()..]));
        } else if line.is_empty() {
            let Self { seq, stamp } = std::mem::take(self);
            if let Some(seq) = seq {
                tell(seq, stamp);
            }
        }
    }
}

/// The number that a text begins with.
fn number(text: &[u8]) -> Option<u64> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
    let mut number = None;
    for digit in digits {
        number = Some(number.unwrap_or(0_u64).wrapping_mul(10).wrapping_add(u64::from(digit - b'0')));
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "retry: 2317\nid: 1-9f3c1a2b\nevent: queued\ndata: {\"seq\":1}\n\n: a comment\n\
        id: 12-00000001\nevent: tick\ndata: {\"seq\":12,\"data\":{\"t\":4567,\"text\":\"xyz\"}}\n\n\
        id: 13-00000002\nevent: tick\ndata: {\"seq\":13,\"data\":{\"t\":0}}\n\n";

    #[test]
    fn events_are_the_same_however_they_are_cut() {
        let expected = [(1, None), (12, Some(4567)), (13, Some(0))];
        for first in 0..=STREAM.len() {
            for second in first..=STREAM.len() {
                let (mut events, mut told) = (Events::default(), Vec::new());
                for piece in [&STREAM[..first], &STREAM[first..second], &STREAM[second..]] {
                    events.feed(piece.as_bytes(), |seq, stamp| told.push((seq, stamp)));
                }
                assert_eq!(told, expected, "cut at {first} and {second}");
            }
        }
    }

    #[test]
    fn an_event_is_told_when_it_has_ended() {
        let mut events = Events::default();
        events.feed(b"id: 1-0\ndata: {}\n", |seq, _| panic!("{seq} has not ended"));
        let mut told = Vec::new();
        events.feed(b"\n\n: heartbeat\n\n", |seq, stamp| told.push((seq, stamp)));
        assert_eq!(told, [(1, None)]);
    }
}
