//! Running jobs: whose turn it is, and how each of them ends.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{
    sync::Semaphore,
    task::{JoinError, JoinSet},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    draft::Draft,
    jobs::{Jobs, Registered},
    json::Json,
    ledger::{Intent, Refusal},
    limits::Limits,
    log::{Appended, Query, Scope},
    names::JobId,
    snapshot::{Snapshot, State},
    worker::{Ending, JobContext, JobError},
};

/// Between two tries to write a job's start or end where the log does not answer: at first, and at most.
const RETRY: Duration = Duration::from_secs(1);
const RETRY_MOST: Duration = Duration::from_secs(30);

/// Runs jobs until the shutdown has begun and every job is over, or its grace is. Dropping it stops all of them where
/// they are.
pub(crate) async fn run(jobs: &Jobs) {
    let tracker = TaskTracker::new();
    let grace_over = CancellationToken::new();
    let dropped = CancellationToken::new();
    let _stop_with_this = dropped.clone().drop_guard();
    tokio::select! {
        () = accept(jobs, &tracker, &grace_over, &dropped) => {}
        () = end_grace(jobs, &tracker) => {}
    }
    // Nothing is accepted any more. What waits or runs by now has had its time.
    grace_over.cancel();
    jobs.inner().closed.store(true, Ordering::SeqCst);
    end_waiting(jobs).await;
    tracker.close();
    tracker.wait().await;
}

/// Ends the jobs whose turn will not come any more.
pub(crate) async fn end_waiting(jobs: &Jobs) {
    let waiting: Vec<_> = jobs.inner().waiting.lock().drain(..).collect();
    for job in waiting {
        let _ = insist(jobs, job, &Intent::From(State::Queued), &shutting_down()).await;
    }
}

/// Starts the job whose turn it is, whenever there is room for one more.
async fn accept(jobs: &Jobs, tracker: &TaskTracker, grace_over: &CancellationToken, dropped: &CancellationToken) {
    let inner = jobs.inner();
    let room = Arc::new(Semaphore::new(inner.limits.running.max(1)));
    loop {
        // A semaphore of our own is never closed, so this only waits.
        let Ok(permit) = room.clone().acquire_owned().await else { return };
        let job = loop {
            let arrived = inner.arrived.notified();
            if let Some(job) = inner.waiting.lock().pop_front() {
                break job;
            }
            arrived.await;
        };
        let (jobs, grace_over, dropped) = (jobs.clone(), grace_over.clone(), dropped.clone());
        tracker.spawn(async move {
            let _ = dropped.run_until_cancelled(execute(&jobs, job, &grace_over)).await;
            drop(permit);
        });
    }
}

/// Comes back when the grace of a shutdown is over, or no job needs it.
async fn end_grace(jobs: &Jobs, tracker: &TaskTracker) {
    let inner = jobs.inner();
    inner.shutdown.begun().await;
    let grace = Limits::seconds(inner.limits.grace_seconds);
    // Closing a tracker only lets it be waited for; what waits may still begin.
    tracker.close();
    let all_over = async {
        loop {
            tracker.wait().await;
            if inner.waiting.lock().is_empty() {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    let _ = tokio::time::timeout(grace, all_over).await;
}

/// Runs a job that waits. One that does so no longer (it was cancelled, or stood in the queue twice) is passed over.
async fn execute(jobs: &Jobs, id: JobId, grace_over: &CancellationToken) {
    let Some(_turn) = Turn::take(jobs, id) else { return };
    let Some(job) = start(jobs, id).await else { return };
    if let Some(registered) = jobs.inner().kinds.get(&job.kind) {
        attend(jobs, &job, registered, grace_over).await;
    } else {
        let draft = Draft::failed("unknown-kind", "jobs of this kind are no longer run here");
        let _ = insist(jobs, id, &Intent::Attempt(job.attempt), &draft).await;
    }
}

/// A job's turn, which it has once at a time.
struct Turn<'a>(&'a Jobs, JobId);

impl<'a> Turn<'a> {
    fn take(jobs: &'a Jobs, job: JobId) -> Option<Self> {
        jobs.inner().attended.lock().insert(job).then(|| Self(jobs, job))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.inner().attended.lock().remove(&self.1);
    }
}

/// Writes that a job has started; gives nothing where it waits no longer.
async fn start(jobs: &Jobs, id: JobId) -> Option<Arc<Snapshot>> {
    let attempt = 1;
    let started = insist(jobs, id, &Intent::From(State::Queued), &Draft::started(attempt)).await;
    match (started.outcome, started.tries) {
        (Ok(appended), _) => Some(appended.job),
        (Err(_), Tries::One) => None,
        // What can't be said to be written may be: a job that runs, and is nobody else's, was started here.
        (Err(_), Tries::More) => {
            jobs.inner().feed.known(id).filter(|job| job.state == State::Running && job.attempt == attempt)
        }
    }
}

/// Runs a job's worker, and sees to it that the job ends.
async fn attend(jobs: &Jobs, job: &Snapshot, registered: &Registered, grace_over: &CancellationToken) {
    let inner = jobs.inner();
    let cancelled = CancellationToken::new();
    let context = JobContext {
        jobs: jobs.clone(),
        id: job.id,
        attempt: job.attempt,
        input: job.input.clone(),
        cancelled: cancelled.clone(),
    };
    let worker = registered.worker.clone();
    // Aborted when this is dropped, whatever it is at.
    let mut task = JoinSet::new();
    task.spawn(async move { worker.run(context).await });
    let stop_within = Limits::seconds(inner.limits.cancel_seconds);
    let timeout = async {
        match registered.timeout {
            Some(timeout) => tokio::time::sleep(timeout).await,
            None => std::future::pending().await,
        }
    };
    let (draft, had_its_time) = tokio::select! {
        outcome = task.join_next() => (ending(jobs, job.id, outcome), true),
        () = cancel_requested(jobs, job.id) => {
            cancelled.cancel();
            match tokio::time::timeout(stop_within, task.join_next()).await {
                Ok(outcome) => (ending(jobs, job.id, outcome), true),
                Err(_) => (cancelled_draft(jobs, job.id), true),
            }
        }
        () = timeout => (Draft::failed("timeout", "the job took longer than it may"), false),
        () = grace_over.cancelled() => (shutting_down(), false),
    };
    // Where another end was first, that one stands.
    let _ = insist(jobs, job.id, &Intent::Attempt(job.attempt), &draft).await;
    if !had_its_time {
        // It may have processes to end.
        cancelled.cancel();
        let _ = tokio::time::timeout(stop_within, task.join_next()).await;
    }
}

/// Comes back once somebody, on whichever node, has asked for the job to be cancelled.
async fn cancel_requested(jobs: &Jobs, job: JobId) {
    let feed = &jobs.inner().feed;
    let mut watch = feed.watch(&Scope::job(job));
    while !feed.known(job).is_some_and(|job| job.cancel_requested) {
        watch.changed().await;
    }
}

/// The event that a job ends with, given what became of its worker.
fn ending(jobs: &Jobs, job: JobId, outcome: Option<Result<Result<Json, JobError>, JoinError>>) -> Draft {
    let draft = match outcome {
        Some(Ok(Ok(result))) => Draft::succeeded(&result),
        Some(Ok(Err(JobError(Ending::Failed { code, message })))) => Draft::failed(&code, &message),
        Some(Ok(Err(JobError(Ending::Cancelled)))) => cancelled_draft(jobs, job),
        Some(Err(error)) => Draft::failed("panic", &panic_message(error)),
        // There was a worker, and its task has not been waited for before.
        None => Draft::failed("panic", "the job's task is gone"),
    };
    if draft.size() > jobs.limits().event_bytes {
        return Draft::failed("result-too-large", "what the job ended with is larger than an event may be");
    }
    draft
}

/// For the reason that whoever asked for it gave.
fn cancelled_draft(jobs: &Jobs, job: JobId) -> Draft {
    let job = jobs.inner().feed.known(job);
    Draft::cancelled(job.as_ref().and_then(|job| job.cancel_reason.as_deref()))
}

fn panic_message(error: JoinError) -> String {
    let Ok(payload) = error.try_into_panic() else { return "the job's task was aborted".to_owned() };
    let payload = AssertUnwindSafe(payload);
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "the job panicked".to_owned())
}

fn shutting_down() -> Draft {
    Draft::failed("shutting-down", "the server was shut down before the job was over")
}

/// What a log came to say that was asked until it did.
struct Insisted {
    outcome: Result<Appended, Refusal>,
    tries: Tries,
}

enum Tries {
    One,
    /// So that one of those that failed may have been taken, and have the next one refused.
    More,
}

/// Writes an event of a job, for as long as that takes.
async fn insist(jobs: &Jobs, job: JobId, intent: &Intent, draft: &Draft) -> Insisted {
    let (mut tries, mut pause) = (Tries::One, RETRY);
    loop {
        match jobs.write(job, intent.clone(), vec![draft.clone()]).await {
            Ok(outcome) => return Insisted { outcome, tries },
            Err(error) => tracing::error!(%job, event = %draft.kind(), %error, "can't be written; trying again"),
        }
        tokio::time::sleep(pause).await;
        (tries, pause) = (Tries::More, (2 * pause).min(RETRY_MOST));
    }
}

/// Ends the jobs whose reporters have been silent for too long. Never comes back.
pub(crate) async fn end_lost(jobs: &Jobs) {
    let mut ending = JoinSet::new();
    loop {
        let job = tokio::select! {
            job = jobs.inner().leases.expired() => job,
            Some(_) = ending.join_next() => continue,
        };
        let jobs = jobs.clone();
        ending.spawn(async move {
            let draft = Draft::failed("worker-lost", "the program that reports this job has been silent for too long");
            // The report that was its end may have hung up before it ended the lease.
            if insist(&jobs, job, &Intent::Attempt(1), &draft).await.outcome.is_ok() {
                tracing::warn!(%job, "the reporter of a job is lost");
            }
        });
    }
}

/// Takes up what the log has of before: jobs that wait, and jobs that are reported from outside.
pub(crate) fn take_up(jobs: &Jobs) {
    let inner = jobs.inner();
    let mut all = inner.log.jobs(&Query::new(usize::MAX)).jobs;
    all.reverse();
    for job in all.iter().filter(|job| !job.state.is_terminal()) {
        match inner.log.reporter(job.id) {
            Some((reporter, _)) => inner.leases.begin(job.id, reporter.lease),
            None if job.state == State::Queued => jobs.enqueue(job.id),
            None => {}
        }
    }
}
