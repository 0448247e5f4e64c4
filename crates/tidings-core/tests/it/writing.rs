//! Writes that take their time, and writes that fail though they were taken: no job is left to nobody by them.

use std::{
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Waker},
    time::Duration,
};

use async_trait::async_trait;
use http::StatusCode;
use tidings_core::{
    Appended, Clock, Cursor, Error, ErrorKind, EventLog, EventType, Host, JobContext, JobId, Json, Limit, Limits,
    Listing, MemoryLog, ProblemKind, Query, ReadOutcome, Refusal, Reporter, Retention, Scope, Snapshot, State,
    Submission, Tail, Write,
};
use tokio::time::Instant;

use crate::support::{Ask, Server, kind};

/// A log that says what became of a write a moment after it was taken, as one on disk would.
#[derive(Debug)]
struct Slow {
    inner: MemoryLog,
    /// The first write that begins with such an event fails.
    fails: Mutex<Option<(EventType, When)>>,
}

/// When a write fails.
#[derive(Debug)]
enum When {
    Untaken,
    Taken,
}

impl Slow {
    fn new(fails: Option<(EventType, When)>) -> Arc<Self> {
        let inner = MemoryLog::new(Retention::default()).with_clock(Clock::tokio());
        Arc::new(Self { inner, fails: Mutex::new(fails) })
    }
}

#[async_trait]
impl EventLog for Slow {
    async fn append(&self, write: Write) -> Result<Result<Appended, Refusal>, Error> {
        let first = write.drafts.first().map(|draft| draft.kind().clone());
        let fails = self.fails.lock().expect("no panic").take_if(|(event, _)| first.as_ref() == Some(event));
        let failed = || Err(Error::new(ErrorKind::Unavailable, "the disk does not answer"));
        if let Some((_, When::Untaken)) = fails {
            return failed();
        }
        let done = self.inner.append(write).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
        if fails.is_some() { failed() } else { done }
    }

    async fn read(&self, scope: &Scope, after: Cursor, limit: Limit) -> Result<ReadOutcome, Error> {
        self.inner.read(scope, after, limit).await
    }

    async fn catch_up(&self) -> Result<(), Error> {
        self.inner.catch_up().await
    }

    fn job(&self, job: JobId) -> Option<Arc<Snapshot>> {
        self.inner.job(job)
    }

    fn reporter(&self, job: JobId) -> Option<(Reporter, u64)> {
        self.inner.reporter(job)
    }

    fn jobs(&self, query: &Query) -> Listing {
        self.inner.jobs(query)
    }

    fn tail(&self) -> &Arc<Tail> {
        self.inner.tail()
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
    let server = Server::start(|host| host.with_log(Slow::new(None)));
    hang_up(&server, Ask::post("/jobs").json(r#"{"kind":"echo"}"#)).await;
    assert_eq!(server.over(only_job(&server.host)).await.state, State::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn an_external_job_whose_client_hangs_up_has_its_lease() {
    let server = Server::start(|host| host.with_log(Slow::new(None)));
    hang_up(&server, Ask::post("/jobs").json(r#"{"kind":"x","worker":"external","lease_seconds":5}"#)).await;
    let over = server.over(only_job(&server.host)).await;
    assert!(over.error.as_ref().is_some_and(|error| error.as_str().contains("worker-lost")), "{over:?}");
}

#[tokio::test(start_paused = true)]
async fn a_report_renews_the_lease_though_its_reporter_hangs_up() {
    let server = Server::start(|host| host.with_log(Slow::new(None)));
    let (job, token) = server.open().await;
    tokio::time::sleep(Duration::from_secs(40)).await;
    let report = Ask::post(&format!("/jobs/{job}/events")).header("authorization", &format!("Bearer {token}"));
    let begun = Instant::now();
    hang_up(&server, report.json(r#"{"type":"progress","data":{"done":1}}"#)).await;
    assert_eq!(server.over(job).await.state, State::Failed);
    assert_eq!(begun.elapsed().as_secs(), 60);
}

#[tokio::test(start_paused = true)]
async fn a_submission_that_was_taken_is_accepted_though_the_log_has_failed() {
    let server = Server::start(|host| host.with_log(Slow::new(Some((EventType::Queued, When::Taken)))));
    let job = server.submit("echo").await;
    assert_eq!(server.over(job).await.state, State::Succeeded);
    assert_eq!(only_job(&server.host), job);
}

#[tokio::test(start_paused = true)]
async fn a_submission_that_was_not_taken_may_come_again() {
    let server = Server::start(|host| host.with_log(Slow::new(Some((EventType::Queued, When::Untaken)))));
    let ask = || Ask::post("/jobs").header("idempotency-key", "k").json(r#"{"kind":"echo"}"#);
    server.ask(ask()).await.is(ProblemKind::Overloaded);
    let reply = server.ask(ask()).await;
    assert_eq!(reply.status, StatusCode::ACCEPTED);
    assert_eq!(server.over(reply.id()).await.state, State::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn a_job_is_run_whose_start_was_taken_though_the_log_has_failed() {
    let server = Server::start(|host| host.with_log(Slow::new(Some((EventType::Started, When::Taken)))));
    let job = server.submit("echo").await;
    assert_eq!(server.over(job).await.state, State::Succeeded);
    assert_eq!(server.types(job).await, ["queued", "started", "succeeded"]);
}

/// A job that is submitted before the driver runs stands in the queue twice.
#[tokio::test(start_paused = true)]
async fn a_job_is_run_once_though_its_start_has_failed() {
    let (runs, log) = (Arc::<AtomicUsize>::default(), Slow::new(Some((EventType::Started, When::Untaken))));
    let counted = runs.clone();
    let (host, driver) = Host::builder()
        .with_log(log)
        .with_job(kind("counts"), move |job: JobContext| {
            counted.fetch_add(1, Ordering::Relaxed);
            async move {
                tokio::time::sleep(Duration::from_secs(60)).await;
                Ok(job.input().clone())
            }
        })
        .build()
        .expect("a host");
    let job = host.jobs().submit(Submission::new(kind("counts"), Json::null())).await.expect("accepted").job.id;
    let driver = tokio::spawn(driver.run(std::future::pending()));
    assert_eq!(host.feed().finished(job).await.expect("known").state, State::Succeeded);
    assert_eq!(runs.load(Ordering::Relaxed), 1);
    driver.abort();
}

/// The start is tried again a second later, when nobody looks any more at the jobs that wait.
#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_a_job_whose_start_has_failed() {
    let mut limits = Limits::default();
    limits.grace_seconds = 0;
    let log = Slow::new(Some((EventType::Started, When::Untaken)));
    let mut server = Server::start(|host| host.with_limits(limits).with_log(log));
    let job = server.submit("waits").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.stop.cancel();
    (&mut server.driver).await.expect("the driver ends");
    let job = server.job(job).await;
    assert!(job.error.as_ref().is_some_and(|error| error.as_str().contains("shutting-down")), "{job:?}");
}
