//! What is to be run, and who starts it.

use std::{
    ffi::OsString,
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use crate::{
    control,
    running::Running,
    supervisor,
    terminal::{Outputs, Terminal},
};

/// How long a command and its descendants have between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(5);

/// A command that can be started once. No shell is involved.
#[derive(Debug)]
#[must_use]
pub struct Command {
    program: OsString,
    arguments: Vec<OsString>,
    folder: Option<PathBuf>,
    added: Vec<(OsString, OsString)>,
    removed: Vec<OsString>,
    input: Option<OwnedFd>,
    terminal: Option<(Terminal, Outputs)>,
}

impl Command {
    /// Runs `program`, which is looked for in `PATH` unless it has a slash. By default it has no arguments, an empty
    /// standard input, and the folder and environment of this program.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            folder: None,
            added: Vec::new(),
            removed: Vec::new(),
            input: None,
            terminal: None,
        }
    }

    /// With these arguments after those that it has.
    pub fn with_arguments(mut self, arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// In this folder.
    pub fn with_folder(self, folder: impl AsRef<Path>) -> Self {
        Self { folder: Some(folder.as_ref().to_owned()), ..self }
    }

    /// With a variable more in its environment, or another value of it.
    pub fn with_variable(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.added.push((name.into(), value.into()));
        self
    }

    /// Without a variable that this program has, unless it is [added](Self::with_variable) anew.
    pub fn without_variable(mut self, name: impl Into<OsString>) -> Self {
        self.removed.push(name.into());
        self
    }

    /// With this as its standard input, whatever it is: a file, a pipe, a terminal.
    pub fn with_input(self, input: OwnedFd) -> Self {
        Self { input: Some(input), ..self }
    }

    /// With this terminal as its controlling terminal and its standard output and, unless it has
    /// [another](Self::with_input), its standard input. What it writes comes as [`Stream::Stdout`](crate::Stream::Stdout).
    pub fn with_terminal(self, terminal: Terminal, outputs: Outputs) -> Self {
        Self { terminal: Some((terminal, outputs)), ..self }
    }
}

/// Starts commands, each under a supervisor of its own.
#[derive(Clone, Debug)]
pub struct Launcher {
    supervisor: PathBuf,
    grace: Duration,
}

impl Launcher {
    /// With this very program as the supervisor: its `main` must begin with
    /// [`supervise_if_asked`](crate::supervise_if_asked).
    #[must_use]
    pub fn this_program() -> Self {
        // Not the path that the program was started by: a new version may lie there by now.
        Self::with_program("/proc/self/exe")
    }

    /// With another program as the supervisor, whose `main` begins with
    /// [`supervise_if_asked`](crate::supervise_if_asked).
    #[must_use]
    pub fn with_program(supervisor: impl Into<PathBuf>) -> Self {
        Self { supervisor: supervisor.into(), grace: GRACE }
    }

    /// With another pause between SIGTERM and SIGKILL than 5 s.
    #[must_use]
    pub fn with_grace(self, grace: Duration) -> Self {
        Self { grace, ..self }
    }

    /// Starts the command.
    ///
    /// # Errors
    ///
    /// If the supervisor can't be started. A command that can't be started is no error here: as in a shell it is a line
    /// on `stderr` and the status 126 or 127.
    pub fn start(&self, command: Command) -> io::Result<Running> {
        let (control, socket) = control::pair(command.input.as_ref())?;
        let mut supervisor = tokio::process::Command::new(&self.supervisor);
        supervisor
            .arg(supervisor::ARGUMENT)
            .arg(self.grace.as_millis().to_string())
            .arg(if command.terminal.is_some() { supervisor::ON_A_TERMINAL } else { supervisor::ON_PIPES })
            .arg(&command.program)
            .args(&command.arguments)
            .stdin(socket)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C in a terminal goes to the whole group, and it is this program that decides what it means.
            .process_group(0);
        for name in command.removed {
            supervisor.env_remove(name);
        }
        supervisor.envs(command.added);
        if let Some(folder) = command.folder {
            supervisor.current_dir(folder);
        }
        let mut master = None;
        if let Some((terminal, outputs)) = command.terminal {
            let (its_master, user) = terminal.into_ends();
            if outputs == Outputs::Both {
                supervisor.stderr(user.try_clone()?);
            }
            supervisor.stdout(user);
            master = Some(its_master);
        }
        Ok(Running::new(supervisor.spawn()?, control, master))
    }
}
