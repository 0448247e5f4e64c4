//! Each limit on connections and heads, gone over on a real socket, with a small service of this test's own.

mod small;

use std::{
    num::NonZeroUsize,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use http::StatusCode;
use small::{HANGS, Server, answer, get, request, rest, send, wait_for};
use tidings_server::connections::Limits;
use tokio::{
    io::AsyncReadExt,
    net::{TcpSocket, TcpStream},
    time::timeout,
};

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
