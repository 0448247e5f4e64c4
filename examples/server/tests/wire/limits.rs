//! "Limits": those of bodies, of what is kept, and of jobs, each lowered through the config.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    client::{Ask, Has, Live},
    job::{EXTERNAL, Job, PIPELINE, WAITS, start, wait_for},
    support::Server,
};

/// A submission that is this long.
fn submission(bytes: usize) -> String {
    let head = r#"{"kind":"build","worker":"external","input":""#;
    format!("{head}{}\"}}", "x".repeat(bytes - head.len() - 2))
}

#[test]
fn a_submission_has_a_mebibyte() {
    let server = Server::start("");
    assert_eq!(submission(1 << 20).len(), 1 << 20);
    Ask::post("/jobs", submission(1 << 20)).to(&server).expect(202);
    Ask::post("/jobs", submission((1 << 20) + 1)).to(&server).problem(413, "payload-too-large");
}

#[test]
fn the_size_of_a_submission_is_configured() {
    let server = Server::start("[limits]\nsubmission_bytes = 1000");
    Ask::post("/jobs", submission(1000)).to(&server).expect(202);
    Ask::post("/jobs", submission(1001)).to(&server).problem(413, "payload-too-large");
    let head = format!("POST /jobs HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n", server.address);
    // What says how long it is is refused before it comes, and what does not is once it is too long.
    let mut said = Live::connect(&server);
    said.send(format!("{head}content-length: 1001\r\n\r\n"));
    said.reply(Has::Body).problem(413, "payload-too-large");
    let mut chunked = Live::connect(&server);
    chunked.send(format!("{head}transfer-encoding: chunked\r\n\r\n"));
    chunked.send_chunk(&"x".repeat(600));
    chunked.send_chunk(&"x".repeat(600));
    chunked.reply(Has::Body).problem(413, "payload-too-large");
}

#[test]
fn an_event_has_64_kib() {
    let server = Server::start("");
    let job = Job::open(&server);
    // What counts is the type and the data.
    let note = |bytes: usize| format!(r#"{{"type":"note","data":"{}"}}"#, "x".repeat(bytes - 4 - 2));
    let lines = |body: &str| job.reporting(body).field("content-type", "application/x-ndjson").to(&server);
    job.report(&note(65_536));
    lines(&note(65_536)).expect(200);
    job.reporting(&note(65_537)).to(&server).problem(413, "payload-too-large");
    let reply = lines(&format!("\n{}\n", note(65_537))).problem(413, "payload-too-large");
    assert_eq!(reply.json()["line"], 2);
    assert_eq!(job.snapshot()["seq"], 4);
}

#[test]
fn a_body_that_idles_is_too_late() {
    let server = Server::start("[limits]\nidle_body_seconds = 1\nbody_seconds = 600");
    late(&server);
}

#[test]
fn a_body_has_only_so_much_time_in_all() {
    let server = Server::start("[limits]\nidle_body_seconds = 600\nbody_seconds = 1");
    late(&server);
}

fn late(server: &Server) {
    let job = Job::open(server);
    let requests = [("/jobs".to_owned(), ""), (job.path("/cancel"), ""), (job.path("/events"), &*job.token)];
    let begun = Instant::now();
    let pending = requests.map(|(path, token)| {
        let mut live = Live::connect(server);
        let host = server.address;
        live.send(format!(
            "POST {path} HTTP/1.1\r\nhost: {host}\r\ntidings-report-token: {token}\r\ncontent-length: 100\r\n\r\n{{"
        ));
        live
    });
    for live in pending {
        live.reply(Has::Body).problem(408, "request-timeout");
    }
    assert!(begun.elapsed() >= Duration::from_secs(1));
}

/// What the page from the first event on says of a gap, and the seqs that follow.
fn kept(job: &Job<'_>) -> (Value, Vec<u64>) {
    let page = job.get("/short-poll").expect(200).json();
    let events = page["events"].as_array().expect("events").iter();
    (page["gap"].clone(), events.map(|event| event["seq"].as_u64().expect("a seq")).collect())
}

#[test]
fn events_of_one_job_are_kept_up_to_a_number() {
    let server = Server::start("[retention]\nevents_per_job = 4");
    let (job, other) = (Job::with_events(&server, 4), Job::with_events(&server, 4));
    assert_eq!(kept(&job), (Value::Null, vec![1, 2, 3, 4]));
    job.note();
    assert_eq!(kept(&job), (json!({ "requested": 0, "resumed_at": 2 }), vec![2, 3, 4, 5]));
    assert_eq!(kept(&other), (Value::Null, vec![1, 2, 3, 4]), "others keep theirs");
    assert_eq!(job.snapshot()["input"], json!({ "n": 1 }), "a snapshot is never dropped");
}

#[test]
fn events_of_one_job_are_kept_up_to_their_bytes() {
    let server = Server::start("[retention]\nbytes_per_job = 20000");
    let job = Job::open(&server);
    let large = json!({ "type": "note", "data": "x".repeat(8000) }).to_string();
    job.report(&large);
    job.report(&large);
    assert_eq!(kept(&job), (Value::Null, vec![1, 2, 3, 4]));
    job.report(&large);
    let (gap, seqs) = kept(&job);
    assert_eq!((gap, seqs), (json!({ "requested": 0, "resumed_at": 4 }), vec![4, 5]));
}

#[test]
fn of_all_events_those_of_jobs_that_are_over_go_first() {
    let server = Server::start("[retention]\nbytes = 60000");
    let large = json!({ "type": "note", "data": "x".repeat(4000) }).to_string();
    let (old, over, new) = (Job::open(&server), Job::open(&server), Job::open(&server));
    old.report(&large);
    over.report(&large);
    over.report(&large);
    over.succeed();
    let is_whole = |job: &Job<'_>| kept(job).0.is_null();
    assert!([&old, &over, &new].into_iter().all(is_whole));
    while is_whole(&over) {
        new.report(&large);
        assert!(is_whole(&old) && is_whole(&new), "jobs that run keep theirs");
    }
    assert_eq!(kept(&over).0["requested"], 0);
    // Once nothing is left of it, the oldest of those that run go.
    while is_whole(&old) {
        assert!(is_whole(&new));
        new.report(&large);
    }
    assert_eq!(old.snapshot()["seq"], 3);
}

#[test]
fn a_job_is_kept_for_a_while_after_its_end() {
    let server = Server::start("[retention]\nended_seconds = 1");
    let (job, running) = (Job::open(&server), Job::open(&server));
    let begun = Instant::now();
    job.succeed();
    wait_for(&server, &job.path(""), |reply| reply.status != 200).problem(404, "unknown-job");
    assert!(begun.elapsed() >= Duration::from_millis(900));
    for rest in ["/short-poll", "/long-poll", "/sse"] {
        job.get(rest).problem(404, "unknown-job");
    }
    job.reporting("[]").to(&server).problem(404, "unknown-job");
    assert_eq!(running.snapshot()["state"], "running");
}

#[test]
fn of_the_jobs_that_are_kept_ended_ones_make_room() {
    let server = Server::start("[retention]\njobs = 2");
    let (first, second) = (Job::open(&server), Job::open(&server));
    Ask::post("/jobs", EXTERNAL).to(&server).problem(503, "overloaded");
    second.succeed();
    let third = Job::open(&server);
    second.get("").problem(404, "unknown-job");
    Ask::post("/jobs", EXTERNAL).to(&server).problem(503, "overloaded");
    first.succeed();
    third.succeed();
    Job::open(&server);
    first.get("").problem(404, "unknown-job");
    assert_eq!(third.snapshot()["state"], "succeeded", "the one that ended first went");
}

#[test]
fn only_so_many_jobs_wait() {
    let server = Server::start(&format!("[retention]\nwaiting = 1\n{WAITS}"));
    let first = start(&server);
    wait_for(&server, &format!("/jobs/{first}"), |reply| reply.json()["state"] == "running");
    let second = start(&server);
    Ask::post("/jobs", PIPELINE).to(&server).problem(503, "overloaded");
    // One that is reported from outside does not wait.
    Job::open(&server);
    Ask::post(format!("/jobs/{second}/cancel"), "").to(&server).expect(202);
    start(&server);
    Ask::post("/jobs", PIPELINE).to(&server).problem(503, "overloaded");
}
