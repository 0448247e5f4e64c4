//! A small service behind the server's connections, and clients for it.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tidings::Reply;
use tidings_server::connections::{Limits, Serve, TakenOver, serve};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// Ends a test that hangs; nothing waits for it.
pub(crate) const HANGS: Duration = Duration::from_secs(60);

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) app: App,
    pub(crate) closing: CancellationToken,
    pub(crate) task: tokio::task::JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let app = App::default();
        let closing = CancellationToken::new();
        let task = tokio::spawn(serve(listener, app.clone(), limits, Arc::<TakenOver>::default(), closing.clone()));
        Self { address, app, closing, task }
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("the listener is open")
    }

    /// Sends the request on a connection of its own.
    pub(crate) async fn ask(&self, request: &str) -> Answer {
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

    pub(crate) async fn handshake_http2(
        &self,
    ) -> (http2::SendRequest<Empty<Bytes>>, http2::Connection<TokioIo<TcpStream>, Empty<Bytes>, TokioExecutor>) {
        let io = TokioIo::new(self.connect().await);
        http2::handshake(TokioExecutor::new(), io).await.expect("it speaks HTTP/2")
    }

    pub(crate) async fn connect_http2(&self) -> http2::SendRequest<Empty<Bytes>> {
        let (client, connection) = self.handshake_http2().await;
        tokio::spawn(connection);
        client
    }
}

/// What the routes have in common, and what the tests see of them.
#[derive(Clone, Debug)]
pub(crate) struct App {
    pub(crate) requests: Arc<AtomicUsize>,
    /// One permit for each request that has come to hang.
    pub(crate) hanging: Arc<Semaphore>,
    /// One permit for each request that may go on.
    pub(crate) release: Arc<Semaphore>,
    /// Bytes that endless bodies have given.
    pub(crate) written: Arc<AtomicUsize>,
    /// One permit for each endless body that was dropped.
    pub(crate) ended: Arc<Semaphore>,
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

impl Serve for App {
    async fn reply(&self, request: Request<tidings::Body>) -> Reply {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let response = match request.uri().path() {
            "/hello" => Response::new(Text::Once(Some("hello"))),
            "/hang" => {
                self.hanging.add_permits(1);
                self.release.acquire().await.expect("it is open").forget();
                Response::new(Text::Once(Some("released")))
            }
            "/endless" => Response::new(Text::Endless(self.clone())),
            _ => {
                let mut response = Response::new(Text::Once(Some("nothing here")));
                *response.status_mut() = StatusCode::NOT_FOUND;
                response
            }
        };
        response.map(tidings::Body::wrap).into()
    }
}

/// Waits until what the permits stand for has happened once more.
pub(crate) async fn wait_for(permits: &Semaphore) {
    timeout(HANGS, permits.acquire()).await.expect("it happens").expect("it is open").forget();
}

#[derive(Debug)]
pub(crate) enum Text {
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

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn assert_problem(&self, status: u16, name: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert!(self.head.contains("content-type: application/problem+json"), "{self:?}");
        assert!(self.body.contains(&format!("\"urn:tidings:problem:{name}\"")), "{self:?}");
        assert!(self.body.contains(&format!("\"status\":{status}")), "{self:?}");
    }
}

pub(crate) async fn send(client: &mut TcpStream, text: &str) {
    client.write_all(text.as_bytes()).await.expect("the connection takes it");
}

/// Reads one answer whose length is told.
pub(crate) async fn answer(client: &mut (impl AsyncReadExt + Unpin)) -> Answer {
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
pub(crate) async fn rest(client: &mut TcpStream) -> String {
    let mut text = String::new();
    let reading = client.read_to_string(&mut text);
    timeout(HANGS, reading).await.expect("the server closes").expect("and does not reset");
    text
}

pub(crate) fn request(target: &str) -> Request<Empty<Bytes>> {
    let target = format!("http://tidings.test{target}");
    Request::get(target).body(Empty::new()).expect("a valid request")
}

pub(crate) async fn get(client: &mut http2::SendRequest<Empty<Bytes>>, target: &str) -> Response<Bytes> {
    let answer = timeout(HANGS, client.send_request(request(target))).await.expect("it answers");
    let (head, body) = answer.expect("an answer").into_parts();
    Response::from_parts(head, body.collect().await.expect("a body").to_bytes())
}
