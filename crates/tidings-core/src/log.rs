//! The seam to where events are kept.

use std::{fmt, ops::Deref, sync::Arc};

use async_trait::async_trait;

use crate::{
    cursor::Cursor,
    error::Error,
    event::Event,
    ledger::{Refusal, Reporter, Write},
    names::{JobId, Kind},
    problem::Problem,
    snapshot::{Snapshot, State},
    tail::Tail,
    target::Params,
};

/// Where events are kept, and every job as its events have left it.
///
/// # Contract
///
/// - **One order.** `append` admits and numbers a write under one lock, through [`Ledger::admit`](crate::Ledger::admit)
///   and nothing else, and what it has taken is visible to every `read`, `job` and `jobs` that begins after it has
///   returned. A batch goes in whole or not at all.
/// - **Nobody waits.** `read` answers with what is there. Waiting is done on the [`Tail`], which the log advances once
///   for each batch, in the order of the positions, after the batch can be read.
/// - **Gaps are told.** A log may drop events, the oldest of a job first. It then keeps the fold of what it dropped,
///   and says so in [`Read::gap`]. It never drops the snapshot of a job that is not over.
/// - **Cancellation.** Dropping the future of `append` undoes nothing: the write may have been taken. Dropping any
///   other future has no effect.
/// - **Panics** in a log are bugs; nobody above it recovers from them.
#[async_trait]
pub trait EventLog: fmt::Debug + Send + Sync + 'static {
    /// Takes a write, or says why not. Returns once what was taken can't be lost any more, as far as this log
    /// promises that.
    ///
    /// # Errors
    ///
    /// Where the log can't be written to. Whether the write was taken is then unknown.
    async fn append(&self, write: Write) -> Result<Result<Appended, Refusal>, Error>;

    /// Reads what follows a cursor, at most up to `limit`, of the jobs in `scope`. Never waits for events.
    ///
    /// # Errors
    ///
    /// Where the log can't be read.
    async fn read(&self, scope: &Scope, after: Cursor, limit: Limit) -> Result<ReadOutcome, Error>;

    /// Comes back when everything that was written anywhere before the call can be read here. In one process: at once.
    ///
    /// # Errors
    ///
    /// Where that can't be found out.
    async fn catch_up(&self) -> Result<(), Error>;

    /// A job as it is, or nothing where it is not known here.
    fn job(&self, job: JobId) -> Option<Arc<Snapshot>>;

    /// Who reports a job from outside, and how many of its events were taken.
    fn reporter(&self, job: JobId) -> Option<(Reporter, u64)>;

    /// Some jobs, the newest first.
    fn jobs(&self, query: &Query) -> Listing;

    /// The wake-up that this log advances.
    fn tail(&self) -> &Arc<Tail>;
}

/// What was taken.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Appended {
    /// The job as of the last event of the batch. Of a job that was forgotten: as it was before.
    pub job: Arc<Snapshot>,
    /// How many events the job's reporter has had taken by now.
    pub received: u64,
}

impl Appended {
    /// Puts an answer together.
    #[must_use]
    pub fn new(job: Arc<Snapshot>, received: u64) -> Self {
        Self { job, received }
    }
}

/// Whose events are asked for. Opaque, as tenants will filter here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope(pub(crate) Selection);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Selection {
    Job(JobId),
    Jobs(Arc<[JobId]>),
    Kind(Kind),
    All,
}

impl Scope {
    /// One job. Cursors count its own events.
    #[must_use]
    pub fn job(job: JobId) -> Self {
        Self(Selection::Job(job))
    }

    /// Several jobs; those that are unknown are passed over. Cursors count the events of the whole log.
    #[must_use]
    pub fn jobs(jobs: impl Into<Arc<[JobId]>>) -> Self {
        Self(Selection::Jobs(jobs.into()))
    }

    /// All jobs of a kind. Cursors count the events of the whole log.
    #[must_use]
    pub fn kind(kind: Kind) -> Self {
        Self(Selection::Kind(kind))
    }

    /// All jobs. Cursors count the events of the whole log.
    #[must_use]
    pub fn all() -> Self {
        Self(Selection::All)
    }

    /// The one job that this is about, where it is about one.
    #[must_use]
    pub fn as_job(&self) -> Option<JobId> {
        match self.0 {
            Selection::Job(job) => Some(job),
            _ => None,
        }
    }

    /// Whether a job's events are in it.
    #[must_use]
    pub fn includes(&self, job: JobId, kind: &Kind) -> bool {
        match &self.0 {
            Selection::Job(one) => *one == job,
            Selection::Jobs(several) => several.contains(&job),
            Selection::Kind(of) => of == kind,
            Selection::All => true,
        }
    }

    /// The number of an event that cursors of this scope count.
    #[must_use]
    pub fn number(&self, entry: &Entry) -> u64 {
        if self.as_job().is_some() { entry.event.seq() } else { entry.position }
    }

    /// The place after an event, as cursors of this scope name it.
    #[must_use]
    pub fn cursor(&self, entry: &Entry) -> Cursor {
        Cursor::new(self.number(entry), entry.event.tag())
    }
}

/// How much is read at once: whichever is reached first, but always one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// So many events.
    pub events: usize,
    /// So many bytes of JSON.
    pub bytes: usize,
}

impl Limit {
    /// A page's, as polls may ask for it: `limit` events, 1 to 1,000, which is the default too, and 1 MiB.
    ///
    /// # Errors
    ///
    /// Where `limit` is there twice, empty, or no number from 1.
    pub fn page(params: &Params) -> Result<Self, Problem> {
        let events = params.number("limit", 1, Self::PAGE.events as u64)?;
        let events = events.and_then(|events| usize::try_from(events).ok()).unwrap_or(Self::PAGE.events);
        Ok(Self { events, ..Self::PAGE })
    }

    const PAGE: Self = Self { events: 1000, bytes: 1 << 20 };
}

/// An event and its place in the whole log.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its number within the whole log.
    pub position: u64,
    /// What sort of job it happened to: the job itself may be forgotten while the entry is on its way to a reader.
    pub kind: Kind,
    /// What happened.
    pub event: Event,
}

/// Some entries in a row, shared among all who read them.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    entries: Arc<[Entry]>,
    range: std::ops::Range<usize>,
}

impl Batch {
    /// A part of shared entries; what lies outside them is left out.
    #[must_use]
    pub fn new(entries: Arc<[Entry]>, range: std::ops::Range<usize>) -> Self {
        let end = range.end.min(entries.len());
        Self { range: range.start.min(end)..end, entries }
    }

    /// The same without the first `skip` entries.
    #[must_use]
    pub fn without_first(self, skip: usize) -> Self {
        let range = self.range.start.saturating_add(skip)..self.range.end;
        Self::new(self.entries, range)
    }
}

impl Deref for Batch {
    type Target = [Entry];

    fn deref(&self) -> &[Entry] {
        self.entries.get(self.range.clone()).unwrap_or_default()
    }
}

/// What reading came to.
#[derive(Clone, Debug)]
pub enum ReadOutcome {
    /// This.
    Read(Read),
    /// Nobody knows the job, or any of the jobs.
    UnknownJob,
    /// The cursor belongs to another job, or to a history that was lost.
    Mismatch,
}

/// What follows a cursor. All of it is one moment of the log.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Read {
    /// The one job that was asked for, as of this moment.
    pub job: Option<Arc<Snapshot>>,
    /// Told before the events: some between the cursor and them are no longer kept.
    pub gap: Option<Gap>,
    /// The events.
    pub events: Batch,
    /// The place up to which the log has been read: where to go on.
    pub through: Cursor,
    /// Whether there is more that follows.
    pub more: More,
}

impl Read {
    /// Puts an answer together that has no gap.
    #[must_use]
    pub fn new(job: Option<Arc<Snapshot>>, events: Batch, through: Cursor, more: More) -> Self {
        Self { job, gap: None, events, through, more }
    }

    /// Adds a gap.
    #[must_use]
    pub fn with_gap(self, gap: Option<Gap>) -> Self {
        Self { gap, ..self }
    }
}

/// What comes after a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum More {
    /// The limit was reached: read again.
    Now,
    /// Nothing yet.
    Later,
    /// Nothing ever: every job that was named is over, and its last event was read.
    Never,
}

/// What is told where events are no longer kept.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Gap {
    /// The number of the cursor that was asked with.
    pub requested: u64,
    /// The number of the first event that follows.
    pub resumed_at: u64,
    /// The place before that one: the last event that is no longer kept.
    pub cursor: Cursor,
    /// Grows with each event that is dropped of the jobs that it concerns. Who is told of a gap that covers no more
    /// than the last one knows it already.
    pub covered: u64,
    /// The jobs whose events are missing, each as of the last of its events that is no longer kept or later. Those that
    /// are no longer known are among them, as they ended, for as long as the log remembers that. Of very many the newest.
    pub jobs: Vec<Arc<Snapshot>>,
}

impl Gap {
    /// Puts a gap together.
    #[must_use]
    pub fn new(requested: u64, cursor: Cursor, jobs: Vec<Arc<Snapshot>>) -> Self {
        Self { requested, resumed_at: cursor.number() + 1, cursor, covered: cursor.number(), jobs }
    }

    /// Says how much it covers, where that is not told by the place at which reading goes on.
    #[must_use]
    pub fn with_covered(self, covered: u64) -> Self {
        Self { covered, ..self }
    }
}

/// Which jobs are listed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Query {
    /// Only those in this state.
    pub state: Option<State>,
    /// Only those of this kind.
    pub kind: Option<Kind>,
    /// Only those submitted before this one.
    pub before: Option<JobId>,
    /// At most so many.
    pub limit: usize,
}

impl Query {
    /// At most so many jobs of all.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { state: None, kind: None, before: None, limit }
    }
}

/// Some jobs, the newest first.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Listing {
    /// The jobs.
    pub jobs: Vec<Arc<Snapshot>>,
    /// The place in the whole log that the list was made at.
    pub cursor: Cursor,
    /// The job to go on [before](Query::before), where there are more.
    pub next: Option<JobId>,
}

impl Listing {
    /// Puts a list together.
    #[must_use]
    pub fn new(jobs: Vec<Arc<Snapshot>>, cursor: Cursor, next: Option<JobId>) -> Self {
        Self { jobs, cursor, next }
    }
}
