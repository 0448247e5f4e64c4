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
    transcript: Transcript,
    /// Written to without any buffer, and from a thread that may wait for whoever reads.
    file: tokio::fs::File,
    /// What has to be written before more is read.
    pending: Bytes,
}

impl<'a> Copying<'a> {
    pub(crate) fn new(telling: &'a Telling) -> io::Result<Self> {
        let stdout = Output::new(Stream::Stdout, io::stdout().as_fd())?;
        Ok(Self { telling, stdout, stderr: Output::new(Stream::Stderr, io::stderr().as_fd())? })
    }

    /// Goes one step on; `false` once the command and all its descendants have ended, and all is written. Losing the
    /// future loses nothing.
    pub(crate) async fn step(&mut self, running: &mut Running) -> bool {
        for (stream, output) in [(Stream::Stdout, &mut self.stdout), (Stream::Stderr, &mut self.stderr)] {
            if output.write().await.is_err() {
                // The command is to notice that nobody reads, as it would without us.
                output.pending.clear();
                running.close(stream);
            }
        }
        let Some((stream, chunk)) = running.next_chunk().await else { return false };
        self.telling.notes.note_output(&chunk);
        let output = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        output.transcript.push(&chunk, |draft| self.telling.backlog.push(draft));
        output.pending = chunk;
        true
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
        Ok(Self { transcript: Transcript::new(stream), file, pending: Bytes::new() })
    }

    /// Writes what is pending, and waits until it is written: so an error is noticed where it belongs.
    async fn write(&mut self) -> io::Result<()> {
        self.file.write_all_buf(&mut self.pending).await?;
        self.file.flush().await
    }
}
