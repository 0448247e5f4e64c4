//! Jobs: submit, report, cancel, get, list, delete.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    fmt,
    future::poll_fn,
    panic::AssertUnwindSafe,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{
    digest::Digest,
    draft::Draft,
    error::Error,
    feed::{Feed, ReadError},
    leases::Leases,
    ledger::{Intent, Opening, Refusal, Reporter, SameBody, Write},
    limits::Limits,
    log::{Appended, EventLog, Gap, Listing, More, Query},
    names::{JobId, Kind},
    page::Page,
    problem::{Problem, ProblemKind},
    runner,
    shutdown::Shutdown,
    snapshot::{Detail, Shown, Snapshot, State},
    submission::{Runs, Submission},
    text::Object,
    time::Clock,
    tokens::Tokens,
    transport::Links,
    worker::Worker,
};

/// The jobs of a host. Cloning it is cheap.
#[derive(Clone)]
pub struct Jobs(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) feed: Feed,
    pub(crate) clock: Clock,
    pub(crate) limits: Limits,
    pub(crate) kinds: HashMap<Kind, Registered>,
    pub(crate) shutdown: Shutdown,
    /// Jobs that wait to be run here, the first submitted first. Those that were cancelled meanwhile are passed over.
    pub(crate) waiting: Mutex<VecDeque<JobId>>,
    /// Jobs whose turn it is, from before their start until after their end.
    pub(crate) attended: Mutex<HashSet<JobId>>,
    /// Told of each job that joins them.
    pub(crate) arrived: Notify,
    /// Set before the last look at those that wait: who joins them later ends by itself.
    pub(crate) closed: AtomicBool,
    pub(crate) leases: Leases,
    /// Set once all transports are mounted, which need the jobs for that.
    links: OnceLock<Links>,
    tokens: Tokens,
}

/// A worker, and how long a job may take it.
#[derive(Debug)]
pub(crate) struct Registered {
    pub(crate) worker: Arc<dyn Worker>,
    pub(crate) timeout: Option<Duration>,
}

/// A submission that was accepted.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Accepted {
    /// The job.
    pub job: Arc<Snapshot>,
    /// What its reporter needs, where it is reported from outside.
    pub report: Option<Report>,
}

/// What a program outside needs to report a job.
#[derive(Clone)]
#[non_exhaustive]
pub struct Report {
    /// What it has to show.
    pub token: String,
    /// For how long it may be silent.
    pub lease: Duration,
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Report").field("lease", &self.lease).finish_non_exhaustive()
    }
}

impl Jobs {
    pub(crate) fn new(
        log: Arc<dyn EventLog>,
        clock: Clock,
        limits: Limits,
        kinds: HashMap<Kind, Registered>,
        shutdown: Shutdown,
        secret: Option<[u8; 32]>,
    ) -> Result<Self, Error> {
        let tokens = Tokens::new(secret)?;
        Ok(Self(Arc::new(Inner {
            feed: Feed::new(log.clone()),
            log,
            clock,
            limits,
            kinds,
            shutdown,
            waiting: Mutex::default(),
            attended: Mutex::default(),
            arrived: Notify::new(),
            closed: AtomicBool::new(false),
            leases: Leases::default(),
            links: OnceLock::new(),
            tokens,
        })))
    }

    /// Opens a job, or finds the one that was opened with the same idempotency key.
    ///
    /// Dropping the future undoes nothing: the job may have been opened, and then it is run.
    ///
    /// # Errors
    ///
    /// The problem that the one who submits is to be told. Where the log does not answer, the job may have been opened
    /// all the same.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, where the log takes its time.
    pub async fn submit(&self, submission: Submission) -> Result<Accepted, Problem> {
        if self.0.shutdown.has_begun() {
            return Err(ProblemKind::ShuttingDown.into());
        }
        if let Runs::Here = submission.runs {
            self.check(&submission.kind, &submission.input)?;
        }
        let jobs = self.clone();
        let mut opening = Box::pin(async move { jobs.open(submission).await });
        // It panics where the log does, and whoever submits gets an answer.
        let begun = poll_fn(|cx| {
            let polled = std::panic::catch_unwind(AssertUnwindSafe(|| opening.as_mut().poll(cx)));
            Poll::Ready(polled.unwrap_or_else(|_| Poll::Ready(Err(ProblemKind::Internal.into()))))
        });
        match begun.await {
            Poll::Ready(opened) => opened,
            // A task of its own where the log takes its time: who submits may hang up, and a job that is written has to
            // be run.
            Poll::Pending => tokio::spawn(opening).await.unwrap_or_else(|_| Err(ProblemKind::Internal.into())),
        }
    }

    async fn open(&self, submission: Submission) -> Result<Accepted, Problem> {
        let Submission { kind, input, runs, key } = submission;
        let job = JobId::new();
        let mut drafts = vec![Draft::queued(&kind, &input)];
        let mut report = None;
        if let Runs::Outside { lease } = runs {
            drafts.push(Draft::started(1));
            report = Some(Report { token: self.0.tokens.of(job), lease });
        }
        let reporter = |report: &Report| Reporter { token: Digest::of(report.token.as_bytes()), lease: report.lease };
        let opening = Arc::new(Opening { key, reporter: report.as_ref().map(reporter) });
        let opened = match self.write(job, Intent::Open(opening), drafts).await {
            Ok(Ok(appended)) => Ok(appended.job),
            Ok(Err(refusal)) => return self.not_opened(refusal).await,
            Err(error) => match self.0.feed.job(job).await {
                // It was written all the same.
                Ok(job) => Ok(job),
                Err(ReadError::UnknownJob) => return Err(error.into()),
                // It may have been.
                Err(_) => Err(error),
            },
        };
        // Whoever takes it up finds out whether it is there.
        match runs {
            Runs::Here => {
                self.enqueue(job);
                if self.0.closed.load(Ordering::SeqCst) {
                    runner::end_waiting(self).await;
                    return Err(ProblemKind::ShuttingDown.into());
                }
            }
            Runs::Outside { lease } => self.0.leases.begin(job, lease),
        }
        Ok(Accepted { job: opened?, report })
    }

    async fn not_opened(&self, refusal: Refusal) -> Result<Accepted, Problem> {
        match refusal {
            Refusal::KeyTaken { job, body: SameBody::Yes } => {
                let known = self.0.feed.job(job).await;
                let known = known.map_err(|_| {
                    let detail = format!("the job {job} that was submitted with this key is no longer known");
                    Problem::new(ProblemKind::UnknownJob, detail)
                })?;
                let reporter = self.0.log.reporter(known.id);
                let report =
                    reporter.map(|(reporter, _)| Report { token: self.0.tokens.of(known.id), lease: reporter.lease });
                Ok(Accepted { job: known, report })
            }
            Refusal::KeyTaken { body: SameBody::No, .. } => {
                let detail = "this idempotency key came with another body before";
                Err(Problem::new(ProblemKind::IdempotencyKeyReused, detail))
            }
            refusal => Err(refused(refusal)),
        }
    }

    fn check(&self, kind: &Kind, input: &crate::json::Json) -> Result<(), Problem> {
        let Some(registered) = self.0.kinds.get(kind) else {
            return Err(self.not_run_here(kind));
        };
        // A worker's panic is its own, and whoever submits gets an answer.
        let checked = std::panic::catch_unwind(AssertUnwindSafe(|| registered.worker.check(input)));
        let checked =
            checked.map_err(|_| Problem::new(ProblemKind::Internal, "the look at the input has broken off"))?;
        checked.map_err(|why| Problem::new(ProblemKind::InvalidInput, why))
    }

    fn not_run_here(&self, kind: &Kind) -> Problem {
        let mut kinds: Vec<_> = self.0.kinds.keys().map(Kind::as_str).collect();
        kinds.sort_unstable();
        let known = if kinds.is_empty() { String::new() } else { format!(", but of {}", kinds.join(", ")) };
        let detail = format!(
            "no jobs of kind {kind} are run here{known}; one that runs elsewhere is submitted with \"worker\": \"external\""
        );
        Problem::new(ProblemKind::UnknownKind, detail)
    }

    pub(crate) fn enqueue(&self, job: JobId) {
        self.0.waiting.lock().push_back(job);
        self.0.arrived.notify_one();
    }

    /// Whether a token is that of this job's reporter.
    ///
    /// # Errors
    ///
    /// Where it is not, or the job is not reported from outside.
    pub fn authorize(&self, job: JobId, token: &str) -> Result<(), Problem> {
        // Digests are compared, and so the time that it takes says nothing about the token.
        match self.0.log.reporter(job) {
            Some((reporter, _)) if reporter.token == Digest::of(token.as_bytes()) => Ok(()),
            _ => Err(ProblemKind::Unauthorized.into()),
        }
    }

    /// For how long a job's reporter may be silent, where it is reported from outside.
    #[must_use]
    pub fn lease(&self, job: JobId) -> Option<Duration> {
        self.0.log.reporter(job).map(|(reporter, _)| reporter.lease)
    }

    /// Takes what a job's reporter has to say, and renews its lease; nothing at all renews it as well. With the number
    /// of the first draft among all of this reporter's, those that were taken before are skipped. Says how many were
    /// taken by now.
    ///
    /// The caller has [authorized](Self::authorize) the reporter. Dropping the future undoes nothing.
    ///
    /// # Errors
    ///
    /// The problem that the reporter is to be told.
    pub async fn report(&self, job: JobId, first: Option<u64>, drafts: Vec<Draft>) -> Result<Appended, Problem> {
        let ends = drafts.last().is_some_and(|draft| draft.kind().is_terminal());
        // Before it is written: a reporter that hangs up by then has said something all the same.
        self.0.leases.renew(job);
        let appended = self.write(job, Intent::Report(first), drafts).await?.map_err(refused)?;
        if ends || appended.job.state.is_terminal() {
            self.0.leases.end(job);
        }
        Ok(appended)
    }

    /// Asks for a job to be cancelled. One that waits is over at once; of one that runs the worker is told, and the job
    /// is over when the worker has stopped. To ask again changes nothing.
    ///
    /// # Errors
    ///
    /// The problem that the one who asks is to be told: there is no such job, or it has succeeded or failed.
    pub async fn cancel(&self, job: JobId, reason: Option<&str>) -> Result<Arc<Snapshot>, Problem> {
        loop {
            let snapshot = self.0.feed.job(job).await?;
            let drafts = match snapshot.state {
                State::Cancelled => return Ok(snapshot),
                State::Succeeded | State::Failed => return Err(refused(Refusal::JobOver(snapshot.state))),
                State::Running if snapshot.cancel_requested => return Ok(snapshot),
                State::Queued => vec![Draft::cancelling(reason), Draft::cancelled(reason)],
                State::Running => vec![Draft::cancelling(reason)],
            };
            match self.write(job, Intent::From(snapshot.state), drafts).await? {
                Ok(appended) => {
                    self.0.waiting.lock().retain(|waiting| *waiting != job);
                    return Ok(appended.job);
                }
                // It has moved on in between: look again.
                Err(Refusal::Moved(_) | Refusal::JobOver(_)) => {}
                Err(refusal) => return Err(refused(refusal)),
            }
        }
    }

    /// Forgets a job that is over.
    ///
    /// # Errors
    ///
    /// The problem that the one who asks is to be told: there is no such job, or it is not over.
    pub async fn delete(&self, job: JobId) -> Result<(), Problem> {
        self.write(job, Intent::Delete, Vec::new()).await?.map(drop).map_err(refused)
    }

    /// A job as it is.
    ///
    /// # Errors
    ///
    /// Where it is unknown.
    pub async fn get(&self, job: JobId) -> Result<Arc<Snapshot>, Problem> {
        Ok(self.0.feed.job(job).await?)
    }

    /// Some jobs, the newest first.
    #[must_use]
    pub fn list(&self, query: &Query) -> Listing {
        self.0.log.jobs(query)
    }

    /// What is allowed here.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// A job as JSON, as clients are shown it. Made at most once for each change of the job.
    #[must_use]
    pub fn snapshot_json(&self, job: &Snapshot) -> Bytes {
        self.shown(job).json.clone()
    }

    pub(crate) fn shown<'j>(&self, job: &'j Snapshot) -> &'j Shown {
        job.shown(|| self.links().json(&job.kind, job.id))
    }

    /// A job that was just accepted as JSON, as whoever submitted it is shown it: with what its reporter needs, where
    /// it has one.
    #[must_use]
    pub fn accepted_json(&self, accepted: &Accepted) -> Bytes {
        let json = self.snapshot_json(&accepted.job);
        let Some(report) = &accepted.report else { return json };
        let (path, seconds) = (self.links().job(accepted.job.id), report.lease.as_secs());
        let report =
            format!(r#","report":{{"href":"{path}/events","token":"{}","lease_seconds":{seconds}}}}}"#, report.token);
        // An object ends with its brace, and the report goes before that.
        let mut json = json.to_vec();
        json.pop();
        json.extend_from_slice(report.as_bytes());
        json.into()
    }

    /// A page of events as JSON, as clients that poll are shown it. Made at most once.
    #[must_use]
    pub fn page_json(&self, page: &Page) -> Bytes {
        page.json(|| self.render_page(page))
    }

    fn render_page(&self, page: &Page) -> Vec<u8> {
        let events = page.events().map(|entry| entry.event.json().len() + 1).sum::<usize>();
        let job = self.snapshot_json(&page.job);
        let mut out = Vec::with_capacity(job.len() + events + 160);
        out.extend_from_slice(br#"{"job":"#);
        out.extend_from_slice(&job);
        out.extend_from_slice(br#","events":["#);
        for (nth, entry) in page.events().enumerate() {
            if nth > 0 {
                out.push(b',');
            }
            out.extend_from_slice(entry.event.json());
        }
        out.push(b']');
        let mut out = Object::continued(out);
        out.cursor("cursor", page.cursor);
        out.bool("more", page.more == More::Now);
        out.bool("done", page.more == More::Never);
        match &page.gap {
            None => out.json("gap", b"null"),
            Some(gap) => {
                let mut told = Object::with_capacity(64);
                told.number("requested", gap.requested);
                told.number("resumed_at", gap.resumed_at);
                out.json("gap", &told.end());
            }
        }
        out.end()
    }

    /// The data of a gap as JSON on one line: with the `job` that a reader of one job follows, or with the `jobs` that
    /// it concerns, as in a list: of hundreds, inputs and results may be more than anybody asked for.
    #[must_use]
    pub fn gap_json(&self, gap: &Gap, scope: GapScope) -> String {
        let jobs = match (scope, gap.jobs.first()) {
            (GapScope::OneJob, Some(job)) => format!(r#""job":{}"#, String::from_utf8_lossy(&self.snapshot_json(job))),
            _ => {
                let jobs: Vec<_> = gap.jobs.iter().map(|job| self.listed_json(job)).collect();
                format!(r#""jobs":[{}]"#, jobs.join(","))
            }
        };
        format!(r#"{{"requested":{},"resumed_at":{},{jobs}}}"#, gap.requested, gap.resumed_at)
    }

    pub(crate) fn listed_json(&self, job: &Snapshot) -> String {
        job.render(Detail::Listed, &self.links().json(&job.kind, job.id))
    }

    pub(crate) fn links(&self) -> &Links {
        static NONE: OnceLock<Links> = OnceLock::new();
        self.0.links.get().unwrap_or_else(|| NONE.get_or_init(Links::default))
    }

    pub(crate) fn set_links(&self, links: Links) {
        // A host sets them once, while it is built.
        let _ = self.0.links.set(links);
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.0
    }

    pub(crate) async fn write(
        &self,
        job: JobId,
        intent: Intent,
        drafts: Vec<Draft>,
    ) -> Result<Result<Appended, Refusal>, Error> {
        self.0.log.append(Write { job, intent, drafts, time: self.0.clock.now() }).await
    }
}

/// What a reader that is told of a gap follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapScope {
    /// One job.
    OneJob,
    /// Several.
    ManyJobs,
}

impl fmt::Debug for Jobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jobs").field("log", &self.0.log).field("kinds", &self.0.kinds).finish_non_exhaustive()
    }
}

/// What a client is told where a write of its was refused.
fn refused(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::UnknownJob => ProblemKind::UnknownJob.into(),
        Refusal::JobOver(state) | Refusal::Moved(state) => {
            Problem::new(ProblemKind::AlreadyFinished, format!("the job has {}", past(state)))
        }
        Refusal::StillRunning => Problem::new(ProblemKind::StillRunning, "a job can be deleted once it is over"),
        Refusal::StaleAttempt => Problem::new(ProblemKind::AlreadyFinished, "another attempt has taken over"),
        Refusal::ReportGap(received) => {
            let detail = format!("{received} events were taken so far: go on with Report-Seq {}", received + 1);
            Problem::new(ProblemKind::ReportGap, detail).with_number("received", received)
        }
        Refusal::Overloaded => Problem::new(ProblemKind::Overloaded, "there are as many jobs as there may be"),
        Refusal::Malformed => Problem::new(ProblemKind::InvalidInput, "nothing may follow a terminal event"),
        Refusal::KeyTaken { .. } => ProblemKind::IdempotencyKeyReused.into(),
    }
}

fn past(state: State) -> &'static str {
    match state {
        State::Queued | State::Running => "moved on",
        State::Succeeded => "succeeded",
        State::Failed => "failed",
        State::Cancelled => "been cancelled",
    }
}
