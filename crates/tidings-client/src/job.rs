//! What a server shows of jobs.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use tidings_core::{Cursor, JobId, Json, Kind, Snapshot, State};

use crate::error::Error;

/// A job as a server showed it at one moment.
#[derive(Clone, Debug)]
pub struct Job {
    snapshot: Snapshot,
    links: BTreeMap<String, Value>,
    json: Json,
}

impl Job {
    /// Reads a job's JSON.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Malformed`](crate::ErrorKind::Malformed) where it is none.
    pub fn parse(json: &Json) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Wire {
            links: BTreeMap<String, Value>,
        }
        let malformed = || Error::malformed("what came is no job");
        let wire: Wire = json.to().map_err(|error| malformed().with_source(error))?;
        let snapshot = Snapshot::parse(json).map_err(|error| malformed().with_source(error))?;
        Ok(Self { snapshot, links: wire.links, json: json.clone() })
    }

    /// Which job.
    #[must_use]
    pub fn id(&self) -> JobId {
        self.snapshot.id
    }

    /// What is known of it. A job from a [`Listing`] has neither input nor result.
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Whether it is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.snapshot.state.is_terminal()
    }

    /// Its link of this name, where it has one that is a path or a URL: `self`, `cancel`, or a transport's.
    #[must_use]
    pub fn link(&self, name: &str) -> Option<&str> {
        self.links.get(name)?.as_str()
    }

    /// Its JSON, as the server sent it but for white space, and without what is for its reporter alone.
    #[must_use]
    pub fn json(&self) -> &Json {
        &self.json
    }
}

/// Which jobs to list.
#[derive(Clone, Debug, Default)]
pub struct ListFilter {
    state: Option<State>,
    kind: Option<Kind>,
    limit: Option<u32>,
    page: Option<String>,
}

impl ListFilter {
    /// All jobs, as many as the server lists at once where nobody says how many.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only those in this state.
    #[must_use]
    pub fn with_state(self, state: State) -> Self {
        Self { state: Some(state), ..self }
    }

    /// Only those of this kind.
    #[must_use]
    pub fn with_kind(self, kind: Kind) -> Self {
        Self { kind: Some(kind), ..self }
    }

    /// At most so many at once, from 1. A server may give fewer.
    #[must_use]
    pub fn with_limit(self, limit: u32) -> Self {
        Self { limit: Some(limit), ..self }
    }

    /// Those that come after another part of the list: its [`next`](Listing::next).
    #[must_use]
    pub fn with_page(self, page: impl Into<String>) -> Self {
        Self { page: Some(page.into()), ..self }
    }

    /// As the parameters of a request.
    pub(crate) fn parameters(&self) -> Vec<(&'static str, String)> {
        let parameters = [
            ("state", self.state.map(|state| state.to_string())),
            ("kind", self.kind.as_ref().map(ToString::to_string)),
            ("limit", self.limit.map(|limit| limit.to_string())),
            ("page", self.page.clone()),
        ];
        parameters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

/// Some jobs, the newest first.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Listing {
    /// The jobs, without input and result.
    pub jobs: Vec<Job>,
    /// The place in the server's whole log that the list was made at, for `/events`.
    pub cursor: Cursor,
    /// What to [ask for](ListFilter::with_page) to get more, where there are more.
    pub next: Option<String>,
}

impl Listing {
    pub(crate) fn parse(body: &Bytes) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Wire {
            jobs: Vec<Json>,
            cursor: String,
            next: Option<String>,
        }
        let malformed = || Error::malformed("the answer is no list of jobs");
        let wire: Wire = serde_json::from_slice(body).map_err(|error| malformed().with_source(error))?;
        Ok(Self {
            jobs: wire.jobs.iter().map(Job::parse).collect::<Result<_, _>>()?,
            cursor: wire.cursor.parse().map_err(|error| malformed().with_source(error))?,
            next: wire.next,
        })
    }
}

/// A transport that a server has mounted.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct Mounted {
    /// Its name: `sse`, `amqp`.
    pub name: String,
    /// The path of one job over it, with `{id}` for the job's id.
    pub job: Option<String>,
    /// The path of many jobs over it.
    pub events: Option<String>,
    /// The seconds for which it is silent at most.
    pub heartbeat_seconds: Option<u64>,
    /// `up` or `down`, where it needs something that may be away.
    pub status: Option<String>,
    /// How many events the broker behind it has not confirmed.
    pub lag: Option<u64>,
}

impl Mounted {
    pub(crate) fn parse_all(body: &Bytes) -> Result<Vec<Self>, Error> {
        #[derive(Deserialize)]
        struct Wire {
            transports: Vec<Mounted>,
        }
        let malformed = || Error::malformed("the answer is no list of transports");
        let wire: Wire = serde_json::from_slice(body).map_err(|error| malformed().with_source(error))?;
        Ok(wire.transports)
    }
}

/// What a job's reporter needs, apart from the job.
pub(crate) struct Opened {
    pub(crate) job: Job,
    pub(crate) href: String,
    pub(crate) token: String,
    pub(crate) lease_seconds: u64,
}

impl Opened {
    /// Reads the answer that an external job is opened with. The token goes nowhere but into its own field.
    pub(crate) fn parse(body: &Bytes) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Report {
            href: String,
            token: String,
            lease_seconds: u64,
        }
        let malformed = || Error::malformed("the answer is no job that is reported from outside");
        let mut members: BTreeMap<String, Box<RawValue>> =
            serde_json::from_slice(body).map_err(|error| malformed().with_source(error))?;
        let report = members.remove("report").ok_or_else(malformed)?;
        let report: Report = serde_json::from_str(report.get()).map_err(|error| malformed().with_source(error))?;
        let json = Json::from_value(&members).map_err(|error| malformed().with_source(error))?;
        let Report { href, token, lease_seconds } = report;
        Ok(Self { job: Job::parse(&json)?, href, token, lease_seconds })
    }
}
