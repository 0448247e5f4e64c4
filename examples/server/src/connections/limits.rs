//! What a client may cost.

use std::{num::NonZeroUsize, time::Duration};

use serde::Deserialize;

use crate::seconds;

/// The limits on connections and on the heads of requests. Those on bodies are the service's own.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Limits {
    /// The longest request target, in bytes; a longer one is answered with 414. 2 KiB by default.
    pub request_target_bytes: usize,
    /// The largest header block, in bytes; a larger one is answered with 431. 16 KiB by default.
    pub header_block_bytes: usize,
    /// The most fields in a header block; more are answered with 431. 64 by default.
    pub header_fields: usize,
    /// How long a client may say nothing after it has connected. 10 s by default; then it is closed.
    #[serde(rename = "first_byte_seconds", deserialize_with = "seconds::deserialize")]
    pub first_byte: Duration,
    /// How long a head may take from its first byte to its last. 10 s by default; then it is closed.
    #[serde(rename = "header_seconds", deserialize_with = "seconds::deserialize")]
    pub header: Duration,
    /// How long a connection is kept on which no request runs. It is closed after this time at the earliest, and after
    /// twice this time at the latest. 75 s by default.
    #[serde(rename = "idle_connection_seconds", deserialize_with = "seconds::deserialize")]
    pub idle: Duration,
    /// How long a client may take nothing of what is written to it. 30 s by default; then it is cut off.
    #[serde(rename = "write_stall_seconds", deserialize_with = "seconds::deserialize")]
    pub write_stall: Duration,
    /// The most connections at a time; more wait, not accepted, until there is room. By default what
    /// [`connections_for_open_files`](super::connections_for_open_files) says.
    pub connections: Option<NonZeroUsize>,
    /// The most connections of one client address; more are closed as they come. No limit by default.
    pub connections_per_address: Option<NonZeroUsize>,
    /// The most streams at a time on one HTTP/2 connection; more are refused, and well-behaved clients wait. 256 by
    /// default.
    pub streams_per_connection: u32,
    /// Whether connections of HTTP/1.1 are taken over from hyper while they stream events or wait for an answer, which
    /// saves some 10 KiB of memory for each, or bring one report, look or poll after the other, which saves time. Clients
    /// see no difference. `true` by default.
    pub take_over: bool,
    /// How long connections may take to end after shutdown has closed them. 5 s by default; then they are cut off.
    #[serde(rename = "closing_seconds", deserialize_with = "seconds::deserialize")]
    pub closing: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_target_bytes: 2 * 1024,
            header_block_bytes: 16 * 1024,
            header_fields: 64,
            first_byte: Duration::from_secs(10),
            header: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            write_stall: Duration::from_secs(30),
            connections: None,
            connections_per_address: None,
            streams_per_connection: 256,
            take_over: true,
            closing: Duration::from_secs(5),
        }
    }
}
