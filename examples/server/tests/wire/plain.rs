//! What of docs/WIRE.md a connection serves that is taken over from hyper, on connections that are not: each of these
//! tests passes in `main.rs` too, where they are.

#[path = "../support/mod.rs"]
mod support;

#[allow(dead_code, reason = "this test uses a part of it")]
mod client;
#[allow(dead_code, reason = "this test uses a part of it")]
mod job;

mod long_poll;
mod sse;
mod events;
