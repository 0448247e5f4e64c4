//! A transport that sends newline-delimited JSON from a task for each client, and does one thing wrong.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context as TaskContext, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{Request, Response, StatusCode};
use http_body::Frame;
use tidings_core::{
    Answer, Answering, Body, Context, Cursor, Endpoint, Entry, Error, Follow, GapScope, Item, JobId, Limit, Mount,
    Notifier, Problem, ProblemKind, ReadError, Scope, Target,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// What is wrong. Each is as narrow as it takes to break one promise alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// Events are parsed, and written anew.
    WritesJsonAnew,
    /// Who comes back to a running job after an event with an odd number gets that event once more.
    RepeatsOnResume,
    /// A client is told its cursor before it has the event.
    TellsCursorsFirst,
    /// What is written between the history, where that is long, and the first wait is lost.
    DropsTheSeam,
    /// A gap at the start is not told.
    HidesGaps,
    /// A gap is only told at the start.
    HidesLaterGaps,
    /// Cursors are taken for numbers.
    IgnoresTags,
    /// The last event comes twice.
    GoesOnAfterTheEnd,
    /// Who comes back after the end waits for what never comes.
    KeepsWhoComesBack,
    /// What a client does not read is kept for it.
    QueuesForEachClient,
    /// Line breaks in texts are shown as such.
    FramesRawText,
    /// Nobody looks at the shutdown.
    HangsAtShutdown,
    /// Every stream ends as soon as the shutdown begins.
    CutsAtShutdown,
    /// Where a client leaves that has some others beside it, all of them are cut off for good.
    BreaksWhenClientsLeave,
    /// The same where a job panics.
    BreaksWhenAJobPanics,
    /// It looks once a second whether there is anything new.
    PollsByTimer,
    /// It is woken up, and looks all the time as well.
    LooksTooOften,
    /// Who follows a job that is deleted waits for ever.
    WaitsForTheDeleted,
    /// Who follows a job that is deleted is let go, and never told how it ended.
    HidesDeletedEnds,
}

/// A transport with a fault.
#[derive(Clone, Debug)]
pub(crate) struct Broken {
    fault: Fault,
}

impl Broken {
    pub(crate) fn new(fault: Fault) -> Self {
        Self { fault }
    }
}

impl Notifier for Broken {
    fn name(&self) -> &'static str {
        "broken"
    }

    fn mount(&self, cx: &Context) -> Result<Mount, Error> {
        let clients = Arc::default();
        Ok(Mount::endpoint(Handler(Pump {
            fault: self.fault,
            cx: cx.clone(),
            clients,
            dead: CancellationToken::new(),
        })))
    }
}

#[derive(Debug)]
struct Handler(Pump);

impl Endpoint for Handler {
    fn answer<'a>(&'a self, target: Target, _: Request<Body>) -> Answering<'a> {
        Answering::later(async move {
            let Some(job) = target.scope().as_job() else { return Problem::from(ProblemKind::NotFound).into() };
            self.0.answer(job, target.after().unwrap_or_default()).await.unwrap_or_else(|error| error.into())
        })
    }
}

/// What the streams of all clients share.
#[derive(Clone, Debug)]
struct Pump {
    fault: Fault,
    cx: Context,
    /// How many streams are open.
    clients: Arc<AtomicUsize>,
    /// Set where nothing works any more.
    dead: CancellationToken,
}

impl Pump {
    fn has(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    async fn answer(&self, job: JobId, after: Cursor) -> Result<Answer, Problem> {
        let feed = &self.cx.feed;
        let after = if self.has(Fault::IgnoresTags) { Cursor::unchecked(after.number()) } else { after };
        let mut follow = feed.follow(Scope::job(job), after).await?;
        if follow.is_over() && !self.has(Fault::KeepsWhoComesBack) {
            return Ok(Answer::empty(StatusCode::NO_CONTENT));
        }
        if self.dead.is_cancelled() {
            return Err(ProblemKind::Internal.into());
        }
        if self.cx.shutdown.has_begun() && !self.has(Fault::HangsAtShutdown) {
            return Err(ProblemKind::ShuttingDown.into());
        }
        let running = !feed.job(job).await?.state.is_terminal();
        let returns = running && after.tag().is_some() && after.number() % 2 == 1;
        if self.has(Fault::RepeatsOnResume) && returns {
            follow = feed.follow(Scope::job(job), Cursor::unchecked(after.number() - 1)).await?;
        }
        let (lines, body) = channel(self.fault);
        let pump = self.clone();
        tokio::spawn(async move {
            pump.clients.fetch_add(1, Ordering::Relaxed);
            let left = pump.run(job, after, follow, &lines).await == Err(Left);
            let others = pump.clients.fetch_sub(1, Ordering::Relaxed) - 1;
            if left && others >= 4 && pump.has(Fault::BreaksWhenClientsLeave) {
                pump.dead.cancel();
            }
        });
        Ok(Answer::Response(Response::new(Body::wrap(body))))
    }

    async fn run(&self, job: JobId, after: Cursor, mut follow: Follow, lines: &Lines) -> Result<(), Left> {
        let jobs = &self.cx.jobs;
        if self.has(Fault::KeepsWhoComesBack) && follow.is_over() {
            return lines.left().await;
        }
        if self.has(Fault::DropsTheSeam)
            && let Some(later) = self.without_seam(job, after, lines).await?
        {
            follow = later;
        }
        // A job that is reported from outside is not waited for.
        let waits = jobs.lease(job).is_none() && !self.has(Fault::CutsAtShutdown);
        let mut first = true;
        loop {
            let item = tokio::select! {
                biased;
                () = self.dead.cancelled() => return Ok(()),
                item = self.next(&mut follow) => item,
                () = self.cx.shutdown.begun(), if !waits && !self.has(Fault::HangsAtShutdown) => return Ok(()),
                left = lines.left() => return left,
            };
            match item {
                Some(Ok(Item::Gap(gap))) => {
                    let hidden = if first { Fault::HidesGaps } else { Fault::HidesLaterGaps };
                    if !self.has(hidden) {
                        lines.send(jobs.gap_json(&gap, GapScope::OneJob)).await?;
                    }
                }
                Some(Ok(Item::Events(_)))
                    if self.cx.feed.known(job).is_none() && self.has(Fault::WaitsForTheDeleted) =>
                {
                    return lines.left().await;
                }
                Some(Ok(Item::Events(_))) if self.cx.feed.known(job).is_none() && self.has(Fault::HidesDeletedEnds) => {
                    return Ok(());
                }
                Some(Ok(Item::Events(events))) => {
                    for entry in events.iter() {
                        self.tell(entry, lines).await?;
                    }
                }
                Some(Ok(_) | Err(_)) => return Ok(()),
                None => return Ok(()),
            }
            first = false;
        }
    }

    async fn next(&self, follow: &mut Follow) -> Option<Result<Item, ReadError>> {
        let pause = match self.fault {
            Fault::PollsByTimer => Duration::from_secs(1),
            Fault::LooksTooOften => Duration::from_millis(50),
            _ => return follow.next().await,
        };
        loop {
            if let Some(item) = follow.next().now_or_never() {
                return item;
            }
            tokio::select! {
                item = follow.next(), if self.has(Fault::LooksTooOften) => return item,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Reads the history, and then waits for what comes, with a moment in between.
    async fn without_seam(&self, job: JobId, after: Cursor, lines: &Lines) -> Result<Option<Follow>, Left> {
        let feed = &self.cx.feed;
        let limit = Limit { events: usize::MAX, bytes: usize::MAX };
        let Ok(page) = feed.read(job, after, limit).await else { return Ok(None) };
        if page.events().count() < 25 || page.job.state.is_terminal() {
            return Ok(None);
        }
        for entry in page.events() {
            self.tell(entry, lines).await?;
        }
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        let end = feed.known(job).map_or(page.cursor, |job| job.cursor());
        Ok(feed.follow(Scope::job(job), end).await.ok())
    }

    async fn tell(&self, entry: &Entry, lines: &Lines) -> Result<(), Left> {
        let json = String::from_utf8_lossy(entry.event.json()).into_owned();
        if self.has(Fault::TellsCursorsFirst) {
            lines.send(format!("@{}", entry.event.cursor())).await?;
        }
        if self.has(Fault::BreaksWhenAJobPanics) && json.contains(r#""code":"panic""#) {
            self.dead.cancel();
        }
        if self.has(Fault::GoesOnAfterTheEnd) && entry.event.is_terminal() {
            lines.send(json.clone()).await?;
        }
        lines
            .send(match self.fault {
                Fault::WritesJsonAnew => {
                    let value: serde_json::Value = serde_json::from_str(&json).unwrap_or_default();
                    value.to_string()
                }
                Fault::FramesRawText => json.replace("\\n", "\n"),
                _ => json,
            })
            .await
    }
}

/// The client has hung up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Left;

/// Where the lines for a client go: to a place for one, or to a queue.
#[derive(Debug)]
enum Lines {
    One(mpsc::Sender<Bytes>),
    Queue(mpsc::UnboundedSender<Bytes>),
}

impl Lines {
    async fn send(&self, line: String) -> Result<(), Left> {
        let line = Bytes::from(line + "\n");
        match self {
            Self::One(one) => one.send(line).await.map_err(|_| Left),
            Self::Queue(queue) => queue.send(line).map_err(|_| Left),
        }
    }

    /// Comes back once the client has hung up.
    async fn left(&self) -> Result<(), Left> {
        match self {
            Self::One(one) => one.closed().await,
            Self::Queue(queue) => queue.closed().await,
        }
        Err(Left)
    }
}

fn channel(fault: Fault) -> (Lines, Received) {
    if fault == Fault::QueuesForEachClient {
        let (queue, received) = mpsc::unbounded_channel();
        (Lines::Queue(queue), Received::Queue(received))
    } else {
        let (one, received) = mpsc::channel(1);
        (Lines::One(one), Received::One(received))
    }
}

/// The lines as a body.
enum Received {
    One(mpsc::Receiver<Bytes>),
    Queue(mpsc::UnboundedReceiver<Bytes>),
}

impl http_body::Body for Received {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let line = match &mut *self {
            Self::One(one) => one.poll_recv(cx),
            Self::Queue(queue) => queue.poll_recv(cx),
        };
        line.map(|line| line.map(|line| Ok(Frame::data(line))))
    }
}
