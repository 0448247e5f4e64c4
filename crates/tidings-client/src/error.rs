//! What can go wrong, and whether asking again may help.

use std::{error::Error as StdError, fmt, time::Duration};

use http::StatusCode;

/// A source whose type is nobody's business.
pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;

/// Why a request, a follower or a poller failed.
///
/// Followers ask again by themselves after an error that [is temporary](Self::is_temporary); what they hand out is the
/// error on which they gave up.
#[derive(Debug)]
pub struct Error(Box<Failure>);

/// What sort of failure an [`Error`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No connection could be made.
    Connect,
    /// A connection broke, or ended in the middle of an answer.
    Disconnected,
    /// An answer, or the end of a polling, did not come in time.
    Timeout,
    /// The server answered with a status that is not what was asked for.
    Status,
    /// What came is not what the protocol says.
    Malformed,
    /// What came is larger than the limit that was set.
    TooLarge,
    /// What the caller gave can't be sent: a URL without a host, a name that no header holds.
    InvalidInput,
    /// The message broker refused or did not do what it was asked.
    Broker,
}

#[derive(Debug)]
struct Failure {
    kind: ErrorKind,
    message: String,
    source: Option<BoxError>,
    answer: Option<Answer>,
    retry_after: Option<Duration>,
}

/// What is kept of an answer that was refused.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    problem: Option<String>,
}

/// What a server says of why it refuses (RFC 9457).
#[derive(Debug)]
pub(crate) struct Problem {
    /// The end of its `type`.
    pub(crate) name: String,
    /// Its `detail`, for people; may be empty.
    pub(crate) detail: String,
}

impl Error {
    /// What sort of failure it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the same request may succeed later: no connection, a broken one, a timeout, and the statuses 408, 429
    /// and 5xx.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self.0.kind {
            ErrorKind::Connect | ErrorKind::Disconnected | ErrorKind::Timeout => true,
            ErrorKind::Status => self.status().is_some_and(|status| {
                status.is_server_error()
                    || status == StatusCode::REQUEST_TIMEOUT
                    || status == StatusCode::TOO_MANY_REQUESTS
            }),
            ErrorKind::Malformed | ErrorKind::TooLarge | ErrorKind::InvalidInput | ErrorKind::Broker => false,
        }
    }

    /// The status that the server answered with, where that is the error.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        self.0.answer.as_ref().map(|answer| answer.status)
    }

    /// The name of the problem that the server told (RFC 9457): `cursor-mismatch` for a `type` of
    /// `urn:tidings:problem:cursor-mismatch`.
    #[must_use]
    pub fn problem(&self) -> Option<&str> {
        self.0.answer.as_ref()?.problem.as_deref()
    }

    /// How long the server asked to be left alone: by `Retry-After`, or by the `retry:` of a stream that ended.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Failure { kind, message: message.into(), source: None, answer: None, retry_after: None }))
    }

    pub(crate) fn malformed(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Malformed, message)
    }

    pub(crate) fn refused(status: StatusCode, problem: Option<Problem>, retry_after: Option<Duration>) -> Self {
        let message = match &problem {
            Some(Problem { name, detail }) if detail.is_empty() => format!("the server answered {status}: {name}"),
            Some(Problem { name, detail }) => format!("the server answered {status}: {name}: {detail}"),
            None => format!("the server answered {status}"),
        };
        let mut error = Self::new(ErrorKind::Status, message);
        error.0.answer = Some(Answer { status, problem: problem.map(|problem| problem.name) });
        error.with_retry_after(retry_after)
    }

    #[must_use]
    pub(crate) fn with_retry_after(mut self, pause: Option<Duration>) -> Self {
        self.0.retry_after = pause;
        self
    }

    #[must_use]
    pub(crate) fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.0.source = Some(source.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_ref().map(|source| &**source as &(dyn StdError + 'static))
    }
}
