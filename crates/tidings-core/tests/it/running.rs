//! Running jobs: each ends in exactly one terminal event, whatever its worker does.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tidings_core::{JobContext, JobError, Json, Limits, MemoryLog, ProblemKind, Progress, Retention, State, Worker};
use tokio::time::Instant;

use crate::support::{Ask, Server, kind};

fn code(job: &tidings_core::Snapshot) -> String {
    let error: serde_json::Value = job.error.as_ref().and_then(|error| error.to().ok()).unwrap_or_default();
    error["code"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failure() {
    let server = Server::start(|host| host);
    let job = server.submit("panics").await;
    let over = server.over(job).await;
    assert_eq!((over.state, code(&over).as_str()), (State::Failed, "panic"));
    assert!(over.error.as_ref().is_some_and(|error| error.as_str().contains("as it must")), "{over:?}");
    // Others go on.
    let other = server.submit("echo").await;
    assert_eq!(server.over(other).await.state, State::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn an_error_is_a_failure_with_its_code() {
    let server = Server::start(|host| host);
    let over = server.over(server.submit("fails").await).await;
    assert_eq!((over.state, code(&over).as_str()), (State::Failed, "exit-status"));
}

#[derive(Debug)]
struct Slow;

#[async_trait]
impl Worker for Slow {
    fn check(&self, input: &Json) -> Result<(), String> {
        if input.is_null() { Ok(()) } else { Err("nothing is expected".to_owned()) }
    }

    async fn run(&self, job: JobContext) -> Result<Json, JobError> {
        job.cancelled().cancelled().await;
        // Asked to stop, it still has something to say, which nobody takes any more.
        let late = job.progress(Progress::new(1.0)).await;
        assert!(late.is_err_and(|error| error.is_over()));
        Ok(Json::null())
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_takes_too_long_fails_and_is_asked_to_stop() {
    let server = Server::start(|host| host.with_worker(kind("slow"), Arc::new(Slow), Some(Duration::from_secs(30))));
    let begun = Instant::now();
    let job = server.submit("slow").await;
    let over = server.over(job).await;
    assert_eq!((over.state, code(&over).as_str(), begun.elapsed().as_secs()), (State::Failed, "timeout", 30));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(server.types(job).await, ["queued", "started", "failed"]);
}

#[tokio::test(start_paused = true)]
async fn a_worker_looks_at_the_input_first() {
    let server = Server::start(|host| host.with_worker(kind("slow"), Arc::new(Slow), None));
    let reply = server.ask(Ask::post("/jobs").json(r#"{"kind":"slow","input":1}"#)).await;
    assert_eq!(reply.is(ProblemKind::InvalidInput)["detail"], "nothing is expected");
}

#[tokio::test(start_paused = true)]
async fn no_more_run_at_once_than_may_and_each_gets_its_turn() {
    let mut limits = Limits::default();
    limits.running = 3;
    let server = Server::start(|host| host.with_limits(limits));
    let mut jobs = Vec::new();
    for _ in 0..10 {
        jobs.push(server.submit("waits").await);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut states = Vec::new();
    for job in &jobs {
        states.push(server.job(*job).await.state);
    }
    // In the order in which they came.
    assert_eq!(states[..3], [State::Running; 3]);
    assert_eq!(states[3..], [State::Queued; 7]);
    server.go.send_replace(true);
    for job in jobs {
        assert_eq!(server.over(job).await.state, State::Succeeded);
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_wait_than_may() {
    let mut limits = Limits::default();
    limits.running = 1;
    let mut retention = Retention::default();
    retention.waiting = 2;
    let server = Server::start(|host| host.with_limits(limits).with_log(Arc::new(MemoryLog::new(retention))));
    let first = server.submit("waits").await;
    server.until(first, State::Running).await;
    let (_, third) = (server.submit("waits").await, server.submit("waits").await);
    server.ask(Ask::post("/jobs").json(r#"{"kind":"waits"}"#)).await.is(ProblemKind::Overloaded);
    // A job that is reported from outside does not wait.
    server.open().await;
    server.ask(Ask::post(&format!("/jobs/{third}/cancel"))).await;
    server.submit("waits").await;
}

#[tokio::test(start_paused = true)]
async fn what_is_too_large_is_refused_and_the_job_goes_on() {
    let server = Server::start(|host| {
        host.with_job(kind("large"), |job: JobContext| async move {
            let large = job.log("stdout", &"x".repeat(65 << 10)).await;
            assert!(large.is_err_and(|error| error.is_too_large()));
            job.log("stdout", "small").await?;
            Json::from_value(&"x".repeat(65 << 10)).map_err(|error| JobError::new("json", error.to_string()))
        })
    });
    let job = server.submit("large").await;
    assert_eq!(code(&*server.over(job).await), "result-too-large");
    assert_eq!(server.types(job).await, ["queued", "started", "log", "failed"]);
}
