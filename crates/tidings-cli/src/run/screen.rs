//! The terminal that `tidings` was started in, while a command runs on another one.

use std::{
    fs::{File, OpenOptions},
    io::{self, IsTerminal, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::OpenOptionsExt,
    },
};

use rustix::{
    fs::OFlags,
    process::getpgrp,
    termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr},
};
use tidings_process::{Command, Master, Outputs, Terminal};
use tokio::{io::AsyncReadExt, net::unix::pipe};

/// What the command is given, and what has to be put back when it has ended.
#[derive(Debug)]
pub(crate) struct Screen {
    /// The modes that the terminal had before, if they were changed.
    before: Option<Termios>,
    /// What is typed, where it is this program that has to pass it on.
    keyboard: Option<File>,
}

impl Screen {
    /// Gives the command what it would have without us: a terminal if our output is one, and our input.
    pub(crate) fn prepare(command: Command) -> io::Result<(Command, Self)> {
        let mut screen = Self { before: None, keyboard: None };
        let typed = io::stdin().is_terminal();
        // A program in the background has no business with the terminal's keys and modes.
        let in_front = typed && tcgetpgrp(io::stdin()).is_ok_and(|group| group == getpgrp());
        if !io::stdout().is_terminal() {
            let command = if typed && !in_front { command } else { command.with_input(input()?) };
            return Ok((command, screen));
        }
        let outputs = if io::stderr().is_terminal() { Outputs::Both } else { Outputs::StdoutOnly };
        let command = command.with_terminal(Terminal::like(io::stdout())?, outputs);
        if !typed {
            return Ok((command.with_input(input()?), screen));
        }
        if in_front {
            screen.keyboard = Some(keyboard()?);
            screen.make_raw()?;
        }
        Ok((command, screen))
    }

    /// Whether the terminal passes everything on as it is.
    pub(crate) fn is_raw(&self) -> bool {
        self.before.is_some()
    }

    /// What is typed, to be passed on.
    pub(crate) fn take_keyboard(&mut self) -> Option<File> {
        self.keyboard.take()
    }

    /// Everything is passed on as it is, but for the keys that send signals: those are ours.
    fn make_raw(&mut self) -> io::Result<()> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        raw.local_modes.insert(LocalModes::ISIG);
        tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
        self.before = Some(before);
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = io::stdout().flush();
            // Where the terminal is gone there is nothing to be put back.
            let _ = tcsetattr(io::stdin(), OptionalActions::Drain, before);
        }
    }
}

/// Types into the command's terminal what is typed into ours, for as long as both are there.
pub(crate) async fn pass_on(keyboard: File, master: Master) {
    let Ok(mut keyboard) = pipe::Receiver::from_file_unchecked(keyboard) else { return };
    let mut typed = [0; 1024];
    while let Ok(count @ 1..) = keyboard.read(&mut typed).await {
        if master.write_all(typed.get(..count).unwrap_or_default()).await.is_err() {
            return;
        }
    }
}

fn input() -> io::Result<OwnedFd> {
    io::stdin().as_fd().try_clone_to_owned()
}

/// Our input once more, to be read without blocking: that is a mode of the open file, and who shares ours would be
/// surprised by it.
fn keyboard() -> io::Result<File> {
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits();
    OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open("/proc/self/fd/0")
}
