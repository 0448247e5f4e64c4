//! What the suite has to know of a transport: how it is mounted, what it can do, and how it is read.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use tidings_core::{HostBuilder, JobId};

use crate::{failure::Failure, server::Server};

/// Makes one transport readable for the suite: the client that every scenario looks through.
///
/// # Contract
///
/// An adapter shows what is on the wire and mends nothing: it hands on the bytes of each event as they came, drops no
/// repeat, and resumes only where it is told to. A transport that errs must be seen to err.
///
/// Each scenario makes an adapter of its own and calls [`mount`](Self::mount) and [`prepare`](Self::prepare) once, in
/// this order, before the first job is there.
#[async_trait]
pub trait Adapter: fmt::Debug + Send + Sync + 'static {
    /// Mounts the transport, and whatever else its clients need.
    fn mount(&self, host: HostBuilder) -> HostBuilder;

    /// What the transport can be asked for.
    fn capabilities(&self) -> Capabilities;

    /// Gets ready before the first job is submitted: the place where a consumer binds its queue. Does nothing for a
    /// transport that is asked by requests.
    ///
    /// # Errors
    ///
    /// Where the client can't be set up.
    async fn prepare(&self, server: &Server) -> Result<(), Failure> {
        let _ = server;
        Ok(())
    }

    /// Begins to follow a job after a cursor, or from its first event: one request, one stream, or one consumer. For a
    /// request it comes back once the head of the answer is there.
    ///
    /// # Errors
    ///
    /// Where something came that the transport must not send.
    async fn follow(&self, server: &Server, job: JobId, after: Option<&str>) -> Result<Followed, Failure>;
}

/// What an attempt to follow a job came to.
#[derive(Debug)]
pub enum Followed {
    /// Events can be read here.
    Open(Box<dyn Connection>),
    /// The transport refused.
    Refused(Refused),
}

impl Followed {
    /// Events can be read here.
    #[must_use]
    pub fn open(connection: impl Connection) -> Self {
        Self::Open(Box::new(connection))
    }
}

/// The name of the problem that a transport refused with, such as `cursor-mismatch`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(pub String);

/// One exchange with a transport, read step by step. Dropping it hangs up, in the middle of whatever there is.
#[async_trait]
pub trait Connection: fmt::Debug + Send + 'static {
    /// What comes next. Not called again after an [`End`].
    ///
    /// # Errors
    ///
    /// Where something came that the transport must not send.
    async fn next(&mut self) -> Result<Seen, Failure>;

    /// Where a client that is cut off now goes on from: the last cursor that the transport has told.
    fn cursor(&self) -> Option<&str>;
}

/// One step of what a client sees.
#[derive(Clone, Debug)]
pub enum Seen {
    /// An event: its JSON, byte for byte as it came.
    Event(Bytes),
    /// Events that came before what follows are no longer kept.
    Gap {
        /// The number that was asked with.
        requested: u64,
        /// The number of the first event that follows.
        resumed_at: u64,
        /// The job as the transport has shown it with the gap.
        job: Bytes,
    },
    /// A sign of life that says nothing, such as a heartbeat.
    Nothing,
    /// The exchange is over.
    End(End),
}

/// How an exchange ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The job is over and was told whole: there is no reason to ask again.
    Over,
    /// A pause: ask again with the last cursor after so long.
    Again(Duration),
}

/// Something that not every transport can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Capability {
    /// Its clients bring a cursor, from which on they are told.
    Resumes,
    /// It answers, and so it can refuse.
    Refuses,
    /// It tells that events are no longer kept.
    TellsGaps,
    /// A client with nothing to read waits in an open exchange, and is not the one that asks again.
    Parks,
    /// One exchange goes on until the job's end.
    Streams,
    /// It runs in one process and in virtual time.
    VirtualTime,
}

/// What a transport can be asked for, and why not for the rest.
#[derive(Clone, Debug)]
pub struct Capabilities {
    lacks: Vec<(Capability, &'static str)>,
    quiet: Duration,
}

impl Capabilities {
    /// Everything. While nothing happens, a parked client hears or asks something every 15 s at most.
    #[must_use]
    pub fn all() -> Self {
        Self { lacks: Vec::new(), quiet: Duration::from_secs(15) }
    }

    /// All but this, for a reason that the tests show.
    #[must_use]
    pub fn without(mut self, capability: Capability, why: &'static str) -> Self {
        self.lacks.push((capability, why));
        self
    }

    /// A parked client hears nothing and asks for nothing for so long: the time between two heartbeats, or for which a
    /// request is held.
    #[must_use]
    pub fn with_quiet(self, quiet: Duration) -> Self {
        Self { quiet, ..self }
    }

    /// Why the transport can't be asked for this, where it can't.
    #[must_use]
    pub fn lacks(&self, capability: Capability) -> Option<&'static str> {
        self.lacks.iter().find(|(lacking, _)| *lacking == capability).map(|(_, why)| *why)
    }

    /// For how long a parked client hears nothing and asks for nothing.
    #[must_use]
    pub fn quiet(&self) -> Duration {
        self.quiet
    }
}
