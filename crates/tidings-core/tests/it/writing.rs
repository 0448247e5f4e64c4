//! Writes that take their time: no job is left to nobody by them.

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Waker},
    time::Duration,
};

use async_trait::async_trait;
use tidings_core::{
    Appended, Clock, Cursor, Error, EventLog, Host, JobId, Limit, Listing, MemoryLog, Query, ReadOutcome, Refusal,
    Reporter, Retention, Scope, Snapshot, State, Tail, Write,
};
use tokio::time::Instant;

use crate::support::{Ask, Server};

/// A log that says what became of a write a moment after it was taken, as one on disk would.
#[derive(Debug)]
struct Slow(MemoryLog);

impl Slow {
    fn new() -> Arc<Self> {
        Arc::new(Self(MemoryLog::new(Retention::default()).with_clock(Clock::tokio())))
    }
}

#[async_trait]
impl EventLog for Slow {
    async fn append(&self, write: Write) -> Result<Result<Appended, Refusal>, Error> {
        let done = self.0.append(write).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
        done
    }

    async fn read(&self, scope: &Scope, after: Cursor, limit: Limit) -> Result<ReadOutcome, Error> {
        self.0.read(scope, after, limit).await
    }

    async fn catch_up(&self) -> Result<(), Error> {
        self.0.catch_up().await
    }

    fn job(&self, job: JobId) -> Option<Arc<Snapshot>> {
        self.0.job(job)
    }

    fn reporter(&self, job: JobId) -> Option<(Reporter, u64)> {
        self.0.reporter(job)
    }

    fn jobs(&self, query: &Query) -> Listing {
        self.0.jobs(query)
    }

    fn tail(&self) -> &Arc<Tail> {
        self.0.tail()
    }
}

/// Asks, and hangs up before the log has said what became of it.
async fn hang_up(server: &Server, ask: Ask) {
    let end = server.host.feed().end();
    {
        let mut asking = pin!(server.ask(ask));
        while server.host.feed().end() == end {
            assert!(asking.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            tokio::task::yield_now().await;
        }
    }
}

fn only_job(host: &Host) -> JobId {
    let jobs = host.jobs().list(&Query::new(2)).jobs;
    assert_eq!(jobs.len(), 1);
    jobs[0].id
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_client_hangs_up_is_run() {
    let server = Server::start(|host| host.with_log(Slow::new()));
    hang_up(&server, Ask::post("/jobs").json(r#"{"kind":"echo"}"#)).await;
    assert_eq!(server.over(only_job(&server.host)).await.state, State::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn an_external_job_whose_client_hangs_up_has_its_lease() {
    let server = Server::start(|host| host.with_log(Slow::new()));
    hang_up(&server, Ask::post("/jobs").json(r#"{"kind":"x","worker":"external","lease_seconds":5}"#)).await;
    let over = server.over(only_job(&server.host)).await;
    assert!(over.error.as_ref().is_some_and(|error| error.as_str().contains("worker-lost")), "{over:?}");
}

#[tokio::test(start_paused = true)]
async fn a_report_renews_the_lease_though_its_reporter_hangs_up() {
    let server = Server::start(|host| host.with_log(Slow::new()));
    let (job, token) = server.open().await;
    tokio::time::sleep(Duration::from_secs(40)).await;
    let report = Ask::post(&format!("/jobs/{job}/events")).header("authorization", &format!("Bearer {token}"));
    let begun = Instant::now();
    hang_up(&server, report.json(r#"{"type":"progress","data":{"done":1}}"#)).await;
    assert_eq!(server.over(job).await.state, State::Failed);
    assert_eq!(begun.elapsed().as_secs(), 60);
}
