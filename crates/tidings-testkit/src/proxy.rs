//! A proxy that misbehaves, between a client and a server that don't.
//!
//! It speaks HTTP/1.1 to both, and passes `Host` on as it came, so the server has to answer to the proxy's address.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    ops::RangeInclusive,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http::{Request, Response, StatusCode, Uri, header};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, Full, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, client, server, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpSocket, TcpStream},
    task::{JoinHandle, JoinSet},
};

/// After how many bytes [`Mode::Cut`] closes a connection.
pub const CUT_AFTER: RangeInclusive<u64> = 16 * 1024..=256 * 1024;

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1024;

type Body = UnsyncBoxBody<Bytes, hyper::Error>;

/// What a proxy does to what passes through it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// Nothing.
    Pass,
    /// Holds back every answer until it is whole: an event stream as long as its job.
    Buffer,
    /// Lets the head of every answer and the first piece of its body through, and holds back the rest until it is whole.
    BufferAfterHead,
    /// Closes each connection once so many bytes of answers have gone over it: a random number of [`CUT_AFTER`], which
    /// this seed decides.
    Cut {
        /// Where the random numbers come from.
        seed: u64,
    },
    /// Answers everything with `502 Bad Gateway`.
    Refuse,
    /// Is not there: its port is closed.
    Down,
}

/// A proxy on a port of its own. Dropping it closes the port and all connections.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    /// Bound and never listening: so the port stays this proxy's while it is down.
    _port: TcpSocket,
    shared: Arc<Shared>,
    /// Accepts connections, and ends them when it is ended.
    acceptor: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    upstream: SocketAddr,
    counts: Counts,
}

/// What has passed so far.
#[derive(Debug, Default)]
struct Counts {
    connections: AtomicUsize,
    /// How often each path was asked for, with its query.
    requests: Mutex<HashMap<String, usize>>,
    streams: AtomicUsize,
    most_streams: AtomicUsize,
}

impl Proxy {
    /// Starts one before the server at `upstream`, on a free port of 127.0.0.1. To begin with it [passes](Mode::Pass)
    /// everything.
    ///
    /// # Errors
    ///
    /// Where there is no port.
    pub async fn start(upstream: SocketAddr) -> io::Result<Self> {
        let port = bind(([127, 0, 0, 1], 0).into())?;
        let address = port.local_addr()?;
        let shared = Arc::new(Shared { upstream, counts: Counts::default() });
        let proxy = Self { address, _port: port, shared, acceptor: Mutex::new(None) };
        proxy.set(Mode::Pass).await?;
        Ok(proxy)
    }

    /// Where it listens, whenever it does.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes what it does. All connections are closed, as when a proxy is started anew.
    ///
    /// # Errors
    ///
    /// Where its port can't be opened again.
    pub async fn set(&self, mode: Mode) -> io::Result<()> {
        let before = self.acceptor().take();
        if let Some(before) = before {
            before.abort();
            // It was cancelled, which is what is waited for.
            let _ = before.await;
        }
        if mode != Mode::Down {
            let listener = bind(self.address)?.listen(BACKLOG)?;
            *self.acceptor() = Some(tokio::spawn(accept(listener, mode, Arc::clone(&self.shared))));
        }
        Ok(())
    }

    /// How many connections were made to it so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.counts.connections.load(Ordering::Relaxed)
    }

    /// How many requests it has got so far for paths that end like this.
    #[must_use]
    pub fn requests(&self, path_end: &str) -> usize {
        let requests = self.shared.counts.requests();
        let is_meant = |target: &str| target.split('?').next().is_some_and(|path| path.ends_with(path_end));
        requests.iter().filter(|(target, _)| is_meant(target)).map(|(_, count)| count).sum()
    }

    /// What it was asked for so far: each path once, with its query, in any order.
    #[must_use]
    pub fn targets(&self) -> Vec<String> {
        self.shared.counts.requests().keys().cloned().collect()
    }

    /// How many event streams the server is sending through it at present, held back or not.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.shared.counts.streams.load(Ordering::Relaxed)
    }

    /// How many event streams there were at once at most.
    #[must_use]
    pub fn most_streams(&self) -> usize {
        self.shared.counts.most_streams.load(Ordering::Relaxed)
    }

    fn acceptor(&self) -> std::sync::MutexGuard<'_, Option<JoinHandle<()>>> {
        self.acceptor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(acceptor) = self.acceptor().take() {
            acceptor.abort();
        }
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // Connections that have just been closed keep their port for a while.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

async fn accept(listener: TcpListener, mode: Mode, shared: Arc<Shared>) {
    let mut random = fastrand::Rng::with_seed(if let Mode::Cut { seed } = mode { seed } else { 0 });
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // A connection that went away before it was accepted, or no file left for one.
            tokio::task::yield_now().await;
            continue;
        };
        while connections.try_join_next().is_some() {}
        shared.counts.connections.fetch_add(1, Ordering::Relaxed);
        let left = matches!(mode, Mode::Cut { .. }).then(|| random.u64(CUT_AFTER));
        connections.spawn(serve(CutStream { stream, left }, mode, Arc::clone(&shared)));
    }
}

async fn serve(stream: CutStream, mode: Mode, shared: Arc<Shared>) {
    // Without this, small pieces of a stream would wait for one another.
    let _ = stream.stream.set_nodelay(true);
    let service = service_fn(|request| answer(request, mode, Arc::clone(&shared)));
    // How a connection ends is its client's business.
    let _ = server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(request: Request<Incoming>, mode: Mode, shared: Arc<Shared>) -> Result<Response<Body>, hyper::Error> {
    shared.counts.add_request(request.uri());
    if mode == Mode::Refuse {
        return Ok(bad_gateway());
    }
    let Ok(response) = forward(request, shared.upstream).await else { return Ok(bad_gateway()) };
    let is_stream = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.to_str().is_ok_and(|value| value.starts_with("text/event-stream")));
    let counted = is_stream.then(|| OpenStream::new(&shared));
    let (head, body) = response.into_parts();
    if mode == Mode::Buffer {
        let whole = body.collect().await?.to_bytes();
        drop(counted);
        return Ok(Response::from_parts(head, Full::new(whole).map_err(|never| match never {}).boxed_unsync()));
    }
    let body = body.map_frame(move |frame| {
        // It counts as open until the body is dropped.
        let _ = &counted;
        frame
    });
    let body = match mode {
        Mode::BufferAfterHead => HeldBack::new(body.boxed_unsync()).boxed_unsync(),
        _ => body.boxed_unsync(),
    };
    Ok(Response::from_parts(head, body))
}

/// Asks the server, over a connection of its own.
async fn forward(request: Request<Incoming>, upstream: SocketAddr) -> io::Result<Response<Incoming>> {
    let stream = TcpStream::connect(upstream).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) =
        client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    // It ends with the answer, or when nobody wants that any more.
    tokio::spawn(connection);
    sender.send_request(request).await.map_err(io::Error::other)
}

fn bad_gateway() -> Response<Body> {
    let mut response = Response::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    response
}

impl Counts {
    fn add_request(&self, target: &Uri) {
        *self.requests().entry(target.to_string()).or_default() += 1;
    }

    fn requests(&self) -> std::sync::MutexGuard<'_, HashMap<String, usize>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An event stream that is under way.
struct OpenStream(Arc<Shared>);

impl OpenStream {
    fn new(shared: &Arc<Shared>) -> Self {
        let open = shared.counts.streams.fetch_add(1, Ordering::Relaxed) + 1;
        shared.counts.most_streams.fetch_max(open, Ordering::Relaxed);
        Self(Arc::clone(shared))
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.counts.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A body that lets its first piece through at once, and all others together at its end.
struct HeldBack {
    body: Body,
    has_begun: bool,
    rest: BytesMut,
}

impl HeldBack {
    fn new(body: Body) -> Self {
        Self { body, has_begun: false, rest: BytesMut::new() }
    }
}

impl http_body::Body for HeldBack {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        loop {
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None if self.rest.is_empty() => return Poll::Ready(None),
                None => return Poll::Ready(Some(Ok(Frame::data(self.rest.split().freeze())))),
            };
            if !self.has_begun {
                self.has_begun = true;
                return Poll::Ready(Some(Ok(frame)));
            }
            // The server sends no trailers.
            if let Ok(data) = frame.into_data() {
                self.rest.extend_from_slice(&data);
            }
        }
    }
}

/// A connection that breaks once so many bytes were written to it.
#[derive(Debug)]
struct CutStream {
    stream: TcpStream,
    left: Option<u64>,
}

impl AsyncRead for CutStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for CutStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Some(left) = self.left else { return Pin::new(&mut self.stream).poll_write(cx, bytes) };
        if left == 0 {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let some = bytes.get(..usize::try_from(left).unwrap_or(usize::MAX)).unwrap_or(bytes);
        let written = Pin::new(&mut self.stream).poll_write(cx, some);
        if let Poll::Ready(Ok(written)) = written {
            self.left = Some(left - written as u64);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
