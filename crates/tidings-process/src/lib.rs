//! Runs a step's command as a real process, and leaves nothing of it behind.

mod lines;
mod supervisor;

use std::{
    fmt, io,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tokio::{
    io::AsyncReadExt,
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
};

pub use self::{lines::MAX_LINE, supervisor::supervise_if_asked};

/// How long a cancelled command and its descendants have between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(5);

/// How long the outputs may be silent after the supervisor is gone before they count as closed. Only a supervisor that
/// was killed leaves anybody behind to hold them open.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What the server is told through its environment and commands have no business with: the broker's URL, which may hold
/// a password.
const SECRET_VARIABLE: &str = "TIDINGS_AMQP_URL";

/// Starts commands, each under a supervisor of its own.
#[derive(Clone, Debug)]
pub struct Launcher {
    supervisor: PathBuf,
    grace: Duration,
}

impl Launcher {
    /// With this very program as the supervisor: its `main` must begin with [`supervise_if_asked`].
    #[must_use]
    pub fn this_program() -> Self {
        // Not the path that the program was started by: a new version may lie there by now.
        Self::with_program("/proc/self/exe")
    }

    /// With another program as the supervisor, whose `main` begins with [`supervise_if_asked`].
    #[must_use]
    pub fn with_program(supervisor: impl Into<PathBuf>) -> Self {
        Self { supervisor: supervisor.into(), grace: GRACE }
    }

    /// With another pause between SIGTERM and SIGKILL than 5 s.
    #[must_use]
    pub fn with_grace(self, grace: Duration) -> Self {
        Self { grace, ..self }
    }

    /// Starts `program` in `folder`. Its standard input is empty, and `environment` is added to the server's own.
    ///
    /// # Errors
    ///
    /// If the supervisor can't be started. A command that can't be started is no error here: as in a shell it is a line
    /// on `stderr` and the status 126 or 127.
    pub fn start(&self, command: &[String], folder: &Path, environment: &[(String, String)]) -> io::Result<Running> {
        let mut supervisor = Command::new(&self.supervisor)
            .arg(supervisor::ARGUMENT)
            .arg(self.grace.as_millis().to_string())
            .args(command)
            .current_dir(folder)
            .env_remove(SECRET_VARIABLE)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C in a terminal goes to the whole group, and it is the server that decides what it means for a job.
            .process_group(0)
            .spawn()?;
        Ok(Running {
            hold: supervisor.stdin.take(),
            stdout: supervisor.stdout.take().map(Output::new),
            stderr: supervisor.stderr.take().map(Output::new),
            supervisor,
            supervisor_gone: false,
        })
    }
}

/// Which of a program's outputs a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// Its name: `stdout` or `stderr`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// A command that runs. Dropping it ends the command and all its descendants, as [`Running::stop`] does.
#[derive(Debug)]
pub struct Running {
    /// The supervisor ends everything once this is closed.
    hold: Option<ChildStdin>,
    stdout: Option<Output<ChildStdout>>,
    stderr: Option<Output<ChildStderr>>,
    supervisor: Child,
    supervisor_gone: bool,
}

impl Running {
    /// The next line of either output, or `None` once the command and all its descendants have ended. Lines of one
    /// stream come in their order; between the two there is none.
    ///
    /// Losing this future loses no line. A pipe that breaks counts as closed.
    pub async fn next_line(&mut self) -> Option<(Stream, String)> {
        loop {
            if self.stdout.is_none() && self.stderr.is_none() {
                return None;
            }
            let (stream, line) = tokio::select! {
                line = next_of(&mut self.stdout), if self.stdout.is_some() => (Stream::Stdout, line),
                line = next_of(&mut self.stderr), if self.stderr.is_some() => (Stream::Stderr, line),
                _ = self.supervisor.wait(), if !self.supervisor_gone => {
                    self.supervisor_gone = true;
                    continue;
                }
                () = tokio::time::sleep(LAST_WORDS), if self.supervisor_gone => return None,
            };
            if let Some(line) = line {
                return Some((stream, line));
            }
        }
    }

    /// Ends the command and all its descendants: SIGTERM at once, SIGKILL after the grace. Does not wait; what they
    /// write meanwhile is still to be read.
    pub fn stop(&mut self) {
        self.hold = None;
    }

    /// Waits until the command and all its descendants have ended. Lines not read by then are lost.
    ///
    /// # Errors
    ///
    /// If the operating system does not tell how the supervisor ended.
    pub async fn wait(mut self) -> io::Result<Ending> {
        // Nobody reads any more: a command that still writes must not be stuck on a full pipe.
        self.stdout = None;
        self.stderr = None;
        // `Child::wait` would close a standard input that it still had, and with it stop the command.
        let status = self.supervisor.wait().await?;
        Ok(Ending(status))
    }
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending(ExitStatus);

impl Ending {
    /// Whether the command's exit status was 0.
    #[must_use]
    pub fn is_success(self) -> bool {
        self.0.success()
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.code() {
            Some(code @ 129..=192) => write!(f, "exit status {code} (signal {})", code - 128),
            Some(code) => write!(f, "exit status {code}"),
            None => write!(f, "its supervisor was killed ({})", self.0),
        }
    }
}

/// One of the two pipes, and what has been read of its next line.
#[derive(Debug)]
struct Output<P> {
    pipe: P,
    lines: lines::Lines,
}

impl<P> Output<P> {
    fn new(pipe: P) -> Self {
        Self { pipe, lines: lines::Lines::default() }
    }
}

/// The next line of this output; `None` once, when it has closed, and then the output is gone.
async fn next_of<P: AsyncReadExt + Unpin>(slot: &mut Option<Output<P>>) -> Option<String> {
    let output = slot.as_mut()?;
    loop {
        if let Some(line) = output.lines.next_whole() {
            return Some(line);
        }
        output.lines.buffer().reserve(MAX_LINE);
        match output.pipe.read_buf(output.lines.buffer()).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => break,
        }
    }
    match output.lines.rest() {
        Some(line) => Some(line),
        None => {
            *slot = None;
            None
        }
    }
}
