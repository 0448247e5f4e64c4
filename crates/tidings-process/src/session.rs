//! The step between a supervisor and its command: a process that begins a session, and then becomes the command.
//!
//! A session is begun by a process for itself alone, and a controlling terminal is taken by the session's leader. The
//! supervisor can't be that leader: it would be sent SIGHUP when the terminal goes away, at the moment when it is needed.

use std::{
    env::ArgsOs,
    ffi::OsStr,
    io,
    iter::Skip,
    os::{
        fd::{AsFd, OwnedFd},
        unix::process::CommandExt,
    },
    process::{Command, Stdio},
};

use crate::supervisor::ON_A_TERMINAL;

/// The first argument by which this program knows that it is to become a command. Not part of the command line that
/// people use.
pub(crate) const ARGUMENT: &str = "__session";

/// What a shell answers for a command that it can't start (POSIX, "Exit Status for Commands").
const NOT_FOUND: u8 = 127;
pub(crate) const NOT_EXECUTABLE: u8 = 126;

/// The command as a supervisor starts it, with what it was given as its standard input.
pub(crate) fn command(
    place: &OsStr,
    input: Option<OwnedFd>,
    program: &OsStr,
    arguments: Skip<ArgsOs>,
) -> io::Result<Command> {
    let input = match input {
        Some(input) => Stdio::from(input),
        None if place == ON_A_TERMINAL => Stdio::from(io::stdout().as_fd().try_clone_to_owned()?),
        None => Stdio::null(),
    };
    let mut command = Command::new("/proc/self/exe");
    command.arg(ARGUMENT).arg(place).arg(program).args(arguments).stdin(input);
    Ok(command)
}

/// Turns this process into the command. What it gives is the exit status where that was not possible, and nothing where
/// the arguments are none of a supervisor's.
pub(crate) fn begin(mut arguments: Skip<ArgsOs>) -> Option<u8> {
    let place = arguments.next()?;
    let program = arguments.next()?;
    let error = match lead(&place) {
        Ok(()) => Command::new(&program).args(arguments).exec(),
        Err(error) => error,
    };
    eprintln!("cannot start {}: {error}", program.display());
    Some(if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE })
}

/// Leaves the session that this process was started in, and takes its terminal if it has one.
fn lead(place: &OsStr) -> io::Result<()> {
    rustix::process::setsid()?;
    if place == ON_A_TERMINAL {
        rustix::process::ioctl_tiocsctty(io::stdout())?;
    }
    Ok(())
}
