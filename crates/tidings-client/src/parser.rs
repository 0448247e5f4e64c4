//! The event-stream format of the WHATWG, as a parser without sockets or clocks.
//!
//! Source: HTML Living Standard, 9.2.5 "Parsing an event stream" and 9.2.6 "Interpreting an event stream".

use std::{borrow::Cow, mem, time::Duration};

use bytes::{Buf, Bytes};

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// An event that a stream dispatched.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Message {
    /// The event's type, `message` where the stream named none.
    pub event: String,
    /// Its data: the `data` lines with a line feed between each two. Where the stream was valid UTF-8, these are the
    /// bytes that were received.
    pub data: String,
    /// The last event id as of this event: its own or, where it had none, that of an event before it.
    pub id: String,
}

/// Makes events out of the bytes of a `text/event-stream`, however they are cut.
///
/// Invalid UTF-8 becomes U+FFFD as the standard says. One thing is more lenient than its letter and as browsers are:
/// over a [`restart`](Self::restart) the last event id stays until an `id` line replaces it.
#[derive(Debug)]
pub struct Parser {
    max_event_bytes: usize,
    /// The line that has begun and not ended.
    line: Vec<u8>,
    /// No line has ended yet, so a byte order mark may begin this one.
    at_first_line: bool,
    /// The last line ended in CR; a LF that follows belongs to it.
    skip_line_feed: bool,
    data: String,
    event: String,
    id: String,
    last_event_id: String,
    retry: Option<Duration>,
}

/// An event, or a line, was larger than the limit; the stream it came from can't be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event of more than {0} bytes")]
pub struct TooLarge(pub usize);

impl Parser {
    /// A parser of a stream that has just begun. `max_event_bytes` bounds what it may have to keep of one event: data,
    /// type and id so far, and the line that is being read.
    #[must_use]
    pub fn new(max_event_bytes: usize) -> Self {
        Self {
            max_event_bytes,
            line: Vec::new(),
            at_first_line: true,
            skip_line_feed: false,
            data: String::new(),
            event: String::new(),
            id: String::new(),
            last_event_id: String::new(),
            retry: None,
        }
    }

    /// The same, with the id of the last event that an earlier stream brought.
    #[must_use]
    pub fn with_last_event_id(mut self, id: impl Into<String>) -> Self {
        self.last_event_id = id.into();
        self.id.clone_from(&self.last_event_id);
        self
    }

    /// Takes bytes off the front of `input` until an event is complete or no byte is left, which is what `None` means.
    ///
    /// # Errors
    ///
    /// [`TooLarge`] where the event that has begun goes over the limit. Then the stream must be given up.
    pub fn parse(&mut self, input: &mut Bytes) -> Result<Option<Message>, TooLarge> {
        loop {
            if mem::take(&mut self.skip_line_feed) {
                match input.first() {
                    Some(b'\n') => input.advance(1),
                    Some(_) => {}
                    None => {
                        self.skip_line_feed = true;
                        return Ok(None);
                    }
                }
            }
            let Some(end) = input.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
                self.check_size(input.len())?;
                self.line.extend_from_slice(input);
                input.clear();
                return Ok(None);
            };
            self.check_size(end)?;
            let rest_of_line = input.split_to(end);
            self.skip_line_feed = input.get_u8() == b'\r';
            let message = if self.line.is_empty() {
                self.end_line(&rest_of_line)
            } else {
                self.line.extend_from_slice(&rest_of_line);
                let mut line = mem::take(&mut self.line);
                let message = self.end_line(&line);
                line.clear();
                self.line = line;
                message
            };
            if message.is_some() {
                return Ok(message);
            }
        }
    }

    /// Begins anew with another stream of the same source. An event that has begun is dropped; the last event id and
    /// the reconnection time stay.
    pub fn restart(&mut self) {
        let fresh = Self::new(self.max_event_bytes).with_last_event_id(mem::take(&mut self.last_event_id));
        *self = Self { retry: self.retry, ..fresh };
    }

    /// The id to send as `Last-Event-ID` when the stream is asked for again; empty where there is none.
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        &self.last_event_id
    }

    /// The reconnection time, where the stream has set one.
    #[must_use]
    pub fn retry(&self) -> Option<Duration> {
        self.retry
    }

    fn end_line(&mut self, mut line: &[u8]) -> Option<Message> {
        if mem::take(&mut self.at_first_line) {
            line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        }
        if line.is_empty() {
            return self.dispatch();
        }
        let (field, value) = match line.iter().position(|&byte| byte == b':') {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &[][..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"data" => {
                self.data.push_str(&text(value));
                self.data.push('\n');
            }
            b"event" => replace(&mut self.event, value),
            b"id" if !value.contains(&0) => replace(&mut self.id, value),
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                // A number that overflows is no time that anybody meant.
                if let Ok(milliseconds) = text(value).parse() {
                    self.retry = Some(Duration::from_millis(milliseconds));
                }
            }
            // A comment has an empty name; names that are unknown are ignored too.
            _ => {}
        }
        None
    }

    fn dispatch(&mut self) -> Option<Message> {
        self.last_event_id.clone_from(&self.id);
        let mut event = mem::take(&mut self.event);
        let mut data = mem::take(&mut self.data);
        // The line feed after the last line goes; without any, there was no line and so no event.
        data.pop()?;
        if event.is_empty() {
            event.push_str("message");
        }
        Some(Message { event, data, id: self.last_event_id.clone() })
    }

    /// Counts a line before it is interpreted, so that the outcome does not depend on how the stream was cut.
    fn check_size(&self, rest_of_line: usize) -> Result<(), TooLarge> {
        let kept = self.line.len() + rest_of_line + self.data.len() + self.event.len() + self.id.len();
        if kept > self.max_event_bytes { Err(TooLarge(self.max_event_bytes)) } else { Ok(()) }
    }
}

fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

fn replace(field: &mut String, value: &[u8]) {
    field.clear();
    field.push_str(&text(value));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(parser: &mut Parser, input: &'static str) -> Vec<Message> {
        let mut input = Bytes::from_static(input.as_bytes());
        std::iter::from_fn(|| parser.parse(&mut input).expect("no limit is near")).collect()
    }

    #[test]
    fn a_restart_drops_what_had_begun_and_keeps_id_and_time() {
        let mut parser = Parser::new(1000);
        assert_eq!(parse(&mut parser, "retry: 5\nid: 7\ndata: a\n\nid: 8\nevent: x\ndata: lost\r").len(), 1);
        parser.restart();
        assert_eq!(parser.last_event_id(), "7");
        assert_eq!(parser.retry(), Some(Duration::from_millis(5)));
        let expected = Message { event: "message".into(), data: "b".into(), id: "7".into() };
        assert_eq!(parse(&mut parser, "\n\u{feff}: not at the start\n\ndata: b\n\n"), [expected]);
    }

    #[test]
    fn a_byte_order_mark_may_begin_each_stream() {
        let mut parser = Parser::new(1000);
        for _ in 0..2 {
            assert_eq!(parse(&mut parser, "\u{feff}data: a\n\n").len(), 1);
            parser.restart();
        }
    }

    #[test]
    fn what_is_too_large_is_an_error_wherever_it_is_cut() {
        // The second number is the limit that is just large enough.
        let inputs = [
            ("data: 0123456789", 16),
            ("data: 0123456789\n\n", 16),
            ("data: 01234\ndata: 56789\n\n", 17),
            ("event: 01234\ndata: 56789\n\n", 16),
            ("id: 01234\ndata: 56789\n\n", 16),
            (": 0123456789", 12),
        ];
        for (input, enough) in inputs {
            let whole = |limit| Parser::new(limit).parse(&mut Bytes::from_static(input.as_bytes())).map(drop);
            let byte_by_byte = |limit| {
                let mut parser = Parser::new(limit);
                input.bytes().try_for_each(|byte| parser.parse(&mut Bytes::from(vec![byte])).map(drop))
            };
            assert_eq!(whole(enough), Ok(()), "{input:?}");
            assert_eq!(byte_by_byte(enough), Ok(()), "{input:?}");
            assert_eq!(whole(enough - 1), Err(TooLarge(enough - 1)), "{input:?}");
            assert_eq!(byte_by_byte(enough - 1), Err(TooLarge(enough - 1)), "{input:?}");
        }
    }

    #[test]
    fn many_small_events_are_within_the_limit() {
        let mut parser = Parser::new(20);
        for _ in 0..100 {
            assert_eq!(parse(&mut parser, ": 0123456789\ndata: 0123456789\n\n").len(), 1);
        }
    }

    #[test]
    fn a_reconnection_time_that_overflows_is_ignored() {
        let mut parser = Parser::new(1000);
        parse(&mut parser, "retry: 7\nretry:99999999999999999999\n\n");
        assert_eq!(parser.retry(), Some(Duration::from_millis(7)));
    }
}
