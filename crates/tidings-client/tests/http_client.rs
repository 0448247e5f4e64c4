//! The HTTP client over real sockets.

use std::{io, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode, Uri};
use http_body_util::Full;
use tidings_client::{Config, ErrorKind, HttpClient, Traffic};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What ends a test that hangs.
const DEADLINE: Duration = Duration::from_secs(30);

fn config(json: &str) -> Config {
    serde_json::from_str(json).expect("a configuration")
}

fn request(uri: &str) -> Request<Full<Bytes>> {
    Request::post(uri).body(Full::from("hello")).expect("a request")
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/jobs", listener.local_addr().expect("an address"));
    (listener, url)
}

/// Reads one request with the body `hello`.
async fn read_request(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut request = Vec::new();
    while !request.ends_with(b"hello") {
        if stream.read_buf(&mut request).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(request)
}

#[tokio::test]
async fn every_byte_on_the_socket_is_counted() {
    const ANSWER: &[u8] = b"HTTP/1.1 404 Not Found\r\ncontent-length: 5\r\n\r\nworld";
    let (listener, url) = listen().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        let mut bytes = 0;
        for _ in 0..3 {
            bytes += read_request(&mut stream).await?.len() as u64;
            stream.write_all(ANSWER).await?;
        }
        Ok::<_, io::Error>(bytes)
    });
    let client = HttpClient::default();
    assert_eq!(client.traffic(), Traffic::default());
    for _ in 0..3 {
        let answer = tokio::time::timeout(DEADLINE, client.clone().send(request(&url))).await;
        let answer = answer.expect("it answers").expect("a status is no error");
        assert_eq!((answer.status(), answer.body().as_ref()), (StatusCode::NOT_FOUND, &b"world"[..]));
    }
    let bytes = server.await.expect("it does not panic").expect("one connection served all");
    let traffic = client.traffic();
    assert_eq!((traffic.requests, traffic.sent, traffic.received), (3, bytes, 3 * ANSWER.len() as u64));
    assert_eq!(HttpClient::default().traffic(), Traffic::default(), "another client counts by itself");
}

#[tokio::test]
async fn nobody_listening_is_no_connection() {
    let (listener, url) = listen().await;
    drop(listener);
    let error = HttpClient::default().send(request(&url)).await.expect_err("nobody listens");
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert!(error.is_temporary());
}

#[tokio::test]
async fn a_connection_that_breaks_is_told_from_one_that_was_never_made() {
    for answer in ["", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nwor"] {
        let (listener, url) = listen().await;
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await?;
            read_request(&mut stream).await?;
            stream.write_all(answer.as_bytes()).await
        });
        let error = HttpClient::default().send(request(&url)).await.expect_err("it breaks");
        assert_eq!(error.kind(), ErrorKind::Disconnected, "{answer:?}");
        server.await.expect("it does not panic").expect("it answers");
    }
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_not_read() {
    for head in ["content-length: 1000000000000\r\n", "connection: close\r\n"] {
        let (listener, url) = listen().await;
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await?;
            read_request(&mut stream).await?;
            stream.write_all(format!("HTTP/1.1 200 OK\r\n{head}\r\n").as_bytes()).await?;
            // As long as somebody reads.
            while stream.write_all(&[b'a'; 1000]).await.is_ok() {}
            Ok::<_, io::Error>(())
        });
        let client = HttpClient::new(config(r#"{"max_answer_bytes": 5000}"#));
        let error = client.send(request(&url)).await.expect_err("it is too large");
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        let stopped = tokio::time::timeout(DEADLINE, server).await.expect("the connection is closed");
        stopped.expect("it does not panic").expect("it answers");
    }
}

#[tokio::test(start_paused = true)]
async fn what_hangs_is_cut_off() {
    let connecting = HttpClient::with_dial(Config::default(), |_| std::future::pending::<io::Result<TcpStream>>());
    let error = connecting.send(request("http://server.test/")).await.expect_err("it never connects");
    assert_eq!(error.kind(), ErrorKind::Connect);

    let (_theirs, ours) = tokio::io::duplex(1000);
    let ours = std::sync::Mutex::new(Some(ours));
    let silent = HttpClient::with_dial(Config::default(), move |_| {
        let ours = ours.lock().expect("nothing panics with it").take();
        std::future::ready(ours.ok_or_else(|| io::ErrorKind::ConnectionRefused.into()))
    });
    let error = silent.send(request("http://server.test/")).await.expect_err("it never answers");
    assert_eq!(error.kind(), ErrorKind::Timeout);
}

#[tokio::test]
async fn only_http_urls_can_be_asked() {
    for url in ["https://127.0.0.1/", "/jobs", "127.0.0.1:80"] {
        let request =
            Request::get(url.parse::<Uri>().expect("a URL of some sort")).body(Full::default()).expect("a request");
        let error = HttpClient::default().send(request).await.expect_err("it can't be asked");
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{url}");
    }
}
