//! The job and event model of Tidings, and the host that transports mount on.
//!
//! A job's events are a log, and a transport is a way to read it. This crate has the log and everything before it and
//! behind it; it opens no socket and knows no transport.
//!
//! ```text
//!   submit, report, cancel            read, wait, follow
//!        Jobs ──────────▶ EventLog ──────────▶ Feed ──────▶ what is mounted
//!          ▲              Ledger::admit          ▲              (Notifier)
//!          │              numbers, tags          │
//!        Worker                Tail ─────────────┘
//!                            wake-ups
//! ```
//!
//! # Guarantees
//!
//! - Each job's events have the numbers 1, 2, 3, … and are the same bytes for every reader.
//! - A reader is a cursor and a wake-up. Nothing is queued for it, so a slow one costs no memory and slows nobody.
//! - Events that are no longer kept are told as a [`Gap`]; a cursor of another history is refused.
//! - A job ends in exactly one terminal event, whatever its worker does.
//! - Every request gets an answer, and no answer is an error of the service.
//!
//! # Example
//!
//! ```
//! use tidings_core::{Cursor, Host, Item, Json, Scope, Submission};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (host, driver) = Host::builder()
//!     .with_job("greet".parse()?, |job| async move {
//!         job.log("stdout", "hello").await?;
//!         Ok(Json::null())
//!     })
//!     .build()?;
//! tokio::spawn(driver.run(std::future::pending()));
//!
//! let accepted = host.jobs().submit(Submission::new("greet".parse()?, Json::null())).await?;
//! let mut follow = host.feed().follow(Scope::job(accepted.job.id), Cursor::START).await?;
//! let mut kinds = Vec::new();
//! while let Some(item) = follow.next().await {
//!     if let Item::Events(batch) = item? {
//!         kinds.extend(batch.iter().map(|entry| entry.event.kind().to_string()));
//!     }
//! }
//! assert_eq!(kinds, ["queued", "started", "log", "succeeded"]);
//! # Ok(())
//! # }
//! ```
//!
//! # Knobs
//!
//! [`Limits`] says what a host allows, [`Retention`] what a [`MemoryLog`] keeps, [`HostNames`] which requests are
//! answered at all.
//!
//! # When not to use it
//!
//! Take the `tidings` crate in a host: it has all of this and the transports. This one is for those who write a
//! transport, a log or a worker of their own.

mod names;
mod text;
mod json;
mod time;
mod cursor;
mod digest;
mod draft;
mod event;
mod snapshot;
mod ledger;
mod error;
mod log;
mod retention;
mod forgotten;
mod history;
mod memory;
mod framing;
mod recent;
mod sync;
mod signal;
mod crowd;
mod tail;
mod page;
mod feed;
mod limits;
mod problem;
mod submission;
mod tokens;
mod jobs;
mod worker;
mod leases;
mod runner;
mod pulse;
mod shutdown;
mod target;
mod transport;
mod answer;
mod stream;
pub mod etag;
mod host;

pub use self::{
    answer::{Answer, Answered, Body, Broken, Held, Hold, Reply, Streaming},
    cursor::{Cursor, InvalidCursor, MAX_NUMBER, Tag},
    digest::Digest,
    draft::{Draft, InvalidDraft, Progress},
    error::{Error, ErrorKind},
    event::{Event, InvalidEvent},
    feed::{Feed, Follow, Item, ReadError, Watch},
    framing::Framing,
    host::{Driver, Host, HostBuilder, HostNames, Reporting, Serving},
    jobs::{Accepted, GapScope, Jobs, Report},
    json::{InvalidJson, Json, MAX_DEPTH},
    ledger::{Capacity, Intent, KEY_MEMORY, Ledger, Opening, Private, Record, Refusal, Reporter, SameBody, Write},
    limits::Limits,
    log::{Appended, Batch, Entry, EventLog, Gap, Limit, Listing, More, Query, Read, ReadOutcome, Scope},
    memory::MemoryLog,
    names::{CustomType, EventType, InvalidName, JobId, Kind},
    page::Page,
    problem::{Problem, ProblemKind},
    pulse::Pulse,
    retention::Retention,
    shutdown::Shutdown,
    snapshot::{InvalidHistory, InvalidSnapshot, Snapshot, State},
    stream::EventStream,
    submission::{Runs, Submission},
    tail::{Tail, Wake},
    target::{Params, Target, parse_cursor},
    time::{Clock, Timestamp},
    transport::{
        Answering, Context, CursorStore, Endpoint, Health, Link, MemoryCursors, Mount, Notifier, Reach, Relay, Status,
        StatusSource,
    },
    worker::{EmitError, JobContext, JobError, Worker},
};
