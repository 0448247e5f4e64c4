//! "Long polling".

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    client::{Ask, Has, Live},
    job::{Job, WAITS, events_of, start, wait_for},
    support::{Server, TAKES_OVER},
};

/// Holds requests for so long that a test which rests on the end of a hold fails.
const PATIENT: &str = "[transports.long-poll]\nwait_seconds = 3600\nwait_seconds_most = 3600";

/// A request that is held by now: it came together with another one, and that one has been answered.
fn held(server: &Server, job: &Job<'_>, query: &str) -> Live {
    let mut live = Live::connect(server);
    let first = format!("GET /healthz HTTP/1.1\r\nhost: {}\r\n\r\n", server.address);
    let second = Ask::get(job.path(&format!("/long-poll?{query}"))).bytes(server);
    live.send([first.as_bytes(), &second].concat());
    live.answer(Has::Body).expect(200);
    live
}

#[test]
fn a_hold_ends_with_the_first_event() {
    let server = Server::start(PATIENT);
    let job = Job::open(&server);
    let mut poll = held(&server, &job, "after=2&wait=3600");
    job.note();
    let reply = poll.answer(Has::Body).expect(200);
    let page = reply.json();
    assert_eq!(events_of(&reply.body), job.events()[2..]);
    assert_eq!((&page["more"], &page["done"], &page["gap"]), (&json!(false), &json!(false), &Value::Null));
    assert_eq!(page["cursor"], page["job"]["cursor"]);
}

#[test]
fn what_was_appended_by_then_comes_in_one_page() {
    let server = Server::start(PATIENT);
    let job = Job::open(&server);
    let mut poll = held(&server, &job, "after=2&wait=3600");
    job.report(r#"[{"type":"a"},{"type":"b"},{"type":"succeeded"}]"#);
    let page = poll.answer(Has::Body).expect(200).json();
    let types: Vec<_> = page["events"].as_array().expect("events").iter().map(|e| e["type"].clone()).collect();
    assert_eq!((Value::from(types), &page["done"]), (json!(["a", "b", "succeeded"]), &json!(true)));
}

#[test]
fn events_that_are_there_are_answered_at_once() {
    let server = Server::start(PATIENT);
    let job = Job::with_events(&server, 5);
    let page = job.get("/long-poll?wait=3600&limit=3").expect(200);
    assert_eq!((events_of(&page.body).len(), &page.json()["more"]), (3, &json!(true)));
    let whole = job.get("/long-poll").expect(200);
    assert_eq!(whole.body, job.get("/short-poll").expect(200).body, "the same body as short polling");
}

#[test]
fn a_hold_that_ends_with_nothing_is_no_error() {
    let server = Server::start("");
    let job = Job::open(&server);
    let begun = Instant::now();
    let page = job.get("/long-poll?after=2&wait=1").expect(200).json();
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert_eq!((&page["events"], &page["cursor"]), (&json!([]), &json!(job.cursor())));
    assert_eq!((&page["more"], &page["done"]), (&json!(false), &json!(false)));
    let ready = Ask::get("/readyz").to(&server).json();
    assert_eq!(ready["taken_over"]["polls"], u64::from(TAKES_OVER));
}

#[test]
fn zero_does_not_hold() {
    let server = Server::start(PATIENT);
    let job = Job::open(&server);
    assert_eq!(job.get("/long-poll?after=2&wait=0").expect(200).json()["events"], json!([]));
    let preferred = Ask::get(job.path("/long-poll?after=2")).field("prefer", "wait=0").to(&server).expect(200);
    assert_eq!(preferred.field("preference-applied"), Some("wait=0"));
}

#[test]
fn a_wait_above_the_maximum_is_lowered() {
    let server = Server::start("[transports.long-poll]\nwait_seconds_most = 1");
    let job = Job::open(&server);
    for query in ["after=2&wait=3600", "after=2&wait=99999999999999999999999", "after=2"] {
        let begun = Instant::now();
        assert_eq!(job.get(&format!("/long-poll?{query}")).expect(200).json()["events"], json!([]));
        assert!(begun.elapsed() >= Duration::from_secs(1));
    }
    let preferred = Ask::get(job.path("/long-poll?after=2")).field("prefer", "wait=3600").to(&server).expect(200);
    assert_eq!(preferred.field("preference-applied"), Some("wait=1"));
}

#[test]
fn by_default_the_maximum_is_55_seconds() {
    let server = Server::start("");
    let job = Job::over(&server);
    let preferred = Ask::get(job.path("/long-poll")).field("prefer", "wait=56").to(&server).expect(200);
    assert_eq!(preferred.field("preference-applied"), Some("wait=55"));
}

#[test]
fn a_preference_is_heard_and_answered() {
    let server = Server::start("");
    let job = Job::open(&server);
    for (prefer, applied) in [
        ("wait=10", Some("wait=10")),
        ("respond-async, WAIT=\"7\"; x=1", Some("wait=7")),
        ("wait=1, wait=2", Some("wait=1")),
        ("wait", None),
        ("wait=", None),
        ("wait=-1", None),
        ("wait=1.5", None),
        ("wait=soon", None),
        (";;=,,\"", None),
        ("respond-async", None),
    ] {
        // Whatever is heard, there are events to answer with at once.
        let reply = Ask::get(job.path("/long-poll")).field("prefer", prefer).to(&server).expect(200);
        assert_eq!(reply.field("preference-applied"), applied, "{prefer}");
        assert_eq!(reply.field("vary"), applied.map(|_| "Prefer"), "{prefer}");
    }
    let both = Ask::get(job.path("/long-poll?wait=3")).field("prefer", "wait=10").to(&server).expect(200);
    assert_eq!((both.field("preference-applied"), both.field("vary")), (None, None), "the query goes before it");
}

#[test]
fn a_cursor_at_a_terminal_event_is_answered_at_once() {
    let server = Server::start(PATIENT);
    let job = Job::over(&server);
    for query in [format!("after={}", job.cursor()), "after=3".to_owned(), format!("after={}&wait=3600", job.cursor())]
    {
        let page = job.get(&format!("/long-poll?{query}")).expect(200).json();
        assert_eq!((&page["events"], &page["done"]), (&json!([]), &json!(true)));
    }
}

#[test]
fn answers_are_not_stored_and_have_no_tag() {
    let server = Server::start("");
    let job = Job::with_events(&server, 3);
    for rest in ["/long-poll", "/long-poll?limit=1", "/long-poll?after=3&wait=0"] {
        let reply = Ask::get(job.path(rest)).field("if-none-match", "*").to(&server).expect(200);
        assert_eq!(reply.field("cache-control"), Some("no-store"), "{rest}");
        assert_eq!((reply.field("etag"), reply.field("retry-after")), (None, None), "{rest}");
    }
    job.succeed();
    assert_eq!(job.get("/long-poll").field("retry-after"), None);
}

#[test]
fn a_gap_is_told_at_once() {
    let server = Server::start(&format!("[retention]\nevents_per_job = 2\n{PATIENT}"));
    let job = Job::with_events(&server, 6);
    let page = job.get("/long-poll?after=2&wait=3600").expect(200);
    assert_eq!(page.json()["gap"], json!({ "requested": 2, "resumed_at": 5 }));
    assert_eq!(events_of(&page.body).len(), 2);
}

#[test]
fn a_job_that_is_deleted_while_it_is_over_leaves_nobody_waiting() {
    let server = Server::start(PATIENT);
    let job = Job::open(&server);
    let mut poll = held(&server, &job, "after=2&wait=3600");
    job.succeed();
    assert_eq!(poll.answer(Has::Body).expect(200).json()["done"], true);
    Ask::delete(job.path("")).to(&server).expect(204);
    job.get("/long-poll?after=3").problem(404, "unknown-job");
}

#[test]
fn shutdown_answers_who_is_held() {
    let server = Server::start(WAITS);
    let id = start(&server);
    // Not only running: the step that has begun is told as well.
    wait_for(&server, &format!("/jobs/{id}"), |reply| reply.json()["seq"] == 3);
    let mut poll = Live::connect(&server);
    poll.send(Ask::get(format!("/jobs/{id}/long-poll?after=3&wait=55")).field("prefer", "wait=55").bytes(&server));
    server.signal(rustix::process::Signal::TERM);
    // The job has its grace, and the hold ends before that.
    let reply = poll.answer(Has::Body).expect(200);
    assert_eq!((reply.field("connection"), reply.field("retry-after")), (Some("close"), Some("1")));
    assert_eq!((&reply.json()["events"], &reply.json()["done"]), (&json!([]), &json!(false)));
    assert_eq!(poll.rest_of_connection(), "");
}
