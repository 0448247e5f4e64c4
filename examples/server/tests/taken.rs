//! Connections that are taken over from hyper, on real sockets: what a client can see of that, which is nothing.

mod support;

#[path = "wire/client.rs"]
#[allow(dead_code, reason = "this test uses a part of it")]
mod client;
#[path = "wire/job.rs"]
#[allow(dead_code, reason = "this test uses a part of it")]
mod job;

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{Shutdown, TcpStream},
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use client::{Has, Live};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use job::{Job, WAITS, start};
use rustix::process::Signal;
use serde_json::{Value, json};
use socket2::SockRef;
use support::{Answer, HANGS, LOOK, Server, rest, wait_until_cut};

const SHORT: Duration = Duration::from_millis(300);

/// A hold that ends with nothing and a stream that has something to say show after a second that they waited.
const BEATS: &str = "[transports.sse]\nheartbeat_seconds = 1\n";

/// An option of the connection that nobody knows, and that changes nothing but who serves it.
const NOT_TAKEN: &str = "connection: unknown\r\n";

/// A request that can be taken over, unless a field says otherwise.
fn get(server: &Server, path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: {}\r\n{fields}\r\n", server.address)
}

fn send(server: &Server, request: impl AsRef<[u8]>) -> Live {
    let mut live = Live::connect(server);
    live.send(request);
    live
}

/// How many streams and polls have been taken over.
fn taken(server: &Server) -> (u64, u64) {
    let shown = server.get("/readyz").json();
    let count = |name: &str| shown["taken_over"][name].as_u64().expect("a number");
    (count("streams"), count("polls"))
}

#[track_caller]
fn wait_until_taken(server: &Server, streams: u64, polls: u64) {
    let begun = Instant::now();
    while taken(server) != (streams, polls) {
        assert!(begun.elapsed() < HANGS, "{:?}", taken(server));
        thread::sleep(LOOK);
    }
}

/// A stream that is taken over.
fn stream(server: &Server, job: &Job<'_>) -> Live {
    let (streams, polls) = taken(server);
    let mut live = send(server, get(server, &job.path("/sse"), ""));
    live.read_head();
    wait_until_taken(server, streams + 1, polls);
    live
}

/// A request that is held, and taken over.
fn poll(server: &Server, job: &Job<'_>) -> Live {
    let (streams, polls) = taken(server);
    let live = send(server, get(server, &job.path(&format!("/long-poll?after={}&wait=50", job.cursor())), ""));
    wait_until_taken(server, streams, polls + 1);
    live
}

/// The head of an answer, as it was sent but for the time, and the socket at its body.
fn head(mut client: TcpStream) -> (String, TcpStream) {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).expect("an answer comes");
        bytes.extend(byte);
    }
    let head = String::from_utf8(bytes).expect("text");
    let fixed = head.split_inclusive("\r\n").map(|line| if line.starts_with("date: ") { "date\r\n" } else { line });
    (fixed.collect(), client)
}

/// What a stream says of events alone: without its first line, which is drawn, and without comments.
fn events(text: &str) -> String {
    text.split_inclusive('\n').skip(1).filter(|line| *line != ":\n").collect()
}

// ---- What is taken over --------------------------------------------------------------------

#[test]
fn streams_and_held_requests_are_taken_over() {
    let server = Server::start("");
    let job = Job::open(&server);
    let mut stream = stream(&server, &job);
    let mut poll = poll(&server, &job);
    job.note();
    assert_eq!(poll.answer(Has::Body).expect(200).json()["events"][0]["seq"], 3);
    stream.until(|text| text.matches("\n\n").count() == 3);
    // What has its answer at once is not.
    let mut there = send(&server, get(&server, &job.path("/long-poll"), ""));
    there.answer(Has::Body).expect(200);
    job.succeed();
    let over = send(&server, get(&server, &job.path("/sse"), "")).answer(Has::Body).expect(200);
    assert_eq!(events(&over.body), events(&stream.rest()));
    assert_eq!(taken(&server), (1, 1));
}

#[test]
fn nothing_is_taken_over_where_the_config_says_so() {
    let server = Server::start(&format!("[connections]\ntake_over = false\n{BEATS}"));
    let job = Job::open(&server);
    let mut stream = send(&server, get(&server, &job.path("/sse"), ""));
    stream.read_head();
    let mut poll = send(&server, get(&server, &job.path("/long-poll?after=2&wait=1"), ""));
    assert_eq!(poll.answer(Has::Body).expect(200).json()["events"], json!([]));
    stream.until(|text| text.ends_with(":\n"));
    job.succeed();
    assert!(stream.rest().contains("event: succeeded"));
    assert_eq!(taken(&server), (0, 0));
}

#[test]
fn what_says_something_of_its_connection_is_answered_the_same_by_hyper() {
    let server = Server::start(BEATS);
    let job = Job::open(&server);
    let (polled, streamed) = (job.path("/long-poll?after=2&wait=1"), job.path("/sse"));
    let old = |path: &str| format!("GET {path} HTTP/1.0\r\nhost: {}\r\n\r\n", server.address);
    let close = |path: &str| get(&server, path, "connection: close\r\n");
    let with_body = |path: &str| get(&server, path, "connection: close\r\ncontent-length: 2\r\n") + "{}";
    for path in [&polled, &streamed] {
        let head = format!("HEAD {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", server.address);
        assert_eq!(send(&server, head).answer(Has::HeadAlone).expect(200).body, "");
    }
    let (mut pages, mut streams) = (Vec::new(), Vec::new());
    for request in [old(&streamed), close(&streamed), with_body(&streamed), get(&server, &streamed, NOT_TAKEN)] {
        streams.push(send(&server, request));
    }
    let runtime = tokio::runtime::Runtime::new().expect("it starts");
    let (page, http2_stream) = runtime.block_on(over_http2(&server, &polled, &streamed));
    pages.push(page);
    for request in [old(&polled), close(&polled), with_body(&polled), get(&server, &polled, NOT_TAKEN)] {
        pages.push(send(&server, request).answer(Has::Body).expect(200).body);
    }
    // All of that took longer than a heartbeat, so that each stream had nothing to say for a while.
    job.succeed();
    assert_eq!(taken(&server), (0, 0));
    let mut texts: Vec<_> =
        streams.into_iter().map(|mut live| events(&live.answer(Has::Body).expect(200).body)).collect();
    let text = runtime.block_on(http2_stream.collect()).expect("a body").to_bytes();
    texts.push(events(std::str::from_utf8(&text).expect("text")));
    assert!(texts[0].contains("event: succeeded"), "{}", texts[0]);
    assert!(texts.iter().all(|text| *text == texts[0]), "{texts:#?}");
    assert_eq!(serde_json::from_str::<Value>(&pages[0]).expect("JSON")["events"], json!([]));
    assert!(pages.iter().all(|page| *page == pages[0]), "{pages:#?}");
    let other = Job::open(&server);
    drop(poll(&server, &other));
    assert_eq!(taken(&server), (0, 1), "it would have been counted");
}

/// A page and an open stream over HTTP/2.
async fn over_http2(server: &Server, polled: &str, streamed: &str) -> (String, hyper::body::Incoming) {
    let io = TokioIo::new(tokio::net::TcpStream::connect(server.address).await.expect("the listener is open"));
    let (mut client, connection) = http2::handshake(TokioExecutor::new(), io).await.expect("it speaks HTTP/2");
    tokio::spawn(connection);
    let request = |path: &str| {
        let target = format!("http://{}{path}", server.address);
        http::Request::get(target).body(Empty::<Bytes>::new()).expect("a valid request")
    };
    let stream = client.send_request(request(streamed)).await.expect("an answer");
    assert_eq!(stream.status(), 200);
    let page = client.send_request(request(polled)).await.expect("an answer");
    assert_eq!(page.status(), 200);
    let page = page.into_body().collect().await.expect("a body").to_bytes();
    (String::from_utf8(page.to_vec()).expect("text"), stream.into_body())
}

// ---- The bytes -----------------------------------------------------------------------------

#[test]
fn a_stream_has_the_same_bytes_either_way() {
    let server = Server::start("");
    let job = Job::with_events(&server, 40);
    let open = |fields: &str| {
        let mut client = server.connect();
        client.write_all(get(&server, &job.path("/sse"), fields).as_bytes()).expect("it is taken");
        head(client)
    };
    let ((taken_head, taken), (plain_head, plain)) = (open(""), open(NOT_TAKEN));
    wait_until_taken(&server, 1, 0);
    assert_eq!(taken_head, plain_head);
    let readers = [taken, plain].map(|client| thread::spawn(|| Live::over(client).rest()));
    for line in ["", "\u{2028}\r\nid: 1", &"x".repeat(50_000)] {
        let event = json!({ "type": "log", "data": { "stream": "stdout", "line": line } });
        job.report(&event.to_string());
        job.report(&Value::from(vec![event; 10]).to_string());
    }
    job.succeed();
    let [taken, plain] = readers.map(|reader| events(&reader.join().expect("a whole stream")));
    assert_eq!(taken.matches("\n\n").count(), 40 + 33 + 1);
    assert!(taken == plain, "{} bytes, and {}", taken.len(), plain.len());
}

#[test]
fn an_answer_has_the_same_bytes_either_way() {
    let server = Server::start("");
    let job = Job::open(&server);
    let ask = |server: &Server, job: &Job<'_>, fields: &str| {
        let mut client = server.connect();
        let request = get(server, &job.path("/long-poll?after=2"), &format!("prefer: wait=50\r\n{fields}"));
        client.write_all(request.as_bytes()).expect("it is taken");
        client
    };
    let read = |client| {
        let (head, mut client) = head(client);
        let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()).expect("a length");
        let mut body = vec![0; length.parse().expect("a number")];
        client.read_exact(&mut body).expect("a body");
        (head, String::from_utf8(body).expect("text"))
    };
    let (taken, plain) = (ask(&server, &job, ""), ask(&server, &job, NOT_TAKEN));
    wait_until_taken(&server, 0, 1);
    job.note();
    let (taken, plain) = (read(taken), read(plain));
    assert_eq!(taken, plain);
    assert!(taken.0.contains("preference-applied: wait=50\r\n"), "{}", taken.0);

    // The ids and times of another server's job are other ones, and as long.
    let without = Server::start("[connections]\ntake_over = false\n");
    let other = Job::open(&without);
    let client = ask(&without, &other, "");
    other.note();
    assert_eq!(read(client).0, plain.0);
}

// ---- Clients that send while they wait -----------------------------------------------------

#[test]
fn what_is_sent_during_a_stream_is_answered_after_it() {
    let server = Server::start("");
    let healthy = get(&server, "/healthz", "");
    let (begin, end) = healthy.split_at(30);
    // The next request comes before the stream is taken over, and after that.
    for together in [true, false] {
        let job = Job::open(&server);
        let (streams, _) = taken(&server);
        let request = get(&server, &job.path("/sse"), "");
        let mut live = send(&server, if together { request.clone() + &healthy + begin } else { request });
        live.read_head();
        wait_until_taken(&server, streams + 1, 0);
        if !together {
            live.send(&healthy);
            live.send(begin);
        }
        job.note();
        live.until(|text| text.matches("\n\n").count() == 3);
        job.succeed();
        let text = finish(&mut live);
        assert!(text.contains("event: succeeded"), "{text}");
        assert_eq!(live.answer(Has::Body).expect(200).json()["status"], "alive");
        live.send(end);
        assert_eq!(live.answer(Has::Body).expect(200).json()["status"], "alive");
    }
}

/// The rest of a stream on a connection that goes on.
fn finish(live: &mut Live) -> String {
    live.finish();
    std::mem::take(&mut live.text)
}

#[test]
fn what_is_sent_during_a_hold_is_answered_after_it() {
    let server = Server::start("");
    let job = Job::open(&server);
    let held = |after: u64| get(&server, &job.path(&format!("/long-poll?after={after}&wait=50")), "");
    let healthy = get(&server, "/healthz", "");
    let mut live = send(&server, held(2) + &healthy + &held(3));
    wait_until_taken(&server, 0, 1);
    live.send(&healthy);
    job.note();
    assert_eq!(live.answer(Has::Body).expect(200).json()["events"][0]["seq"], 3);
    live.answer(Has::Body).expect(200);
    wait_until_taken(&server, 0, 2);
    job.note();
    assert_eq!(live.answer(Has::Body).expect(200).json()["events"][0]["seq"], 4);
    assert_eq!(live.answer(Has::Body).expect(200).json()["status"], "alive");
}

#[test]
fn a_client_that_sends_too_much_is_not_read_any_further_and_has_its_events() {
    let server = Server::start("");
    let job = Job::open(&server);
    let mut client = server.connect();
    client.write_all(get(&server, &job.path("/sse"), "").as_bytes()).expect("it is taken");
    wait_until_taken(&server, 1, 0);
    client.set_write_timeout(Some(SHORT)).expect("a time");
    // The kernel takes some megabytes, and then no more, for the server does not.
    let healthy = get(&server, "/healthz", "");
    let requests = healthy.repeat(1000);
    let mut sent = 0;
    let full = loop {
        assert!(sent < 64 << 20, "the server reads all that comes");
        match client.write(&requests.as_bytes()[sent % healthy.len()..]) {
            Ok(written) => sent += written,
            Err(error) => break error,
        }
    };
    assert_eq!(full.kind(), ErrorKind::WouldBlock);
    let mut live = Live::over(client);
    live.read_head();
    job.note();
    live.until(|text| text.matches("\n\n").count() == 3);
    job.succeed();
    assert!(finish(&mut live).contains("event: succeeded"));
    for _ in 0..100 {
        live.answer(Has::Body).expect(200);
    }
}

// ---- Clients that do not read --------------------------------------------------------------

#[test]
fn a_stream_that_is_not_read_is_cut_off_and_others_go_on() {
    let server = Server::start("[connections]\nwrite_stall_seconds = 0.3\n");
    let job = Job::open(&server);
    let mut deaf = server.connect();
    SockRef::from(&deaf).set_recv_buffer_size(4096).expect("a small buffer");
    deaf.write_all(get(&server, &job.path("/sse"), "").as_bytes()).expect("it is taken");
    wait_until_taken(&server, 1, 0);
    let reader = stream(&server, &job);
    let reader = thread::spawn(|| reader.rest());
    report_megabytes(&job, 4);
    wait_until_cut(&deaf);
    job.succeed();
    let text = reader.join().expect("a whole stream");
    assert_eq!(text.matches("\n\n").count(), 2 + 400 + 1);
}

#[test]
fn an_answer_that_is_not_read_is_cut_off() {
    let server = Server::start("[connections]\nwrite_stall_seconds = 0.3\n");
    let job = Job::open(&server);
    let mut client = server.connect();
    SockRef::from(&client).set_recv_buffer_size(4096).expect("a small buffer");
    client.write_all(get(&server, &job.path("/long-poll?after=2&wait=50"), "").as_bytes()).expect("it is taken");
    wait_until_taken(&server, 0, 1);
    report_megabytes(&job, 1);
    // It would rest for longer than this waits.
    wait_until_cut(&client);
}

fn report_megabytes(job: &Job<'_>, count: usize) {
    let event = json!({ "type": "log", "data": { "stream": "stdout", "line": "x".repeat(10_000) } });
    let batch = Value::from(vec![event; 100]).to_string();
    (0..count).for_each(|_| drop(job.report(&batch)));
}

// ---- Clients that go -----------------------------------------------------------------------

#[test]
fn a_client_that_goes_frees_its_place() {
    let server = Server::start("[connections]\nconnections = 2\n");
    let job = Job::open(&server);
    let (streamed, polled) = (job.path("/sse"), job.path("/long-poll?after=2&wait=50"));
    let mut watching = server.connect();
    for (half, path) in [(false, &streamed), (true, &streamed), (false, &polled), (true, &polled)] {
        let mut ask = |request: String| {
            watching.write_all(request.as_bytes()).expect("it is taken");
            Answer::read(&mut watching).json()
        };
        let before = ask(get(&server, "/readyz", ""))["taken_over"].clone();
        let mut client = server.connect();
        client.write_all(get(&server, path, "").as_bytes()).expect("it is taken");
        while ask(get(&server, "/readyz", ""))["taken_over"] == before {
            thread::sleep(LOOK);
        }
        let mut next = server.connect();
        next.write_all(get(&server, "/healthz", "connection: close\r\n").as_bytes()).expect("a queue");
        if half {
            // Who closes its half is gone: it gets no answer, and a stream without its end.
            client.shutdown(Shutdown::Write).expect("it is open");
            let got = String::from_utf8(rest(&mut client)).expect("text");
            assert!(!got.ends_with("0\r\n\r\n") && got.is_empty() == (path == &polled), "{got}");
            assert_eq!(Answer::read(&mut next).status, 200);
        } else {
            drop(client);
            assert_eq!(Answer::read(&mut next).status, 200);
        }
        // Its place is free once it is closed on both sides.
        assert_eq!(rest(&mut next), b"");
    }
}

// ---- What comes after ----------------------------------------------------------------------

#[test]
fn one_connection_brings_many_answers() {
    let server = Server::start("");
    let job = Job::open(&server);
    let mut live = Live::connect(&server);
    for round in 0..20 {
        live.send(get(&server, &job.path(&format!("/long-poll?after={}&wait=50", round + 2)), ""));
        wait_until_taken(&server, 0, round + 1);
        job.note();
        assert_eq!(live.answer(Has::Body).expect(200).json()["events"][0]["seq"], round + 3);
    }
    // And a stream, and its end, and a request.
    live.send(get(&server, &job.path("/sse"), ""));
    live.read_head();
    wait_until_taken(&server, 1, 20);
    job.succeed();
    assert_eq!(finish(&mut live).matches("\n\n").count(), 23);
    live.send(get(&server, "/healthz", ""));
    live.answer(Has::Body).expect(200);
}

/// A connection on which an answer has come without hyper.
fn rested(server: &Server) -> TcpStream {
    let job = Job::open(server);
    let (_, polls) = taken(server);
    let mut client = server.connect();
    client.write_all(get(server, &job.path("/long-poll?after=2&wait=50"), "").as_bytes()).expect("it is taken");
    wait_until_taken(server, 0, polls + 1);
    job.note();
    assert_eq!(Answer::read(&mut client).status, 200);
    client
}

#[test]
fn a_connection_that_rests_too_long_is_closed() {
    let server = Server::start("[connections]\nidle_connection_seconds = 0.3\n");
    let mut client = rested(&server);
    let begun = Instant::now();
    assert_eq!(rest(&mut client), b"");
    assert!(begun.elapsed() < SHORT * 20);
}

#[test]
fn the_next_head_has_the_same_limits() {
    let server = Server::start("[connections]\nheader_seconds = 0.3\n");
    let mut slow = rested(&server);
    let begun = Instant::now();
    slow.write_all(b"GET /healthz HTT").expect("it is taken");
    assert_eq!(rest(&mut slow), b"");
    assert!(begun.elapsed() >= SHORT);
    for (over, status, problem) in [
        (format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(2100)), 414, "uri-too-long"),
        (get(&server, "/", &"a: b\r\n".repeat(65)), 431, "header-fields-too-large"),
        (get(&server, "/", &format!("x: {}\r\n", "a".repeat(17_000))), 431, "header-fields-too-large"),
    ] {
        let mut client = rested(&server);
        client.write_all(over.as_bytes()).expect("it is taken");
        Answer::read(&mut client).assert_problem(status, problem);
    }
    let mut broken = rested(&server);
    broken.write_all(b"\x16\x03\x01\x02").expect("it is taken");
    assert_eq!(Answer::read(&mut broken).status, 400);
}

// ---- The end -------------------------------------------------------------------------------

#[test]
fn at_sigterm_who_is_held_is_answered_and_a_stream_has_the_end_of_its_job() {
    let mut server = Server::start(&WAITS.replace("[limits]\n", "[limits]\ngrace_seconds = 1\n"));
    let id = start(&server);
    // Not only running: the step that has begun is told as well.
    job::wait_for(&server, &format!("/jobs/{id}"), |reply| reply.json()["seq"] == 3);
    let mut resting = rested(&server);
    let mut stream = send(&server, get(&server, &format!("/jobs/{id}/sse"), ""));
    stream.read_head();
    wait_until_taken(&server, 1, 1);
    let cursor = server.job(&id)["cursor"].as_str().expect("a cursor").to_owned();
    let mut poll = send(&server, get(&server, &format!("/jobs/{id}/long-poll?after={cursor}&wait=50"), ""));
    wait_until_taken(&server, 1, 2);

    server.signal(Signal::TERM);
    let answer = poll.answer(Has::Body).expect(200);
    assert_eq!(answer.field("connection"), Some("close"), "{answer:?}");
    assert_eq!(poll.rest_of_connection(), "");
    let text = finish(&mut stream);
    assert!(text.contains("shutting-down"), "{text}");
    assert!(
        text.trim_end().lines().rfind(|line| line.starts_with("event: ")).is_some_and(|line| line == "event: failed")
    );
    assert_eq!(stream.rest_of_connection(), "");
    assert_eq!(rest(&mut resting), b"");
    assert_eq!(server.ended().code(), Some(0));
}
