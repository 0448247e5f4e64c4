//! The stages of an ending host.

use tokio_util::sync::CancellationToken;

/// The stages of an ending host, to be waited for. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    begun: CancellationToken,
    jobs_over: CancellationToken,
}

impl Shutdown {
    /// Whether the end has begun: no new jobs, holds end, streams end with their jobs.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.begun.is_cancelled()
    }

    /// Comes back once the end has begun. Cancel safe.
    pub async fn begun(&self) {
        self.begun.cancelled().await;
    }

    /// Whether every job that ran here is over, and its last event is in the log.
    #[must_use]
    pub fn are_jobs_over(&self) -> bool {
        self.jobs_over.is_cancelled()
    }

    /// Comes back once every job that ran here is over: relays have five seconds from then to pass the rest on. Cancel
    /// safe.
    pub async fn jobs_over(&self) {
        self.jobs_over.cancelled().await;
    }

    pub(crate) fn begin(&self) {
        self.begun.cancel();
    }

    pub(crate) fn end_jobs(&self) {
        self.jobs_over.cancel();
    }
}
