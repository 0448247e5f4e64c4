//! Runs a command, and leaves nothing of it behind.
//!
//! A command that is stopped must be gone, with everything it has started: what it put into the background, what left
//! its process group or its session, what forked twice. So each command runs below a supervisor of its own, which finds
//! all of its descendants and ends them: once the command has ended by itself, when it is [stopped](Running::stop), when
//! its [`Running`] is dropped, and when the program that started it is killed.
//!
//! The supervisor is the program itself, started again. Its `main` begins with [`supervise_if_asked`]:
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use tidings_process::{Command, Launcher, supervise_if_asked};
//!
//! fn main() -> ExitCode {
//!     if let Some(code) = supervise_if_asked() {
//!         return code;
//!     }
//!     run()
//! }
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn run() -> ExitCode {
//!     let command = Command::new("sh").with_arguments(["-c", "echo one; echo two >&2; exit 3"]);
//!     let mut running = Launcher::this_program().start(command).expect("it can be started");
//!     while let Some((stream, line)) = running.next_line().await {
//!         println!("{}: {line}", stream.as_str());
//!     }
//!     let ending = running.wait().await.expect("its end is told");
//!     ending.code().map_or(ExitCode::FAILURE, ExitCode::from)
//! }
//! ```
//!
//! A program whose `main` can't do that starts another one as the supervisor ([`Launcher::with_program`]), such as this
//! package's `tidings-supervisor`.
//!
//! # Guarantees
//!
//! - Once [`Running::next_line`] or [`Running::next_chunk`] has said that there is no more, no descendant of the command
//!   lives, unless somebody has killed its supervisor.
//! - What the command writes arrives as it is written, in the order of each stream. Nothing is read ahead of the caller
//!   but one line: a command whose output nobody reads waits, as it would on a pipe.
//! - The command has a session of its own (setsid(2)): no key pressed in the terminal of the program that started it
//!   reaches it.
//!
//! # When not to use it
//!
//! On anything but Linux: descendants are found by Linux' own means. Within a tokio runtime only. Not for a process that
//! is to outlive the program.

mod command;
mod running;
mod terminal;
mod lines;
mod control;
mod session;
mod supervisor;

pub use self::{
    command::{Command, Launcher},
    lines::MAX_LINE,
    running::{Ending, Running, Stream},
    supervisor::supervise_if_asked,
    terminal::{Master, Outputs, Terminal},
};
