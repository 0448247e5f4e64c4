//! Tidings over short polling: a request is answered at once with what is new.
//!
//! `GET /jobs/{id}/short-poll?after=<cursor>&limit=` answers with the job, the events after the cursor, and the
//! cursor to send next time. It is the transport for clients that can do nothing but ask, and for people with curl.
//!
//! # Guarantees
//!
//! - A client that sends each answer's `cursor` as `after` next time sees every event once, in order.
//! - Events and job are one moment: where `more` is false, `cursor` is the job's.
//! - Events that are no longer kept are told as a `gap`, and never passed over in silence.
//! - Nothing is kept for a client between two requests. One that has seen all there is gets a `304` for its
//!   `If-None-Match`.
//!
//! # Example
//!
//! ```
//! use tidings_core::Host;
//! use tidings_short_poll::ShortPoll;
//!
//! let (host, driver) = Host::builder().mount(ShortPoll::default()).build()?;
//! # let _ = (host, driver);
//! # Ok::<(), tidings_core::Error>(())
//! ```
//!
//! # Knobs
//!
//! [`Config`] says when a client should ask again.
//!
//! # When not to use it
//!
//! Where an event should be there as soon as it happens: the delay is half the interval on average, and every request
//! costs.

mod config;
mod handler;

pub use config::Config;
pub use handler::ShortPoll;
