//! Cancelling is a request: whichever terminal event is admitted first decides.

use std::time::Duration;

use http::{Method, StatusCode};
use tidings_core::{Limits, ProblemKind, State};
use tokio::time::Instant;

use crate::support::{Ask, Server};

fn cancel(job: tidings_core::JobId, body: &str) -> Ask {
    let ask = Ask::post(&format!("/jobs/{job}/cancel"));
    if body.is_empty() { ask } else { ask.json(body) }
}

fn one_at_a_time() -> Limits {
    let mut limits = Limits::default();
    limits.running = 1;
    limits
}

#[tokio::test(start_paused = true)]
async fn a_job_that_waits_is_over_in_one_batch() {
    let server = Server::start(|host| host.with_limits(one_at_a_time()));
    let (runs, waits) = (server.submit("waits").await, server.submit("waits").await);
    server.until(runs, State::Running).await;
    let reply = server.ask(cancel(waits, r#"{"reason":"changed my mind"}"#)).await;
    assert_eq!(reply.status, StatusCode::ACCEPTED);
    assert_eq!((&reply.json()["state"], &reply.json()["cancel_requested"]), (&"cancelled".into(), &true.into()));
    assert_eq!(server.types(waits).await, ["queued", "cancelling", "cancelled"]);
    for event in &server.events(waits).await[1..] {
        assert_eq!(event.data().as_str(), r#"{"reason":"changed my mind"}"#);
    }
    // It is passed over when there is room for it, and the next one runs.
    let next = server.submit("waits").await;
    server.go.send_replace(true);
    server.over(next).await;
    assert_eq!(server.types(waits).await, ["queued", "cancelling", "cancelled"]);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_runs_is_asked_once_and_then_over() {
    let server = Server::start(|host| host);
    let job = server.submit("waits").await;
    server.until(job, State::Running).await;
    let first = server.ask(cancel(job, "")).await;
    assert_eq!((first.status, &first.json()["state"]), (StatusCode::ACCEPTED, &"running".into()));
    let again = server.ask(cancel(job, r#"{"reason":"at last"}"#)).await;
    assert_eq!((again.status, &again.json()["cancel_requested"]), (StatusCode::ACCEPTED, &true.into()));
    assert_eq!(server.over(job).await.state, State::Cancelled);
    assert_eq!(server.types(job).await, ["queued", "started", "cancelling", "cancelled"]);
    // Of a job that was cancelled, asking again says the same.
    let after = server.ask(cancel(job, "")).await;
    assert_eq!((after.status, &after.json()["state"]), (StatusCode::ACCEPTED, &"cancelled".into()));
}

#[tokio::test(start_paused = true)]
async fn a_function_that_does_not_stop_is_dropped_after_ten_seconds() {
    let server = Server::start(|host| host);
    let job = server.submit("stubborn").await;
    server.until(job, State::Running).await;
    let asked = Instant::now();
    server.ask(cancel(job, r#"{"reason":"now"}"#)).await;
    assert_eq!(server.over(job).await.state, State::Cancelled);
    assert_eq!(asked.elapsed().as_secs(), 10);
    assert_eq!(
        server.events(job).await.last().map(|event| event.data().to_string()).as_deref(),
        Some(r#"{"reason":"now"}"#)
    );
}

#[tokio::test(start_paused = true)]
async fn a_worker_may_still_succeed() {
    let server = Server::start(|host| {
        host.with_job(crate::support::kind("finishes"), |job| async move {
            job.cancelled().cancelled().await;
            tokio::time::sleep(Duration::from_secs(9)).await;
            Ok(tidings_core::Json::null())
        })
    });
    let job = server.submit("finishes").await;
    server.until(job, State::Running).await;
    server.ask(cancel(job, "")).await;
    assert_eq!(server.over(job).await.state, State::Succeeded);
    server.ask(cancel(job, "")).await.is(ProblemKind::AlreadyFinished);
}

#[tokio::test(start_paused = true)]
async fn what_is_over_or_unknown_cannot_be_cancelled() {
    let server = Server::start(|host| host);
    for kind in ["echo", "fails"] {
        let job = server.submit(kind).await;
        server.over(job).await;
        server.ask(cancel(job, "")).await.is(ProblemKind::AlreadyFinished);
    }
    server.ask(cancel(tidings_core::JobId::new(), "")).await.is(ProblemKind::UnknownJob);
    let job = server.submit("waits").await;
    server.ask(cancel(job, "[]")).await.is(ProblemKind::InvalidInput);
    server.ask(cancel(job, r#"{"reason":1}"#)).await.is(ProblemKind::InvalidInput);
    server.ask(cancel(job, "{")).await.is(ProblemKind::MalformedJson);
    assert!(!server.job(job).await.cancel_requested);
}

#[tokio::test(start_paused = true)]
async fn a_reporter_learns_that_it_is_to_stop() {
    let server = Server::start(|host| host);
    let job = server.open().await;
    assert_eq!(server.report(&job, "[]").await.json()["cancel_requested"], false);
    assert_eq!(server.ask(cancel(job.0, "")).await.json()["state"], "running");
    assert_eq!(server.report(&job, "[]").await.json()["cancel_requested"], true);
    assert_eq!(server.report(&job, r#"{"type":"cancelled"}"#).await.status, StatusCode::OK);
    assert_eq!(server.types(job.0).await, ["queued", "started", "cancelling", "cancelled"]);
}

#[tokio::test(start_paused = true)]
async fn only_what_is_over_can_be_deleted() {
    let server = Server::start(|host| host);
    let job = server.submit("waits").await;
    let path = format!("/jobs/{job}");
    server.ask(Ask::new(Method::DELETE, &path)).await.is(ProblemKind::StillRunning);
    server.go.send_replace(true);
    server.over(job).await;
    let deleted = server.ask(Ask::new(Method::DELETE, &path)).await;
    assert_eq!((deleted.status, deleted.body.len()), (StatusCode::NO_CONTENT, 0));
    server.get(&path).await.is(ProblemKind::UnknownJob);
    server.ask(Ask::new(Method::DELETE, &path)).await.is(ProblemKind::UnknownJob);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_came_before_the_driver_can_be_cancelled_too() {
    // Its driver has not had its turn yet when the job is submitted, and finds it in the log and in the queue.
    let server = Server::start(|host| host);
    let job = server.submit("waits").await;
    server.until(job, State::Running).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    server.ask(cancel(job, "")).await;
    assert_eq!(server.over(job).await.state, State::Cancelled);
}
