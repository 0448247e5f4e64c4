//! Reports as `application/x-ndjson`: each line is appended as it comes.

use serde_json::{Value, json};

use crate::{
    client::{Ask, Has, Live, Reply},
    job::{Job, wait_for},
    support::Server,
};

fn lines(job: &Job<'_>, body: &str) -> Ask {
    job.reporting(body).field("content-type", "application/x-ndjson")
}

/// A body whose lines are still to come.
fn open(server: &Server, job: &Job<'_>) -> Live {
    let mut live = Live::connect(server);
    let (path, address, token) = (job.path("/events"), server.address, &job.token);
    live.send(format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\
         content-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n"
    ));
    live
}

fn end(mut live: Live) -> Reply {
    live.send("0\r\n\r\n");
    live.reply(Has::Body)
}

fn wait_for_seq(server: &Server, job: &Job<'_>, seq: u64) {
    wait_for(server, &job.path(""), |reply| reply.json()["seq"] == seq);
}

#[test]
fn each_line_is_seen_before_the_body_ends() {
    let server = Server::start("");
    let job = Job::open(&server);
    let mut stream = Ask::get(job.path("/sse?after=2")).open(&server);
    let mut body = open(&server, &job);
    for n in 3..6 {
        body.send_chunk(&format!("{{\"type\":\"note\",\"data\":{n}}}\n"));
        stream.until(|text| text.ends_with(&format!("\"data\":{n}}}\n\n")));
    }
    // Pieces need not be lines.
    for piece in
        ["{\"type\":", "\"note\",\"data\":6}\r", "\n \n{\"type\":\"note\",\"data\":7}\n{\"type\"", ":\"note\",\"da"]
    {
        body.send_chunk(piece);
    }
    stream.until(|text| text.ends_with("\"data\":7}\n\n"));
    body.send_chunk("ta\":8}");
    assert_eq!(job.snapshot()["seq"], 7, "a line is one once it has ended");
    Ask::post(job.path("/cancel"), "").to(&server).expect(202);
    let answer = end(body).expect(200).json();
    assert_eq!(answer, json!({ "seq": 9, "cursor": job.cursor(), "received": 6, "cancel_requested": true }));
}

#[test]
fn a_line_that_is_refused_ends_the_answer_and_the_lines_before_it_are_in() {
    let server = Server::start("[limits]\nevent_bytes = 1000");
    let note = r#"{"type":"note","data":1}"#;
    let large = format!(r#"{{"type":"note","data":"{}"}}"#, "x".repeat(1000));
    for (bad, status, name) in [
        ("{", 400, "malformed-json"),
        ("[]", 422, "invalid-input"),
        (r#"{"type":"gap"}"#, 422, "invalid-input"),
        (r#"{"type":"progress","data":[1]}"#, 422, "invalid-input"),
        (&large, 413, "payload-too-large"),
    ] {
        let job = Job::open(&server);
        let reply = lines(&job, &format!("{note}\n\n{note}\n{bad}\n{note}\n")).to(&server).problem(status, name);
        assert_eq!(reply.json()["line"], 4, "{reply:?}");
        assert_eq!(job.snapshot()["seq"], 4);
    }
    let job = Job::open(&server);
    let last = lines(&job, "{\"type\":\"succeeded\"}\n\n\r\n").to(&server).expect(200).json();
    assert_eq!(last["seq"], 3, "an empty line is nothing that could follow the end");
    let job = Job::open(&server);
    let over = lines(&job, &format!("{note}\n{{\"type\":\"succeeded\"}}\n{note}\n")).to(&server);
    assert_eq!(over.problem(409, "already-finished").json()["line"], 3);
    assert_eq!((&job.snapshot()["state"], &job.snapshot()["seq"]), (&json!("succeeded"), &json!(4)));
}

#[test]
fn a_refused_line_is_answered_before_the_body_ends() {
    let server = Server::start("");
    let job = Job::open(&server);
    let mut body = open(&server, &job);
    body.send_chunk("{\"type\":\"note\"}\nnonsense\n");
    assert_eq!(body.reply(Has::Body).problem(400, "malformed-json").json()["line"], 2);
}

#[test]
fn the_limit_on_size_holds_for_each_line_and_not_for_the_body() {
    let server = Server::start("[limits]\nsubmission_bytes = 1000\nevent_bytes = 1000");
    let job = Job::open(&server);
    let line = format!("{{\"type\":\"note\",\"data\":\"{}\"}}\n", "x".repeat(900));
    assert_eq!(lines(&job, &line.repeat(50)).to(&server).expect(200).json()["received"], 50);
    // One that never ends is refused all the same.
    let mut body = open(&server, &job);
    body.send_chunk(&line);
    body.send_chunk(&"x".repeat(10_000));
    assert_eq!(body.reply(Has::Body).problem(413, "payload-too-large").json()["line"], 2);
    assert_eq!(job.snapshot()["seq"], 53);
}

#[test]
fn report_seq_counts_the_lines_that_are_events() {
    let server = Server::start("");
    let job = Job::open(&server);
    let body = "{\"type\":\"a\"}\n\n{\"type\":\"b\"}\n{\"type\":\"c\"}";
    let report = |first: u64, body: &str| lines(&job, body).field("report-seq", &first.to_string()).to(&server);
    assert_eq!(report(1, body).expect(200).json()["received"], 3);
    let again = report(1, &format!("{body}\n{{\"type\":\"d\"}}\n")).expect(200).json();
    assert_eq!((&again["received"], &again["seq"]), (&json!(4), &json!(6)));
    assert_eq!(report(6, body).problem(409, "report-gap").json()["line"], 1);
    let types: Vec<_> =
        job.events().iter().map(|e| serde_json::from_str::<Value>(e).expect("JSON")["type"].clone()).collect();
    assert_eq!(types, ["queued", "started", "a", "b", "c", "d"]);
}

#[test]
fn an_empty_body_is_no_event() {
    let server = Server::start("");
    let job = Job::open(&server);
    for body in ["", "\n", "\r\n \n\n"] {
        assert_eq!(lines(&job, body).to(&server).expect(200).json()["received"], 0, "{body:?}");
    }
    let wrong = Ask::post(job.path("/events"), "").field("content-type", "application/x-ndjson");
    wrong.to(&server).problem(401, "unauthorized");
}

#[test]
fn a_body_that_breaks_off_leaves_the_lines_that_came() {
    let server = Server::start("");
    let job = Job::open(&server);
    let mut body = open(&server, &job);
    body.send_chunk("{\"type\":\"note\"}\n{\"type\":\"never-ended\"");
    wait_for_seq(&server, &job, 3);
    drop(body);
    assert_eq!(job.note()["seq"], 4, "the line that had no end is not in");
}

#[test]
fn the_limit_on_time_is_the_lease() {
    let server = Server::start("[limits]\nidle_body_seconds = 1\nbody_seconds = 1");
    let lease =
        |seconds| Job::submit(&server, &format!(r#"{{"kind":"build","worker":"external","lease_seconds":{seconds}}}"#));
    let (long, short) = (lease(60), lease(5));
    let mut patient = open(&server, &long);
    patient.send_chunk("{\"type\":\"note\"}\n");
    let mut silent = open(&server, &short);
    silent.send_chunk("{\"type\":\"note\"}\n\n");
    assert_eq!(silent.reply(Has::Body).problem(408, "request-timeout").json()["line"], 2);
    // Five seconds are past what a body may take otherwise.
    patient.send_chunk("{\"type\":\"note\"}\n");
    assert_eq!(end(patient).expect(200).json()["received"], 2);
    let over = wait_for(&server, &short.path(""), |reply| reply.json()["finished_at"].is_string());
    assert_eq!(over.json()["error"]["code"], "worker-lost");
}
