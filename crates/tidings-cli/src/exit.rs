//! Exit codes, and what is said before the program ends with one.

use std::{error::Error, process::ExitCode};

use tidings_client::State;

use crate::show::say;

/// How `tidings` ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exit(u8);

/// The table that `--help` shows.
pub(crate) const HELP: &str = "\
Exit codes:
  0    the job succeeded, or what was asked for is done
  1    the job failed
  2    the arguments make no sense
  3    the job was cancelled
  4    the server could not be asked, or refused
  141  nobody reads the output any more
Of several jobs the first that applies of 4, 1 and 3 counts.

`tidings run` ends with the exit code of its command: 128 and the signal's number where a signal ended it, 127 where \
there is no such command, 126 where it can't be executed. 125 is trouble of its own.";

impl Exit {
    pub(crate) const SUCCEEDED: Self = Self(0);
    pub(crate) const FAILED: Self = Self(1);
    /// What was asked for makes no sense.
    pub(crate) const USAGE: Self = Self(2);
    pub(crate) const CANCELLED: Self = Self(3);
    /// The server could not be asked, or refused.
    pub(crate) const REFUSED: Self = Self(4);
    /// Something on this machine went wrong before or beside the command.
    pub(crate) const TROUBLE: Self = Self(125);
    /// As if SIGPIPE had ended it.
    pub(crate) const UNREAD: Self = Self(128 + 13);

    /// That of a job which ended like this.
    pub(crate) fn of(state: State) -> Self {
        match state {
            State::Succeeded => Self::SUCCEEDED,
            State::Cancelled => Self::CANCELLED,
            // The others are no ends.
            _ => Self::FAILED,
        }
    }

    /// That of a command.
    pub(crate) fn of_command(code: u8) -> Self {
        Self(code)
    }

    /// Of two jobs' codes the one that counts.
    #[must_use]
    pub(crate) fn and(self, other: Self) -> Self {
        let rank = |exit: Self| match exit {
            Self::SUCCEEDED => 0,
            Self::CANCELLED => 1,
            Self::FAILED => 2,
            _ => 3,
        };
        if rank(other) > rank(self) { other } else { self }
    }

    /// Says what the server or the way to it is to blame for.
    pub(crate) fn refused(error: &dyn Error) -> Self {
        complain(error);
        Self::REFUSED
    }

    /// Says what went wrong on this machine.
    pub(crate) fn trouble(error: &dyn Error) -> Self {
        complain(error);
        Self::TROUBLE
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.0)
    }
}

fn complain(error: &dyn Error) {
    say(&with_causes(error));
}

/// An error and its causes, the outermost first.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some errors say what their cause says already.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_jobs_the_worst_counts() {
        let codes = [Exit::SUCCEEDED, Exit::CANCELLED, Exit::FAILED, Exit::REFUSED];
        for (rank, worse) in codes.iter().enumerate() {
            for better in &codes[..rank] {
                assert_eq!(better.and(*worse), *worse);
                assert_eq!(worse.and(*better), *worse);
            }
        }
    }

    #[test]
    fn help_names_the_codes_of_the_ends_that_a_job_can_have() {
        for (state, words) in
            [(State::Succeeded, "succeeded"), (State::Failed, "failed"), (State::Cancelled, "cancelled")]
        {
            let Exit(code) = Exit::of(state);
            let line = HELP.lines().find(|line| line.trim_start().starts_with(&format!("{code} ")));
            assert!(line.expect("it is in the table").contains(words));
        }
    }
}
