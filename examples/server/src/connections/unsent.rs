//! What is sent on a connection that was taken over from hyper.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::{Buf, Bytes};
use http::{Response, StatusCode, header};
use httpdate::HttpDate;
use tokio::{io::AsyncWrite, net::TcpStream};

use super::{Limits, paced::Stall};

/// Room for a head.
const HEAD: usize = 256;

/// The most of a body that is copied to be sent with its head; a longer one, which others may be sent too, is shared. It is
/// what hyper is given at a time.
const COPIED: usize = 16 * 1024;

/// What the socket has not taken yet.
pub(super) struct Unsent {
    bytes: Bytes,
    /// What follows them. Boxed, for there is room for it in every connection, and few need it.
    rest: Option<Box<Bytes>>,
    stall: Stall,
}

impl Unsent {
    pub(super) fn new(bytes: Bytes, limits: &Limits) -> Self {
        Self { bytes, rest: None, stall: Stall::new(limits.write_stall) }
    }

    /// An answer as HTTP/1.1 has it (RFC 9112), with what hyper would add to it.
    pub(super) fn answer(answer: Response<Bytes>, limits: &Limits) -> Self {
        let (bytes, rest) = encode(answer);
        Self { rest: rest.map(Box::new), ..Self::new(bytes, limits) }
    }

    /// Goes on with these, once all before them has been sent.
    pub(super) fn set(&mut self, bytes: Bytes) {
        self.bytes = bytes;
    }

    /// Ready once the socket has taken everything. Cut off by an error if it takes nothing for too long.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>, socket: &mut TcpStream) -> Poll<io::Result<()>> {
        loop {
            while !self.bytes.is_empty() {
                let written = Pin::new(&mut *socket).poll_write(cx, &self.bytes);
                match ready!(self.stall.check(cx, written))? {
                    0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    written => self.bytes.advance(written),
                }
            }
            // Even an empty slice keeps its memory.
            self.bytes = match self.rest.take() {
                Some(rest) => *rest,
                None => Bytes::new(),
            };
            if self.bytes.is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

/// An answer, and what of its body is to follow.
fn encode(answer: Response<Bytes>) -> (Bytes, Option<Bytes>) {
    let (head, body) = answer.into_parts();
    let (with_head, rest) = if body.len() > COPIED { (Bytes::new(), Some(body)) } else { (body, None) };
    let length = with_head.len() + rest.as_ref().map_or(0, Bytes::len);
    let mut out = Vec::with_capacity(HEAD + with_head.len());
    let mut line = |parts: [&[u8]; 4]| parts.into_iter().for_each(|part| out.extend_from_slice(part));
    let status = head.status;
    line([b"HTTP/1.1 ", status.as_str().as_bytes(), b" ", status.canonical_reason().unwrap_or_default().as_bytes()]);
    for (name, value) in &head.headers {
        line([b"\r\n", name.as_str().as_bytes(), b": ", value.as_bytes()]);
    }
    // These have no body (RFC 9112, 6.3), and it would be the length of another one's (RFC 9110, 8.6).
    let has_none = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if !has_none && !head.headers.contains_key(header::CONTENT_LENGTH) {
        line([b"\r\ncontent-length: ", length.to_string().as_bytes(), b"", b""]);
    }
    line([b"\r\ndate: ", &date(), b"\r\n\r\n", &with_head]);
    (out.into(), rest)
}

/// The date of an answer (RFC 9110, 6.6.1), written anew once a second.
fn date() -> Rc<[u8]> {
    thread_local! {
        static WRITTEN: RefCell<(Duration, Rc<[u8]>)> = RefCell::default();
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WRITTEN.with_borrow_mut(|(at, written)| {
        if at.as_secs() != now.as_secs() || written.is_empty() {
            (*at, *written) = (now, HttpDate::from(UNIX_EPOCH + now).to_string().into_bytes().into());
        }
        Rc::clone(written)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_what_hyper_would_have_sent() {
        let answer = Response::builder().status(404).header("x-a", "1").body(Bytes::from_static(b"{}"));
        let (text, rest) = encode(answer.expect("a response"));
        assert_eq!(rest, None);
        let text = std::str::from_utf8(&text).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        let (rest, date) = head.rsplit_once("\r\n").expect("lines");
        assert_eq!(rest, "HTTP/1.1 404 Not Found\r\nx-a: 1\r\ncontent-length: 2");
        assert!(date.strip_prefix("date: ").is_some_and(|date| date.parse::<HttpDate>().is_ok()), "{date}");
        assert_eq!(body, "{}");
    }

    #[test]
    fn a_long_body_is_sent_after_its_head_and_shared() {
        for (length, is_copied) in [(0, true), (COPIED, true), (COPIED + 1, false)] {
            let body = Bytes::from(vec![b'a'; length]);
            let (head, rest) = encode(Response::new(body.clone()));
            let said = format!("content-length: {length}\r\n");
            assert!(head.windows(said.len()).any(|part| part == said.as_bytes()), "{head:?}");
            assert_eq!(head.ends_with(b"\r\n\r\n"), length == 0 || !is_copied);
            assert_eq!(rest.map(|rest| rest.as_ptr()), (!is_copied).then_some(body.as_ptr()));
        }
    }

    #[test]
    fn a_length_is_said_once_and_of_a_body_only() {
        let lengths = |status: u16, said: Option<usize>| {
            let mut answer = Response::new(Bytes::from_static(b""));
            *answer.status_mut() = StatusCode::from_u16(status).expect("a status");
            answer.headers_mut().extend(said.map(|length| (header::CONTENT_LENGTH, length.into())));
            String::from_utf8(encode(answer).0.to_vec()).expect("text").matches("content-length").count()
        };
        assert_eq!((lengths(200, None), lengths(200, Some(0)), lengths(404, None)), (1, 1, 1));
        assert_eq!((lengths(204, None), lengths(304, None), lengths(304, Some(7))), (0, 0, 1));
    }
}
