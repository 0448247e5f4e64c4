//! What is allowed, unless the host says otherwise.

use std::time::Duration;

use serde::Deserialize;

/// What a host allows.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of a request's target. 2 KiB by default. Not read from a configuration: whoever serves has a limit of its
    /// own, and sets this one to the same.
    #[serde(skip)]
    pub request_target_bytes: usize,
    /// Bytes of a submission's body. 1 MiB by default.
    pub submission_bytes: usize,
    /// Bytes of an event: its type and data. 64 KiB by default.
    pub event_bytes: usize,
    /// Seconds for which a request's body may be silent. 10 by default.
    pub idle_body_seconds: u64,
    /// Seconds that a request's body may take in all; reports that come line by line have their lease instead. 30 by
    /// default.
    pub body_seconds: u64,
    /// Jobs that run here at once. 16 by default.
    pub running: usize,
    /// Jobs in one list where none says how many. 50 by default.
    pub listed: usize,
    /// Jobs in one list at most. 500 by default.
    pub listed_most: usize,
    /// Seconds for which jobs may go on after a shutdown has begun. 20 by default.
    pub grace_seconds: u64,
    /// Seconds after which a worker that was asked to stop is dropped. 10 by default.
    pub cancel_seconds: u64,
}

impl Limits {
    /// A limit in seconds as a time that can be added to any other: a year at most, which is as good as none.
    pub(crate) fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds.min(365 * 24 * 60 * 60))
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_target_bytes: 2048,
            submission_bytes: 1 << 20,
            event_bytes: 64 << 10,
            idle_body_seconds: 10,
            body_seconds: 30,
            running: 16,
            listed: 50,
            listed_most: 500,
            grace_seconds: 20,
            cancel_seconds: 10,
        }
    }
}
