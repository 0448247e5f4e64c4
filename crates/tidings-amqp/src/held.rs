//! Submissions that are accepted and not yet acknowledged, as their jobs are not over.

use std::{collections::HashMap, time::Duration};

use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use lapin::{Acker, options::BasicAckOptions, types::DeliveryTag};
use serde::Deserialize;
use tidings_core::{Feed, JobId, ReadError, Shutdown, Snapshot, State};
use tokio::time::Instant;

use crate::fault::{Fault, within};

/// Submissions of one connection that are accepted and not yet acknowledged. Their acknowledgements die with the
/// connection; the broker then hands them out again, and each that comes back here finds its job by its key and is held
/// anew.
pub(crate) struct Held {
    feed: Feed,
    shutdown: Shutdown,
    /// How long the broker may take for an acknowledgement.
    answer: Duration,
    deliveries: HashMap<DeliveryTag, (Acker, JobId)>,
    endings: FuturesUnordered<BoxFuture<'static, (DeliveryTag, Ending)>>,
}

/// A submission that need not be held any longer.
#[derive(Debug)]
pub(crate) struct Ended {
    tag: DeliveryTag,
    ending: Ending,
}

/// Why a submission need not be held any longer.
#[derive(Debug)]
enum Ending {
    /// Its job is over, or so long over that it is forgotten.
    Over,
    /// Its job still runs, and the broker is about to take it back.
    Overdue,
    Unreadable(ReadError),
}

impl Held {
    pub(crate) fn new(feed: Feed, shutdown: Shutdown, answer: Duration) -> Self {
        Self { feed, shutdown, answer, deliveries: HashMap::new(), endings: FuturesUnordered::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.deliveries.is_empty()
    }

    /// Holds a submission until its job is over, or until the broker would take it back.
    pub(crate) fn hold(&mut self, tag: DeliveryTag, acker: Acker, job: JobId, until: Instant) {
        let feed = self.feed.clone();
        self.deliveries.insert(tag, (acker, job));
        self.endings.push(async move { (tag, ending(&feed, job, until).await) }.boxed());
    }

    /// Waits until one of them need not be held any longer; for ever where none is held. Cancel safe.
    pub(crate) async fn ended(&mut self) -> Ended {
        match self.endings.next().await {
            Some((tag, ending)) => Ended { tag, ending },
            None => std::future::pending().await,
        }
    }

    /// Acknowledges one that need not be held any longer.
    pub(crate) async fn settle(&mut self, ended: Ended) -> Result<(), Fault> {
        let Some((acker, job)) = self.deliveries.remove(&ended.tag) else { return Ok(()) };
        match ended.ending {
            Ending::Over => acknowledge_ended(&self.feed, &self.shutdown, &acker, job, self.answer).await,
            Ending::Overdue => {
                tracing::warn!(%job, "a job from the queue has run for so long that it is acknowledged");
                acknowledge(&acker, self.answer).await
            }
            Ending::Unreadable(error) => Err(error.into()),
        }
    }

    /// Acknowledges those whose jobs have ended by now; the others are left to the broker, which hands them to somebody
    /// else.
    pub(crate) async fn give_up(self) -> Result<(), Fault> {
        for (acker, job) in self.deliveries.values() {
            if self.feed.known(*job).is_none_or(|job| job.state.is_terminal()) {
                acknowledge_ended(&self.feed, &self.shutdown, acker, *job, self.answer).await?;
            }
        }
        Ok(())
    }
}

/// Acknowledges a delivery.
pub(crate) async fn acknowledge(acker: &Acker, limit: Duration) -> Result<(), Fault> {
    let usable = within(limit, "take an acknowledgement", acker.ack(BasicAckOptions::default())).await?;
    if usable { Ok(()) } else { Err(Fault::TakenBack) }
}

/// Acknowledges a submission whose job is over, unless the end of this host has cut that off.
async fn acknowledge_ended(
    feed: &Feed,
    shutdown: &Shutdown,
    acker: &Acker,
    job: JobId,
    limit: Duration,
) -> Result<(), Fault> {
    let cut_off = shutdown.has_begun() && feed.known(job).is_some_and(|job| is_cut_off(&job));
    if cut_off { Ok(()) } else { acknowledge(acker, limit).await }
}

async fn ending(feed: &Feed, job: JobId, until: Instant) -> Ending {
    match tokio::time::timeout_at(until, feed.finished(job)).await {
        Ok(Ok(_) | Err(ReadError::UnknownJob)) => Ending::Over,
        Ok(Err(error)) => Ending::Unreadable(error),
        Err(_) => Ending::Overdue,
    }
}

/// Whether the end of its host has cut a job off.
fn is_cut_off(job: &Snapshot) -> bool {
    #[derive(Deserialize)]
    struct Error {
        code: String,
    }
    let error = || job.error.as_ref()?.to::<Error>().ok();
    job.state == State::Failed && error().is_some_and(|error| error.code == "shutting-down")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tidings_core::{Draft, Event, Json, MemoryLog, Retention, Tag, Timestamp};

    use super::*;

    fn ended_with(code: &str) -> Snapshot {
        let (job, time) = (JobId::new(), Timestamp::from_millis(0));
        let queued = Draft::queued(&"test".parse().expect("a kind"), &Json::null());
        let first = Event::seal(job, (0, Tag::START), time, &queued);
        let mut snapshot = Snapshot::open(&first).expect("the first event");
        let last = Event::seal(job, (1, first.tag()), time, &Draft::failed(code, "x"));
        snapshot.apply(&last).expect("the next event");
        snapshot
    }

    #[test]
    fn what_a_shutdown_has_cut_off_is_told_from_what_has_failed() {
        assert!(is_cut_off(&ended_with("shutting-down")));
        assert!(!is_cut_off(&ended_with("exit-status")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_forgotten_job_is_over() {
        let feed = Feed::new(Arc::new(MemoryLog::new(Retention::default())));
        let until = Instant::now() + Duration::from_secs(1500);
        assert!(matches!(ending(&feed, JobId::new(), until).await, Ending::Over));
    }
}
