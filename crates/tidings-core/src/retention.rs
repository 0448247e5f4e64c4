//! How much a log in memory keeps.

use serde::Deserialize;

/// What a [`MemoryLog`](crate::MemoryLog) keeps.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Retention {
    /// Events kept of one job. 100,000 by default.
    pub events_per_job: usize,
    /// Bytes of events kept of one job. 64 MiB by default.
    pub bytes_per_job: usize,
    /// Bytes kept of all jobs: their events, and what they were submitted with and have come to. 1 GiB by default.
    pub bytes: usize,
    /// Jobs kept. 100,000 by default.
    pub jobs: usize,
    /// Jobs that may wait for their turn. 10,000 by default.
    pub waiting: usize,
    /// Idempotency keys remembered, which is for 24 hours at least. 1,000,000 by default.
    pub keys: usize,
    /// Seconds for which a job is kept after its end. 3,600 by default.
    pub ended_seconds: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            events_per_job: 100_000,
            bytes_per_job: 64 << 20,
            bytes: 1 << 30,
            jobs: 100_000,
            waiting: 10_000,
            keys: 1_000_000,
            ended_seconds: 3600,
        }
    }
}
