//! Connections taken over from hyper, so that what waits on one costs its socket and little else.
//!
//! hyper keeps 10 KiB and more for a connection whatever happens on it. A stream of events that has brought what was there
//! needs none of that any more, and a request that is held does not need it before it is answered. So either leaves word
//! here and stays pending; once hyper has nothing left to write, its connection is taken apart and goes on as a socket and
//! what is waited for. hyper begins anew on the same socket when there is a request or an answer again.

use std::{
    fmt,
    mem::MaybeUninit,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use http::{Method, Response, Version, header, request::Parts};
use http_body::Body as _;
use hyper::body::Incoming;
use parking_lot::Mutex;
use tidings::{Body, EventStream, Held};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::{Limits, paced::Stall};

/// A request that hyper reads before the answer of a held one, which it stands for.
const STAND_IN: &[u8] = b"GET / HTTP/1.1\r\n\r\n";

/// The chunk that ends a body (RFC 9112, 7.1), without trailers.
const LAST_CHUNK: Bytes = Bytes::from_static(b"0\r\n\r\n");

/// How much is read from a client that sends while it waits, at a time.
const READ: usize = 1024;

/// How often connections have been taken over from hyper.
#[derive(Debug, Default)]
pub struct TakenOver {
    streams: AtomicU64,
    polls: AtomicU64,
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
}

/// What a connection goes on with.
#[derive(Debug)]
pub(super) enum Left {
    /// Events, whose head and beginning have been sent.
    Stream(EventStream),
    /// A request that is to be answered.
    Held(Held),
}

/// A connection that was taken over.
pub(super) struct Given {
    pub(super) socket: TcpStream,
    /// What hyper had read of the requests that come next.
    pub(super) unread: Bytes,
    pub(super) left: Left,
}

/// Where the requests of one connection and its task leave word for each other.
#[derive(Default)]
pub(super) struct Handover {
    left: Mutex<Option<Left>>,
    /// What the stand-in is answered with.
    answer: Mutex<Option<Box<Response<Body>>>>,
    /// Whether hyper has nothing left to write.
    flushed: AtomicBool,
}

impl Handover {
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

    /// The answer to the request that is read first from the bytes given back.
    pub(super) fn set_answer(&self, answer: Response<Body>, unread: &[u8]) -> Bytes {
        *self.answer.lock() = Some(Box::new(answer));
        [STAND_IN, unread].concat().into()
    }

    pub(super) fn take_answer(&self) -> Option<Response<Body>> {
        self.answer.lock().take().map(|answer| *answer)
    }
}

impl fmt::Debug for Handover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handover").finish_non_exhaustive()
    }
}

/// Whether a request can be answered without hyper: what it says of the connection must be what is meant anyway.
pub(super) fn can_be_taken(head: &Parts, body: &Incoming) -> bool {
    head.version == Version::HTTP_11
        && head.method == Method::GET
        && body.is_end_stream()
        && head
            .headers
            .get_all(header::CONNECTION)
            .iter()
            .all(|value| value.as_bytes().eq_ignore_ascii_case(b"keep-alive"))
}

/// A socket whose client waits.
struct Waiting {
    socket: TcpStream,
    /// What the client has sent meanwhile: its next requests.
    unread: BytesMut,
    most_unread: usize,
}

impl Waiting {
    fn new(socket: TcpStream, unread: &[u8], limits: &Limits) -> Self {
        Self { socket, unread: unread.into(), most_unread: limits.header_block_bytes + limits.request_target_bytes }
    }

    /// Ready once the client has gone. Who sends more than a request or two while it waits is not read any further.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.unread.len() < self.most_unread {
            let mut bytes = [MaybeUninit::uninit(); READ];
            let mut read = ReadBuf::uninit(&mut bytes);
            match ready!(Pin::new(&mut self.socket).poll_read(cx, &mut read)) {
                Ok(()) if !read.filled().is_empty() => self.unread.extend_from_slice(read.filled()),
                // As hyper has it: who closes its half is gone.
                Ok(()) | Err(_) => return Poll::Ready(()),
            }
        }
        Poll::Pending
    }
}

/// A socket that is free again, with what the client has sent meanwhile.
pub(super) type Free = (TcpStream, BytesMut);

/// Streams events to a socket, until they end or nothing more can be sent: then there is no socket left.
pub(super) struct Streamed {
    /// Nothing once it has been given back.
    waiting: Option<Waiting>,
    events: Option<EventStream>,
    unsent: Bytes,
    stall: Stall,
}

impl Streamed {
    pub(super) fn new(
        socket: TcpStream,
        unread: &[u8],
        events: EventStream,
        limits: &Limits,
        count: &TakenOver,
    ) -> Self {
        count.streams.fetch_add(1, Ordering::Relaxed);
        let waiting = Waiting::new(socket, unread, limits);
        Self {
            waiting: Some(waiting),
            events: Some(events),
            unsent: Bytes::new(),
            stall: Stall::new(limits.write_stall),
        }
    }
}

impl Future for Streamed {
    type Output = Option<Free>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Free>> {
        let this = self.get_mut();
        let Some(waiting) = &mut this.waiting else { return Poll::Ready(None) };
        if waiting.poll_gone(cx).is_ready() {
            return Poll::Ready(None);
        }
        loop {
            while !this.unsent.is_empty() {
                let written = Pin::new(&mut waiting.socket).poll_write(cx, &this.unsent);
                match ready!(this.stall.check(cx, written)) {
                    Ok(0) | Err(_) => return Poll::Ready(None),
                    Ok(written) => this.unsent.advance(written),
                }
            }
            let Some(events) = &mut this.events else {
                return Poll::Ready(this.waiting.take().map(|waiting| (waiting.socket, waiting.unread)));
            };
            // Even an empty slice keeps its memory.
            this.unsent = Bytes::new();
            this.unsent = match ready!(events.poll_chunks(cx)) {
                Some(chunks) => chunks,
                None => {
                    this.events = None;
                    LAST_CHUNK
                }
            };
        }
    }
}

/// Waits for the answer to a request, for as long as its client does.
pub(super) struct Parked {
    waiting: Option<Waiting>,
    held: Held,
}

impl Parked {
    pub(super) fn new(socket: TcpStream, unread: &[u8], held: Held, limits: &Limits, count: &TakenOver) -> Self {
        count.polls.fetch_add(1, Ordering::Relaxed);
        Self { waiting: Some(Waiting::new(socket, unread, limits)), held }
    }
}

impl Future for Parked {
    type Output = Option<(Free, Response<Body>)>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let Some(waiting) = &mut this.waiting else { return Poll::Ready(None) };
        if waiting.poll_gone(cx).is_ready() {
            return Poll::Ready(None);
        }
        let answer = ready!(Pin::new(&mut this.held).poll(cx));
        Poll::Ready(this.waiting.take().map(|waiting| ((waiting.socket, waiting.unread), answer)))
    }
}

/// Shared by the connections of a server.
pub(super) type Counter = Arc<TakenOver>;
