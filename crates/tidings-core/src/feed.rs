//! Reading, waiting and following: how every transport learns of events, and how every wait ends.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_core::{Stream, future::BoxFuture};
use tokio::runtime::Handle;

use crate::{
    crowd::Running,
    cursor::Cursor,
    error::Error,
    log::{Batch, EventLog, Gap, Limit, More, Query, ReadOutcome, Scope},
    names::JobId,
    page::Page,
    recent::{CHUNK, Encoding, Held},
    snapshot::Snapshot,
    tail::Subscription,
};

/// How much a follower reads from the log at once.
const FOLLOWED: Limit = Limit { events: 1000, bytes: CHUNK };

/// No limit: for what is held at the tail, which is bounded.
const ALL: Limit = Limit { events: usize::MAX, bytes: usize::MAX };

/// The events of a log, for whoever reads them. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Feed {
    log: Arc<dyn EventLog>,
}

/// Why nothing can be read there.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReadError {
    /// Nobody knows the job, or any of the jobs.
    UnknownJob,
    /// The cursor belongs to another job, or to a history that was lost.
    Mismatch,
    /// The log can't be read.
    Log(Error),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownJob => f.write_str("no such job is known"),
            Self::Mismatch => f.write_str("the cursor belongs to another job, or to a history that was lost"),
            Self::Log(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Log(error) => Some(error),
            Self::UnknownJob | Self::Mismatch => None,
        }
    }
}

impl From<Error> for ReadError {
    fn from(error: Error) -> Self {
        Self::Log(error)
    }
}

impl Feed {
    /// Reads this log.
    #[must_use]
    pub fn new(log: Arc<dyn EventLog>) -> Self {
        Self { log }
    }

    /// A job as it is. Before it says that a job is unknown, it has caught up with what was written elsewhere.
    ///
    /// # Errors
    ///
    /// Where the job is unknown, or the log can't be read.
    pub async fn job(&self, job: JobId) -> Result<Arc<Snapshot>, ReadError> {
        if let Some(snapshot) = self.log.job(job) {
            return Ok(snapshot);
        }
        self.log.catch_up().await?;
        self.log.job(job).ok_or(ReadError::UnknownJob)
    }

    /// A job as it is, where it is known here already. Waits for nothing.
    #[must_use]
    pub fn known(&self, job: JobId) -> Option<Arc<Snapshot>> {
        self.log.job(job)
    }

    /// The place after the last event of the whole log.
    #[must_use]
    pub fn end(&self) -> Cursor {
        self.log.jobs(&Query::new(0)).cursor
    }

    /// Reads what follows a cursor of one job, up to a limit. Doesn't wait for events; cancel safe.
    ///
    /// # Errors
    ///
    /// Where the job is unknown, the cursor is not one of this history, or the log can't be read.
    pub async fn read(&self, job: JobId, after: Cursor, limit: Limit) -> Result<Page, ReadError> {
        let scope = Scope::job(job);
        let (mut batches, mut gap, mut rest, mut at) = (Vec::new(), None, limit, after);
        loop {
            let read = read(&*self.log, &scope, at, rest).await?;
            let job = read.job.ok_or(ReadError::UnknownJob)?;
            if read.gap.is_some() && (gap.is_some() || !batches.is_empty()) {
                // Dropped between two reads. It is told with the page that begins there.
                return Ok(Page::new(job, gap, at, More::Now, batches));
            }
            gap = gap.or(read.gap);
            at = read.through;
            rest.events = rest.events.saturating_sub(read.events.len());
            rest.bytes = rest.bytes.saturating_sub(read.events.iter().map(|entry| entry.event.json().len()).sum());
            if !read.events.is_empty() {
                batches.push(read.events);
            }
            if read.more != More::Now || rest.events == 0 || rest.bytes == 0 {
                return Ok(Page::new(job, gap, at, read.more, batches));
            }
        }
    }

    /// The page of a reader that has seen all there is, without asking anybody; nothing where there may be more to say.
    #[must_use]
    pub fn nothing_new(&self, job: JobId, after: Cursor) -> Option<Page> {
        let job = self.log.job(job).filter(|job| job.seq == after.number() && after.agrees_with(job.tag))?;
        let more = if job.state.is_terminal() { More::Never } else { More::Later };
        let cursor = job.cursor();
        Some(Page::new(job, None, cursor, more, Vec::new()))
    }

    /// Has readers woken up some at a time on this runtime, where many wait for the same, until what is returned is dropped.
    pub(crate) fn wake_on(&self, runtime: Handle) -> Running {
        self.log.tail().wake_on(runtime)
    }

    /// Watches for news. Begin to watch, then [`read`](Self::read), then [wait](Watch::changed): so nothing is slept
    /// through.
    #[must_use]
    pub fn watch(&self, scope: &Scope) -> Watch {
        let subscription = self.log.tail().subscribe(scope);
        Watch { seen: subscription.version(), subscription }
    }

    /// Reads as [`read`](Self::read) does, for who has watched the job since before the last read: where it was forgotten
    /// in between, that is still told how it ended. A job is only forgotten once it is over.
    ///
    /// # Errors
    ///
    /// As those of [`read`](Self::read).
    pub(crate) async fn read_on(
        &self,
        watch: &Watch,
        job: JobId,
        after: Cursor,
        limit: Limit,
    ) -> Result<Arc<Page>, ReadError> {
        // Most who have waited for the same ask for the same.
        let is_current =
            |page: &Arc<Page>| self.log.job(job).is_some_and(|job| (job.seq, job.tag) == (page.job.seq, page.job.tag));
        if let Some(page) = watch.subscription.page(after, limit).filter(is_current) {
            return Ok(page);
        }
        let page = Arc::new(match Box::pin(self.read(job, after, limit)).await {
            Err(ReadError::UnknownJob) => {
                let last = watch.subscription.last_read(after, limit).ok_or(ReadError::UnknownJob)?;
                let job = last.job.ok_or(ReadError::UnknownJob)?;
                let batches = if last.events.is_empty() { Vec::new() } else { vec![last.events] };
                Page::new(job, last.gap, last.through, last.more, batches)
            }
            read => read?,
        });
        if page.is_small() {
            watch.subscription.keep_page(after, limit, &page);
        }
        Ok(page)
    }

    /// Waits until a job is over, and gives it as of then.
    ///
    /// # Errors
    ///
    /// Where the job is unknown, or the log can't be read.
    pub async fn finished(&self, job: JobId) -> Result<Arc<Snapshot>, ReadError> {
        let mut watch = self.watch(&Scope::job(job));
        loop {
            let snapshot = match (self.job(job).await, watch.subscription.forgotten()) {
                (Err(ReadError::UnknownJob), Some(last)) => last.clone(),
                (known, _) => known?,
            };
            if snapshot.state.is_terminal() {
                return Ok(snapshot);
            }
            watch.changed().await;
        }
    }

    /// Follows jobs from a cursor on: what is there, then what comes, without a seam.
    ///
    /// # Errors
    ///
    /// Where no job is known, the cursor is not one of this history, or the log can't be read.
    pub async fn follow(&self, scope: Scope, after: Cursor) -> Result<Follow, ReadError> {
        let subscription = self.log.tail().subscribe(&scope);
        let mut follow = Follow {
            seen: subscription.version(),
            subscription,
            log: self.log.clone(),
            scope,
            cursor: after,
            gap: None,
            events: Batch::default(),
            told: 0,
            next: Next::Wait,
        };
        let read = read(&*self.log, &follow.scope, after, FOLLOWED).await?;
        follow.take(read);
        Ok(follow)
    }
}

/// Reads, and where something is unknown once more after the log has caught up.
async fn read(log: &dyn EventLog, scope: &Scope, after: Cursor, limit: Limit) -> Result<crate::log::Read, ReadError> {
    if let ReadOutcome::Read(read) = log.read(scope, after, limit).await? {
        return Ok(read);
    }
    log.catch_up().await?;
    match log.read(scope, after, limit).await? {
        ReadOutcome::Read(read) => Ok(read),
        ReadOutcome::UnknownJob => Err(ReadError::UnknownJob),
        ReadOutcome::Mismatch => Err(ReadError::Mismatch),
    }
}

/// Waits for news of some jobs. Holds no timer and no buffer.
#[derive(Debug)]
pub struct Watch {
    subscription: Subscription,
    seen: u64,
}

impl Watch {
    /// Comes back once something has happened since the last time, or since the watch began. Cancel safe.
    pub async fn changed(&mut self) {
        std::future::poll_fn(|cx| self.poll_changed(cx)).await;
    }

    /// As [`changed`](Self::changed), for those who poll.
    pub fn poll_changed(&mut self, cx: &Context<'_>) -> Poll<()> {
        let news = self.subscription.poll_changed(self.seen, cx);
        if news.is_ready() {
            self.seen = self.subscription.version();
        }
        news
    }
}

/// One step of a [`Follow`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Item {
    /// Events that came before those that follow are no longer kept.
    Gap(Gap),
    /// Events in a row, one at least.
    Events(Batch),
}

/// Follows some jobs. As a stream it ends once nothing can come any more: after the terminal event of the one job,
/// once every named job is over; never for a kind or for all. Of a job that is forgotten meanwhile, which is over by then,
/// it still hands on the end, or a gap with the job as it ended.
///
/// It is a cursor and a place at the [`Tail`](crate::Tail): nothing is queued for it, and a follower that is not polled
/// costs nobody anything. Dropping it ends it.
pub struct Follow {
    log: Arc<dyn EventLog>,
    scope: Scope,
    subscription: Subscription,
    /// The version of the tail before the last look.
    seen: u64,
    /// The place up to which everything has been read.
    cursor: Cursor,
    /// Read, and to be handed on first.
    gap: Option<Gap>,
    /// Read, and to be handed on then.
    events: Batch,
    /// Up to where droppings have been told.
    told: u64,
    next: Next,
}

enum Next {
    Look,
    Reading(BoxFuture<'static, Result<crate::log::Read, ReadError>>),
    Wait,
    End,
}

impl Follow {
    /// The next step; nothing at the end. Cancel safe.
    ///
    /// # Errors
    ///
    /// Where the log can't be read. It may be asked again.
    pub async fn next(&mut self) -> Option<Result<Item, ReadError>> {
        std::future::poll_fn(|cx| self.poll_item(cx)).await
    }

    /// Whose events these are.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The place up to which the log has been read. Once there is nothing to hand on, that is all there is in it for
    /// this follower.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// Whether there is nothing to hand on, now or ever.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.gap.is_none() && self.events.is_empty() && matches!(self.next, Next::End)
    }

    /// Whether nothing that would be cut off is still to come at a shutdown: every job that this is about is over or is
    /// reported from outside, or it is about no jobs in particular.
    #[must_use]
    pub(crate) fn ends_at_shutdown(&self) -> bool {
        match &self.scope.0 {
            crate::log::Selection::Job(job) => self.is_awaited_by_nobody(*job),
            crate::log::Selection::Jobs(jobs) => jobs.iter().all(|job| self.is_awaited_by_nobody(*job)),
            _ => true,
        }
    }

    fn is_awaited_by_nobody(&self, job: JobId) -> bool {
        self.log.job(job).is_none_or(|job| job.state.is_terminal()) || self.log.reporter(job).is_some()
    }

    /// As [`next`](Self::next), with events and gaps in a transport's own framing: what is pending in one piece, of 64
    /// KiB at most unless one event alone is larger. `gap` gives the data of a gap.
    pub(crate) fn poll_framed(
        &mut self,
        cx: &mut Context<'_>,
        (framing, coding): Encoding,
        gap: impl Fn(&Gap) -> String,
    ) -> Poll<Option<Result<Bytes, ReadError>>> {
        loop {
            if self.events.is_empty() && self.gap.is_none() && matches!(self.next, Next::Look) {
                self.seen = self.subscription.version();
                // The tail counts by job, as the cursor does only where it is about one.
                let held = match self.scope.as_job() {
                    Some(_) => self.subscription.recent(self.cursor.number(), (framing, coding)),
                    None => Held::Elsewhere,
                };
                match held {
                    Held::Slice(slice) => {
                        self.cursor = slice.cursor;
                        self.next = if slice.terminal { Next::End } else { Next::Look };
                        return Poll::Ready(Some(Ok(slice.bytes)));
                    }
                    Held::CaughtUp => self.next = Next::Wait,
                    Held::Elsewhere => {}
                }
            }
            if self.events.is_empty() && self.gap.is_none() && matches!(self.next, Next::Wait) {
                std::task::ready!(self.subscription.poll_changed(self.seen, cx));
                self.next = Next::Look;
                continue;
            }
            let mut out = Vec::new();
            match std::task::ready!(self.poll_item(cx)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok(Item::Gap(told))) => {
                    coding.encode(&mut out, |out| (framing.gap)(told.cursor, &gap(&told), out));
                }
                Some(Ok(Item::Events(batch))) => {
                    let mut taken = 0;
                    for entry in batch.iter() {
                        let before = out.len();
                        coding.encode(&mut out, |out| (framing.event)(entry, self.scope.cursor(entry), out));
                        if out.len() > CHUNK && before > 0 {
                            out.truncate(before);
                            break;
                        }
                        taken += 1;
                    }
                    self.events = batch.without_first(taken);
                }
            }
            return Poll::Ready(Some(Ok(out.into())));
        }
    }

    /// To be called now and then while nothing happens.
    pub(crate) fn rest(&self) {
        self.subscription.rest();
    }

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Item, ReadError>>> {
        loop {
            if let Some(gap) = self.gap.take() {
                return Poll::Ready(Some(Ok(Item::Gap(gap))));
            }
            if !self.events.is_empty() {
                return Poll::Ready(Some(Ok(Item::Events(std::mem::take(&mut self.events)))));
            }
            match &mut self.next {
                Next::End => return Poll::Ready(None),
                Next::Wait => {
                    std::task::ready!(self.subscription.poll_changed(self.seen, cx));
                    self.next = Next::Look;
                }
                Next::Look => {
                    self.seen = self.subscription.version();
                    let (log, scope, cursor) = (self.log.clone(), self.scope.clone(), self.cursor);
                    self.next = Next::Reading(Box::pin(async move { read(&*log, &scope, cursor, FOLLOWED).await }));
                }
                Next::Reading(reading) => match std::task::ready!(reading.as_mut().poll(cx)) {
                    Ok(read) => self.take(read),
                    // The job was forgotten while it was followed. What it had left to say is held at the tail.
                    Err(ReadError::UnknownJob) => match self.last_read() {
                        Some(read) => self.take(read),
                        None => self.next = Next::End,
                    },
                    Err(ReadError::Mismatch) => self.next = Next::End,
                    Err(error) => {
                        self.next = Next::Look;
                        return Poll::Ready(Some(Err(error)));
                    }
                },
            }
        }
    }

    fn last_read(&self) -> Option<crate::log::Read> {
        self.scope.as_job()?;
        self.subscription.last_read(self.cursor, ALL)
    }

    fn take(&mut self, read: crate::log::Read) {
        self.gap = read.gap.filter(|gap| gap.covered > self.told);
        if let Some(gap) = &self.gap {
            self.told = gap.covered;
        }
        self.events = read.events;
        self.cursor = read.through;
        self.next = match read.more {
            More::Now => Next::Look,
            More::Later => Next::Wait,
            More::Never => Next::End,
        };
    }
}

impl Stream for Follow {
    type Item = Result<Item, ReadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_item(cx)
    }
}

impl fmt::Debug for Follow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follow").field("scope", &self.scope).field("cursor", &self.cursor).finish_non_exhaustive()
    }
}
