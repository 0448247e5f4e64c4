//! HTTP answers as they come from a socket, in pieces of any size. No byte of a body is copied.

use memchr::memmem;

/// No head of ours is nearly as long.
const LONGEST_HEAD: usize = 64 * 1024;
const END_OF_HEAD: &[u8] = b"\r\n\r\n";

/// What is read from one connection, one answer after another.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// The beginning of a head whose end has not come yet.
    head: Vec<u8>,
    expects: Expects,
}

/// A part of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// The head, as its status.
    Head(u16),
    /// Some of the body.
    Body(&'a [u8]),
    /// There is no more of the body.
    End,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Expects {
    #[default]
    Head,
    /// So many bytes of a body whose length is known.
    Body(u64),
    /// The rest of a chunk's size, of which these digits have come.
    Size(u64),
    /// So many bytes of a chunk.
    Chunk(u64),
    /// The line break after a chunk.
    ChunkEnd,
    /// The line break after the last chunk. Nobody here sends trailers.
    LastLine,
}

impl Answers {
    /// Takes what was read, and tells each part in it.
    pub(super) fn feed(&mut self, mut input: &[u8], mut tell: impl FnMut(Part<'_>)) -> Result<(), String> {
        while let Some(&first) = input.first() {
            match self.expects {
                Expects::Head => input = self.head(input, &mut tell)?,
                Expects::Body(left) => {
                    let (part, rest) = split(input, left);
                    input = rest;
                    tell(Part::Body(part));
                    self.expects = Expects::Body(left - part.len() as u64);
                    self.end_if_empty(&mut tell);
                }
                Expects::Size(size) => {
                    input = &input[1..];
                    self.expects = match (char::from(first).to_digit(16), first) {
                        (Some(digit), _) => Expects::Size((size << 4) | u64::from(digit)),
                        (None, b'\r') => Expects::Size(size),
                        (None, b'\n') if size == 0 => Expects::LastLine,
                        (None, b'\n') => Expects::Chunk(size),
                        _ => return Err("the size of a chunk is no number".to_owned()),
                    };
                }
                Expects::Chunk(left) => {
                    let (part, rest) = split(input, left);
                    input = rest;
                    tell(Part::Body(part));
                    let left = left - part.len() as u64;
                    self.expects = if left == 0 { Expects::ChunkEnd } else { Expects::Chunk(left) };
                }
                Expects::ChunkEnd => {
                    input = &input[1..];
                    match first {
                        b'\r' => {}
                        b'\n' => self.expects = Expects::Size(0),
                        _ => return Err("a chunk is longer than its size".to_owned()),
                    }
                }
                Expects::LastLine => {
                    input = &input[1..];
                    match first {
                        b'\r' => {}
                        b'\n' => {
                            self.expects = Expects::Head;
                            tell(Part::End);
                        }
                        _ => return Err("there is something after the last chunk".to_owned()),
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes a head, or as much of it as there is. Gives what comes after it.
    fn head<'a>(&mut self, input: &'a [u8], tell: &mut impl FnMut(Part<'_>)) -> Result<&'a [u8], String> {
        let whole = memmem::find(input, END_OF_HEAD).filter(|_| self.head.is_empty());
        let (status, expects, rest) = if let Some(end) = whole {
            let (status, expects) = parse(&input[..end])?;
            (status, expects, end + END_OF_HEAD.len())
        } else {
            let before = self.head.len();
            self.head.extend_from_slice(input);
            let from = before.saturating_sub(END_OF_HEAD.len() - 1);
            let Some(end) = memmem::find(&self.head[from..], END_OF_HEAD) else {
                let is_too_long = self.head.len() > LONGEST_HEAD;
                return if is_too_long { Err("a head has no end".to_owned()) } else { Ok(&[]) };
            };
            // Most connections see no second one, so that the memory is not kept.
            let head = std::mem::take(&mut self.head);
            let (status, expects) = parse(&head[..from + end])?;
            (status, expects, from + end + END_OF_HEAD.len() - before)
        };
        self.expects = expects;
        tell(Part::Head(status));
        self.end_if_empty(tell);
        Ok(&input[rest..])
    }

    fn end_if_empty(&mut self, tell: &mut impl FnMut(Part<'_>)) {
        if self.expects == Expects::Body(0) {
            self.expects = Expects::Head;
            tell(Part::End);
        }
    }
}

/// The status, and what kind of a body follows.
fn parse(head: &[u8]) -> Result<(u16, Expects), String> {
    let head = std::str::from_utf8(head).map_err(|error| format!("a head is no text: {error}"))?;
    let mut lines = head.split("\r\n");
    let status_line = lines.next().unwrap_or_default();
    let status = status_line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse::<u16>().ok());
    let status = status.ok_or_else(|| format!("this is no status: {status_line:?}"))?;
    if matches!(status, 204 | 304) {
        return Ok((status, Expects::Body(0)));
    }
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("transfer-encoding") {
            return Ok((status, Expects::Size(0)));
        }
        if name.eq_ignore_ascii_case("content-length") {
            let length = value.trim().parse().map_err(|_| format!("this is no length: {value:?}"))?;
            return Ok((status, Expects::Body(length)));
        }
    }
    Err(format!("the answer does not say where it ends: {head:?}"))
}

/// Takes so many bytes off, or all where there are not so many.
fn split(input: &[u8], length: u64) -> (&[u8], &[u8]) {
    input.split_at(usize::try_from(length).map_or(input.len(), |length| length.min(input.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<(Vec<u16>, Vec<u8>, usize), String> {
        let (mut answers, mut statuses, mut body, mut ends) = (Answers::default(), vec![], vec![], 0);
        for piece in pieces {
            answers.feed(piece, |part| match part {
                Part::Head(status) => statuses.push(status),
                Part::Body(bytes) => body.extend_from_slice(bytes),
                Part::End => ends += 1,
            })?;
        }
        Ok((statuses, body, ends))
    }

    #[test]
    fn answers_are_the_same_however_they_are_cut() {
        let bytes: &[u8] =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1B\r\n to you who have cut this, \r\n\
            0\r\n\r\nHTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 404 Not Found\r\ncontent-length: 3\r\n\r\nabc\
            HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        let expected = Ok((vec![200, 204, 404, 200], b"hello to you who have cut this, abc".to_vec(), 4));
        assert_eq!(read([bytes]), expected);
        for first in 0..bytes.len() {
            for second in first..bytes.len() {
                let pieces = [&bytes[..first], &bytes[first..second], &bytes[second..]];
                assert_eq!(read(pieces), expected, "cut at {first} and {second}");
            }
        }
    }

    #[test]
    fn a_stream_has_no_end_until_its_last_chunk() {
        let beginning: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n";
        assert_eq!(read([beginning]), Ok((vec![200], b"ab".to_vec(), 0)));
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for bytes in [
            "SSH-2.0-x\r\n\r\n",
            "HTTP/1.1 2x0 OK\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\nuntil the connection ends",
            "HTTP/1.1 200 OK\r\nContent-Length: three\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc",
        ] {
            assert!(read([bytes.as_bytes()]).is_err(), "{bytes:?}");
        }
    }
}
