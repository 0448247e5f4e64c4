//! Jobs, events, and the log that all transports read.

mod names;
mod json;
mod time;
mod cursor;
mod event;
mod snapshot;
mod ledger;
mod error;
mod log;
mod history;
mod memory;
mod framing;
mod recent;
mod tail;
mod feed;
mod limits;
mod problem;
mod submission;
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
    answer::{Answer, Answered, Body, Broken, Hold, Streaming},
    cursor::{Cursor, InvalidCursor, MAX_NUMBER, Tag},
    error::{Error, ErrorKind},
    event::{Draft, Event, InvalidDraft, InvalidEvent, Progress},
    feed::{Feed, Follow, Item, Page, ReadError, Watch},
    framing::Framing,
    host::{Driver, Host, HostBuilder, HostNames, Serving},
    jobs::{Accepted, GapScope, Jobs, Report},
    json::{InvalidJson, Json, MAX_DEPTH},
    ledger::{
        Capacity, Digest, Intent, KEY_MEMORY, Ledger, Opening, Private, Record, Refusal, Reporter, SameBody, Write,
    },
    limits::Limits,
    log::{Appended, Batch, Entry, EventLog, Gap, Limit, Listing, More, Query, Read, ReadOutcome, Scope},
    memory::{MemoryLog, Retention},
    names::{CustomType, EventType, InvalidName, JobId, Kind},
    problem::{Problem, ProblemKind},
    pulse::Pulse,
    shutdown::Shutdown,
    snapshot::{InvalidHistory, Snapshot, State},
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
