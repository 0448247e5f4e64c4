//! Running jobs: whose turn it is, and how each of them ends.

use std::{collections::hash_map::Entry, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use tokio::{sync::Semaphore, task::JoinError, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    event::Draft,
    jobs::{Jobs, Registered, Stop},
    json::Json,
    ledger::Intent,
    log::Query,
    names::JobId,
    snapshot::{Snapshot, State},
    worker::{Ending, JobContext, JobError},
};

/// How long a job's end is tried to be written where the log does not answer, between two tries.
const RETRY: Duration = Duration::from_secs(1);

/// Runs jobs until the shutdown has begun and every job is over, or its grace is.
pub(crate) async fn run(jobs: &Jobs) {
    let inner = jobs.inner();
    let tracker = TaskTracker::new();
    let grace_over = CancellationToken::new();
    tokio::select! {
        () = accept(jobs, &tracker, &grace_over) => {}
        () = end_grace(jobs, &tracker) => {}
    }
    // Nothing is accepted any more. What waits or runs by now has had its time.
    grace_over.cancel();
    let waiting: Vec<_> = inner.waiting.lock().drain(..).collect();
    for job in waiting {
        end(jobs, job, Intent::From(State::Queued), &shutting_down()).await;
    }
    tracker.close();
    tracker.wait().await;
}

/// Starts the job whose turn it is, whenever there is room for one more.
async fn accept(jobs: &Jobs, tracker: &TaskTracker, grace_over: &CancellationToken) {
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
        let (jobs, grace_over) = (jobs.clone(), grace_over.clone());
        tracker.spawn(async move {
            execute(&jobs, job, &grace_over).await;
            drop(permit);
        });
    }
}

/// Comes back when the grace of a shutdown is over, or no job needs it.
async fn end_grace(jobs: &Jobs, tracker: &TaskTracker) {
    let inner = jobs.inner();
    inner.shutdown.begun().await;
    let over = Instant::now() + Duration::from_secs(inner.limits.grace_seconds);
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
    let _ = tokio::time::timeout_at(over, all_over).await;
}

async fn execute(jobs: &Jobs, id: JobId, grace_over: &CancellationToken) {
    let inner = jobs.inner();
    let cancelled = CancellationToken::new();
    // Before the job is seen to run: who cancels it from then on finds the token here.
    match inner.running.lock().entry(id) {
        // Submitted while the driver began, it stands in the queue twice.
        Entry::Occupied(_) => return,
        Entry::Vacant(place) => place.insert(Stop { token: cancelled.clone(), reason: None }),
    };
    let attempt = 1;
    match jobs.write(id, Intent::From(State::Queued), vec![Draft::started(attempt)]).await {
        Ok(Ok(appended)) => {
            if let Some(registered) = inner.kinds.get(&appended.job.kind) {
                attend(jobs, &appended.job, registered, cancelled, grace_over).await;
            } else {
                let draft = Draft::failed("unknown-kind", "jobs of this kind are no longer run here");
                end(jobs, id, Intent::Attempt(attempt), &draft).await;
            }
        }
        // It was cancelled while it waited.
        Ok(Err(_)) => {}
        Err(error) => tracing::error!(job = %id, %error, "a job can't be started"),
    }
    inner.running.lock().remove(&id);
}

/// Runs a job's worker, and sees to it that the job ends.
async fn attend(
    jobs: &Jobs,
    job: &Snapshot,
    registered: &Registered,
    cancelled: CancellationToken,
    grace_over: &CancellationToken,
) {
    let inner = jobs.inner();
    let context = JobContext {
        jobs: jobs.clone(),
        id: job.id,
        attempt: job.attempt,
        input: job.input.clone(),
        cancelled: cancelled.clone(),
    };
    let worker = registered.worker.clone();
    let mut task = tokio::spawn(async move { worker.run(context).await });
    let stop_within = Duration::from_secs(inner.limits.cancel_seconds);
    let timeout = async {
        match registered.timeout {
            Some(timeout) => tokio::time::sleep(timeout).await,
            None => std::future::pending().await,
        }
    };
    let own = Intent::Attempt(job.attempt);
    let (draft, told) = tokio::select! {
        outcome = &mut task => (ending(jobs, job.id, outcome), Told::No),
        () = cancelled.cancelled() => match tokio::time::timeout(stop_within, &mut task).await {
            Ok(outcome) => (ending(jobs, job.id, outcome), Told::No),
            Err(_) => (cancelled_draft(jobs, job.id), Told::Yes),
        },
        () = timeout => (Draft::failed("timeout", "the job took longer than it may"), Told::No),
        () = grace_over.cancelled() => (shutting_down(), Told::No),
    };
    end(jobs, job.id, own, &draft).await;
    // Where the worker goes on, it is asked to stop, for it may have processes to end.
    if !task.is_finished() {
        cancelled.cancel();
        if told == Told::Yes || tokio::time::timeout(stop_within, &mut task).await.is_err() {
            task.abort();
        }
    }
}

/// Whether a worker was asked to stop, and had its time for that.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Yes,
    No,
}

/// The event that a job ends with, given what became of its worker.
fn ending(jobs: &Jobs, job: JobId, outcome: Result<Result<Json, JobError>, JoinError>) -> Draft {
    let draft = match outcome {
        Ok(Ok(result)) => Draft::succeeded(&result),
        Ok(Err(JobError(Ending::Failed { code, message }))) => Draft::failed(&code, &message),
        Ok(Err(JobError(Ending::Cancelled))) => cancelled_draft(jobs, job),
        Err(error) => Draft::failed("panic", &panic_message(error)),
    };
    if draft.size() > jobs.limits().event_bytes {
        return Draft::failed("result-too-large", "what the job ended with is larger than an event may be");
    }
    draft
}

/// For the reason that whoever asked for it gave.
fn cancelled_draft(jobs: &Jobs, job: JobId) -> Draft {
    let reason = jobs.inner().running.lock().get(&job).and_then(|stop| stop.reason.clone());
    Draft::cancelled(reason.as_deref())
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

/// Writes a job's last event. Where another one was first, that one stands.
async fn end(jobs: &Jobs, job: JobId, intent: Intent, draft: &Draft) {
    for _ in 0..10 {
        match jobs.write(job, intent.clone(), vec![draft.clone()]).await {
            Ok(_) => return,
            Err(error) => tracing::error!(%job, %error, "the end of a job can't be written; trying again"),
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Ends the jobs whose reporters have been silent for too long. Never comes back.
pub(crate) async fn end_lost(jobs: &Jobs) {
    loop {
        let job = jobs.inner().leases.expired().await;
        let draft = Draft::failed("worker-lost", "the program that reports this job has been silent for too long");
        end(jobs, job, Intent::Attempt(1), &draft).await;
        tracing::warn!(%job, "the reporter of a job is lost");
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
