//! Tidings over long polling: a request is held until there is news.
//!
//! `GET /jobs/{id}/long-poll?after=<cursor>&limit=&wait=<seconds>` answers as short polling does, but only once there
//! is an event after the cursor, or `wait` is over. It works wherever plain HTTP does, through proxies that buffer too,
//! and its delay is that of the network.
//!
//! # Guarantees
//!
//! - A client that sends each answer's `cursor` as `after` next time sees every event once, in order; what happens
//!   between two requests waits for it in the log.
//! - A hold ends with the first event, and brings all that was appended by then. One that ends with nothing is no
//!   error.
//! - A held request holds no buffer and costs nothing while nothing happens.
//!
//! # Example
//!
//! ```
//! use tidings_core::Host;
//! use tidings_long_poll::{Config, LongPoll};
//!
//! let (host, driver) = Host::builder().mount(LongPoll::new(Config::default().with_wait_seconds(20))).build()?;
//! # let _ = (host, driver);
//! # Ok::<(), tidings_core::Error>(())
//! ```
//!
//! # Knobs
//!
//! [`Config`] says how long a request is held.
//!
//! # When not to use it
//!
//! Where events come many times a second: each answer is a request of its own. Streams cost less there.

mod config;
mod handler;
mod prefer;

pub use config::Config;
pub use handler::LongPoll;
