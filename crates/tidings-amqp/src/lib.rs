//! Tidings over AMQP 0-9-1 (RabbitMQ): events go out to an exchange, submissions come in from a queue.
//!
//! Every event is published to a topic exchange under `<kind>.<job id>.<type>`; whoever wants some of them binds a
//! queue. Whoever wants a job done puts `{"kind", "input"}` into the queue of submissions.
//!
//! # Guarantees
//!
//! - Every event is published, persistent and confirmed, in the order of the log. After a broken connection or a
//!   refusal the relay goes back to the first event that is not confirmed, so some may come twice, under the same
//!   message id: a consumer takes an event only if its `seq` is one more than its last of that job.
//! - A queue that is full and rejects holds up all others, as each gets the events in their order. What it refuses is
//!   tried again after growing pauses, alone, and [`Config::pause_seconds`] is the longest.
//! - A broker that is away keeps nobody from anything. The relay tries again for as long as it runs, and catches up
//!   from the log. What the log has dropped by then is told as a message of type `gap`.
//! - A submission is acknowledged when its job is over, so that a crash hands it to another host. With a `message_id`
//!   it is one job however often it comes; without one it may run twice after a broken connection.
//! - A submission that can never be accepted is kept among the dead letters, with the reason in its headers `problem`
//!   and `detail`.
//! - No password shows in an error, a log or a `Debug`, lapin's included.
//!
//! # Example
//!
//! ```
//! use tidings_amqp::{Amqp, Config};
//! use tidings_core::Host;
//!
//! let config = Config::default().with_url("amqp://user:password@localhost:5672/%2f");
//! // The broker need not be there: nothing is connected before the driver runs.
//! let (host, driver) = Host::builder().mount(Amqp::new(config)).build()?;
//! # let _ = (host, driver);
//! # Ok::<(), tidings_core::Error>(())
//! ```
//!
//! # Knobs
//!
//! [`Config`] has the names on the broker, how much may be under way both ways, and how long the broker may take. A
//! host that runs no kinds of jobs sets [`jobs_queue`](Config::jobs_queue) to nothing: otherwise it takes submissions
//! that it can only bury.
//!
//! # Logging
//!
//! A broker that goes away is told once, as a warning, and once when it is back. lapin, which speaks to the broker,
//! logs broken connections as errors of its own at every try: filter them with `lapin=off`.
//!
//! # When not to use it
//!
//! Without a broker that is there anyway: followers over HTTP cost less. TLS is not built in, and a URL that asks for
//! it is refused; put a tunnel in between.

mod config;
mod url;
mod fault;
mod topology;
mod message;
mod connection;
mod publisher;
mod window;
mod monitor;
mod pauses;
mod outlet;
mod admission;
mod held;
mod intake;
mod relay;

pub use config::Config;
pub use relay::Amqp;
pub use url::BrokerUrl;
