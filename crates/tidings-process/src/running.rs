//! A command that runs: what it writes, and how it ends.

use std::{
    fmt, io,
    pin::Pin,
    process::ExitStatus,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncReadExt, ReadBuf},
    process::{Child, ChildStderr, ChildStdout},
};

use crate::{
    control::{Control, Order},
    lines::{Lines, MAX_LINE},
    terminal::Master,
};

/// How long the outputs may be silent after the supervisor is gone before they count as closed. Only a supervisor that
/// was killed leaves anybody behind to hold them open.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Which of a program's outputs something came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// Both of them.
    pub const BOTH: &[Self] = &[Self::Stdout, Self::Stderr];

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
    control: Control,
    stdout: Option<Output>,
    stderr: Option<Output>,
    master: Option<Master>,
    supervisor: Child,
    supervisor_gone: bool,
}

impl Running {
    pub(crate) fn new(mut supervisor: Child, control: Control, master: Option<Master>) -> Self {
        let terminal = master.clone().map(Source::Terminal);
        Self {
            control,
            stdout: terminal.or_else(|| supervisor.stdout.take().map(Source::Stdout)).map(Output::new),
            stderr: supervisor.stderr.take().map(Source::Stderr).map(Output::new),
            master,
            supervisor,
            supervisor_gone: false,
        }
    }

    /// The next line of either output without its end, or `None` once the command and all its descendants have ended.
    /// Lines of one stream come in their order; between the two there is none. A line of more than [`MAX_LINE`] bytes
    /// comes in pieces, and what is not UTF-8 as U+FFFD.
    ///
    /// Losing this future loses no line. A pipe that breaks counts as closed.
    pub async fn next_line(&mut self) -> Option<(Stream, String)> {
        self.next(Stream::BOTH).await
    }

    /// The next bytes of either output, as many as there are now and never none, or `None` once the command and all its
    /// descendants have ended. Not to be mixed with [`next_line`](Self::next_line), which may have read further than it
    /// has told.
    ///
    /// Losing this future loses nothing. A pipe that breaks counts as closed.
    pub async fn next_chunk(&mut self) -> Option<(Stream, Bytes)> {
        self.next_chunk_of(Stream::BOTH).await
    }

    /// The next bytes of one of these outputs, or `None` once they are closed, which is when the command and all its
    /// descendants have ended. For who can't take more from one of them, and is not to keep the other waiting.
    ///
    /// Losing this future loses nothing.
    pub async fn next_chunk_of(&mut self, streams: &[Stream]) -> Option<(Stream, Bytes)> {
        self.next(streams).await
    }

    /// The end that belongs to us of the terminal that the command was given, if it was given one.
    #[must_use]
    pub fn master(&self) -> Option<Master> {
        self.master.clone()
    }

    /// Reads no more of this output: who still writes to it has a broken pipe, as if a reader further down had gone.
    /// There is no such thing on a terminal, where it is read on and forgotten.
    pub fn close(&mut self, stream: Stream) {
        let output = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        if !output.as_ref().is_some_and(|output| matches!(output.source, Source::Terminal(_))) {
            *output = None;
        }
    }

    /// Ends the command and all its descendants: SIGTERM at once, SIGKILL after the grace. Does not wait; what they
    /// write meanwhile is still to be read.
    pub fn stop(&mut self) {
        self.control.send(Order::Stop);
    }

    /// Ends the command and all its descendants by SIGKILL at once, also after [`stop`](Self::stop). Does not wait.
    pub fn kill(&mut self) {
        self.control.send(Order::Kill);
    }

    /// Waits until the command and all its descendants have ended. What has not been read by then is lost.
    ///
    /// # Errors
    ///
    /// If the operating system does not tell how the supervisor ended.
    ///
    /// # Cancellation
    ///
    /// Dropping the future ends the command, as dropping `Running` does.
    pub async fn wait(mut self) -> io::Result<Ending> {
        // Nobody reads any more: a command that still writes must not be stuck on a full pipe.
        self.stdout = None;
        self.stderr = None;
        self.master = None;
        let status = self.supervisor.wait().await?;
        Ok(Ending(status))
    }

    /// What comes first of these outputs.
    async fn next<P: Piece>(&mut self, streams: &[Stream]) -> Option<(Stream, P)> {
        loop {
            let stdout_open = streams.contains(&Stream::Stdout) && self.stdout.is_some();
            let stderr_open = streams.contains(&Stream::Stderr) && self.stderr.is_some();
            if !stdout_open && !stderr_open {
                return None;
            }
            let (stream, next) = tokio::select! {
                next = next_of(&mut self.stdout), if stdout_open => (Stream::Stdout, next),
                next = next_of(&mut self.stderr), if stderr_open => (Stream::Stderr, next),
                _ = self.supervisor.wait(), if !self.supervisor_gone => {
                    self.supervisor_gone = true;
                    continue;
                }
                () = tokio::time::sleep(LAST_WORDS), if self.supervisor_gone => return None,
            };
            if let Some(next) = next {
                return Some((stream, next));
            }
        }
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

    /// The exit status as a shell tells it: that of a command which a signal ended is 128 and the signal's number.
    /// `None` where the supervisor was killed, so that nobody knows.
    #[must_use]
    pub fn code(self) -> Option<u8> {
        // The supervisor ends with a code from 0 to 255, as every process does.
        self.0.code().and_then(|code| u8::try_from(code).ok())
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code() {
            Some(code @ 129..=192) => write!(f, "exit status {code} (signal {})", code - 128),
            Some(code) => write!(f, "exit status {code}"),
            None => write!(f, "its supervisor was killed ({})", self.0),
        }
    }
}

/// One of the two outputs, and what has been read of its next line.
#[derive(Debug)]
struct Output {
    source: Source,
    lines: Lines,
}

impl Output {
    fn new(source: Source) -> Self {
        Self { source, lines: Lines::default() }
    }

    /// Whether there was something more to read.
    async fn read(&mut self) -> bool {
        self.lines.buffer().reserve(MAX_LINE);
        matches!(self.source.read_buf(self.lines.buffer()).await, Ok(1..))
    }
}

/// What an output can be read as.
trait Piece: Sized {
    /// The next piece; `None` when the output has closed and its last piece is told.
    fn next_of(output: &mut Output) -> impl Future<Output = Option<Self>> + Send;
}

/// A line.
impl Piece for String {
    async fn next_of(output: &mut Output) -> Option<Self> {
        loop {
            if let Some(line) = output.lines.next_whole() {
                return Some(line);
            }
            if !output.read().await {
                return output.lines.rest();
            }
        }
    }
}

/// As much as there is.
impl Piece for Bytes {
    async fn next_of(output: &mut Output) -> Option<Self> {
        output.read().await.then(|| output.lines.buffer().split().freeze())
    }
}

/// The next piece of this output; `None` once, when it has closed, and then the output is gone.
async fn next_of<P: Piece>(slot: &mut Option<Output>) -> Option<P> {
    let piece = P::next_of(slot.as_mut()?).await;
    if piece.is_none() {
        *slot = None;
    }
    piece
}

/// Where an output is read from.
#[derive(Debug)]
enum Source {
    Stdout(ChildStdout),
    Stderr(ChildStderr),
    Terminal(Master),
}

impl AsyncRead for Source {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Stdout(pipe) => Pin::new(pipe).poll_read(cx, buf),
            Self::Stderr(pipe) => Pin::new(pipe).poll_read(cx, buf),
            Self::Terminal(master) => master.poll_read(cx, buf),
        }
    }
}
