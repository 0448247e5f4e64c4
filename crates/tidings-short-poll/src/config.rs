//! The knobs of short polling.

use serde::Deserialize;

/// The knobs of short polling.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// Seconds after which a client should ask again where nothing more is there yet, as `Retry-After` tells it. 1 by
    /// default.
    pub interval_seconds: u32,
}

impl Config {
    /// Tells clients to ask again after so many seconds.
    #[must_use]
    pub fn with_interval_seconds(self, interval_seconds: u32) -> Self {
        Self { interval_seconds }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self { interval_seconds: 1 }
    }
}
