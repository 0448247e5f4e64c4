//! The knobs of event streams.

use serde::Deserialize;

/// The knobs of event streams.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// Seconds for which a stream is silent at most: then a comment is sent, for proxies and for half-open connections.
    /// 15 by default.
    pub heartbeat_seconds: u32,
    /// Milliseconds after which a client should reconnect: each is told a random number between these two, so that not
    /// all of them come back at once. 1,000 and 3,000 by default.
    pub retry_millis: [u32; 2],
}

impl Config {
    /// Sends a comment after so many seconds of silence.
    #[must_use]
    pub fn with_heartbeat_seconds(self, heartbeat_seconds: u32) -> Self {
        Self { heartbeat_seconds, ..self }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self { heartbeat_seconds: 15, retry_millis: [1000, 3000] }
    }
}
