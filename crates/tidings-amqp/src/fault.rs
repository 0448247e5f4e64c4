//! What ends a connection to the broker, and has it opened anew.

use std::{fmt, time::Duration};

use tidings_core::ReadError;

/// Why a connection was given up. None of it ends the relay, which tries again for as long as it is there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// Shown in lapin's words for people, which quote neither URLs nor passwords; its `Debug` is not for logs.
    #[error("{0}")]
    Broker(#[from] lapin::Error),
    #[error("the broker did not {doing} within {} s", .within.as_secs())]
    Silent { doing: &'static str, within: Duration },
    #[error("the broker refused to keep {0}")]
    Refused(Unkept),
    #[error("the queue of submissions is gone")]
    QueueGone,
    #[error("a submission was taken back by the broker")]
    TakenBack,
    #[error("the log can't be read: {0}")]
    Log(ReadError),
}

/// What the broker refused to keep.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unkept {
    Event,
    DeadLetter,
}

impl fmt::Display for Unkept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Event => "an event",
            Self::DeadLetter => "a submission that can't be taken",
        })
    }
}

impl Fault {
    /// Whether the broker is there and says no, which somebody has to look into, while a broker that is away comes
    /// back.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Self::Broker(error) => error.is_amqp_error(),
            Self::Refused(_) => true,
            Self::Silent { .. } | Self::QueueGone | Self::TakenBack | Self::Log(_) => false,
        }
    }
}

impl From<ReadError> for Fault {
    fn from(error: ReadError) -> Self {
        Self::Log(error)
    }
}

/// Waits for the broker, and not for ever: one that is frozen keeps its connections open and says nothing.
pub(crate) async fn within<T, E: Into<Fault>>(
    limit: Duration,
    doing: &'static str,
    answer: impl Future<Output = Result<T, E>>,
) -> Result<T, Fault> {
    match tokio::time::timeout(limit, answer).await {
        Ok(answer) => answer.map_err(Into::into),
        Err(_) => Err(Fault::Silent { doing, within: limit }),
    }
}
