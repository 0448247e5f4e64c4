//! `Idempotency-Key`: one key is one job, however often it is sent.

use crate::{
    client::{Ask, Reply},
    job::{EXTERNAL, Job, PIPELINE, WAITS},
    support::Server,
};

fn submit(server: &Server, key: &str, body: &str) -> Reply {
    Ask::post("/jobs", body).field("idempotency-key", key).to(server)
}

fn count(server: &Server) -> usize {
    Ask::get("/jobs").to(server).json()["jobs"].as_array().expect("a list").len()
}

#[test]
fn the_same_key_and_bytes_give_the_same_job_and_answer() {
    let server = Server::start("");
    let first = submit(&server, "key-1", EXTERNAL).expect(202);
    assert!(first.json()["report"]["token"].is_string());
    for key in ["key-1", "\"key-1\"", "  key-1  "] {
        let again = submit(&server, key, EXTERNAL).expect(202);
        assert_eq!(again.body, first.body);
        for name in ["location", "retry-after", "content-type", "cache-control"] {
            assert_eq!(again.field(name), first.field(name));
        }
    }
    assert_eq!(count(&server), 1);
    let id = first.json()["id"].clone();
    assert_ne!(submit(&server, "key-2", EXTERNAL).expect(202).json()["id"], id);
    assert_ne!(Ask::post("/jobs", EXTERNAL).to(&server).expect(202).json()["id"], id);
    assert_eq!(count(&server), 3);
}

#[test]
fn a_repeat_gives_the_job_whatever_has_become_of_it() {
    let server = Server::start(WAITS);
    let first = submit(&server, "here", PIPELINE).expect(202).json();
    let again = submit(&server, "here", PIPELINE).expect(202);
    assert_eq!(again.json()["id"], first["id"]);
    assert_eq!(again.json().get("report"), None, "nobody reports it from outside");
    assert_eq!(count(&server), 1);
}

#[test]
fn the_same_key_with_another_body_is_refused() {
    let server = Server::start("");
    submit(&server, "key", EXTERNAL).expect(202);
    for body in [r#"{"kind":"test","worker":"external"}"#, &format!("{EXTERNAL} ")] {
        submit(&server, "key", body).problem(422, "idempotency-key-reused");
    }
    assert_eq!(count(&server), 1);
}

#[test]
fn what_a_key_may_look_like() {
    let server = Server::start("");
    for good in ["a", "!\"#~ x", &"k".repeat(255), &format!("\"{}\"", "q".repeat(255))] {
        submit(&server, good, EXTERNAL).expect(202);
    }
    for bad in ["", "\"\"", &"k".repeat(256), "\u{e9}", "a\tb"] {
        submit(&server, bad, EXTERNAL).problem(400, "invalid-request");
    }
    let twice = Ask::post("/jobs", EXTERNAL).field("idempotency-key", "a").field("idempotency-key", "a");
    twice.to(&server).problem(400, "invalid-request");
}

#[test]
fn a_key_is_remembered_longer_than_its_job() {
    let server = Server::start("");
    let first = submit(&server, "key", EXTERNAL).expect(202).json();
    let (id, token) = (first["id"].as_str().expect("an id"), first["report"]["token"].as_str().expect("a token"));
    let report =
        Ask::post(format!("/jobs/{id}/events"), r#"{"type":"succeeded"}"#).field("tidings-report-token", token);
    report.to(&server).expect(200);
    assert_eq!(submit(&server, "key", EXTERNAL).expect(202).json()["id"], id);
    Ask::delete(format!("/jobs/{id}")).to(&server).expect(204);
    submit(&server, "key", r#"{"kind":"test","worker":"external"}"#).problem(422, "idempotency-key-reused");
    submit(&server, "key", EXTERNAL).problem(404, "unknown-job");
    assert_eq!(count(&server), 0);
}

#[test]
fn a_key_that_came_with_a_refused_submission_is_free() {
    let server = Server::start("");
    submit(&server, "key", "{").problem(400, "malformed-json");
    submit(&server, "key", r#"{"kind":"nothing"}"#).problem(422, "unknown-kind");
    submit(&server, "key", EXTERNAL).expect(202);
}

#[test]
fn of_many_at_once_one_opens_the_job() {
    let server = Server::start("");
    let ids = std::thread::scope(|threads| {
        let submitters: Vec<_> = (0..16)
            .map(|_| threads.spawn(|| submit(&server, "key", EXTERNAL).expect(202).json()["id"].clone()))
            .collect();
        submitters.into_iter().map(|submitter| submitter.join().expect("it ends well")).collect::<Vec<_>>()
    });
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(count(&server), 1);
    assert_eq!(Job::open(&server).snapshot()["seq"], 2);
}
