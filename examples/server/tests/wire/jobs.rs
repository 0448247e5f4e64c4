//! "Jobs": submitting, showing, cancelling, deleting, and what a server says of itself.

use serde_json::{Value, json};

use crate::{
    client::Ask,
    job::{EXTERNAL, Job, PIPELINE, WAITS, start, wait_for},
    support::Server,
};

#[test]
fn a_submission_is_accepted_before_it_is_done() {
    let server = Server::start(WAITS);
    let reply = Ask::post("/jobs", PIPELINE).to(&server).expect(202);
    let job = reply.json();
    let id = job["id"].as_str().expect("an id");
    assert_eq!(reply.field("content-type"), Some("application/json"));
    assert_eq!(reply.field("location"), Some(format!("/jobs/{id}").as_str()));
    assert_eq!(reply.field("retry-after"), Some("1"));
    assert_eq!((&job["kind"], &job["input"]), (&json!("pipeline"), &json!({ "pipeline": "waits" })));
    assert_eq!((&job["state"], &job["seq"], &job["attempt"]), (&json!("queued"), &json!(1), &json!(0)));
    assert_eq!((&job["started_at"], job.get("report")), (&Value::Null, None), "nobody reports it from outside");
}

#[test]
fn a_submission_that_is_none_gets_its_problem() {
    let server = Server::start(WAITS);
    for (body, status, name) in [
        (r#"{"kind":"nothing"}"#, 422, "unknown-kind"),
        (r#"{"kind":"No kind"}"#, 422, "unknown-kind"),
        (r#"{"input":{}}"#, 422, "invalid-input"),
        (r#"{"kind":7}"#, 422, "invalid-input"),
        (r#"{"kind":null}"#, 422, "invalid-input"),
        (r#"{"kind":"pipeline","input":{"pipeline":"waits"},"priority":1}"#, 422, "invalid-input"),
        (r#"{"kind":"pipeline"}"#, 422, "invalid-input"),
        (r#"{"kind":"pipeline","input":{"pipeline":"nothing"}}"#, 422, "invalid-input"),
        (r#"{"kind":"pipeline","input":["waits"]}"#, 422, "invalid-input"),
        (r#"{"kind":"build","worker":"here"}"#, 422, "invalid-input"),
        (r#"{"kind":"build","worker":true}"#, 422, "invalid-input"),
        (r#"{"kind":"build","worker":"external","lease_seconds":4}"#, 422, "invalid-input"),
        (r#"{"kind":"build","worker":"external","lease_seconds":86401}"#, 422, "invalid-input"),
        (r#"{"kind":"build","worker":"external","lease_seconds":5.5}"#, 422, "invalid-input"),
        (r#"{"kind":"pipeline","input":{"pipeline":"waits"},"lease_seconds":60}"#, 422, "invalid-input"),
    ] {
        Ask::post("/jobs", body).to(&server).problem(status, name);
    }
    assert_eq!(Ask::get("/jobs").to(&server).json()["jobs"], json!([]));
}

#[test]
fn a_job_is_shown_with_its_cursor_as_its_tag() {
    let server = Server::start("");
    let job = Job::open(&server);
    let tag = |reply: &crate::client::Reply| reply.field("etag").map(str::to_owned);
    let running = job.get("").expect(200);
    assert_eq!(running.json()["cursor"].as_str().map(|cursor| format!("\"{cursor}\"")), tag(&running));
    assert!(running.field("retry-after").is_some());
    let before = tag(&running).expect("it has one");
    job.note();
    let changed = Ask::get(job.path("")).field("if-none-match", &before).to(&server).expect(200);
    assert_ne!(tag(&changed), Some(before));
    job.succeed();
    let over = job.get("").expect(200);
    assert_eq!((over.field("retry-after"), &over.json()["state"]), (None, &json!("succeeded")));
    let tag = tag(&over).expect("it has one");
    let known = Ask::get(job.path("")).field("if-none-match", &tag).to(&server).expect(304);
    assert_eq!(known.field("retry-after"), None);
}

#[test]
fn a_job_that_waits_is_cancelled_in_one_batch() {
    let server = Server::start(WAITS);
    let first = start(&server);
    wait_for(&server, &format!("/jobs/{first}"), |reply| reply.json()["state"] == "running");
    let second = start(&server);
    let cancel = format!("/jobs/{second}/cancel");
    let reply = Ask::post(&cancel, r#"{"reason":"not needed"}"#).to(&server).expect(202);
    let job = reply.json();
    assert_eq!((&job["state"], &job["seq"], &job["cancel_requested"]), (&json!("cancelled"), &json!(3), &json!(true)));
    assert_eq!(Ask::post(&cancel, "").to(&server).expect(202).body, reply.body, "again: the same");
    let page = Ask::get(format!("/jobs/{second}/short-poll?after=1")).to(&server).json();
    let told: Vec<_> = page["events"].as_array().expect("events").iter().map(|e| (&e["type"], &e["data"])).collect();
    let reason = json!({ "reason": "not needed" });
    assert_eq!(told, [(&json!("cancelling"), &reason), (&json!("cancelled"), &reason)]);
}

#[test]
fn a_job_that_runs_here_is_cancelled_once_it_has_stopped() {
    let server = Server::start(WAITS);
    let id = start(&server);
    wait_for(&server, &format!("/jobs/{id}"), |reply| reply.json()["state"] == "running");
    Ask::delete(format!("/jobs/{id}")).to(&server).problem(409, "still-running");
    let job = Ask::post(format!("/jobs/{id}/cancel"), "").to(&server).expect(202).json();
    assert_eq!(job["cancel_requested"], true);
    let over = wait_for(&server, &format!("/jobs/{id}"), |reply| reply.json()["finished_at"].is_string());
    assert_eq!(over.json()["state"], "cancelled");
    Ask::delete(format!("/jobs/{id}")).to(&server).expect(204);
}

#[test]
fn cancelling_is_a_request_that_is_logged_once() {
    let server = Server::start("");
    let job = Job::open(&server);
    let cancel = |body: &str| Ask::post(job.path("/cancel"), body).to(&server);
    let first = cancel(r#"{"reason":"why not"}"#).expect(202);
    assert_eq!((&first.json()["state"], &first.json()["seq"]), (&json!("running"), &json!(3)));
    for body in ["", "{}", r#"{"reason":null}"#, r#"{"reason":"another"}"#] {
        assert_eq!(cancel(body).expect(202).body, first.body, "again: the same");
    }
    cancel(r#"{"reason":7}"#).problem(422, "invalid-input");
    // The job may end otherwise all the same: the first terminal event decides.
    job.succeed();
    cancel("").problem(409, "already-finished");
    assert_eq!(job.snapshot()["state"], "succeeded");
}

#[test]
fn a_job_that_is_over_can_be_cancelled_only_where_it_was() {
    let server = Server::start("");
    for (terminal, state) in [
        (r#"{"type":"succeeded"}"#, "succeeded"),
        (r#"{"type":"failed","data":{"error":{"code":"a","message":"b"}}}"#, "failed"),
    ] {
        let job = Job::open(&server);
        job.report(terminal);
        Ask::post(job.path("/cancel"), "").to(&server).problem(409, "already-finished");
        assert_eq!(job.snapshot()["state"], state);
    }
    let job = Job::open(&server);
    job.report(r#"{"type":"cancelled"}"#);
    let reply = Ask::post(job.path("/cancel"), "").to(&server).expect(202);
    assert_eq!(reply.body, job.get("").body);
}

#[test]
fn a_job_can_be_deleted_once_it_is_over() {
    let server = Server::start("");
    let job = Job::open(&server);
    Ask::delete(job.path("")).to(&server).problem(409, "still-running");
    job.succeed();
    let reply = Ask::delete(job.path("")).to(&server).expect(204);
    assert_eq!(reply.body, "");
    Ask::delete(job.path("")).to(&server).problem(404, "unknown-job");
    for rest in ["", "/short-poll", "/long-poll", "/sse"] {
        job.get(rest).problem(404, "unknown-job");
    }
    assert_eq!(Ask::get("/jobs").to(&server).json()["jobs"], json!([]));
}

#[test]
fn transports_are_told() {
    let server = Server::start("[transports.sse]\nheartbeat_seconds = 7");
    assert_eq!(
        Ask::get("/transports").to(&server).expect(200).json(),
        json!({ "transports": [
        { "name": "short-poll", "job": "/jobs/{id}/short-poll" },
        { "name": "long-poll", "job": "/jobs/{id}/long-poll" },
        { "name": "sse", "job": "/jobs/{id}/sse", "events": "/events/sse", "heartbeat_seconds": 7 },
    ] })
    );
}

#[test]
fn a_server_says_that_it_lives_and_is_ready() {
    let server = Server::start("");
    Ask::get("/healthz").to(&server).expect(200);
    let ready = Ask::get("/readyz").to(&server).expect(200);
    let taken_over = json!({ "streams": 0, "polls": 0, "answers": 0 });
    assert_eq!(ready.json(), json!({ "status": "ready", "transports": {}, "taken_over": taken_over }));
}

#[test]
fn links_begin_with_the_base() {
    for base in ["/tidings", "https://jobs.example.org/tidings"] {
        let server = Server::start(&format!("base = {base:?}"));
        let reply = Ask::post("/jobs", EXTERNAL).to(&server).expect(202);
        let job = reply.json();
        let path = format!("{base}/jobs/{}", job["id"].as_str().expect("an id"));
        assert_eq!(reply.field("location"), Some(path.as_str()));
        assert_eq!(job["report"]["href"], format!("{path}/events"));
        assert_eq!(
            job["links"],
            json!({
                "self": path, "cancel": format!("{path}/cancel"), "short-poll": format!("{path}/short-poll"),
                "long-poll": format!("{path}/long-poll"), "sse": format!("{path}/sse"),
            })
        );
        let transports = Ask::get("/transports").to(&server).json();
        assert_eq!(transports["transports"][2]["events"], format!("{base}/events/sse"));
        // A link works as it is, whether whoever is in front takes the base off or not.
        let prefixed = path.strip_prefix("https://jobs.example.org").unwrap_or(&path);
        Ask::get(prefixed).to(&server).expect(200);
        Ask::get(prefixed.strip_prefix("/tidings").expect("the base")).to(&server).expect(200);
    }
}
