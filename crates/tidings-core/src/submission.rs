//! Submissions: what a job is opened with, over whichever way it came.

use std::{sync::Arc, time::Duration};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    digest::Digest,
    json::Json,
    names::Kind,
    problem::{Problem, ProblemKind},
};

/// How long a program outside may be silent, in seconds: at least, at most, and where it does not say.
const LEASE_SECONDS: (u64, u64, u64) = (5, 86_400, 60);

/// What a job is opened with.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Submission {
    /// What sort of job.
    pub kind: Kind,
    /// What it works on.
    pub input: Json,
    /// Where it runs.
    pub runs: Runs,
    /// The idempotency key, and the digest of the body that it came with.
    pub key: Option<(Arc<str>, Digest)>,
}

/// Where a job runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Runs {
    /// In this process, by the worker that is registered for its kind.
    Here,
    /// Anywhere; a program outside reports it, and is taken for dead once it has been silent for so long.
    Outside {
        /// For how long.
        lease: Duration,
    },
}

impl Submission {
    /// A job of this kind that runs here.
    #[must_use]
    pub fn new(kind: Kind, input: Json) -> Self {
        Self { kind, input, runs: Runs::Here, key: None }
    }

    /// Has it reported from outside.
    #[must_use]
    pub fn with_lease(self, lease: Duration) -> Self {
        Self { runs: Runs::Outside { lease }, ..self }
    }

    /// Makes it one job however often it is sent with this key and the same body.
    #[must_use]
    pub fn with_key(self, key: impl Into<Arc<str>>, body: &[u8]) -> Self {
        Self { key: Some((key.into(), Digest::of(body))), ..self }
    }

    /// Reads the body of a submission, as it comes over HTTP or from a queue.
    ///
    /// # Errors
    ///
    /// The problem that its sender is to be told.
    pub fn parse(body: &[u8]) -> Result<Self, Problem> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Wire<'a> {
            kind: String,
            #[serde(borrow)]
            input: Option<&'a RawValue>,
            worker: Option<String>,
            lease_seconds: Option<u64>,
        }
        let invalid = |detail: String| Problem::new(ProblemKind::InvalidInput, detail);
        let json = Json::parse(body).map_err(|e| Problem::new(ProblemKind::MalformedJson, e.to_string()))?;
        if !json.is_object() {
            return Err(invalid("a submission is an object with the members kind and input".to_owned()));
        }
        let wire: Wire<'_> = serde_json::from_str(json.as_str()).map_err(|e| invalid(e.to_string()))?;
        let runs = match (wire.worker.as_deref(), wire.lease_seconds) {
            (None, None) => Runs::Here,
            (None, Some(_)) => return Err(invalid("lease_seconds goes with \"worker\": \"external\"".to_owned())),
            (Some("external"), seconds) => {
                let (least, most, default) = LEASE_SECONDS;
                let seconds = seconds.unwrap_or(default);
                if !(least..=most).contains(&seconds) {
                    return Err(invalid(format!("lease_seconds goes from {least} to {most}")));
                }
                Runs::Outside { lease: Duration::from_secs(seconds) }
            }
            (Some(other), _) => return Err(invalid(format!("worker can be \"external\", and not {other:?}"))),
        };
        let kind = wire.kind.parse().map_err(|_| match runs {
            Runs::Here => {
                Problem::new(ProblemKind::UnknownKind, format!("no jobs of kind {:?} are run here", wire.kind))
            }
            Runs::Outside { .. } => {
                invalid("a kind is a lower-case letter and up to 63 of a-z, 0-9, _ and -".to_owned())
            }
        })?;
        let input = wire.input.map_or_else(Json::null, |input| json.part(input));
        Ok(Self { kind, input, runs, key: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(body: &str) -> Option<ProblemKind> {
        Submission::parse(body.as_bytes()).err().map(|problem| problem.kind())
    }

    #[test]
    fn a_submission_is_read() {
        let read = Submission::parse(br#" {"input": {"a": 1.0}, "kind": "pipeline"} "#).expect("a submission");
        assert_eq!((read.kind.as_str(), read.input.as_str(), read.runs), ("pipeline", r#"{"a":1.0}"#, Runs::Here));
        let outside = Submission::parse(br#"{"kind":"x","worker":"external"}"#).expect("a submission");
        assert_eq!(outside.runs, Runs::Outside { lease: Duration::from_secs(60) });
        assert!(outside.input.is_null());
    }

    #[test]
    fn what_is_none_gets_its_problem() {
        use ProblemKind::{InvalidInput, MalformedJson, UnknownKind};

        for (body, problem) in [
            ("", MalformedJson),
            ("{", MalformedJson),
            ("[\"pipeline\", {}]", InvalidInput),
            ("{}", InvalidInput),
            (r#"{"kind":1}"#, InvalidInput),
            (r#"{"kind":"a","kind":"a"}"#, InvalidInput),
            (r#"{"kind":"a","commands":[]}"#, InvalidInput),
            (r#"{"kind":"A"}"#, UnknownKind),
            (r#"{"kind":"A","worker":"external"}"#, InvalidInput),
            (r#"{"kind":"a","worker":"me"}"#, InvalidInput),
            (r#"{"kind":"a","lease_seconds":60}"#, InvalidInput),
            (r#"{"kind":"a","worker":"external","lease_seconds":4}"#, InvalidInput),
            (r#"{"kind":"a","worker":"external","lease_seconds":86401}"#, InvalidInput),
            (r#"{"kind":"a","worker":"external","lease_seconds":-1}"#, InvalidInput),
        ] {
            assert_eq!(refused(body), Some(problem), "{body}");
        }
    }
}
