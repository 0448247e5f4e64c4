//! What the user and the system ask of a command that runs.

use std::io;

use rustix::process::Signal as Number;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The job is to be cancelled, for this reason; asked again, at once.
    Cancel(&'static str),
    /// The command is to be killed.
    Kill,
    /// The terminal has another size.
    Resize,
}

/// The signals that would end this program if it did not listen, and leave the command to itself.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
    quit: Signal,
    resize: Signal,
    /// A job can't be paused: its lease would end. To listen is to ignore it.
    suspend: Signal,
}

impl Signals {
    /// Listens from now on.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
            quit: signal(SignalKind::quit())?,
            resize: signal(SignalKind::window_change())?,
            suspend: signal(SignalKind::from_raw(Number::TSTP.as_raw()))?,
        })
    }

    /// The next of them. Losing the future loses none.
    pub(crate) async fn next(&mut self) -> Asked {
        loop {
            return tokio::select! {
                _ = self.interrupt.recv() => Asked::Cancel("interrupted"),
                _ = self.terminate.recv() => Asked::Cancel("terminated"),
                _ = self.hang_up.recv() => Asked::Cancel("the terminal was closed"),
                _ = self.quit.recv() => Asked::Kill,
                _ = self.resize.recv() => Asked::Resize,
                _ = self.suspend.recv() => continue,
            };
        }
    }
}
