//! Shutdown: no new jobs, a grace for those that run, and an end to all else.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tidings_core::{Context, Error, Limits, Mount, Notifier, ProblemKind, State};
use tokio::time::Instant;

use crate::support::{Ask, Server};

#[tokio::test(start_paused = true)]
async fn jobs_may_end_within_their_grace() {
    let mut server = Server::start(|host| host);
    let job = server.submit("waits").await;
    server.until(job, State::Running).await;
    let begun = Instant::now();
    server.stop.cancel();
    server.host.shutdown().begun().await;
    server.ask(Ask::post("/jobs").json(r#"{"kind":"echo"}"#)).await.is(ProblemKind::ShuttingDown);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!server.host.shutdown().are_jobs_over());
    server.go.send_replace(true);
    (&mut server.driver).await.expect("the driver ends");
    assert_eq!((server.job(job).await.state, begun.elapsed().as_secs()), (State::Succeeded, 5));
    // It still answers.
    assert_eq!(server.get(&format!("/jobs/{job}")).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_over_then_fails() {
    let mut limits = Limits::default();
    limits.running = 1;
    let mut server = Server::start(|host| host.with_limits(limits));
    let (runs, waits, outside) = (server.submit("waits").await, server.submit("waits").await, server.open().await);
    server.until(runs, State::Running).await;
    let begun = Instant::now();
    server.stop.cancel();
    (&mut server.driver).await.expect("the driver ends");
    assert_eq!(begun.elapsed().as_secs(), 20);
    for job in [runs, waits] {
        let job = server.job(job).await;
        assert_eq!(job.state, State::Failed);
        assert!(
            job.error.as_ref().is_some_and(|error| error.as_str().contains(r#""code":"shutting-down""#)),
            "{job:?}"
        );
    }
    assert_eq!(server.types(waits).await, ["queued", "failed"]);
    // Its program is outside, and may report to who comes after.
    assert_eq!(server.job(outside.0).await.state, State::Running);
}

#[tokio::test(start_paused = true)]
async fn with_no_job_the_end_is_at_once() {
    let mut server = Server::start(|host| host);
    server.open().await;
    let over = server.submit("echo").await;
    server.over(over).await;
    let begun = Instant::now();
    server.stop.cancel();
    (&mut server.driver).await.expect("the driver ends");
    assert!(begun.elapsed() < Duration::from_millis(50), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_waits_may_still_run() {
    let mut limits = Limits::default();
    limits.running = 1;
    let mut server = Server::start(|host| host.with_limits(limits));
    let jobs = [server.submit("waits").await, server.submit("waits").await, server.submit("echo").await];
    server.until(jobs[0], State::Running).await;
    server.stop.cancel();
    server.host.shutdown().begun().await;
    server.go.send_replace(true);
    (&mut server.driver).await.expect("the driver ends");
    for job in jobs {
        assert_eq!(server.job(job).await.state, State::Succeeded);
    }
}

/// A relay that fails or panics as it is told, and counts its starts.
#[derive(Clone, Debug)]
struct Fails(Arc<AtomicU64>);

impl Notifier for Fails {
    fn name(&self) -> &'static str {
        "fails"
    }

    fn mount(&self, cx: &Context) -> Result<Mount, Error> {
        let (starts, shutdown) = (self.0.clone(), cx.shutdown.clone());
        Ok(Mount::relay(move || {
            let (nth, shutdown) = (starts.fetch_add(1, Ordering::Relaxed), shutdown.clone());
            async move {
                assert!(nth != 1, "the second one panics");
                if nth < 4 {
                    return Err(Error::new(tidings_core::ErrorKind::Unavailable, "away"));
                }
                shutdown.jobs_over().await;
                // A relay that does not come to an end is left behind.
                std::future::pending().await
            }
        }))
    }
}

#[tokio::test(start_paused = true)]
async fn a_relay_is_started_again_and_has_five_seconds_at_the_end() {
    let starts = Arc::<AtomicU64>::default();
    let mut server = Server::start(|host| host.mount(Fails(starts.clone())));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(starts.load(Ordering::Relaxed), 5);
    let begun = Instant::now();
    server.stop.cancel();
    (&mut server.driver).await.expect("the driver ends");
    assert_eq!(begun.elapsed().as_secs(), 5);
}

/// A body that never comes.
struct Silent;

impl http_body::Body for Silent {
    type Data = bytes::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<bytes::Bytes>, Self::Error>>> {
        std::task::Poll::Pending
    }
}

#[tokio::test(start_paused = true)]
async fn who_reports_line_by_line_is_told() {
    let server = Server::start(|host| host);
    let (job, token) = server.open().await;
    let ask = Ask::post(&format!("/jobs/{job}/events"))
        .header("authorization", &format!("Bearer {token}"))
        .header("content-type", "application/x-ndjson")
        .body(tidings_core::Body::wrap(Silent));
    let begun = Instant::now();
    server.stop.cancel();
    let told = server.ask(ask).await.is(ProblemKind::ShuttingDown);
    assert_eq!((&told["line"], begun.elapsed().as_secs()), (&serde_json::json!(0), 0));
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_is_dropped_stops_its_jobs_where_they_are() {
    let server = Server::start(|host| host);
    let job = server.submit("waits").await;
    server.until(job, State::Running).await;
    assert_eq!(server.go.receiver_count(), 2);
    server.driver.abort();
    // The worker holds a receiver of its own; the other one is the kind's.
    while server.go.receiver_count() > 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(server.job(job).await.state, State::Running);
}
