//! What a job is opened with.

use std::{fmt, time::Duration};

use bytes::Bytes;
use tidings_core::{Json, Kind};
use uuid::Uuid;

/// A job to be submitted.
///
/// It has an idempotency key from the beginning, so that it is one job however often it is sent.
#[derive(Clone)]
pub struct Submission {
    kind: Kind,
    input: Json,
    key: String,
}

impl Submission {
    /// A job of this kind, without input.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        // Random, as who knows the key of an external job can have its token.
        Self { kind, input: Json::null(), key: Uuid::new_v4().to_string() }
    }

    /// What it works on.
    #[must_use]
    pub fn with_input(self, input: Json) -> Self {
        Self { input, ..self }
    }

    /// Makes it the same job as every other submission under this key, by whomever: 1 to 255 printable ASCII
    /// characters. For a program that may be started again and should not submit twice.
    #[must_use]
    pub fn with_key(self, key: impl Into<String>) -> Self {
        Self { key: key.into(), ..self }
    }

    /// Its idempotency key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The body of its request; with a lease, that of a job which is reported from outside.
    pub(crate) fn body(&self, lease: Option<Duration>) -> Bytes {
        let Self { kind, input, .. } = self;
        let worker = lease.map(|lease| format!(r#","worker":"external","lease_seconds":{}"#, lease.as_secs()));
        format!(r#"{{"kind":"{kind}","input":{input}{}}}"#, worker.unwrap_or_default()).into()
    }
}

/// Without the key, which opens an external job.
impl fmt::Debug for Submission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Submission").field("kind", &self.kind).field("input", &self.input).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_key_of_its_own_and_keeps_it() {
        let submission = |input| Submission::new("pipeline".parse().expect("a kind")).with_input(Json::from(input));
        let (one, other) = (submission("a"), submission("a"));
        assert_ne!(one.key(), other.key());
        assert_eq!(one.clone().key(), one.key());
        assert_eq!(one.clone().with_key("k").key(), "k");
        assert_eq!(one.body(None), r#"{"kind":"pipeline","input":"a"}"#);
        let outside = r#"{"kind":"pipeline","input":"a","worker":"external","lease_seconds":60}"#;
        assert_eq!(other.body(Some(Duration::from_secs(60))), outside);
    }
}
