//! Tidings over Server-Sent Events: a stream for `EventSource` and every other client.
//!
//! `GET /jobs/{id}/sse` streams one job, `GET /events/sse` many, as the [HTML
//! standard](https://html.spec.whatwg.org/multipage/server-sent-events.html) has it. A client that reconnects goes on
//! from its `Last-Event-ID`; history and live events are one stream.
//!
//! # Guarantees
//!
//! - A client sees every event once, in order, over all its reconnects; the id of each is its cursor.
//! - Events that are no longer kept are told as an event `gap`, with the snapshot.
//! - After a job's last event the stream ends, and a reconnect gets `204`, on which an `EventSource` stops.
//! - A slow reader costs no memory: nothing is queued for it, it reads on from the log when it can.
//! - No text in an event can forge a line: the data are JSON on one line, ids and types have their alphabets.
//!
//! # Example
//!
//! ```
//! use tidings_core::Host;
//! use tidings_sse::Sse;
//!
//! let (host, driver) = Host::builder().mount(Sse::default()).build()?;
//! # let _ = (host, driver);
//! # Ok::<(), tidings_core::Error>(())
//! ```
//!
//! # Knobs
//!
//! [`Config`] says how long a stream is silent at most, and when a client should reconnect.
//!
//! # When not to use it
//!
//! Behind a proxy that buffers whole answers: take long polling there. Over HTTP/1.1 a browser has six connections for
//! a site; `/events/sse` needs one for any number of jobs.

mod config;
mod frame;
mod handler;

pub use config::Config;
pub use handler::Sse;
