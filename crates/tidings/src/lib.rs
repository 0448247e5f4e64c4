//! Long jobs, told to whoever waits for them: one event log, every transport.
//!
//! A job takes longer than a request should, and somebody waits for it. Tidings gives it an id and a log of events,
//! which clients follow over whichever transport suits them; all of them show the same events, in the same order, under
//! the same cursors.
//!
//! This crate is what a host depends on. It has everything of [`tidings_core`], and one module for each transport
//! that is switched on by its cargo feature:
//!
//! | feature | module | |
//! | --- | --- | --- |
//! | `short-poll` | `short_poll` | answers at once with what is new |
//! | `long-poll` | `long_poll` | holds a request until something is new |
//! | `sse` | `sse` | streams to `EventSource` and any other client |
//! | `amqp` | `amqp` | relays to a broker, and takes submissions from a queue |
//! | `web` | `web` | no transport: serves the module that follows jobs in a browser |
//!
//! All but `amqp` are on by default; `full` switches on all. A feature only makes its module exist: the host mounts
//! what it wants to. Programs in axum and in plain hyper are in the crate's `examples`.

pub use tidings_core::*;

#[cfg(feature = "amqp")]
pub use tidings_amqp as amqp;
#[cfg(feature = "long-poll")]
pub use tidings_long_poll as long_poll;
#[cfg(feature = "short-poll")]
pub use tidings_short_poll as short_poll;
#[cfg(feature = "sse")]
pub use tidings_sse as sse;
#[cfg(feature = "web")]
pub use tidings_web as web;

/// What the README shows is compiled.
#[cfg(all(doctest, feature = "short-poll", feature = "long-poll", feature = "sse"))]
#[doc = include_str!("../../../README.md")]
struct Readme;
