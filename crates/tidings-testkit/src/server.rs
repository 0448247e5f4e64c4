//! The server that a transport is tried on: a host in this process, its log in memory, and jobs that do as a scenario
//! says.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use tidings_core::{
    Clock, Cursor, Draft, Event, Host, HostBuilder, JobContext, JobError, JobId, Jobs, Json, Limit, MemoryLog, More,
    Retention, Submission,
};
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    adapter::Adapter,
    failure::Failure,
    wire::{Response, Wire},
};

/// The kind of every job that is reported by the suite, and of those that it runs.
pub const KIND: &str = "conformance";

/// The longest lease there is: no scenario takes a day.
const LEASE: Duration = Duration::from_secs(86_400);

/// The server that a transport is tried on. Cloning it is cheap; its jobs end with the scenario.
#[derive(Clone)]
pub struct Server(Arc<Inner>);

struct Inner {
    host: Host,
    wire: Arc<Wire>,
    /// Set by the scenario that shuts the server down.
    stop: CancellationToken,
    /// Told by scenarios, awaited by the jobs that run here.
    cue: watch::Sender<Cue>,
    driver: JoinHandle<()>,
}

/// What a job that runs here is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cue {
    Wait,
    Succeed,
    Panic,
}

impl Server {
    /// Starts a host with what `mount` adds to it, in the runtime that this is called from, whose time it goes by.
    ///
    /// # Errors
    ///
    /// Where the host can't be built.
    pub async fn start(mount: impl FnOnce(HostBuilder) -> HostBuilder, retention: Retention) -> Result<Self, Failure> {
        let broken = |error: &dyn fmt::Display| Failure::new(format!("the host can't be built: {error}"));
        let clock = Clock::tokio();
        let (cue, cues) = watch::channel(Cue::Wait);
        let kind = KIND.parse().map_err(|error| broken(&error))?;
        let host = Host::builder()
            .with_log(Arc::new(MemoryLog::new(retention).with_clock(clock.clone())))
            .with_clock(clock)
            .with_job(kind, move |job| play(job, cues.clone()));
        let (host, driver) = mount(host).build().map_err(|error| broken(&error))?;
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let driver = tokio::spawn(driver.run(async move { stopped.cancelled().await }));
        Ok(Self(Arc::new(Inner { host, wire: Arc::default(), stop, cue, driver })))
    }

    /// Starts a host with the transport of an adapter, and gets its client ready.
    pub(crate) async fn of(adapter: &dyn Adapter, retention: Retention) -> Result<Self, Failure> {
        let server = Self::start(|host| adapter.mount(host), retention).await?;
        adapter.prepare(&server).await?;
        Ok(server)
    }

    /// Asks the host for a path, such as `/jobs/{id}/sse`, and comes back with the head of the answer.
    ///
    /// # Errors
    ///
    /// Where `target` can't stand in a request.
    pub async fn get(&self, target: &str, headers: &[(&str, &str)]) -> Result<Response, Failure> {
        Response::get(self.0.wire.clone(), self.0.host.clone(), target, headers).await
    }

    /// The host, for adapters whose transport is not asked by requests.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.0.host
    }

    pub(crate) fn wire(&self) -> &Wire {
        &self.0.wire
    }

    /// Opens a job that the caller reports.
    ///
    /// # Errors
    ///
    /// Where core refuses that.
    pub async fn open(&self) -> Result<Author, Failure> {
        self.open_with(&Json::null()).await
    }

    /// Opens a job that the caller reports, with this input.
    ///
    /// # Errors
    ///
    /// Where core refuses that.
    pub async fn open_with(&self, input: &Json) -> Result<Author, Failure> {
        self.submit(Submission::new(kind()?, input.clone()).with_lease(LEASE)).await
    }

    /// Opens a job that runs here, for as long as no scenario tells it otherwise. It has begun.
    ///
    /// # Errors
    ///
    /// Where core refuses that.
    pub async fn open_running(&self) -> Result<Author, Failure> {
        let author = self.submit(Submission::new(kind()?, Json::null())).await?;
        // A job that waits for its turn has one event.
        while author.jobs.get(author.id).await.map_err(refused)?.seq < 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(author)
    }

    async fn submit(&self, submission: Submission) -> Result<Author, Failure> {
        let jobs = self.0.host.jobs().clone();
        let id = jobs.submit(submission).await.map_err(refused)?.job.id;
        Ok(Author { jobs, id })
    }

    /// Tells the jobs that run here what to do.
    pub(crate) fn cue(&self, cue: Cue) {
        self.0.cue.send_replace(cue);
    }

    /// Begins the shutdown.
    pub fn shut_down(&self) {
        self.0.stop.cancel();
    }

    /// What the log holds of a job, which is what every transport has to show.
    ///
    /// # Errors
    ///
    /// Where core refuses that.
    pub async fn log(&self, job: JobId) -> Result<Vec<Event>, Failure> {
        let (mut all, mut at) = (Vec::new(), Cursor::START);
        loop {
            let limit = Limit { events: usize::MAX, bytes: usize::MAX };
            let page = self.0.host.feed().read(job, at, limit).await.map_err(refused)?;
            all.extend(page.events().map(|entry| entry.event.clone()));
            if page.more != More::Now {
                return Ok(all);
            }
            at = page.cursor;
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("host", &self.0.host).finish_non_exhaustive()
    }
}

async fn play(job: JobContext, mut cues: watch::Receiver<Cue>) -> Result<Json, JobError> {
    job.log("stdout", "waiting").await?;
    // The sender lives as long as the server.
    let cue = cues.wait_for(|cue| *cue != Cue::Wait).await.map_or(Cue::Succeed, |cue| *cue);
    assert!(cue != Cue::Panic, "told to panic by the scenario");
    Ok(Json::null())
}

/// Writes the events of one job.
#[derive(Clone, Debug)]
pub struct Author {
    jobs: Jobs,
    id: JobId,
}

impl Author {
    /// Which job it is.
    #[must_use]
    pub fn job(&self) -> JobId {
        self.id
    }

    /// Writes events, in one batch.
    ///
    /// # Errors
    ///
    /// Where core refuses that.
    pub async fn write(&self, drafts: Vec<Draft>) -> Result<(), Failure> {
        self.jobs.report(self.id, None, drafts).await.map(drop).map_err(refused)
    }

    /// Writes so many lines of plain text, in one batch.
    ///
    /// # Errors
    ///
    /// Where core refuses that.
    pub async fn lines(&self, count: usize) -> Result<(), Failure> {
        self.write((0..count).map(|nth| Draft::log("stdout", &format!("line {nth}"))).collect()).await
    }

    /// Ends the job.
    ///
    /// # Errors
    ///
    /// Where core refuses that.
    pub async fn finish(&self) -> Result<(), Failure> {
        self.write(vec![Draft::succeeded(&Json::null())]).await
    }

    /// Forgets the job, which is over.
    ///
    /// # Errors
    ///
    /// Where core refuses that.
    pub async fn delete(&self) -> Result<(), Failure> {
        self.jobs.delete(self.id).await.map_err(refused)
    }
}

fn kind() -> Result<tidings_core::Kind, Failure> {
    KIND.parse().map_err(refused)
}

/// Core does not do what the scenario needs, which is not the transport's fault.
fn refused(error: impl fmt::Display) -> Failure {
    Failure::new(format!("tidings-core refused what the scenario needs: {error}"))
}

/// What keeps little, so that gaps come soon: so many events of each job.
pub(crate) fn keeping(events_per_job: usize) -> Retention {
    let mut retention = Retention::default();
    retention.events_per_job = events_per_job;
    retention
}

/// The number that a snapshot says it is as of.
pub(crate) fn seq_of(snapshot: &Bytes) -> Option<u64> {
    #[derive(serde::Deserialize)]
    struct Wire {
        seq: u64,
    }
    serde_json::from_slice::<Wire>(snapshot).ok().map(|snapshot| snapshot.seq)
}
