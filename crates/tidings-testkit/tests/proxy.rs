//! The fault proxy, before a server that sends what it is told to.

use std::{convert::Infallible, future::Future, net::SocketAddr, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, StreamBody, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, client::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tidings_testkit::proxy::{CUT_AFTER, Mode, Proxy};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// Ends a test that hangs.
const HANGS: Duration = Duration::from_secs(30);

const PIECE: usize = 1000;

/// A server whose every answer is an event stream: as many pieces as the channel has said by then, and on until the
/// channel is closed.
async fn upstream(pieces: watch::Receiver<usize>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("it is open");
            let pieces = pieces.clone();
            let service = service_fn(move |_| {
                let body = stream::unfold((0, pieces.clone()), |(sent, mut pieces)| async move {
                    pieces.wait_for(|pieces| *pieces > sent).await.ok()?;
                    let piece = Frame::data(Bytes::from(vec![b'x'; PIECE]));
                    Some((Ok::<_, Infallible>(piece), (sent + 1, pieces)))
                });
                let response = Response::builder().header("content-type", "text/event-stream; charset=utf-8");
                std::future::ready(response.body(StreamBody::new(body.boxed())))
            });
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    address
}

/// A proxy, and what has its server send pieces.
async fn start(mode: Mode) -> (Proxy, watch::Sender<usize>) {
    let (pieces, told) = watch::channel(0);
    let proxy = Proxy::start(upstream(told).await).await.expect("a free port");
    proxy.set(mode).await.expect("its own port");
    (proxy, pieces)
}

async fn connect(proxy: &Proxy) -> std::io::Result<http1::SendRequest<Empty<Bytes>>> {
    let stream = TcpStream::connect(proxy.address()).await?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("nothing is sent yet");
    tokio::spawn(connection);
    Ok(sender)
}

async fn get(proxy: &Proxy, path: &str) -> Result<Response<UnsyncBoxBody<Bytes, hyper::Error>>, hyper::Error> {
    let mut sender = connect(proxy).await.expect("it listens");
    let request = Request::get(path).header("host", "server.test").body(Empty::new()).expect("a request");
    Ok(sender.send_request(request).await?.map(Incoming::boxed_unsync))
}

/// Reads a body to its end: how many bytes, and whether it was cut.
async fn read(mut body: UnsyncBoxBody<Bytes, hyper::Error>) -> (u64, bool) {
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => bytes += frame.into_data().expect("no trailers").len() as u64,
            Err(_) => return (bytes, true),
        }
    }
    (bytes, false)
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(HANGS, future).await.expect("it does not hang")
}

/// Waits until nothing is streamed any more.
async fn no_streams(proxy: &Proxy) {
    within(async {
        while proxy.streams() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_passes_is_passed_on_at_once_and_counted() {
    let (proxy, pieces) = start(Mode::Pass).await;
    let mut bodies = Vec::new();
    for path in ["/jobs/1/sse", "/jobs/2/sse?x=1"] {
        bodies.push(within(get(&proxy, path)).await.expect("an answer").into_body());
    }
    pieces.send_replace(1);
    for body in &mut bodies {
        let first = within(body.frame()).await.expect("a piece").expect("it is whole").into_data();
        assert_eq!(first.expect("data").len(), PIECE);
    }
    assert_eq!((proxy.connections(), proxy.streams(), proxy.most_streams()), (2, 2, 2));
    assert_eq!((proxy.requests("/sse"), proxy.requests("/1/sse"), proxy.requests("/events")), (2, 1, 0));
    drop(bodies);
    // A piece that nobody takes shows the proxy that its clients are gone.
    pieces.send_replace(2);
    no_streams(&proxy).await;
    assert_eq!(proxy.most_streams(), 2);
}

#[tokio::test]
async fn a_buffer_holds_an_answer_until_it_is_whole() {
    let (proxy, pieces) = start(Mode::Buffer).await;
    let mut answer = Box::pin(get(&proxy, "/sse"));
    within(async {
        while proxy.streams() == 0 {
            tokio::select! {
                _ = &mut answer => panic!("nothing is whole yet"),
                () = tokio::task::yield_now() => {}
            }
        }
    })
    .await;
    pieces.send_replace(100);
    // Much longer than it takes where nothing is held back.
    tokio::time::timeout(Duration::from_millis(200), &mut answer).await.expect_err("the answer is not whole");
    drop(pieces);
    let body = within(answer).await.expect("an answer").into_body();
    assert_eq!(within(read(body)).await, (100 * PIECE as u64, false));
    assert_eq!(proxy.streams(), 0);
}

#[tokio::test]
async fn a_buffer_may_let_the_beginning_of_an_answer_through() {
    let (proxy, pieces) = start(Mode::BufferAfterHead).await;
    pieces.send_replace(1);
    let mut body = within(get(&proxy, "/sse?x=1")).await.expect("an answer").into_body();
    let first = within(body.frame()).await.expect("a piece").expect("it is whole").into_data();
    assert_eq!(first.expect("data").len(), PIECE);
    pieces.send_replace(100);
    // Much longer than it takes where nothing is held back.
    tokio::time::timeout(Duration::from_millis(200), body.frame()).await.expect_err("the rest is not whole");
    drop(pieces);
    assert_eq!(within(read(body)).await, (99 * PIECE as u64, false));
    assert_eq!((proxy.streams(), proxy.targets()), (0, vec!["/sse?x=1".to_owned()]));
}

#[tokio::test]
async fn a_connection_is_cut_after_as_many_bytes_as_the_seed_says() {
    let mut lengths = Vec::new();
    for seed in [7, 7, 8] {
        let (proxy, pieces) = start(Mode::Cut { seed }).await;
        pieces.send_replace(1000);
        let mut cuts = Vec::new();
        for _ in 0..4 {
            let (bytes, was_cut) =
                within(read(within(get(&proxy, "/sse")).await.expect("an answer").into_body())).await;
            assert!(was_cut && bytes <= *CUT_AFTER.end(), "{bytes}");
            // Heads and the framing of chunks count as well.
            assert!(bytes > CUT_AFTER.start() * 9 / 10, "{bytes}");
            cuts.push(bytes);
        }
        lengths.push(cuts);
    }
    // The head has a date in it, of one length.
    assert_eq!(lengths[0], lengths[1]);
    assert_ne!(lengths[0], lengths[2]);
    assert_ne!(lengths[0][0], lengths[0][1]);
}

#[tokio::test]
async fn what_is_refused_never_gets_to_the_server() {
    let (proxy, pieces) = start(Mode::Pass).await;
    let body = within(get(&proxy, "/sse")).await.expect("an answer").into_body();
    proxy.set(Mode::Refuse).await.expect("its own port");
    assert_eq!(within(read(body)).await, (0, true), "what was under way is cut");
    let answer = within(get(&proxy, "/sse")).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
    assert_eq!((proxy.streams(), proxy.requests("/sse")), (0, 2));
    proxy.set(Mode::Pass).await.expect("its own port");
    pieces.send_replace(1);
    assert_eq!(within(get(&proxy, "/sse")).await.expect("an answer").status(), StatusCode::OK);
}

#[tokio::test]
async fn what_is_down_comes_back_on_the_same_port() {
    let (proxy, pieces) = start(Mode::Pass).await;
    let address = proxy.address();
    for _ in 0..3 {
        let body = within(get(&proxy, "/sse")).await.expect("an answer").into_body();
        proxy.set(Mode::Down).await.expect("nothing to open");
        assert_eq!(within(read(body)).await, (0, true), "what was under way is cut");
        let refused = connect(&proxy).await.expect_err("its port is closed");
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
        proxy.set(Mode::Pass).await.expect("its own port");
        assert_eq!(proxy.address(), address);
    }
    pieces.send_replace(1);
    assert_eq!(within(get(&proxy, "/sse")).await.expect("an answer").status(), StatusCode::OK);
}
