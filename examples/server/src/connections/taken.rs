//! Connections taken over from hyper, so that what waits on one costs its socket and little else.
//!
//! hyper keeps 10 KiB and more for a connection whatever happens on it. A stream of events that has brought what was there
//! needs none of that any more, and a request that is held does not need it before it is answered. So either leaves word
//! here and stays pending; once hyper has nothing left to write, its connection is taken apart and goes on as a socket and
//! what is waited for. hyper begins anew on the same socket when there is a request again.
//!
//! Whoever reports something or looks at a job again and again sends many requests, too, and what hyper does for each is a
//! good part of what it costs. So a connection is taken over with the answer to its first report or its second look as well.
//! What comes whole on a connection that was taken over is answered here, and the rest by a hyper that begins anew.

use std::{
    mem::{self, MaybeUninit},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderValue, Method, Request, Response, Version, header};
use http_body::Body as _;
use hyper::body::Incoming;
use parking_lot::Mutex;
use tidings::{Body, EventStream, Held, Reply};
use tokio::{
    io::{AsyncRead, ReadBuf},
    net::TcpStream,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{Serve, connection::Shared, head, unsent::Unsent, whole};

/// The chunk that ends a body (RFC 9112, 7.1), without trailers.
const LAST_CHUNK: Bytes = Bytes::from_static(b"0\r\n\r\n");

/// How much is read at a time.
const READ: usize = 4 * 1024;

/// How many requests of one connection are answered until others have their turn.
const AT_A_TIME: usize = 16;

/// How often connections have been taken over from hyper.
#[derive(Debug, Default)]
pub struct TakenOver {
    streams: AtomicU64,
    polls: AtomicU64,
    answers: AtomicU64,
}

impl TakenOver {
    /// Streams of events that have gone on without hyper.
    #[must_use]
    pub fn streams(&self) -> u64 {
        self.streams.load(Ordering::Relaxed)
    }

    /// Requests that have been held without hyper.
    #[must_use]
    pub fn polls(&self) -> u64 {
        self.polls.load(Ordering::Relaxed)
    }

    /// Requests that have been answered without hyper, and without being held.
    #[must_use]
    pub fn answers(&self) -> u64 {
        self.answers.load(Ordering::Relaxed)
    }
}

/// What a connection goes on with.
#[derive(Debug)]
pub(super) enum Left {
    /// Events, whose head and beginning have been sent.
    Stream(EventStream),
    /// A request that is to be answered.
    Held(Held),
    /// An answer, of a connection whose next requests are to be answered without hyper. Boxed, for it is by far the largest,
    /// and there is room for one in every connection.
    Answer(Box<Response<Bytes>>),
}

/// What hyper gives back of a connection.
pub(super) struct Given {
    pub(super) socket: TcpStream,
    /// What has been read of the requests that come next.
    pub(super) unread: Vec<u8>,
    pub(super) left: Left,
}

/// Where the requests of one connection leave word for its task.
#[derive(Debug, Default)]
pub(super) struct Handover {
    left: Mutex<Option<Left>>,
    /// Whether hyper has nothing left to write.
    flushed: AtomicBool,
    takes_answers: bool,
}

impl Handover {
    /// `takes_answers`: whether the connection is to be taken over with the answer to what its client may go on with.
    pub(super) fn new(takes_answers: bool) -> Self {
        Self { takes_answers, ..Self::default() }
    }

    pub(super) fn takes_answers(&self) -> bool {
        self.takes_answers
    }

    /// Leaves word. Whoever does stays pending from then on.
    pub(super) fn leave(&self, left: Left) {
        *self.left.lock() = Some(left);
    }

    /// What was left, once hyper has written all there was to write before it.
    pub(super) fn take(&self) -> Option<Left> {
        if self.flushed.load(Ordering::Relaxed) { self.left.lock().take() } else { None }
    }

    pub(super) fn set_flushed(&self, flushed: bool) {
        self.flushed.store(flushed, Ordering::Relaxed);
    }
}

/// Whether a request can be waited for without hyper.
pub(super) fn can_be_taken(request: &Request<Incoming>) -> bool {
    *request.method() == Method::GET && request.body().is_end_stream() && keeps_alive(request)
}

/// Whether the connection can go on without hyper: what the request says of it must be what is meant anyway. After one that
/// has a length beside its transfer coding hyper closes the connection (RFC 9112, 6.3), and shows only the latter.
pub(super) fn keeps_alive(request: &Request<Incoming>) -> bool {
    let is_kept = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"keep-alive");
    let headers = request.headers();
    request.version() == Version::HTTP_11
        && !headers.contains_key(header::TRANSFER_ENCODING)
        && headers.get_all(header::CONNECTION).iter().all(is_kept)
}

/// A connection without hyper: a socket, and what its client waits for.
pub(super) struct Taken {
    socket: TcpStream,
    /// What the client has sent meanwhile: its next requests.
    unread: BytesMut,
    /// Whether that was so much that nothing more was read.
    is_full: bool,
    /// Whether the client has said that nothing follows them.
    half_closed: bool,
    doing: Doing,
    /// Ready when the connection is to end if nothing happens on it. It may run for longer than the last rest.
    ends: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// Whether there was a request since it began to run.
    was_asked: bool,
    /// Whether it was taken over for the requests that come next.
    for_requests: bool,
}

enum Doing {
    /// Sends events. `events` is nothing once the last of them, and the end of the body, is what is unsent.
    Streaming { events: Option<EventStream>, unsent: Unsent },
    /// Finds out what becomes of a request, of which these are the bytes.
    Replying { reply: Pin<Box<dyn Future<Output = Reply> + Send>>, request: Bytes },
    /// Waits for an answer.
    Holding(Held),
    /// Sends it.
    Answering { unsent: Unsent, closes: bool },
    /// Waits for the next request.
    Resting,
}

/// How a connection that was taken over goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Not at all: its client has gone, or takes nothing.
    Nothing,
    /// It is to be closed.
    Close,
    /// A request has begun to come that is not answered here.
    Request,
}

impl Taken {
    pub(super) fn new<S>(given: Given, shared: &Shared<S>) -> Self {
        let Given { socket, unread, left } = given;
        let (limits, count) = (&shared.limits, &shared.taken_over);
        let for_requests = matches!(left, Left::Answer(_));
        let doing = match left {
            Left::Stream(events) => {
                count.streams.fetch_add(1, Ordering::Relaxed);
                Doing::Streaming { events: Some(events), unsent: Unsent::new(Bytes::new(), limits) }
            }
            Left::Held(held) => {
                count.polls.fetch_add(1, Ordering::Relaxed);
                Doing::Holding(held)
            }
            Left::Answer(answer) => Doing::answering(*answer, shared),
        };
        let unread = BytesMut::from(&*unread);
        Self { socket, unread, is_full: false, half_closed: false, doing, ends: None, was_asked: false, for_requests }
    }

    /// Ready once there is nothing more to do here.
    pub(super) fn poll_next<S: Serve>(&mut self, cx: &mut Context<'_>, shared: &Arc<Shared<S>>) -> Poll<Next> {
        let limits = &shared.limits;
        let most = limits.header_block_bytes + limits.request_target_bytes;
        // An answer that is there is sent before it is looked whether its client has closed its half meanwhile.
        if let Doing::Answering { unsent, .. } = &mut self.doing
            && let Poll::Ready(Err(_)) = unsent.poll_send(cx, &mut self.socket)
        {
            return Poll::Ready(Next::Nothing);
        }
        if self.poll_gone(cx, most).is_ready() {
            return Poll::Ready(Next::Nothing);
        }
        let mut taken = 0;
        loop {
            if let Doing::Streaming { unsent, .. } | Doing::Answering { unsent, .. } = &mut self.doing
                && ready!(unsent.poll_send(cx, &mut self.socket)).is_err()
            {
                return Poll::Ready(Next::Nothing);
            }
            match &mut self.doing {
                Doing::Streaming { events: Some(stream), unsent } => match ready!(stream.poll_chunks(cx)) {
                    Some(chunks) => unsent.set(chunks),
                    None => self.doing = Doing::Streaming { events: None, unsent: Unsent::new(LAST_CHUNK, limits) },
                },
                Doing::Replying { reply, request } => match reply.as_mut().poll(cx) {
                    Poll::Pending => return self.poll_held_up(),
                    Poll::Ready(Reply::Held(held)) => {
                        shared.taken_over.polls.fetch_add(1, Ordering::Relaxed);
                        self.doing = Doing::Holding(held);
                    }
                    Poll::Ready(Reply::Response(response)) => match response.body().as_bytes().cloned() {
                        Some(body) => {
                            shared.taken_over.answers.fetch_add(1, Ordering::Relaxed);
                            self.doing = Doing::answering(response.map(|_| body), shared);
                        }
                        // hyper asks once more, which is nothing to anybody: it gets something.
                        None => {
                            self.unread = BytesMut::from_iter(request.iter().chain(&self.unread));
                            return Poll::Ready(Next::Request);
                        }
                    },
                },
                Doing::Holding(held) => match Pin::new(held).poll(cx) {
                    Poll::Pending => return self.poll_held_up(),
                    Poll::Ready(answer) => self.doing = Doing::answering(answer, shared),
                },
                Doing::Answering { closes: true, .. } => return Poll::Ready(Next::Close),
                Doing::Resting | Doing::Answering { .. } if has_request(&mut self.unread) => {
                    if taken == AT_A_TIME {
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    taken += 1;
                    let Some(doing) = self.take_request(shared) else { return Poll::Ready(Next::Request) };
                    self.doing = doing;
                }
                Doing::Resting | Doing::Answering { .. } if self.half_closed => return Poll::Ready(Next::Close),
                Doing::Streaming { events: None, .. } | Doing::Answering { .. } => {
                    self.doing = Doing::Resting;
                }
                // There is room again, and nobody is told of what comes.
                Doing::Resting if self.is_full => {
                    if self.poll_gone(cx, most).is_ready() {
                        return Poll::Ready(Next::Nothing);
                    }
                }
                Doing::Resting => {
                    let rest = || rest(limits.idle, shared.closing.clone());
                    ready!(self.ends.get_or_insert_with(|| Box::pin(rest())).as_mut().poll(cx));
                    if !mem::take(&mut self.was_asked) || shared.closing.is_cancelled() {
                        return Poll::Ready(Next::Close);
                    }
                    self.ends = None;
                }
            }
        }
    }

    /// Takes the next request, if it has come whole and is one to be answered here: one that gets something, or a report.
    fn take_request<S: Serve>(&mut self, shared: &Arc<Shared<S>>) -> Option<Doing> {
        let (request, bytes) = whole::first(&self.unread).filter(|_| !shared.closing.is_cancelled())?;
        head::check(&request, &shared.limits).ok()?;
        let length = bytes.len();
        let doing = if let Some(answer) = shared.service.reply_now(&request) {
            shared.taken_over.answers.fetch_add(1, Ordering::Relaxed);
            Doing::answering(answer, shared)
        } else if *request.method() == Method::GET {
            let shared = Arc::clone(shared);
            let reply = Box::pin(async move { shared.service.reply(request.map(Body::from)).await });
            Doing::Replying { reply, request: bytes }
        } else {
            let report = shared.service.take_report(&request)?;
            shared.taken_over.answers.fetch_add(1, Ordering::Relaxed);
            Doing::Holding(report.held(Body::from(request.into_body())))
        };
        consume(&mut self.unread, length);
        self.was_asked = true;
        Some(doing)
    }

    /// Pending, for as long as there is somebody to be answered: as hyper has it, who closes its half and waits is gone.
    fn poll_held_up(&self) -> Poll<Next> {
        if self.half_closed && self.unread.is_empty() { Poll::Ready(Next::Nothing) } else { Poll::Pending }
    }

    /// Whether it was taken over for the requests that come next.
    pub(super) fn is_for_requests(&self) -> bool {
        self.for_requests
    }

    /// Gives the socket back, and what the client has sent meanwhile.
    pub(super) fn into_parts(self) -> (TcpStream, BytesMut) {
        (self.socket, self.unread)
    }

    /// Ready once the client has gone. Who sends more than a request or two while it waits is not read any further.
    fn poll_gone(&mut self, cx: &mut Context<'_>, most: usize) -> Poll<()> {
        self.is_full = false;
        while self.unread.len() < most && !self.half_closed {
            let mut bytes = [MaybeUninit::uninit(); READ];
            let mut read = ReadBuf::uninit(&mut bytes);
            match ready!(Pin::new(&mut self.socket).poll_read(cx, &mut read)) {
                Ok(()) if !read.filled().is_empty() => self.unread.extend_from_slice(read.filled()),
                // As hyper has it: who closes its half is gone, but for one that has sent further requests.
                Ok(()) if !self.unread.is_empty() => self.half_closed = true,
                Ok(()) | Err(_) => return Poll::Ready(()),
            }
        }
        self.is_full = !self.half_closed;
        Poll::Pending
    }
}

/// Comes back when no request has come for too long, or the server closes.
async fn rest(idle: Duration, closing: CancellationToken) {
    // Either way the connection is closed.
    let _ = timeout(idle, closing.cancelled()).await;
}

/// Whether the next request has begun. Empty lines before it are ignored (RFC 9112, 2.2).
fn has_request(unread: &mut BytesMut) -> bool {
    let mut rest = &unread[..];
    while let Some(next) = rest.strip_prefix(b"\r\n").or_else(|| rest.strip_prefix(b"\n")) {
        rest = next;
    }
    // It may be half of another one.
    let begun = !matches!(rest, [] | b"\r");
    let blank = unread.len() - rest.len();
    consume(unread, blank);
    begun
}

/// Takes what has been read so far. What came at once is not kept room for while nothing comes.
fn consume(unread: &mut BytesMut, length: usize) {
    if length == unread.len() {
        *unread = BytesMut::new();
    } else {
        unread.advance(length);
    }
}

impl Doing {
    /// Sends an answer, which is the last one on its connection if it says so or the server closes.
    fn answering<S>(mut answer: Response<Bytes>, shared: &Shared<S>) -> Self {
        if shared.closing.is_cancelled() {
            answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        let closes = answer.headers().get(header::CONNECTION).is_some_and(|value| value == "close");
        Self::Answering { unsent: Unsent::answer(answer, &shared.limits), closes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_line_is_no_request() {
        let mut unread = BytesMut::from("\r\n\n");
        assert!(!has_request(&mut unread));
        unread.extend_from_slice(b"\r\nGET");
        assert!(has_request(&mut unread));
        assert_eq!(unread, "GET");
    }

    #[test]
    fn a_line_that_ends_in_half_is_left_to_hyper() {
        for (unread, is_request) in [("\r", false), ("\r\n\r", false), ("\rGET", true), ("\n\r\r\n", true)] {
            assert_eq!(has_request(&mut BytesMut::from(unread)), is_request, "{unread:?}");
        }
    }

    #[test]
    fn nothing_is_kept_of_what_was_taken() {
        let mut unread = BytesMut::from(&[b'a'; 4 * READ][..]);
        consume(&mut unread, 3 * READ);
        assert_eq!(unread.len(), READ);
        consume(&mut unread, READ);
        unread.reserve(1);
        assert!(unread.capacity() < READ, "{}", unread.capacity());
    }
}
