//! Each limit on connections and heads, gone over on a real socket, with a small service of this test's own.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tidings_server::connections::{Limits, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tower_service::Service;

/// Ends a test that hangs; nothing waits for it.
const HANGS: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(200);

const HELLO: &str = "GET /hello HTTP/1.1\r\nhost: a\r\n\r\n";

// ---- The limits on what a client says ------------------------------------------------------

#[tokio::test]
async fn a_client_that_says_nothing_is_closed() {
    let mut limits = Limits::default();
    limits.first_byte = SHORT;
    let server = Server::start(limits).await;
    let begun = Instant::now();
    let mut client = server.connect().await;
    assert_eq!(rest(&mut client).await, "");
    assert!(begun.elapsed() >= SHORT);
}

#[tokio::test]
async fn a_head_that_is_not_whole_in_time_is_closed_without_a_word() {
    let mut limits = Limits::default();
    limits.header = SHORT;
    let server = Server::start(limits).await;
    let begun = Instant::now();
    let mut client = server.connect().await;
    send(&mut client, "GET /hello HTTP/1.1\r\nhost:").await;
    assert_eq!(rest(&mut client).await, "");
    assert!(begun.elapsed() >= SHORT);
}

#[tokio::test]
async fn a_connection_may_idle_longer_than_a_head_may_take() {
    let mut limits = Limits::default();
    limits.header = SHORT;
    limits.idle = SHORT * 3;
    let server = Server::start(limits).await;
    let mut client = server.connect().await;
    send(&mut client, HELLO).await;
    assert_eq!(answer(&mut client).await.status, 200);
    let begun = Instant::now();
    assert_eq!(rest(&mut client).await, "");
    assert!(begun.elapsed() >= SHORT * 2, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_later_head_has_the_same_time_as_the_first() {
    let mut limits = Limits::default();
    limits.header = SHORT;
    let server = Server::start(limits).await;
    let mut client = server.connect().await;
    send(&mut client, HELLO).await;
    assert_eq!(answer(&mut client).await.status, 200);
    let begun = Instant::now();
    send(&mut client, "GET /hel").await;
    assert_eq!(rest(&mut client).await, "");
    assert!(begun.elapsed() >= SHORT);
}

#[tokio::test]
async fn a_long_target_gets_a_problem() {
    let server = Server::start(Limits::default()).await;
    for length in [2049, 3000, 20_000, 200_000] {
        let target = format!("/{}", "a".repeat(length - 1));
        let answer = server.ask(&format!("GET {target} HTTP/1.1\r\nhost: a\r\n\r\n")).await;
        answer.assert_problem(414, "uri-too-long");
    }
    let target = format!("/{}", "a".repeat(2047));
    assert_eq!(server.ask(&format!("GET {target} HTTP/1.1\r\nhost: a\r\n\r\n")).await.status, 404);
}

#[tokio::test]
async fn a_large_header_block_gets_a_problem() {
    let server = Server::start(Limits::default()).await;
    let block = |length: usize| format!("GET /hello HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(length - 5));
    for length in [16_385, 20_000, 1_000_000] {
        server.ask(&block(length)).await.assert_problem(431, "header-fields-too-large");
    }
    assert_eq!(server.ask(&block(16_384)).await.status, 200);
}

#[tokio::test]
async fn many_header_fields_get_a_problem() {
    let server = Server::start(Limits::default()).await;
    let fields = |count| format!("GET /hello HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(count));
    for count in [65, 101, 5_000] {
        server.ask(&fields(count)).await.assert_problem(431, "header-fields-too-large");
    }
    assert_eq!(server.ask(&fields(64)).await.status, 200);
}

#[tokio::test]
async fn a_later_head_has_the_same_limits_as_the_first() {
    let server = Server::start(Limits::default()).await;
    for (over, status) in [
        (format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(2100)), 414),
        (format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(65)), 431),
        (format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(200)), 431),
        (format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(100_000)), 431),
    ] {
        let mut client = server.connect().await;
        send(&mut client, HELLO).await;
        assert_eq!(answer(&mut client).await.status, 200);
        send(&mut client, &over).await;
        assert_eq!(answer(&mut client).await.status, status);
    }
}

#[tokio::test]
async fn what_is_no_http_is_answered_at_once() {
    let server = Server::start(Limits::default()).await;
    assert_eq!(server.ask("\x16\x03\x01\x02").await.status, 400);
    assert_eq!(server.ask("HELO example\r\n\r\n").await.status, 400);
}

#[tokio::test]
async fn an_answer_that_comes_before_the_end_of_the_body_is_seen() {
    let server = Server::start(Limits::default()).await;
    let body = "x".repeat(1024 * 1024);
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_send_buffer_size(16 * 1024).expect("a small buffer");
    let mut client = socket.connect(server.address).await.expect("the listener is open");
    let head = format!("POST /nowhere HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", body.len());
    // All of it is sent before anything is read, as simple clients do it.
    send(&mut client, &(head + &body)).await;
    assert_eq!(answer(&mut client).await.status, 404);
}

// ---- The limits on what a client takes -----------------------------------------------------

#[tokio::test]
async fn a_client_that_does_not_read_costs_little_and_is_cut_off() {
    let mut limits = Limits::default();
    limits.write_stall = SHORT;
    let server = Server::start(limits).await;
    let mut client = server.connect().await;
    send(&mut client, "GET /endless HTTP/1.1\r\nhost: a\r\n\r\n").await;
    wait_for(&server.app.ended).await;
    let written = server.app.written.load(Ordering::Relaxed);
    assert!((1..256 * 1024).contains(&written), "{written}");
    // What is in flight is still there to read, and then the connection is at its end, one way or the other.
    let mut buffer = vec![0; 64 * 1024];
    let end = async { while let Ok(1..) = client.read(&mut buffer).await {} };
    timeout(HANGS, end).await.expect("the connection ends");
}

#[tokio::test]
async fn a_client_that_reads_slowly_is_not_cut_off() {
    let mut limits = Limits::default();
    limits.write_stall = SHORT;
    let server = Server::start(limits).await;
    let mut client = server.connect().await;
    send(&mut client, "GET /endless HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let begun = Instant::now();
    let mut buffer = vec![0; 256 * 1024];
    while begun.elapsed() < SHORT * 5 {
        let read = timeout(HANGS, client.read(&mut buffer)).await.expect("bytes come");
        assert!(read.expect("the connection lives") > 0);
    }
}

// ---- The limits on how many there are ------------------------------------------------------

#[tokio::test]
async fn a_connection_too_many_waits_until_there_is_room() {
    let mut limits = Limits::default();
    limits.connections = NonZeroUsize::new(2);
    let server = Server::start(limits).await;
    let (mut first, mut second) = (server.connect().await, server.connect().await);
    for client in [&mut first, &mut second] {
        send(client, HELLO).await;
        assert_eq!(answer(client).await.status, 200);
    }
    let mut third = server.connect().await;
    send(&mut third, HELLO).await;
    // Nothing is due on the third, so that there is no condition to wait for.
    assert!(timeout(SHORT, third.readable()).await.is_err());
    drop(first);
    assert_eq!(answer(&mut third).await.status, 200);
    drop(second);
}

#[tokio::test]
async fn an_address_with_too_many_connections_is_closed() {
    let mut limits = Limits::default();
    limits.connections_per_address = NonZeroUsize::new(1);
    let server = Server::start(limits).await;
    let mut first = server.connect().await;
    send(&mut first, HELLO).await;
    assert_eq!(answer(&mut first).await.status, 200);
    let mut second = server.connect().await;
    assert_eq!(rest(&mut second).await, "");
    send(&mut first, HELLO).await;
    assert_eq!(answer(&mut first).await.status, 200);
}

#[tokio::test]
async fn one_http2_connection_has_only_so_many_streams() {
    let mut limits = Limits::default();
    limits.streams_per_connection = 2;
    let server = Server::start(limits).await;
    let mut client = server.connect_http2().await;
    // An answer proves that the server's settings have arrived.
    assert_eq!(get(&mut client, "/hello").await.status(), 200);
    let hung: Vec<_> = (0..2).map(|_| tokio::spawn(client.send_request(request("/hang")))).collect();
    wait_for(&server.app.hanging).await;
    wait_for(&server.app.hanging).await;
    let third = tokio::spawn(client.send_request(request("/hello")));
    assert_eq!(server.app.requests.load(Ordering::Relaxed), 3);
    server.app.release.add_permits(1);
    let third = timeout(HANGS, third).await.expect("there is room").expect("no panic");
    assert_eq!(third.expect("an answer").status(), 200);
    drop(hung);
}

// ---- HTTP/2 --------------------------------------------------------------------------------

#[tokio::test]
async fn http2_heads_have_the_same_limits() {
    let server = Server::start(Limits::default()).await;
    let mut client = server.connect_http2().await;
    let target = format!("/{}", "a".repeat(2048));
    let answer = get(&mut client, &target).await;
    assert_eq!(answer.status(), StatusCode::URI_TOO_LONG);
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    for (fields, length) in [(65, 1), (1, 16_400), (1, 60_000)] {
        let mut request = request("/hello");
        for _ in 0..fields {
            request.headers_mut().append("x", "a".repeat(length).parse().expect("a value"));
        }
        let answer = timeout(HANGS, client.send_request(request)).await.expect("an answer");
        let answer = answer.expect("an answer");
        assert_eq!(answer.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    }
    assert_eq!(get(&mut client, "/hello").await.status(), 200);
}

#[tokio::test]
async fn an_http2_connection_that_idles_is_closed_and_one_that_works_is_not() {
    let mut limits = Limits::default();
    limits.idle = SHORT;
    let server = Server::start(limits).await;
    let (mut client, connection) = server.handshake_http2().await;
    let connection = tokio::spawn(connection);
    let hung = tokio::spawn(client.send_request(request("/hang")));
    wait_for(&server.app.hanging).await;
    let begun = Instant::now();
    while begun.elapsed() < SHORT * 4 {
        assert!(!connection.is_finished());
        tokio::task::yield_now().await;
    }
    server.app.release.add_permits(1);
    let answer = timeout(HANGS, hung).await.expect("an answer").expect("no panic");
    assert_eq!(answer.expect("an answer").status(), 200);
    timeout(HANGS, connection).await.expect("it is closed").expect("no panic").expect("politely");
}

// ---- The end -------------------------------------------------------------------------------

#[tokio::test]
async fn closing_lets_answers_finish_and_closes_who_idles() {
    let server = Server::start(Limits::default()).await;
    let mut silent = server.connect().await;
    let (mut idle, mut busy) = (server.connect().await, server.connect().await);
    send(&mut idle, HELLO).await;
    assert_eq!(answer(&mut idle).await.status, 200);
    send(&mut busy, "GET /hang HTTP/1.1\r\nhost: a\r\n\r\n").await;
    wait_for(&server.app.hanging).await;

    server.closing.cancel();
    assert_eq!(rest(&mut idle).await, "");
    assert_eq!(rest(&mut silent).await, "");
    server.app.release.add_permits(1);
    let answer = answer(&mut busy).await;
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("connection: close"), "{}", answer.head);
    assert_eq!(rest(&mut busy).await, "");
    timeout(HANGS, server.task).await.expect("the server ends").expect("no panic");
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn closing_cuts_off_who_does_not_end() {
    let mut limits = Limits::default();
    limits.closing = SHORT;
    let server = Server::start(limits).await;
    let mut busy = server.connect().await;
    send(&mut busy, "GET /hang HTTP/1.1\r\nhost: a\r\n\r\n").await;
    wait_for(&server.app.hanging).await;
    let begun = Instant::now();
    server.closing.cancel();
    timeout(HANGS, server.task).await.expect("the server ends").expect("no panic");
    assert!(begun.elapsed() >= SHORT);
    assert_eq!(rest(&mut busy).await, "");
}

// ---- The server and its service ------------------------------------------------------------

struct Server {
    address: SocketAddr,
    app: App,
    closing: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    async fn start(limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let app = App::default();
        let closing = CancellationToken::new();
        let task = tokio::spawn(serve(listener, app.clone(), limits, closing.clone()));
        Self { address, app, closing, task }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("the listener is open")
    }

    /// Sends the request on a connection of its own.
    async fn ask(&self, request: &str) -> Answer {
        let mut client = self.connect().await;
        let (mut read, mut write) = client.split();
        let sending = async {
            // The server may close before it has read all.
            let _ = write.write_all(request.as_bytes()).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            answer = answer(&mut read) => answer,
            () = sending => unreachable!("it never ends"),
        }
    }

    async fn handshake_http2(
        &self,
    ) -> (http2::SendRequest<Empty<Bytes>>, http2::Connection<TokioIo<TcpStream>, Empty<Bytes>, TokioExecutor>) {
        let io = TokioIo::new(self.connect().await);
        http2::handshake(TokioExecutor::new(), io).await.expect("it speaks HTTP/2")
    }

    async fn connect_http2(&self) -> http2::SendRequest<Empty<Bytes>> {
        let (client, connection) = self.handshake_http2().await;
        tokio::spawn(connection);
        client
    }
}

/// What the routes have in common, and what the tests see of them.
#[derive(Clone, Debug)]
struct App {
    requests: Arc<AtomicUsize>,
    /// One permit for each request that has come to hang.
    hanging: Arc<Semaphore>,
    /// One permit for each request that may go on.
    release: Arc<Semaphore>,
    /// Bytes that endless bodies have given.
    written: Arc<AtomicUsize>,
    /// One permit for each endless body that was dropped.
    ended: Arc<Semaphore>,
}

impl Default for App {
    fn default() -> Self {
        Self {
            requests: Arc::default(),
            hanging: Arc::new(Semaphore::new(0)),
            release: Arc::new(Semaphore::new(0)),
            written: Arc::default(),
            ended: Arc::new(Semaphore::new(0)),
        }
    }
}

impl Service<Request<Incoming>> for App {
    type Response = Response<Text>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Text>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let app = self.clone();
        Box::pin(async move {
            app.requests.fetch_add(1, Ordering::Relaxed);
            Ok(match request.uri().path() {
                "/hello" => Response::new(Text::Once(Some("hello"))),
                "/hang" => {
                    app.hanging.add_permits(1);
                    app.release.acquire().await.expect("it is open").forget();
                    Response::new(Text::Once(Some("released")))
                }
                "/endless" => Response::new(Text::Endless(app)),
                _ => {
                    let mut response = Response::new(Text::Once(Some("nothing here")));
                    *response.status_mut() = StatusCode::NOT_FOUND;
                    response
                }
            })
        })
    }
}

/// Waits until what the permits stand for has happened once more.
async fn wait_for(permits: &Semaphore) {
    timeout(HANGS, permits.acquire()).await.expect("it happens").expect("it is open").forget();
}

#[derive(Debug)]
enum Text {
    Once(Option<&'static str>),
    Endless(App),
}

impl Body for Text {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        static CHUNK: [u8; 16 * 1024] = [b'x'; 16 * 1024];
        let chunk = match &mut *self {
            Self::Once(text) => text.take().map(Bytes::from),
            Self::Endless(app) => {
                app.written.fetch_add(CHUNK.len(), Ordering::Relaxed);
                Some(Bytes::from_static(&CHUNK))
            }
        };
        Poll::Ready(chunk.map(|chunk| Ok(Frame::data(chunk))))
    }

    fn size_hint(&self) -> http_body::SizeHint {
        match self {
            Self::Once(text) => http_body::SizeHint::with_exact(text.map_or(0, str::len) as u64),
            Self::Endless(_) => http_body::SizeHint::default(),
        }
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        if let Self::Endless(app) = self {
            app.ended.add_permits(1);
        }
    }
}

// ---- A client ------------------------------------------------------------------------------

#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn assert_problem(&self, status: u16, name: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert!(self.head.contains("content-type: application/problem+json"), "{self:?}");
        assert!(self.body.contains(&format!("\"urn:tidings:problem:{name}\"")), "{self:?}");
        assert!(self.body.contains(&format!("\"status\":{status}")), "{self:?}");
    }
}

async fn send(client: &mut TcpStream, text: &str) {
    client.write_all(text.as_bytes()).await.expect("the connection takes it");
}

/// Reads one answer whose length is told.
async fn answer(client: &mut (impl AsyncReadExt + Unpin)) -> Answer {
    let reading = async {
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\r\n\r\n") {
            bytes.push(client.read_u8().await.expect("an answer comes"));
        }
        let head = String::from_utf8(bytes).expect("text").to_lowercase();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
        let mut body = vec![0; length.expect("a length").parse().expect("a number")];
        client.read_exact(&mut body).await.expect("a body");
        Answer { status, head, body: String::from_utf8(body).expect("text") }
    };
    timeout(HANGS, reading).await.expect("the answer ends")
}

/// What comes until the server closes.
async fn rest(client: &mut TcpStream) -> String {
    let mut text = String::new();
    let reading = client.read_to_string(&mut text);
    timeout(HANGS, reading).await.expect("the server closes").expect("and does not reset");
    text
}

fn request(target: &str) -> Request<Empty<Bytes>> {
    let target = format!("http://tidings.test{target}");
    Request::get(target).body(Empty::new()).expect("a valid request")
}

async fn get(client: &mut http2::SendRequest<Empty<Bytes>>, target: &str) -> Response<Bytes> {
    let answer = timeout(HANGS, client.send_request(request(target))).await.expect("it answers");
    let (head, body) = answer.expect("an answer").into_parts();
    Response::from_parts(head, body.collect().await.expect("a body").to_bytes())
}
