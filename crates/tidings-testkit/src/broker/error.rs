//! What can go wrong with a private node.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

/// Why there is no broker to test against.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Error(#[from] Kind);

#[derive(Debug, thiserror::Error)]
pub(super) enum Kind {
    #[error("RabbitMQ is not installed: there is no {}/rabbitmq-server", super::PROGRAMS)]
    NotInstalled,
    #[error("can't {doing}: {source}")]
    Io { doing: &'static str, source: io::Error },
    #[error("{program} ended by itself ({status}); the last it said:\n{log}")]
    Ended { program: &'static str, status: ExitStatus, log: String },
    #[error("{program} did not answer within {} s; the last it said:\n{log}", .after.as_secs())]
    Silent { program: &'static str, after: Duration, log: String },
}

impl Error {
    /// Whether all that is missing is an installed RabbitMQ.
    #[must_use]
    pub fn is_not_installed(&self) -> bool {
        matches!(self.0, Kind::NotInstalled)
    }

    /// Whether another try, with other ports, may go better.
    pub(super) fn is_worth_another_try(&self) -> bool {
        matches!(self.0, Kind::Ended { .. })
    }
}

/// Says what was being done when an I/O error came.
pub(super) trait While<T> {
    fn while_doing(self, doing: &'static str) -> Result<T, Error>;
}

impl<T, E: Into<io::Error>> While<T> for Result<T, E> {
    fn while_doing(self, doing: &'static str) -> Result<T, Error> {
        self.map_err(|error| Error(Kind::Io { doing, source: error.into() }))
    }
}
