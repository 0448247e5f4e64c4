//! Problems: what a client is told when its request can't be served (RFC 9457).

use std::{borrow::Cow, fmt};

use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde::Serialize;

use crate::{answer::Body, error::Error, feed::ReadError};

macro_rules! problems {
    ($($variant:ident $name:literal $status:literal $title:literal;)*) => {
        /// What sort of problem it is. Its name is part of the contract with clients.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ProblemKind {
            $(#[doc = concat!("`", $name, "`, ", $status, ": ", $title, ".")] $variant,)*
        }

        impl ProblemKind {
            /// All there are.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Its name, the last part of the problem's `type`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The status that it is answered with.
            #[must_use]
            pub fn status(self) -> StatusCode {
                let code: u16 = match self { $(Self::$variant => $status,)* };
                // Every number in the table is a status; a test looks at all of them.
                StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
            }

            fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }
        }
    };
}

problems! {
    MalformedJson "malformed-json" 400 "The body is not JSON";
    InvalidRequest "invalid-request" 400 "The request can't be understood";
    InvalidCursor "invalid-cursor" 400 "That is no cursor";
    Unauthorized "unauthorized" 401 "The token is missing or wrong";
    WrongOrigin "wrong-origin" 403 "Pages of other sites may not do this";
    UnknownJob "unknown-job" 404 "No such job is known";
    NotFound "not-found" 404 "There is nothing here";
    MethodNotAllowed "method-not-allowed" 405 "This can't be done here";
    NotAcceptable "not-acceptable" 406 "What is accepted can't be given";
    RequestTimeout "request-timeout" 408 "The body did not come in time";
    AlreadyFinished "already-finished" 409 "The job is over";
    StillRunning "still-running" 409 "The job is not over";
    ReportGap "report-gap" 409 "Events before these are missing";
    CursorMismatch "cursor-mismatch" 410 "The cursor belongs to another history";
    PayloadTooLarge "payload-too-large" 413 "The body is too large";
    UriTooLong "uri-too-long" 414 "The request target is too long";
    UnsupportedMediaType "unsupported-media-type" 415 "The body is of another type than is taken here";
    WrongHost "wrong-host" 421 "This server goes by another name";
    UnknownKind "unknown-kind" 422 "No such kind of job is known";
    InvalidInput "invalid-input" 422 "The input does not have the right shape";
    IdempotencyKeyReused "idempotency-key-reused" 422 "The key was used for something else";
    TooManyRequests "too-many-requests" 429 "Too many requests";
    HeaderFieldsTooLarge "header-fields-too-large" 431 "The header is too large";
    Internal "internal" 500 "Something broke here";
    Overloaded "overloaded" 503 "There is no room for more just now";
    ShuttingDown "shutting-down" 503 "The server is shutting down";
}

/// A problem, as it is told to a client: `application/problem+json`.
#[derive(Clone, Debug)]
pub struct Problem(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    kind: ProblemKind,
    detail: Cow<'static, str>,
    header: Option<(HeaderName, HeaderValue)>,
    /// Further members of the answer.
    extra: Vec<(&'static str, u64)>,
}

impl Problem {
    /// A problem of this kind; `detail` says to people what is wrong with this very request.
    #[must_use]
    pub fn new(kind: ProblemKind, detail: impl Into<Cow<'static, str>>) -> Self {
        let header = match kind {
            ProblemKind::TooManyRequests | ProblemKind::Overloaded => {
                Some((header::RETRY_AFTER, HeaderValue::from_static("10")))
            }
            ProblemKind::ShuttingDown => Some((header::RETRY_AFTER, HeaderValue::from_static("1"))),
            ProblemKind::Unauthorized => Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            _ => None,
        };
        Self(Box::new(Inner { kind, detail: detail.into(), header, extra: Vec::new() }))
    }

    /// Adds a header field to the answer.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.header = Some((name, value));
        self
    }

    /// Adds a number to the answer, under a name of the caller's.
    #[must_use]
    pub fn with_number(mut self, name: &'static str, value: u64) -> Self {
        self.0.extra.push((name, value));
        self
    }

    /// What sort of problem it is.
    #[must_use]
    pub fn kind(&self) -> ProblemKind {
        self.0.kind
    }

    /// What is wrong with this very request.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The problem as JSON.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Wire<'a> {
            #[serde(rename = "type")]
            kind: String,
            title: &'a str,
            status: u16,
            detail: &'a str,
            #[serde(flatten)]
            extra: std::collections::BTreeMap<&'a str, u64>,
        }
        let wire = Wire {
            kind: format!("urn:tidings:problem:{}", self.0.kind.name()),
            title: self.0.kind.title(),
            status: self.0.kind.status().as_u16(),
            detail: &self.0.detail,
            extra: self.0.extra.iter().copied().collect(),
        };
        // Strings and numbers alone can always be written.
        serde_json::to_vec(&wire).unwrap_or_default()
    }

    /// The problem as a response.
    #[must_use]
    pub fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.to_json()));
        *response.status_mut() = self.0.kind.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some((name, value)) = self.0.header {
            headers.insert(name, value);
        }
        response
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.kind.name(), self.0.detail)
    }
}

impl std::error::Error for Problem {}

impl From<ProblemKind> for Problem {
    fn from(kind: ProblemKind) -> Self {
        Self::new(kind, kind.title())
    }
}

impl From<Error> for Problem {
    /// What broke is for the log of this server, and not for the client.
    fn from(error: Error) -> Self {
        tracing::error!(%error, "a request can't be served");
        let kind = if error.is_temporary() { ProblemKind::Overloaded } else { ProblemKind::Internal };
        Self::from(kind)
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::UnknownJob => ProblemKind::UnknownJob.into(),
            ReadError::Mismatch => {
                let detail =
                    "the cursor belongs to another job, or to a history that was lost: begin again without one";
                Self::new(ProblemKind::CursorMismatch, detail)
            }
            ReadError::Log(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_has_a_status_and_a_name_of_its_own() {
        for kind in ProblemKind::ALL {
            let same = ProblemKind::ALL.iter().filter(|other| other.name() == kind.name()).count();
            assert_eq!(same, 1, "{kind:?}");
            assert!(kind.status().is_client_error() || kind.status().is_server_error());
            assert_eq!(kind.status() == StatusCode::INTERNAL_SERVER_ERROR, *kind == ProblemKind::Internal);
        }
    }

    #[test]
    fn a_problem_is_what_the_standard_shows() {
        let problem = Problem::new(ProblemKind::ReportGap, "a \"quoted\" word").with_number("received", 3);
        assert_eq!(
            String::from_utf8_lossy(&problem.to_json()),
            concat!(
                r#"{"type":"urn:tidings:problem:report-gap","title":"Events before these are missing","status":409,"#,
                r#""detail":"a \"quoted\" word","received":3}"#
            )
        );
        let response = Problem::from(ProblemKind::Overloaded).into_response();
        assert_eq!(response.status(), 503);
        assert!(response.headers().contains_key("retry-after"));
    }
}
