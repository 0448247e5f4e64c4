//! Passes on what a command writes, byte for byte and at once, and notes it for the job.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd},
};

use bytes::Bytes;
use tidings_process::{Running, Stream};
use tokio::io::AsyncWriteExt;

use super::{telling::Telling, transcript::Transcript};

/// A command's two outputs on their way to ours.
#[derive(Debug)]
pub(crate) struct Copying<'a> {
    telling: &'a Telling,
    stdout: Output,
    stderr: Output,
}

#[derive(Debug)]
struct Output {
    stream: Stream,
    transcript: Transcript,
    /// Written to without any buffer, and from a thread that may wait for whoever reads.
    file: tokio::fs::File,
    /// What has to be written before more is read.
    pending: Option<Bytes>,
    /// Nothing more is to be read.
    closed: bool,
    /// Nothing more is to be written: nobody reads it.
    unread: bool,
}

impl<'a> Copying<'a> {
    pub(crate) fn new(telling: &'a Telling) -> io::Result<Self> {
        let stdout = Output::new(Stream::Stdout, io::stdout().as_fd())?;
        Ok(Self { telling, stdout, stderr: Output::new(Stream::Stderr, io::stderr().as_fd())? })
    }

    /// Goes one step on; `false` once the command and all its descendants have ended, and all is written. An output that
    /// nobody reads does not keep the other one waiting. Losing the future loses nothing.
    pub(crate) async fn step(&mut self, running: &mut Running) -> bool {
        let Self { telling, stdout, stderr } = self;
        let reading: Vec<_> = [&*stdout, &*stderr].iter().filter(|output| output.reads()).map(|o| o.stream).collect();
        tokio::select! {
            written = stdout.write(), if stdout.pending.is_some() => stdout.note_written(&written, running),
            written = stderr.write(), if stderr.pending.is_some() => stderr.note_written(&written, running),
            chunk = running.next_chunk_of(&reading), if !reading.is_empty() => match chunk {
                Some((Stream::Stdout, chunk)) => stdout.take(chunk, telling),
                Some((Stream::Stderr, chunk)) => stderr.take(chunk, telling),
                None => [stdout, stderr].into_iter().filter(|output| output.reads()).for_each(|output| output.closed = true),
            },
            else => return false,
        }
        true
    }

    /// Whether something is written that nobody has read yet.
    pub(crate) fn is_held_up(&self) -> bool {
        self.stdout.pending.is_some() || self.stderr.pending.is_some()
    }

    /// Waits no longer for who does not read: of an output that is held up, what comes goes into the log alone.
    pub(crate) fn leave_unread(&mut self) {
        for output in [&mut self.stdout, &mut self.stderr] {
            output.unread |= output.pending.take().is_some();
        }
    }

    /// Notes the last lines, if nothing ended them.
    pub(crate) fn finish(self) {
        for output in [self.stdout, self.stderr] {
            output.transcript.finish(|draft| self.telling.backlog.push(draft));
        }
    }
}

impl Output {
    fn new(stream: Stream, ours: BorrowedFd<'_>) -> io::Result<Self> {
        let file = tokio::fs::File::from_std(File::from(ours.try_clone_to_owned()?));
        Ok(Self { stream, transcript: Transcript::new(stream), file, pending: None, closed: false, unread: false })
    }

    /// Whether more is to be read.
    fn reads(&self) -> bool {
        !self.closed && self.pending.is_none()
    }

    /// Takes what the command has written.
    fn take(&mut self, chunk: Bytes, telling: &Telling) {
        telling.notes.note_output(&chunk);
        self.transcript.push(&chunk, |draft| telling.backlog.push(draft));
        self.pending = Some(chunk).filter(|_| !self.unread);
    }

    /// Writes what is pending, and waits until it is written: so an error is noticed where it belongs.
    async fn write(&mut self) -> io::Result<()> {
        if let Some(pending) = &mut self.pending {
            self.file.write_all_buf(pending).await?;
        }
        self.file.flush().await
    }

    /// The command is to notice that nobody reads, as it would without us.
    fn note_written(&mut self, written: &io::Result<()>, running: &mut Running) {
        self.pending = None;
        if written.is_err() {
            running.close(self.stream);
        }
    }
}
