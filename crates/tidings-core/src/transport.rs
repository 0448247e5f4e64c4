//! The seam to transports: ways for the outside to learn what happens to jobs.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_core::future::BoxFuture;
use http::Request;
use parking_lot::Mutex;

use crate::{
    answer::{Answer, Body},
    cursor::Cursor,
    error::{Error, ErrorKind},
    feed::Feed,
    jobs::Jobs,
    json::Json,
    names::{JobId, Kind},
    pulse::{Pulse, Pulses},
    shutdown::Shutdown,
    target::Target,
    time::Timestamp,
};

/// A way for the outside to learn what happens to jobs.
///
/// # Contract
///
/// A transport reads the log through the [`Feed`] and keeps no events of its own: what it shows are the bytes of
/// [`Event::json`](crate::Event::json), in the order of the log. It ends no wait by itself, for that is what the
/// [`Answer`]s are there for.
pub trait Notifier: fmt::Debug + Send + Sync + 'static {
    /// Its name in URLs, links, logs and metrics; unique within a host. Of lower-case letters, digits and hyphens.
    fn name(&self) -> &'static str;

    /// Turns the configured transport into the parts that a host drives. Does no I/O and spawns nothing: a broker
    /// that is down must not keep a server from starting.
    ///
    /// # Errors
    ///
    /// Where it is configured in a way that can't work.
    fn mount(&self, cx: &Context) -> Result<Mount, Error>;
}

/// What a host hands to its transports.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Context {
    /// The events.
    pub feed: Feed,
    /// The jobs.
    pub jobs: Jobs,
    /// Where a relay's place is kept.
    pub cursors: Arc<dyn CursorStore>,
    /// When to end.
    pub shutdown: Shutdown,
    pub(crate) pulses: Pulses,
}

impl Context {
    /// A tick that all streams share, instead of a timer for each. To be asked for in [`Notifier::mount`]: a period that
    /// is first asked for once the host is driven ticks at shutdown alone.
    #[must_use]
    pub fn pulse(&self, every: Duration) -> Pulse {
        self.pulses.every(every)
    }
}

/// The parts of a transport: an endpoint, a relay, or both.
pub struct Mount {
    pub(crate) endpoint: Option<Arc<dyn Endpoint>>,
    pub(crate) relay: Option<Relay>,
    pub(crate) reach: Reach,
    pub(crate) link: Option<Link>,
    pub(crate) info: Json,
    pub(crate) status: Option<StatusSource>,
}

/// How a job is reached over a transport: the entry in its `links`, a pure function of its kind and id.
pub type Link = Arc<dyn Fn(&Kind, JobId) -> Json + Send + Sync>;

/// Makes the future that relays events until shutdown. The host runs it, and makes another one after an error or a
/// panic, with growing pauses.
pub type Relay = Arc<dyn Fn() -> BoxFuture<'static, Result<(), Error>> + Send + Sync>;

/// Says how a transport is doing.
pub type StatusSource = Arc<dyn Fn() -> Status + Send + Sync>;

/// Where an endpoint is mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reach {
    /// At `/jobs/{id}/<name>`.
    OneJob,
    /// There, and at `/events/<name>`.
    ManyJobs,
}

impl Mount {
    /// A transport that answers requests.
    #[must_use]
    pub fn endpoint(endpoint: impl Endpoint) -> Self {
        Self { endpoint: Some(Arc::new(endpoint)), ..Self::bare() }
    }

    /// A transport that works by itself.
    #[must_use]
    pub fn relay<F>(relay: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), Error>> + Send + 'static,
    {
        Self { relay: Some(Arc::new(move || Box::pin(relay()))), ..Self::bare() }
    }

    /// Adds an endpoint to a relay.
    #[must_use]
    pub fn with_endpoint(self, endpoint: impl Endpoint) -> Self {
        Self { endpoint: Some(Arc::new(endpoint)), ..self }
    }

    /// Mounts the endpoint elsewhere than at `/jobs/{id}/<name>` alone.
    #[must_use]
    pub fn with_reach(self, reach: Reach) -> Self {
        Self { reach, ..self }
    }

    /// Says how a job is reached, where that is not the path of the endpoint.
    #[must_use]
    pub fn with_link(self, link: impl Fn(&Kind, JobId) -> Json + Send + Sync + 'static) -> Self {
        Self { link: Some(Arc::new(link)), ..self }
    }

    /// Adds the members of an object to what `GET /transports` says.
    #[must_use]
    pub fn with_info(self, info: Json) -> Self {
        Self { info, ..self }
    }

    /// Says on `/readyz` and `/transports` how the transport is doing.
    #[must_use]
    pub fn with_status(self, status: impl Fn() -> Status + Send + Sync + 'static) -> Self {
        Self { status: Some(Arc::new(status)), ..self }
    }

    fn bare() -> Self {
        Self { endpoint: None, relay: None, reach: Reach::OneJob, link: None, info: Json::null(), status: None }
    }
}

impl fmt::Debug for Mount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mount")
            .field("endpoint", &self.endpoint)
            .field("relay", &self.relay.is_some())
            .field("reach", &self.reach)
            .finish_non_exhaustive()
    }
}

/// Answers requests of one transport. It never fails: failures are answers.
pub trait Endpoint: fmt::Debug + Send + Sync + 'static {
    /// Answers a `GET` or `HEAD`. The host has checked method, path and cursor; it drops the body of the answer to a
    /// `HEAD`, and ends what is held or streamed for one at once.
    ///
    /// Dropping the future must have no effect.
    fn answer<'a>(&'a self, target: Target, request: Request<Body>) -> Answering<'a>;
}

/// An answer that is there, or is waited for.
pub enum Answering<'a> {
    /// It is there.
    Ready(Answer),
    /// It is waited for.
    Later(BoxFuture<'a, Answer>),
}

impl<'a> Answering<'a> {
    /// An answer that is waited for.
    #[must_use]
    pub fn later(answer: impl Future<Output = Answer> + Send + 'a) -> Self {
        Self::Later(Box::pin(answer))
    }
}

impl fmt::Debug for Answering<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready(answer) => f.debug_tuple("Ready").field(answer).finish(),
            Self::Later(_) => f.write_str("Later"),
        }
    }
}

/// How a transport that works by itself is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Whether it works.
    pub health: Health,
    /// Since when.
    pub since: Timestamp,
    /// How many events in the log it has not passed on yet.
    pub lag: u64,
}

impl Status {
    /// Works, or doesn't, since then, and is so many events behind.
    #[must_use]
    pub fn new(health: Health, since: Timestamp, lag: u64) -> Self {
        Self { health, since, lag }
    }
}

/// Whether a transport works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It does.
    Up,
    /// It does not, for now.
    Down,
}

impl Health {
    /// `up` or `down`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// Where relays left off.
///
/// # Contract
///
/// What `save` has been told is what `load` says, also after a restart, as far as the store promises that. An older
/// place costs repeats, and never a loss. Dropping a future of `save` may or may not have saved.
#[async_trait]
pub trait CursorStore: fmt::Debug + Send + Sync + 'static {
    /// The place that was saved last under this name.
    ///
    /// # Errors
    ///
    /// Where the store can't be read.
    async fn load(&self, name: &str) -> Result<Option<Cursor>, Error>;

    /// Saves a place.
    ///
    /// # Errors
    ///
    /// Where the store can't be written to.
    async fn save(&self, name: &str, cursor: Cursor) -> Result<(), Error>;
}

/// A [`CursorStore`] in memory, which is as durable as the [`MemoryLog`](crate::MemoryLog) that it belongs to.
#[derive(Debug, Default)]
pub struct MemoryCursors(Mutex<HashMap<String, Cursor>>);

#[async_trait]
impl CursorStore for MemoryCursors {
    async fn load(&self, name: &str) -> Result<Option<Cursor>, Error> {
        Ok(self.0.lock().get(name).copied())
    }

    async fn save(&self, name: &str, cursor: Cursor) -> Result<(), Error> {
        self.0.lock().insert(name.to_owned(), cursor);
        Ok(())
    }
}

/// How jobs are reached: the `links` of every snapshot.
#[derive(Clone, Default)]
pub(crate) struct Links {
    base: Arc<str>,
    transports: Arc<[(&'static str, Option<Link>)]>,
}

impl Links {
    /// Every link begins with `base`: nothing, a path such as `/tidings`, or a whole URL.
    pub(crate) fn new(base: &str, transports: Vec<(&'static str, Option<Link>)>) -> Result<Self, Error> {
        let safe = base.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\');
        if !safe || base.ends_with('/') || !(base.is_empty() || base.starts_with('/') || base.contains("://")) {
            let message = format!("the base {base:?} is neither a path without a slash at its end nor a URL");
            return Err(Error::new(ErrorKind::Configuration, message));
        }
        Ok(Self { base: base.into(), transports: transports.into() })
    }

    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    pub(crate) fn job(&self, job: JobId) -> String {
        let id = job.text();
        [&self.base, "/jobs/", std::str::from_utf8(&id).unwrap_or_default()].concat()
    }

    pub(crate) fn json(&self, kind: &Kind, job: JobId) -> String {
        let path = self.job(job);
        let mut out = String::with_capacity((self.transports.len() + 2) * (path.len() + 32));
        let mut push = |parts: &[&str]| parts.iter().for_each(|part| out.push_str(part));
        push(&["{\"self\":\"", &path, "\",\"cancel\":\"", &path, "/cancel\""]);
        for (name, link) in self.transports.iter() {
            match link {
                Some(link) => push(&[",\"", name, "\":", link(kind, job).as_str()]),
                None => push(&[",\"", name, "\":\"", &path, "/", name, "\""]),
            }
        }
        out.push('}');
        out
    }
}

impl fmt::Debug for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Links").field("base", &self.base).finish_non_exhaustive()
    }
}
