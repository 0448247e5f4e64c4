//! The limits on connections, lowered through the config of the real program and gone over on real sockets.
//!
//! `connections.rs` goes into their corners; here it is shown that the config's keys reach them.

mod support;

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::Command,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use support::{Answer, Server, rest, wait_until_cut};

const SHORT: Duration = Duration::from_millis(300);

fn start(connections: &str) -> Server {
    Server::start(&format!("[connections]\n{connections}"))
}

fn hello(server: &Server, client: &mut TcpStream) -> u16 {
    let request = format!("GET /healthz HTTP/1.1\r\nhost: {}\r\n\r\n", server.address);
    client.write_all(request.as_bytes()).expect("it is taken");
    Answer::read(client).status
}

#[test]
fn first_byte() {
    let server = start("first_byte_seconds = 0.3");
    let begun = Instant::now();
    assert_eq!(rest(&mut server.connect()), b"");
    assert!(begun.elapsed() >= SHORT);
}

#[test]
fn header() {
    let server = start("header_seconds = 0.3");
    let begun = Instant::now();
    let mut client = server.connect();
    client.write_all(b"GET /healthz HTT").expect("it is taken");
    assert_eq!(rest(&mut client), b"");
    assert!(begun.elapsed() >= SHORT);
}

#[test]
fn header_over_http2() {
    let server = start("header_seconds = 0.3");
    let begun = Instant::now();
    let mut client = server.connect();
    // The preface (RFC 9113, 3.4) with empty settings, and nothing more.
    client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").expect("it is taken");
    rest(&mut client);
    assert!(begun.elapsed() >= SHORT);
}

#[test]
fn request_target() {
    let server = start("request_target_bytes = 100");
    server.get(&format!("/{}", "a".repeat(100))).assert_problem(414, "uri-too-long");
    server.get(&format!("/{}", "a".repeat(99))).assert_problem(404, "not-found");
}

#[test]
fn header_block() {
    let server = start("header_block_bytes = 100");
    let ask = |length: usize| server.ask(&format!("GET /healthz HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(length - 5)));
    ask(101).assert_problem(431, "header-fields-too-large");
    assert_eq!(ask(100).status, 200);
}

#[test]
fn header_fields() {
    let server = start("header_fields = 3");
    let ask = |fields| server.ask(&format!("GET /healthz HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(fields)));
    ask(4).assert_problem(431, "header-fields-too-large");
    assert_eq!(ask(3).status, 200);
}

#[test]
fn idle_connection() {
    let server = start("idle_connection_seconds = 0.3");
    let mut client = server.connect();
    assert_eq!(hello(&server, &mut client), 200);
    let begun = Instant::now();
    assert_eq!(rest(&mut client), b"");
    assert!(begun.elapsed() < SHORT * 20);
}

#[test]
fn write_that_makes_no_way() {
    let server = start("write_stall_seconds = 0.3");
    let opened = server.post("/jobs", &json!({ "kind": "made-up", "input": null, "worker": "external" })).json();
    let (id, token) = (opened["id"].as_str().expect("an id"), opened["report"]["token"].as_str().expect("a token"));
    let event = json!({ "type": "log", "data": { "stream": "stdout", "line": "x".repeat(10_000) } });
    let body = Value::from(vec![event; 100]).to_string();
    let head = format!(
        "POST /jobs/{id}/events HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {token}\r\nconnection: close\r\n",
        server.address
    );
    for _ in 0..16 {
        let answer = server.ask(&format!("{head}content-length: {}\r\n\r\n{body}", body.len()));
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let mut stream = server.connect();
    let request = format!("GET /jobs/{id}/sse HTTP/1.1\r\nhost: {}\r\n\r\n", server.address);
    stream.write_all(request.as_bytes()).expect("it is taken");
    // The job goes on, so that nothing but the limit ends its stream before all 16 MB are in it. Whoever does not read
    // is not told that it is cut off either; but the server's side of the connection shows it.
    wait_until_cut(&stream);
    assert!(rest(&mut stream).len() < 16 * 1_000_000);
    // A client that comes back goes on from where it was.
    let page = server.get(&format!("/jobs/{id}/short-poll?after=1001")).json();
    assert_eq!(page["events"][0]["seq"], 1002);
}

#[test]
fn connections() {
    let server = start("connections = 2");
    let (mut first, mut second) = (server.connect(), server.connect());
    assert_eq!((hello(&server, &mut first), hello(&server, &mut second)), (200, 200));
    let mut third = server.connect();
    third.write_all(format!("GET /healthz HTTP/1.1\r\nhost: {}\r\n\r\n", server.address).as_bytes()).expect("a queue");
    // Nothing is due on the third, so that there is no condition to wait for.
    third.set_read_timeout(Some(SHORT)).expect("a time");
    assert_eq!(third.read(&mut [0]).expect_err("it is not served").kind(), std::io::ErrorKind::WouldBlock);
    third.set_read_timeout(Some(support::HANGS)).expect("a time");
    drop(first);
    assert_eq!(Answer::read(&mut third).status, 200);
    drop(second);
}

#[test]
fn connections_per_address() {
    let server = start("connections_per_address = 1");
    let mut first = server.connect();
    assert_eq!(hello(&server, &mut first), 200);
    assert_eq!(rest(&mut server.connect()), b"");
    assert_eq!(hello(&server, &mut first), 200);
}

#[test]
fn connections_are_waited_for_where_files_run_out() {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 64; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_tidings-server")]);
    let server = Server::start_with(command, "[connections]\nconnections = 1000\n");
    let mut crowd: Vec<_> = (0..100).map(|_| server.connect()).collect();
    // The first of them has been accepted, and the last can't be.
    assert_eq!(hello(&server, &mut crowd[0]), 200);
    let mut last = crowd.pop().expect("the last");
    drop(crowd);
    assert_eq!(hello(&server, &mut last), 200);
    assert_eq!(server.get("/healthz").status, 200);
}

#[tokio::test]
async fn streams_per_connection() {
    let server = start("streams_per_connection = 2");
    let io = TokioIo::new(tokio::net::TcpStream::connect(server.address).await.expect("the listener is open"));
    let (mut client, connection) = http2::handshake(TokioExecutor::new(), io).await.expect("it speaks HTTP/2");
    tokio::spawn(connection);
    let request = |path: &str| {
        let target = format!("http://{}{path}", server.address);
        http::Request::get(target).body(Empty::<Bytes>::new()).expect("a valid request")
    };
    let opened = server.post("/jobs", &json!({ "kind": "made-up", "input": null, "worker": "external" })).json();
    let stream = format!("/jobs/{}/sse", opened["id"].as_str().expect("an id"));
    let first = client.send_request(request(&stream)).await.expect("an answer");
    let second = client.send_request(request(&stream)).await.expect("an answer");
    let mut third = tokio::spawn(client.send_request(request("/healthz")));
    // Nothing is due on the third, so that there is no condition to wait for.
    assert!(tokio::time::timeout(SHORT, &mut third).await.is_err());
    drop(first);
    let third = tokio::time::timeout(support::HANGS, third).await.expect("there is room").expect("no panic");
    assert_eq!(third.expect("an answer").status(), 200);
    drop(second);
}
