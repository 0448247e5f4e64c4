//! The knobs of long polling.

use serde::Deserialize;

/// The knobs of long polling.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// Seconds for which a request is held that does not say how long. 25 by default.
    pub wait_seconds: u32,
    /// Seconds for which a request is held at most. 55 by default, below the minute after which many a proxy gives up.
    pub wait_seconds_most: u32,
}

impl Config {
    /// Holds requests that don't say how long for so many seconds.
    #[must_use]
    pub fn with_wait_seconds(self, wait_seconds: u32) -> Self {
        Self { wait_seconds, ..self }
    }

    /// Holds no request for longer than so many seconds.
    #[must_use]
    pub fn with_wait_seconds_most(self, wait_seconds_most: u32) -> Self {
        Self { wait_seconds_most, ..self }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self { wait_seconds: 25, wait_seconds_most: 55 }
    }
}
