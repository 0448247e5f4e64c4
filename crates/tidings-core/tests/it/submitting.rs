//! Submit once: one idempotency key is one job, however often it is sent.

use std::{sync::Arc, time::Duration};

use http::{Method, StatusCode};
use tidings_core::{Clock, MemoryLog, ProblemKind, Retention, State};

use crate::support::{Ask, Server};

fn keyed(key: &str, body: &str) -> Ask {
    Ask::post("/jobs").header("idempotency-key", key).json(body)
}

#[tokio::test(start_paused = true)]
async fn a_submission_is_accepted_with_all_that_a_client_needs() {
    let server = Server::start(|host| host);
    let reply = server.ask(Ask::post("/jobs").json(r#"{"kind":"echo","input":{"b":1.50,"a":[]}}"#)).await;
    assert_eq!(reply.status, StatusCode::ACCEPTED);
    let job = reply.id();
    assert_eq!(reply.header("location"), Some(format!("/jobs/{job}").as_str()));
    assert_eq!((reply.header("retry-after"), reply.header("cache-control")), (Some("1"), Some("no-store")));
    assert!(String::from_utf8_lossy(&reply.body).contains(r#""input":{"b":1.50,"a":[]}"#), "{reply:?}");
    let over = server.over(job).await;
    assert_eq!(
        (over.state, over.result.as_ref().map(|json| json.as_str())),
        (State::Succeeded, Some(r#"{"b":1.50,"a":[]}"#))
    );
    assert_eq!(server.types(job).await, ["queued", "started", "succeeded"]);
}

#[tokio::test(start_paused = true)]
async fn one_key_is_one_job() {
    let server = Server::start(|host| host);
    let body = r#"{"kind":"waits"}"#;
    let first = server.ask(keyed("k", body)).await;
    server.until(first.id(), State::Running).await;
    let again = server.ask(keyed("\"k\"", body)).await;
    assert_eq!((again.status, again.id()), (StatusCode::ACCEPTED, first.id()));
    assert_eq!(again.header("location"), first.header("location"));
    // Another spelling of the same JSON is another body.
    server.ask(keyed("k", r#"{"kind": "waits"}"#)).await.is(ProblemKind::IdempotencyKeyReused);
    assert_ne!(server.ask(keyed("l", body)).await.id(), first.id());
    assert_eq!(server.get("/jobs").await.json()["jobs"].as_array().map(Vec::len), Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_repeat_of_an_external_job_carries_its_token_and_nothing_else_does() {
    let server = Server::start(|host| host);
    let body = r#"{"kind":"x","worker":"external","lease_seconds":90}"#;
    let (first, again) = (server.ask(keyed("k", body)).await, server.ask(keyed("k", body)).await);
    let report = &first.json()["report"];
    assert_eq!(report["href"], format!("/jobs/{}/events", first.id()));
    assert_eq!(report["lease_seconds"], 90);
    assert_eq!(&again.json()["report"], report);
    for reply in [server.get("/jobs").await, server.get(&format!("/jobs/{}", first.id())).await] {
        assert!(!String::from_utf8_lossy(&reply.body).contains("token"), "{reply:?}");
    }
    assert_eq!(server.types(first.id()).await, ["queued", "started"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_is_one_job_when_it_is_sent_all_at_once() {
    let server = Arc::new(Server::start(|host| host));
    let tasks: Vec<_> = (0..64)
        .map(|_| {
            let server = server.clone();
            tokio::spawn(async move { server.ask(keyed("k", r#"{"kind":"echo"}"#)).await.id() })
        })
        .collect();
    let mut jobs = Vec::new();
    for task in tasks {
        jobs.push(task.await.expect("an answer"));
    }
    jobs.dedup();
    assert_eq!(jobs.len(), 1);
    assert_eq!(server.over(jobs[0]).await.state, State::Succeeded);
    assert_eq!(server.types(jobs[0]).await, ["queued", "started", "succeeded"]);
    assert_eq!(server.get("/jobs").await.json()["jobs"].as_array().map(Vec::len), Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_key_outlives_its_job_for_a_day() {
    let clock = Clock::tokio();
    let log = MemoryLog::new(Retention::default()).with_clock(clock.clone());
    let server = Server::start(|host| host.with_log(Arc::new(log)).with_clock(clock));
    let body = r#"{"kind":"echo"}"#;
    let job = server.ask(keyed("k", body)).await.id();
    server.over(job).await;
    assert_eq!(server.ask(Ask::new(Method::DELETE, &format!("/jobs/{job}"))).await.status, StatusCode::NO_CONTENT);
    server.ask(keyed("k", body)).await.is(ProblemKind::UnknownJob);
    tokio::time::advance(Duration::from_secs(24 * 3600 - 1)).await;
    server.ask(keyed("k", body)).await.is(ProblemKind::UnknownJob);
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_ne!(server.ask(keyed("k", body)).await.id(), job);
}

#[tokio::test(start_paused = true)]
async fn a_refused_submission_leaves_its_key_free() {
    let server = Server::start(|host| host);
    server.ask(keyed("k", r#"{"kind":"nobody"}"#)).await.is(ProblemKind::UnknownKind);
    assert_eq!(server.ask(keyed("k", r#"{"kind":"echo"}"#)).await.status, StatusCode::ACCEPTED);
}

#[tokio::test(start_paused = true)]
async fn keys_have_their_alphabet() {
    let server = Server::start(|host| host);
    for key in ["", "\"\"", &"k".repeat(256), "a\tb"] {
        server.ask(keyed(key, r#"{"kind":"echo"}"#)).await.is(ProblemKind::InvalidRequest);
    }
    let twice = keyed("a", r#"{"kind":"echo"}"#).header("idempotency-key", "a");
    server.ask(twice).await.is(ProblemKind::InvalidRequest);
    assert_eq!(server.ask(keyed(&"k".repeat(255), r#"{"kind":"echo"}"#)).await.status, StatusCode::ACCEPTED);
}
