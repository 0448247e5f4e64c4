//! Requests that come whole on connections that were taken over from hyper, on real sockets: what a client can see of that,
//! which is nothing.

mod support;

#[path = "wire/client.rs"]
#[allow(dead_code, reason = "this test uses a part of it")]
mod client;
#[path = "wire/job.rs"]
#[allow(dead_code, reason = "this test uses a part of it")]
mod job;

use std::{
    io::Write as _,
    net::Shutdown,
    time::{Duration, Instant},
};

use client::{Has, Live, Reply};
use job::Job;
use rustix::process::Signal;
use serde_json::{Value, json};
use support::{Answer, HANGS, Server, rest};

const NOTE: &str = r#"{"type":"note","data":null}"#;

/// An option of the connection that nobody knows, and that changes nothing but who serves it.
const NOT_TAKEN: &str = "connection: unknown\r\n";

/// A report that leaves the connection open.
fn report(server: &Server, job: &Job<'_>, fields: &str, body: &str) -> String {
    let (path, fields) = (job.path("/events"), format!("authorization: Bearer {}\r\n{fields}", job.token));
    post(server, &path, &fields, body)
}

fn post(server: &Server, path: &str, fields: &str, body: &str) -> String {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nhost: {}\r\n{fields}content-length: {length}\r\n\r\n{body}", server.address)
}

fn get(server: &Server, path: &str) -> String {
    get_with(server, path, "")
}

fn get_with(server: &Server, path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: {}\r\n{fields}\r\n", server.address)
}

/// How many requests have been answered without hyper.
fn taken(server: &Server) -> u64 {
    taken_over(server, "answers")
}

fn taken_over(server: &Server, what: &str) -> u64 {
    server.get("/readyz").json()["taken_over"][what].as_u64().expect("a number")
}

#[track_caller]
fn wait_until_held(server: &Server, polls: u64) {
    let begun = Instant::now();
    while taken_over(server, "polls") != polls {
        assert!(begun.elapsed() < HANGS, "{:?}", server.get("/readyz"));
    }
}

/// A connection that has reported an event of a job that is there for nothing else.
fn taken_connection(server: &Server) -> Live {
    let mut live = Live::connect(server);
    live.send(report(server, &Job::open(server), "", NOTE));
    live.answer(Has::Body).expect(200);
    live
}

#[test]
fn all_but_the_first_of_the_reports_on_a_connection_are_answered_without_hyper() {
    let server = Server::start("");
    let job = Job::open(&server);
    let mut live = Live::connect(&server);
    for seq in 3..23 {
        live.send(report(&server, &job, "", &format!(r#"{{"type":"note","data":{seq}}}"#)));
        let answer = live.answer(Has::Body).expect(200).json();
        assert_eq!((&answer["seq"], &answer["received"]), (&json!(seq), &json!(seq - 2)));
    }
    assert_eq!(taken(&server), 19);
    let page = server.get(&job.path("/short-poll")).json();
    let data: Vec<_> = page["events"].as_array().expect("events").iter().skip(2).map(|event| &event["data"]).collect();
    assert_eq!(data, (3..23).collect::<Vec<_>>());
}

#[test]
fn all_but_the_first_two_looks_at_a_job_are_answered_without_hyper() {
    let server = Server::start("");
    let job = Job::open(&server);
    let (look, mut live) = (get(&server, &job.path("")), Live::connect(&server));
    for looked in 0..10 {
        live.send(&look);
        assert_eq!(live.answer(Has::Body).expect(200).json()["id"], job.id);
        assert_eq!(taken(&server), u64::saturating_sub(looked, 1));
    }
}

#[test]
fn one_poll_after_the_other_is_held_without_hyper() {
    let server = Server::start("");
    let job = Job::open(&server);
    let mut live = Live::connect(&server);
    for after in 2..8 {
        live.send(get(&server, &job.path(&format!("/long-poll?after={after}&wait=50"))));
        wait_until_held(&server, after - 1);
        job.note();
        assert_eq!(live.answer(Has::Body).expect(200).json()["events"][0]["seq"], after + 1);
    }
    // One that is not held is answered all the same.
    live.send(get(&server, &job.path("/long-poll?after=2&limit=1")));
    assert_eq!(live.answer(Has::Body).expect(200).json()["events"][0]["seq"], 3);
    assert_eq!((taken_over(&server, "polls"), taken(&server)), (6, 1));
}

#[test]
fn nothing_is_taken_over_where_the_config_says_so() {
    let server = Server::start("[connections]\ntake_over = false\n");
    let job = Job::open(&server);
    let mut live = taken_connection(&server);
    live.send(report(&server, &job, "", NOTE));
    live.answer(Has::Body).expect(200);
    for _ in 0..3 {
        live.send(get(&server, &job.path("")));
        live.answer(Has::Body).expect(200);
    }
    assert_eq!(taken(&server), 0);
}

/// What an answer says, without what differs from one to the next of the same.
fn said(reply: &Reply) -> (u16, Vec<String>, Value) {
    let varies = |name: &str| name == "date" || name == "content-length";
    let line = |(name, value): &(String, String)| if varies(name) { name.clone() } else { format!("{name}: {value}") };
    let mut fields: Vec<_> = reply.fields.iter().map(line).collect();
    fields.sort();
    let mut body = serde_json::from_str(&reply.body).unwrap_or_else(|_| Value::from(reply.body.as_str()));
    if let Some(cursor) = body.get_mut("cursor") {
        cursor.take();
    }
    (reply.status, fields, body)
}

#[test]
fn whatever_is_asked_for_the_answer_is_the_one_that_hyper_brings() {
    let server = Server::start("");
    let job = Job::open(&server);
    let tag = |path: &str| format!("if-none-match: {}\r\n", job.get(path).field("etag").expect("a tag"));
    let (tag, polled) = (tag(""), tag("/short-poll?after=2"));
    let over = Job::over(&server);
    let end = format!("last-event-id: {}\r\n", over.cursor());
    let file = if cfg!(feature = "web") { 200 } else { 404 };
    let at = |rest: &str| job.path(rest);
    let mut taken_before = 0;
    for (count, path, fields, status) in [
        (1, at(""), "", 200),
        (1, at(""), &*tag, 304),
        (1, at(""), "if-none-match: \"0\"\r\n", 200),
        (1, at("?a=b"), "content-length: 0\r\n", 200),
        (1, at("/short-poll"), "", 200),
        (1, at("/short-poll?after=2"), &*polled, 304),
        (1, at("/short-poll?after=x"), "", 400),
        (1, at("/long-poll"), "", 200),
        (1, at("/long-poll?after=2&wait=0"), "", 200),
        (1, at("/long-poll?wait=x"), "", 400),
        (1, at("/sse?after=x"), "", 400),
        (1, over.path("/sse"), &*end, 204),
        (1, at("/nothing"), "", 404),
        (1, at("/cancel"), "", 405),
        (1, at(""), "host: elsewhere\r\n", 400),
        (1, "/".to_owned(), "", file),
        (1, "/tidings.js".to_owned(), "", file),
        (1, "/jobs".to_owned(), "", 200),
        (1, "/pipelines".to_owned(), "", 200),
        // What is not whole, or may mean more than it says, is left to hyper.
        (0, at(""), "expect: 100-continue\r\n", 200),
        (0, at(""), "connection: close\r\n", 200),
        (0, at(""), "upgrade: h2c\r\n", 200),
        (0, at(""), "content-length: 1, 2\r\n", 400),
        (0, at(""), &"a: b\r\n".repeat(40), 200),
        (0, at(""), &"a: b\r\n".repeat(70), 431),
    ] {
        let request = |fields: &str| get_with(&server, &path, fields);
        let mut live = taken_connection(&server);
        live.send(request(fields));
        let answer = live.answer(Has::Body);
        assert_eq!(answer.status, status, "{path} {fields}: {answer:?}");
        let closes = fields.starts_with("connection");
        let mut plain = Live::connect(&server);
        plain.send(request(&if closes { fields.to_owned() } else { format!("{NOT_TAKEN}{fields}") }));
        let expected = plain.answer(Has::Body);
        assert_eq!(said(&answer), said(&expected), "{path} {fields}");
        taken_before += count;
        assert_eq!(taken(&server), taken_before, "{path} {fields}");
    }
}

#[test]
fn whatever_is_reported_the_answer_is_the_one_that_hyper_brings() {
    let server = Server::start("[limits]\nevent_bytes = 1000\nsubmission_bytes = 5000\n");
    let long = |length: usize| format!(r#"{{"type":"note","data":"{}"}}"#, "x".repeat(length));
    let (too_long, too_much) = (long(2000), long(9000));
    let mut taken_before = 0;
    for (count, fields, body, status) in [
        (1, "", NOTE, 200),
        (1, "Connection: keep-alive\r\n", NOTE, 200),
        (1, "", r#"[{"type":"note"},{"type":"progress","data":{"done":1,"total":2}}]"#, 200),
        (1, "", "[]", 200),
        (1, "report-seq: 1\r\n", NOTE, 200),
        (1, "report-seq: 7\r\n", NOTE, 409),
        (1, "", r#"{"type":"succeeded","data":{"result":1}}"#, 200),
        (1, "", "", 400),
        (1, "", r#"{"type":"note""#, 400),
        (1, "", r#"{"type":"note","more":1}"#, 422),
        (1, "", &too_long, 413),
        (1, "", &too_much, 413),
        // What is refused for its head is left to hyper.
        (0, "report-seq: 0\r\n", NOTE, 400),
        (0, "content-type: text/plain\r\n", NOTE, 415),
        (0, "content-encoding: gzip\r\n", NOTE, 415),
        (0, "content-type: application/x-ndjson\r\n", NOTE, 200),
        (0, "host: elsewhere\r\n", NOTE, 400),
        (0, "tidings-report-token: wrong\r\n", NOTE, 401),
        (0, "content-length: 1\r\n", NOTE, 400),
        (0, "transfer-encoding: chunked\r\n", "2\r\n[]\r\n0\r\n\r\n", 200),
        (0, &"a: b\r\n".repeat(40), NOTE, 200),
        (0, &"a: b\r\n".repeat(70), NOTE, 431),
    ] {
        let (job, other) = (Job::open(&server), Job::open(&server));
        let mut live = taken_connection(&server);
        live.send(report(&server, &job, fields, body));
        let answer = live.answer(Has::Body);
        let mut plain = Live::connect(&server);
        plain.send(report(&server, &other, &format!("{NOT_TAKEN}{fields}"), body));
        let expected = plain.answer(Has::Body);
        assert_eq!(answer.status, status, "{fields}{body}: {answer:?}");
        if !answer.body.is_empty() {
            assert_eq!(said(&answer), said(&expected), "{fields}{body}");
        }
        assert_eq!(job.snapshot()["seq"], other.snapshot()["seq"], "{fields}{body}");
        taken_before += count;
        assert_eq!(taken(&server), taken_before, "{fields}{body}");
    }
}

#[test]
fn a_report_of_two_lengths_ends_its_connection() {
    let server = Server::start("");
    let (job, other) = (Job::open(&server), Job::open(&server));
    // A proxy that goes by the length takes what follows for a part of the body.
    let hidden = report(&server, &other, "", NOTE);
    let body = format!("2\r\n[]\r\n0\r\n\r\n{hidden}");
    for fields in ["transfer-encoding: chunked\r\n", "Transfer-Encoding: Chunked\r\nx: y\r\n"] {
        for mut live in [Live::connect(&server), taken_connection(&server)] {
            live.send(report(&server, &job, fields, &body));
            let answer = live.answer(Has::Body).expect(200);
            assert_eq!(answer.field("connection"), Some("close"), "{answer:?}");
            assert_eq!(live.rest_of_connection(), "");
        }
    }
    assert_eq!(other.snapshot()["seq"], 2);
}

#[test]
fn a_job_that_is_unknown_or_over_is_refused_as_ever() {
    let server = Server::start("");
    let job = Job::over(&server);
    let mut live = taken_connection(&server);
    live.send(report(&server, &job, "", NOTE));
    live.answer(Has::Body).problem(409, "already-finished");
    let unknown = "/jobs/01890000-0000-7000-8000-000000000000/events";
    live.send(post(&server, unknown, "authorization: Bearer 0\r\n", NOTE));
    live.answer(Has::Body).problem(404, "unknown-job");
    live.send(get(&server, "/healthz"));
    live.answer(Has::Body).expect(200);
}

#[test]
fn a_report_that_comes_in_parts_is_one() {
    let server = Server::start("");
    let job = Job::open(&server);
    let request = report(&server, &job, "", NOTE);
    let mut seq = 2;
    for cut in [1, 20, request.len() - NOTE.len(), request.len() - 1] {
        let mut live = taken_connection(&server);
        let (begin, end) = request.split_at(cut);
        live.send(begin);
        // Whether the server has read that meanwhile or not.
        server.get("/healthz");
        live.send(end);
        live.send(&request);
        for _ in 0..2 {
            seq += 1;
            assert_eq!(live.answer(Has::Body).expect(200).json()["seq"], seq);
        }
    }
}

#[test]
fn whose_reports_are_not_whole_is_left_to_hyper_for_good() {
    let server = Server::start("");
    let job = Job::open(&server);
    let mut live = taken_connection(&server);
    let request = report(&server, &job, "expect: 100-continue\r\n", NOTE);
    let (head, body) = request.split_at(request.len() - NOTE.len());
    live.send(head);
    live.read_head();
    assert_eq!(live.status, 100);
    live.send(body);
    live.answer(Has::Body).expect(200);
    live.send(report(&server, &job, "", NOTE));
    assert_eq!(live.answer(Has::Body).expect(200).json()["seq"], 4);
    assert_eq!(taken(&server), 0);
}

#[test]
fn a_report_whose_rest_does_not_come_is_given_up() {
    let server = Server::start("[connections]\nheader_seconds = 0.3\n");
    let job = Job::open(&server);
    let mut live = taken_connection(&server);
    live.send(&report(&server, &job, "", NOTE)[..40]);
    assert_eq!(live.rest_of_connection(), "");
    assert_eq!(job.snapshot()["seq"], 2);
}

#[test]
fn requests_that_come_at_once_are_answered_one_after_the_other() {
    let server = Server::start("");
    let job = Job::open(&server);
    let (noted, healthy) = (report(&server, &job, "", NOTE), get(&server, "/healthz"));
    // More than is read of who does not wait. What is read ends with a whole request: nobody goes on with the next.
    let count = 200;
    let padding = "a".repeat(512 - noted.len() - "x: \r\n".len());
    let padded = report(&server, &job, &format!("x: {padding}\r\n"), NOTE);
    assert_eq!(padded.len(), 512);
    let mut live = taken_connection(&server);
    live.send(padded.repeat(count));
    for seq in 3..count + 3 {
        assert_eq!(live.answer(Has::Body).expect(200).json()["seq"], seq);
    }
    // And others among them.
    live.send(healthy.clone() + "\r\n" + &noted + &healthy);
    assert_eq!(live.answer(Has::Body).expect(200).json()["status"], "alive");
    assert_eq!(live.answer(Has::Body).expect(200).json()["seq"], count + 3);
    assert_eq!(live.answer(Has::Body).expect(200).json()["status"], "alive");
    assert!(taken(&server) > 0);
}

#[test]
fn a_poll_is_held_and_a_stream_streams_on_a_connection_that_has_reported() {
    let server = Server::start("");
    let job = Job::open(&server);
    let mut live = taken_connection(&server);
    live.send(get(&server, &job.path("/long-poll?after=2&wait=50")));
    job.note();
    assert_eq!(live.answer(Has::Body).expect(200).json()["events"][0]["seq"], 3);
    live.send(report(&server, &job, "", r#"{"type":"succeeded","data":{"result":1}}"#));
    live.answer(Has::Body).expect(200);
    // And what comes with it is answered after it.
    live.send(get(&server, &job.path("/sse")) + &get(&server, "/healthz"));
    live.read_head();
    live.finish();
    assert!(live.text.contains("event: succeeded"), "{}", live.text);
    live.answer(Has::Body).expect(200);
}

#[test]
fn who_closes_its_half_after_a_report_has_its_answer() {
    let server = Server::start("");
    let job = Job::open(&server);
    let mut stream = server.connect();
    let request = report(&server, &job, "", NOTE);
    stream.write_all(request.as_bytes()).expect("it is taken");
    assert_eq!(Answer::read(&mut stream).status, 200);
    // Not its first, during which hyper takes it for gone.
    stream.write_all(request.as_bytes()).expect("it is taken");
    stream.shutdown(Shutdown::Write).expect("it is open");
    let text = String::from_utf8(rest(&mut stream)).expect("text");
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    assert_eq!(job.snapshot()["seq"], 4);
}

#[test]
fn who_closes_its_half_while_it_is_held_is_gone() {
    let server = Server::start("");
    let job = Job::open(&server);
    let mut stream = server.connect();
    let look = get(&server, &job.path(""));
    for _ in 0..3 {
        stream.write_all(look.as_bytes()).expect("it is taken");
        assert_eq!(Answer::read(&mut stream).status, 200);
    }
    stream.write_all(get(&server, &job.path("/long-poll?after=2&wait=50")).as_bytes()).expect("it is taken");
    stream.shutdown(Shutdown::Write).expect("it is open");
    assert_eq!(String::from_utf8(rest(&mut stream)).expect("text"), "");
}

#[test]
fn a_connection_that_has_reported_and_idles_is_closed() {
    let server = Server::start("[connections]\nidle_connection_seconds = 0.3\n");
    let job = Job::open(&server);
    let mut live = taken_connection(&server);
    // A report counts as a sign of life.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(1) {
        live.send(report(&server, &job, "", NOTE));
        live.answer(Has::Body).expect(200);
    }
    assert_eq!(live.rest_of_connection(), "");
    assert!(begun.elapsed() < HANGS);
}

#[test]
fn at_sigterm_a_connection_that_has_reported_is_closed() {
    let mut server = Server::start("");
    let mut live = taken_connection(&server);
    let job = Job::open(&server);
    live.send(report(&server, &job, "", NOTE));
    live.answer(Has::Body).expect(200);
    server.signal(Signal::TERM);
    assert_eq!(live.rest_of_connection(), "");
    assert_eq!(server.ended().code(), Some(0));
}
