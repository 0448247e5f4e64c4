//! "Reporting from outside", in whole bodies; `lines.rs` has those that come line by line.

use serde_json::{Value, json};

use crate::{
    client::Ask,
    job::{Job, WAITS, start},
    support::Server,
};

const NOTE: &str = r#"{"type":"note","data":1}"#;

#[test]
fn opening_a_job_tells_its_reporter_all_that_it_needs() {
    let server = Server::start("");
    let opened = Ask::post("/jobs", r#"{"kind":"build","worker":"external"}"#).to(&server).expect(202).json();
    let path = format!("/jobs/{}", opened["id"].as_str().expect("an id"));
    assert_eq!((&opened["state"], &opened["seq"], &opened["attempt"]), (&json!("running"), &json!(2), &json!(1)));
    let report = &opened["report"];
    assert_eq!((&report["href"], &report["lease_seconds"]), (&json!(format!("{path}/events")), &json!(60)));
    assert!(report["token"].as_str().is_some_and(|token| token.len() >= 32), "{report}");
    for seconds in [5, 86_400] {
        let body = format!(r#"{{"kind":"build","worker":"external","lease_seconds":{seconds}}}"#);
        let opened = Ask::post("/jobs", body).to(&server).expect(202).json();
        assert_eq!(opened["report"]["lease_seconds"], seconds);
    }
    let token = report["token"].as_str().expect("a token");
    for (path, found) in [
        (path.clone(), Ask::get(&path)),
        ("/jobs".to_owned(), Ask::get("/jobs")),
        (path.clone(), Ask::post(format!("{path}/cancel"), "")),
        (path.clone(), Ask::get(format!("{path}/short-poll"))),
        (path.clone(), Ask::get(format!("{path}/long-poll"))),
        (path.clone(), Ask::post(format!("{path}/events"), NOTE).field("tidings-report-token", token)),
    ] {
        let reply = found.to(&server);
        assert!(!reply.body.contains(token) && !reply.body.contains("\"report\""), "{path}: {reply:?}");
    }
}

#[test]
fn what_is_reported_is_in_the_log_once_it_is_answered() {
    let server = Server::start("");
    let job = Job::open(&server);
    let reply = job.reporting(NOTE).to(&server).expect(200);
    let answer = reply.json();
    assert_eq!(reply.field("cache-control"), Some("no-store"));
    assert_eq!(answer, json!({ "seq": 3, "cursor": job.cursor(), "received": 1, "cancel_requested": false }));
    let answer = job.report(&format!("[{NOTE},{NOTE}]"));
    assert_eq!(answer, json!({ "seq": 5, "cursor": job.cursor(), "received": 3, "cancel_requested": false }));
    let answer = job.report("[]");
    assert_eq!(answer, json!({ "seq": 5, "cursor": job.cursor(), "received": 3, "cancel_requested": false }));
    Ask::post(job.path("/cancel"), "").to(&server).expect(202);
    assert_eq!(job.report("[]")["cancel_requested"], true);
    let answer = job.succeed();
    assert_eq!(
        (&answer["seq"], &answer["received"], &answer["cancel_requested"]),
        (&json!(7), &json!(4), &json!(true))
    );
    assert_eq!(job.events().len(), 7);
}

#[test]
fn an_array_goes_in_whole_or_not_at_all() {
    let server = Server::start("[limits]\nevent_bytes = 100");
    let job = Job::open(&server);
    let large = json!({ "type": "note", "data": "x".repeat(100) });
    for (bad, status, name) in [
        (r#"{"type":"queued"}"#, 422, "invalid-input"),
        (r#"{"type":"progress","data":{}}"#, 422, "invalid-input"),
        ("7", 422, "invalid-input"),
        ("[]", 422, "invalid-input"),
        (&large.to_string(), 413, "payload-too-large"),
    ] {
        job.reporting(&format!("[{NOTE},{bad},{NOTE}]")).to(&server).problem(status, name);
    }
    let after_the_end = format!(r#"[{NOTE},{{"type":"succeeded"}},{NOTE}]"#);
    job.reporting(&after_the_end).to(&server).problem(422, "invalid-input");
    assert_eq!(job.snapshot()["seq"], 2);
}

#[test]
fn only_who_has_the_token_may_report() {
    let server = Server::start(WAITS);
    let (job, other) = (Job::open(&server), Job::open(&server));
    let refused = |ask: Ask| {
        let reply = ask.to(&server).problem(401, "unauthorized");
        assert_eq!(reply.field("www-authenticate"), Some("Bearer"), "{reply:?}");
    };
    let ask = || Ask::post(job.path("/events"), NOTE);
    refused(ask());
    let wrong = ["", "wrong", &other.token, &job.token.to_uppercase(), &job.token[1..], &format!("{}0", job.token)];
    for token in wrong {
        refused(ask().field("authorization", &format!("Bearer {token}")));
        refused(ask().field("tidings-report-token", token));
    }
    refused(ask().field("authorization", &job.token));
    refused(ask().field("authorization", &format!("Basic {}", job.token)));
    let here = start(&server);
    refused(Ask::post(format!("/jobs/{here}/events"), NOTE));
    refused(Ask::post(format!("/jobs/{here}/events"), NOTE).field("tidings-report-token", &job.token));
    assert_eq!(job.snapshot()["seq"], 2);

    let bearer = format!("Bearer {}", job.token);
    for ask in [
        ask().field("authorization", &bearer),
        ask().field("Authorization", &format!("bearer {}", job.token)),
        ask().field("tidings-report-token", &job.token),
        // Something on the way has taken that header for itself.
        ask().field("authorization", "Basic eDp5").field("tidings-report-token", &job.token),
    ] {
        ask.to(&server).expect(200);
    }
    assert_eq!(job.snapshot()["seq"], 6);
}

#[test]
fn a_repeat_with_report_seq_is_safe() {
    let server = Server::start("");
    let job = Job::open(&server);
    let report = |first: u64, body: &str| job.reporting(body).field("report-seq", &first.to_string()).to(&server);
    let received = |first: u64, body: &str| {
        let answer = report(first, body).expect(200).json();
        (answer["received"].as_u64(), answer["seq"].as_u64())
    };
    let (a, b, c) = (r#"{"type":"a"}"#, r#"{"type":"b"}"#, r#"{"type":"c"}"#);
    assert_eq!(received(1, &format!("[{a},{b}]")), (Some(2), Some(4)));
    assert_eq!(received(1, &format!("[{a},{b}]")), (Some(2), Some(4)), "all of it was taken before");
    assert_eq!(received(2, &format!("[{b},{c}]")), (Some(3), Some(5)), "one of the two was");
    assert_eq!(received(1, a), (Some(3), Some(5)));
    for (first, body) in [(5, a), (5, "[]"), (9_007_199_254_740_991, a)] {
        report(first, body).problem(409, "report-gap");
    }
    assert_eq!(received(4, "[]"), (Some(3), Some(5)));
    let end = format!(r#"[{a},{{"type":"succeeded"}}]"#);
    assert_eq!(received(4, &end), (Some(5), Some(7)));
    assert_eq!(received(4, &end), (Some(5), Some(7)), "the answer to the first may have been lost");
    report(6, a).problem(409, "already-finished");
    let types: Vec<_> =
        job.events().iter().map(|e| serde_json::from_str::<Value>(e).expect("JSON")["type"].clone()).collect();
    assert_eq!(types, ["queued", "started", "a", "b", "c", "a", "succeeded"]);
    for bad in ["0", "-1", "+1", "1.0", "x", "", "9007199254740992"] {
        job.reporting(a).field("report-seq", bad).to(&server).problem(400, "invalid-request");
    }
    let twice = job.reporting(a).field("report-seq", "1").field("report-seq", "1");
    twice.to(&server).problem(400, "invalid-request");
}

#[test]
fn a_job_that_is_over_takes_nothing_more() {
    let server = Server::start("");
    for body in [
        r#"{"type":"succeeded"}"#,
        r#"{"type":"failed","data":{"error":{"code":"a","message":"b"}}}"#,
        r#"{"type":"cancelled"}"#,
    ] {
        let job = Job::open(&server);
        job.report(body);
        for more in [NOTE, body, "[]"] {
            job.reporting(more).to(&server).problem(409, "already-finished");
        }
        assert_eq!(job.events().len(), 3);
    }
}

#[test]
fn a_reporter_that_is_silent_for_its_lease_is_taken_for_dead() {
    let server = Server::start("");
    let lease =
        |kind: &str| Job::submit(&server, &format!(r#"{{"kind":"{kind}","worker":"external","lease_seconds":5}}"#));
    let (talking, silent) = (lease("talking"), lease("silent"));
    // Renewed for as long as the other one lasts.
    let ended = std::thread::scope(|threads| {
        let ended = threads.spawn(|| silent.get("/long-poll?after=2&wait=55").expect(200).json());
        while !ended.is_finished() {
            talking.report("[]");
        }
        ended.join().expect("it ends well")
    });
    let last = &ended["events"][0];
    assert_eq!((&last["type"], &last["data"]["error"]["code"]), (&json!("failed"), &json!("worker-lost")));
    assert_eq!(ended["done"], true);
    silent.reporting("[]").to(&server).problem(409, "already-finished");
    assert_eq!(talking.snapshot()["state"], "running");
}
