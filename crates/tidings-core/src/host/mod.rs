//! The host: one service that serves jobs, reports, and whatever transports are mounted.

mod answers;
mod bodies;
mod driver;
mod names;
mod reports;
mod service;

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

pub use self::{driver::Driver, names::HostNames, reports::Reporting, service::Serving};
use crate::{
    error::{Error, ErrorKind},
    feed::Feed,
    jobs::{Jobs, Registered},
    limits::Limits,
    log::EventLog,
    memory::MemoryLog,
    names::Kind,
    pulse::Pulses,
    retention::Retention,
    shutdown::Shutdown,
    time::Clock,
    transport::{Context, CursorStore, Links, MemoryCursors, Mount, Notifier, Reach, Status},
    worker::{Function, JobContext, JobError, Worker},
};

/// One [`tower_service::Service`] that serves jobs and their events; cloning it is cheap.
///
/// It answers every request, and never with an error. Paths are relative to where it is mounted; under a
/// [base](HostBuilder::with_base) it answers both with that prefix and without, so it makes no difference whether who
/// mounts it takes the prefix off.
#[derive(Clone)]
pub struct Host(Arc<Inner>);

struct Inner {
    cx: Context,
    mounts: Vec<Mounted>,
    /// The path that links begin with.
    base_path: String,
    names: HostNames,
}

struct Mounted {
    name: &'static str,
    mount: Mount,
}

impl Host {
    /// A host with nothing mounted, no kinds of jobs, and its log in memory.
    pub fn builder() -> HostBuilder {
        HostBuilder {
            log: None,
            clock: Clock::system(),
            cursors: Arc::new(MemoryCursors::default()),
            limits: Limits::default(),
            secret: None,
            base: String::new(),
            names: HostNames::any(),
            kinds: HashMap::new(),
            notifiers: Vec::new(),
        }
    }

    /// The jobs, for the host's own code.
    #[must_use]
    pub fn jobs(&self) -> &Jobs {
        &self.0.cx.jobs
    }

    /// The events, for the host's own code.
    #[must_use]
    pub fn feed(&self) -> &Feed {
        &self.0.cx.feed
    }

    /// The stages of a shutdown.
    #[must_use]
    pub fn shutdown(&self) -> &Shutdown {
        &self.0.cx.shutdown
    }

    /// How the transports that work by themselves are doing.
    pub fn statuses(&self) -> impl Iterator<Item = (&'static str, Status)> {
        self.0.mounts.iter().filter_map(|mounted| mounted.mount.status.as_ref().map(|status| (mounted.name, status())))
    }

    /// The transport of this name, where it answers requests for that reach.
    fn endpoint(&self, name: &str, reach: Reach) -> Option<&Mounted> {
        self.0.mounts.iter().find(|m| m.name == name && m.mount.endpoint.is_some() && m.reaches(reach))
    }

    /// The transport that `/events` stands for.
    fn default_events(&self) -> Option<&Mounted> {
        self.0.mounts.iter().find(|m| m.mount.endpoint.is_some() && m.reaches(Reach::ManyJobs))
    }
}

impl Mounted {
    fn reaches(&self, reach: Reach) -> bool {
        reach == Reach::OneJob || self.mount.reach == Reach::ManyJobs
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mounts: Vec<_> = self.0.mounts.iter().map(|mounted| mounted.name).collect();
        f.debug_struct("Host").field("mounts", &mounts).finish_non_exhaustive()
    }
}

/// Puts a [`Host`] together.
#[must_use = "nothing is mounted until it is built"]
pub struct HostBuilder {
    log: Option<Arc<dyn EventLog>>,
    clock: Clock,
    cursors: Arc<dyn CursorStore>,
    limits: Limits,
    secret: Option<[u8; 32]>,
    base: String,
    names: HostNames,
    kinds: HashMap<Kind, Registered>,
    notifiers: Vec<Arc<dyn Notifier>>,
}

impl HostBuilder {
    /// Keeps events there. By default a [`MemoryLog`] does, with its own default limits.
    pub fn with_log(self, log: Arc<dyn EventLog>) -> Self {
        Self { log: Some(log), ..self }
    }

    /// Keeps the places of relays there; by default in memory.
    pub fn with_cursors(self, cursors: Arc<dyn CursorStore>) -> Self {
        Self { cursors, ..self }
    }

    /// Takes the time of events from there; by default from the machine's clock.
    pub fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// Allows so much.
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Makes the tokens of reporters of this secret; of a random one by default. Needed where a log outlives its
    /// process, or is shared: else who repeats a submission is given a token that nobody takes.
    pub fn with_secret(self, secret: [u8; 32]) -> Self {
        Self { secret: Some(secret), ..self }
    }

    /// Begins every link with this: a path such as `/tidings`, or a whole URL; nothing by default.
    pub fn with_base(self, base: impl Into<String>) -> Self {
        Self { base: base.into(), ..self }
    }

    /// Answers only requests to these hosts. By default to any: a library does not know what its host is called.
    pub fn with_names(self, names: HostNames) -> Self {
        Self { names, ..self }
    }

    /// Runs jobs of this kind with an async function.
    pub fn with_job<F, R>(self, kind: Kind, function: F) -> Self
    where
        F: Fn(JobContext) -> R + Send + Sync + 'static,
        R: Future<Output = Result<crate::Json, JobError>> + Send + 'static,
    {
        self.with_worker(kind, Arc::new(Function(function)), None)
    }

    /// Runs jobs of this kind with a worker. A job that takes longer than `timeout` fails with the code `timeout`.
    pub fn with_worker(mut self, kind: Kind, worker: Arc<dyn Worker>, timeout: Option<Duration>) -> Self {
        self.kinds.insert(kind, Registered { worker, timeout });
        self
    }

    /// Mounts a transport.
    pub fn mount(self, notifier: impl Notifier) -> Self {
        self.mount_dyn(Arc::new(notifier))
    }

    /// Mounts a transport that is only known at run time.
    pub fn mount_dyn(mut self, notifier: Arc<dyn Notifier>) -> Self {
        self.notifiers.push(notifier);
        self
    }

    /// Puts the host together, and the future that drives it. Does no I/O and spawns nothing.
    ///
    /// # Errors
    ///
    /// Where two transports have one name, or a name or the base can't stand in a link, or a transport can't be
    /// mounted as it is configured.
    pub fn build(self) -> Result<(Host, Driver), Error> {
        let log =
            self.log.unwrap_or_else(|| Arc::new(MemoryLog::new(Retention::default()).with_clock(self.clock.clone())));
        let shutdown = Shutdown::default();
        let jobs = Jobs::new(log.clone(), self.clock, self.limits, self.kinds, shutdown.clone(), self.secret)?;
        let cx = Context {
            feed: Feed::new(log),
            jobs: jobs.clone(),
            cursors: self.cursors,
            shutdown,
            pulses: Pulses::default(),
        };
        let mut mounts: Vec<Mounted> = Vec::new();
        for notifier in &self.notifiers {
            let name = notifier.name();
            if !is_mountable(name) || mounts.iter().any(|mounted| mounted.name == name) {
                let message =
                    format!("a transport can't be mounted as {name:?}: the name is taken, or can't stand in a path");
                return Err(Error::new(ErrorKind::Configuration, message));
            }
            mounts.push(Mounted { name, mount: notifier.mount(&cx)? });
        }
        let linked = mounts.iter().filter(|mounted| mounted.mount.endpoint.is_some() || mounted.mount.link.is_some());
        let links = Links::new(&self.base, linked.map(|mounted| (mounted.name, mounted.mount.link.clone())).collect())?;
        let base_path = path_of(links.base()).to_owned();
        jobs.set_links(links);
        let host = Host(Arc::new(Inner { cx, mounts, base_path, names: self.names }));
        Ok((host.clone(), Driver::new(host)))
    }
}

impl fmt::Debug for HostBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostBuilder")
            .field("kinds", &self.kinds)
            .field("notifiers", &self.notifiers)
            .finish_non_exhaustive()
    }
}

/// Names that mean something else beneath a job's path can't be a transport's.
fn is_mountable(name: &str) -> bool {
    let letters = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !name.is_empty() && name.bytes().all(letters) && !["cancel", "events", "self"].contains(&name)
}

/// The path of a URL, or of what is just a path.
fn path_of(base: &str) -> &str {
    match base.split_once("://") {
        Some((_, rest)) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default(),
        None => base,
    }
}
