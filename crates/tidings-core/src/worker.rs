//! The seam to what runs jobs: an async function, or anything that runs a kind of job.

use std::{fmt, future::Future};

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::{
    draft::{Draft, Progress},
    error::Error,
    jobs::Jobs,
    json::Json,
    ledger::Intent,
    names::{CustomType, JobId},
};

/// Runs jobs of a kind.
///
/// # Contract
///
/// A job always ends in exactly one terminal event, whatever the worker does: its result, its error, `panic` where it
/// panics, `timeout` where it takes too long. Once the job's [`cancelled`](JobContext::cancelled) token is set, `run`
/// should end soon; after ten seconds it is dropped, wherever it is.
#[async_trait]
pub trait Worker: fmt::Debug + Send + Sync + 'static {
    /// Looks at the input of a submission before it is accepted.
    ///
    /// # Errors
    ///
    /// What is wrong with it, for the one who submits.
    fn check(&self, input: &Json) -> Result<(), String>;

    /// Runs a job to its end, and gives its result.
    ///
    /// # Errors
    ///
    /// Why it failed, or that it has stopped because it was asked to.
    async fn run(&self, job: JobContext) -> Result<Json, JobError>;
}

/// An async function as a worker, which takes any input.
pub(crate) struct Function<F>(pub(crate) F);

#[async_trait]
impl<F, R> Worker for Function<F>
where
    F: Fn(JobContext) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Json, JobError>> + Send,
{
    fn check(&self, _: &Json) -> Result<(), String> {
        Ok(())
    }

    async fn run(&self, job: JobContext) -> Result<Json, JobError> {
        (self.0)(job).await
    }
}

impl<F> fmt::Debug for Function<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Function")
    }
}

/// Why a job did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobError(pub(crate) Ending);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Failed { code: String, message: String },
    Cancelled,
}

impl JobError {
    /// It failed: `code` is for programs, such as `exit-status`, and `message` for people.
    #[must_use]
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self(Ending::Failed { code: code.into(), message: message.into() })
    }

    /// It has stopped because it was asked to.
    #[must_use]
    pub fn cancelled() -> Self {
        Self(Ending::Cancelled)
    }
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Ending::Failed { code, message } => write!(f, "{code}: {message}"),
            Ending::Cancelled => f.write_str("cancelled"),
        }
    }
}

impl std::error::Error for JobError {}

/// What a worker has of the job that it runs. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct JobContext {
    pub(crate) jobs: Jobs,
    pub(crate) id: JobId,
    pub(crate) attempt: u32,
    pub(crate) input: Json,
    pub(crate) cancelled: CancellationToken,
}

impl JobContext {
    /// Which job it is.
    #[must_use]
    pub fn id(&self) -> JobId {
        self.id
    }

    /// What it was submitted with.
    #[must_use]
    pub fn input(&self) -> &Json {
        &self.input
    }

    /// Set once somebody wants the job to stop: a client, its time limit, or a shutdown.
    #[must_use]
    pub fn cancelled(&self) -> &CancellationToken {
        &self.cancelled
    }

    /// Tells how far the job is.
    ///
    /// # Errors
    ///
    /// As [`emit`](Self::emit).
    pub async fn progress(&self, progress: Progress) -> Result<(), EmitError> {
        self.append(Draft::progress(&progress)).await
    }

    /// Tells of a line that the job has printed to `stream`, such as `stdout`.
    ///
    /// # Errors
    ///
    /// As [`emit`](Self::emit).
    pub async fn log(&self, stream: &str, line: &str) -> Result<(), EmitError> {
        self.append(Draft::log(stream, line)).await
    }

    /// Tells of an event of a type of the host's own. Returns once it is in the log; dropping the future undoes
    /// nothing.
    ///
    /// # Errors
    ///
    /// Where the job is over already, the event is too large, or the log can't be written to.
    pub async fn emit(&self, kind: CustomType, data: Json) -> Result<(), EmitError> {
        self.append(Draft::custom(kind, data)).await
    }

    async fn append(&self, draft: Draft) -> Result<(), EmitError> {
        if draft.size() > self.jobs.limits().event_bytes {
            return Err(EmitError(EmitFailure::TooLarge));
        }
        match self.jobs.write(self.id, Intent::Attempt(self.attempt), vec![draft]).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(EmitError(EmitFailure::Over)),
            Err(error) => Err(EmitError(EmitFailure::Log(error))),
        }
    }
}

/// An event of a job was not taken.
#[derive(Debug)]
pub struct EmitError(EmitFailure);

#[derive(Debug)]
enum EmitFailure {
    Over,
    TooLarge,
    Log(Error),
}

impl EmitError {
    /// Whether the job is over, so that no event of it will be taken any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.0, EmitFailure::Over)
    }

    /// Whether the event is larger than an event may be.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        matches!(self.0, EmitFailure::TooLarge)
    }
}

impl fmt::Display for EmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            EmitFailure::Over => f.write_str("the job is over"),
            EmitFailure::TooLarge => f.write_str("the event is too large"),
            EmitFailure::Log(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for EmitError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0 {
            EmitFailure::Log(error) => Some(error),
            EmitFailure::Over | EmitFailure::TooLarge => None,
        }
    }
}

impl From<EmitError> for JobError {
    /// So that a worker can use `?`: a job that can't tell what it does has failed.
    fn from(error: EmitError) -> Self {
        Self::new("emit", error.to_string())
    }
}
