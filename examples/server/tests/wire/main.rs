//! docs/WIRE.md, sentence by sentence: the real program, asked over real sockets.
//!
//! One module for each part of that page. What it says of pipelines, of connections and of shutdown is shown beside
//! this test, in `pipelines.rs`, `limits.rs` and `shutdown.rs`.

#[path = "../support/mod.rs"]
mod support;

mod client;
mod job;

mod values;
mod http;
mod names;
mod jobs;
mod idempotency;
mod lists;
mod reporting;
mod lines;
mod short_poll;
mod long_poll;
mod sse;
mod events;
mod limits;
mod http2;
