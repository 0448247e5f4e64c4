//! Follows Tidings jobs over any transport, and submits, cancels and reports them.
//!
//! A [`Client`] is all that most programs need: its [`follow`](Client::follow) picks a transport, changes over when it
//! has to, and shows each event once. What it is made of can be used by itself:
//!
//! | module | what it is |
//! | --- | --- |
//! | [`short_poll`] | asks from time to time for what is new |
//! | [`long_poll`] | asks, is held until something is new, asks again |
//! | [`sse`] | reads a stream of events; on top of [`event_source`], which reads any such stream |
//! | `amqp` | reads a queue of a message broker, and submits jobs through one; needs the cargo feature `amqp` |
//! | [`poll()`] | calls anything again and again: with an interval, a timeout, and a handle to cancel it |
//!
//! # Example
//!
//! Submits a job and follows it until it is over.
//!
//! ```no_run
//! use tidings_client::{Client, Json, Submission, Update};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::new("http://127.0.0.1:7330".parse()?)?;
//! let input = Json::parse(br#"{"pipeline": "deploy"}"#)?;
//! let job = client.submit(&Submission::new("pipeline".parse()?).with_input(input)).await?;
//!
//! let mut follow = client.follow(job.id());
//! while let Some(update) = follow.next().await {
//!     match update? {
//!         Update::Event(event) => println!("{} {}", event.kind(), event.data()),
//!         Update::Gap(gap) => println!("what came before event {} is gone; the job is {}", gap.resumed_at, gap.job),
//!         Update::Transport(transport) => println!("read over {transport} from here on"),
//!         _ => {}
//!     }
//! }
//! # Ok(()) }
//! ```
//!
//! Runs a job here and has the server show it:
//!
//! ```no_run
//! use std::time::Duration;
//! use tidings_client::{Client, Draft, Json, Progress, Submission};
//!
//! # async fn example(client: Client) -> Result<(), Box<dyn std::error::Error>> {
//! let submission = Submission::new("import".parse()?);
//! let (job, mut reporter) = client.open(&submission, Duration::from_secs(60)).await?;
//! println!("watch {}", job.id());
//! reporter.report([Draft::progress(&Progress::percent(40.0)), Draft::log("stdout", "40 of 100 rows")]).await?;
//! reporter.report([Draft::succeeded(&Json::from("100 rows"))]).await?;
//! # Ok(()) }
//! ```
//!
//! # Guarantees
//!
//! - What is yielded of a job is one run of events, over all reconnects and changes of transport: no repeat, no hole
//!   that is not told as a [`Gap`], nothing after the terminal event. [`Event::json`] are the bytes that the server sent.
//! - [`Event::cursor`] is good for every transport: one follower may begin where another was left.
//! - A broken connection, a server that restarts or has no room, and a stream that falls silent are no errors: it is
//!   asked again, after pauses that grow and are random. What asking again can't cure is an error, and the last item.
//! - `next` can be dropped at any time, in a `select!` say, and nothing is lost.
//! - A [`Submission`] is one job and a report is in the log once, however often the request has to be sent.
//! - Memory is bounded: by the largest answer or event that the [`Config`] allows. Nothing is read ahead of the caller
//!   but what the socket holds.
//!
//! # Knobs
//!
//! All are in [`Config`], with their defaults: timeouts to connect, to answer and for silence, limits on size, pauses,
//! when to give up, when to try a better transport again. One [`HttpClient`] serves any number of followers over one
//! pool of connections; give each its own to tell their [`Traffic`] apart.
//!
//! # When not to use it
//!
//! In a browser, where `EventSource` and `fetch` do. In the process that runs the jobs, where `tidings_core::Feed`
//! reads the same events without a socket. Over TLS, which it does not speak yet.

mod client;
mod submission;
mod job;
mod follow;
mod transport;
mod reporter;
mod config;
mod error;
mod poll;

pub mod event_source;
pub mod long_poll;
pub mod short_poll;
pub mod sse;

#[cfg(feature = "amqp")]
pub mod amqp;

mod follower;
mod page;
mod update;

mod answer;
mod backoff;
mod deadline;
mod http_client;
mod dial;
mod pages;
mod parser;
mod traffic;
mod url;

pub use self::{
    client::Client,
    config::{Config, Protocol},
    error::{Error, ErrorKind},
    follow::Follow,
    follower::Follower,
    http_client::HttpClient,
    job::{Job, ListFilter, Listing, Mounted},
    page::Page,
    poll::poll,
    reporter::{Reported, Reporter},
    submission::Submission,
    traffic::Traffic,
    transport::Transport,
    update::{Gap, Update},
    url::resolve,
};
pub use http::Uri;
pub use tidings_core::{
    Cursor, CustomType, Draft, Event, EventType, InvalidName, JobId, Json, Kind, Progress, Snapshot, State, Timestamp,
};
pub use tokio_util::sync::CancellationToken;
