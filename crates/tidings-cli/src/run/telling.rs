//! Tells the server what the command says, as far as the server can be had.

use std::{pin::pin, sync::Arc, time::Duration};

use serde::Deserialize;
use tidings_client::{
    CancellationToken, Client, Cursor, Error, EventType, Job, JobId, Reporter, State, Submission, Update,
};
use tokio::{sync::OnceCell, time::timeout};

use super::{backlog::Backlog, notes::Notes};
use crate::{arguments::SOON, exit::with_causes, watch};

/// How long the server hears nothing at most. Each answer says whether somebody has cancelled the job, so this is also
/// how long a cancel may go unnoticed.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// What those who tell the server and those who run the command have to know of each other.
#[derive(Debug)]
pub(crate) struct Telling {
    pub(crate) client: Client,
    pub(crate) backlog: Backlog,
    pub(crate) notes: Notes,
    /// The job, once it is opened.
    pub(crate) job: OnceCell<JobId>,
    /// Somebody has asked for the job to be cancelled.
    pub(crate) cancelled: CancellationToken,
    /// Why, where they have said so. Set before `cancelled`.
    pub(crate) reason: OnceCell<String>,
}

impl Telling {
    /// Opens the job as soon as the server is there, and reports what comes into the backlog until that is closed and
    /// empty, or nobody wants to know any more.
    pub(crate) async fn run(self: Arc<Self>, submission: Submission, lease: Duration) {
        let Some((job, reporter)) = self.open(&submission, lease).await else {
            return self.backlog.abandon();
        };
        // The job exists only once.
        let _ = self.job.set(job.id());
        let say_where = async { self.notes.say(&format!("watch at {}", watch::address(&self.client, &job).await)) };
        tokio::join!(say_where, self.report(reporter));
    }

    async fn open(&self, submission: &Submission, lease: Duration) -> Option<(Job, Reporter)> {
        let mut open = pin!(self.client.open(submission, lease));
        let opened = match timeout(SOON, &mut open).await {
            Ok(opened) => opened,
            Err(_) => {
                let server = self.client.base();
                self.notes.say(&format!("{server} does not answer; the command runs, and is told of once it does"));
                open.await
            }
        };
        opened.inspect_err(|error| self.give_up(error)).ok()
    }

    async fn report(&self, mut reporter: Reporter) {
        // As far as nobody had cancelled it.
        let mut uncancelled = None;
        loop {
            // One batch after the other: what takes the place of an event that is refused is not to come late.
            let more =
                async { if reporter.pending() > 0 { Some(Vec::new()) } else { self.backlog.next_batch().await } };
            let batch = match timeout(HEARTBEAT, more).await {
                Ok(Some(batch)) => batch,
                Ok(None) => return,
                Err(_) => Vec::new(),
            };
            match reporter.report(batch).await {
                Ok(reported) if !reported.cancel_requested => uncancelled = Some(reported.cursor),
                Ok(_) => self.cancel(uncancelled).await,
                Err(error) if error.is_temporary() => {}
                Err(error) if is_about_one_event(&error) => self.backlog.refused_one(),
                Err(error) => {
                    if error.problem() == Some("already-finished") {
                        self.look_why_it_is_over().await;
                    }
                    self.give_up(&error);
                    return self.backlog.abandon();
                }
            }
            self.backlog.told_but(reporter.pending());
        }
    }

    /// Has the command stopped, once it is known why, if that can be had soon.
    async fn cancel(&self, after: Option<Cursor>) {
        if self.cancelled.is_cancelled() {
            return;
        }
        if let Ok(Some(reason)) = timeout(SOON, self.find_reason(after)).await {
            // Only this task sets it, and only once.
            let _ = self.reason.set(reason);
        }
        self.cancelled.cancel();
    }

    /// What those who cancelled the job after this place have given as their reason.
    async fn find_reason(&self, after: Option<Cursor>) -> Option<String> {
        #[derive(Deserialize)]
        struct Cancelling {
            reason: Option<String>,
        }
        let mut follow = self.client.follow(*self.job.get()?).after(after.unwrap_or_default());
        while let Some(Ok(update)) = follow.next().await {
            if let Update::Event(event) = update
                && *event.kind() == EventType::Cancelling
            {
                return event.data().to::<Cancelling>().ok()?.reason;
            }
        }
        None
    }

    /// A job that was cancelled may be over before its command has been stopped.
    async fn look_why_it_is_over(&self) {
        let Some(job) = self.job.get() else { return };
        if self.client.get(*job).await.is_ok_and(|job| job.snapshot().state == State::Cancelled) {
            self.cancelled.cancel();
        }
    }

    fn give_up(&self, error: &Error) {
        if !self.cancelled.is_cancelled() {
            self.notes
                .say(&format!("the server takes no more, and the command runs on untold: {}", with_causes(error)));
        }
    }
}

/// Whether the server has refused a single event, and may take the next one.
fn is_about_one_event(error: &Error) -> bool {
    error.status().is_some_and(|status| matches!(status.as_u16(), 400 | 413 | 422))
}
