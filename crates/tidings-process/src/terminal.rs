//! A pseudo-terminal, for commands that write otherwise to people than to pipes.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
    task::{Context, Poll, ready},
};

use rustix::{
    pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt},
    termios::{OptionalActions, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize},
};
use tokio::io::{Interest, ReadBuf, unix::AsyncFd};

/// A pseudo-terminal (pty(7)) that no command uses yet.
#[derive(Debug)]
pub struct Terminal {
    master: Master,
    user: OwnedFd,
}

/// Which outputs of a command go to its terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outputs {
    /// Standard output and standard error, which can't be told apart any more.
    Both,
    /// Standard output; standard error has a pipe of its own.
    StdoutOnly,
}

impl Terminal {
    /// A terminal with the modes and the size that `original` has at this moment.
    ///
    /// # Errors
    ///
    /// Where `original` is no terminal, or the system has no more of them.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with I/O.
    pub fn like(original: impl AsFd) -> io::Result<Self> {
        let modes = tcgetattr(&original)?;
        let size = tcgetwinsize(&original)?;
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let user = ioctl_tiocgptpeer(&master, flags)?;
        tcsetattr(&user, OptionalActions::Now, &modes)?;
        tcsetwinsize(&user, size)?;
        rustix::io::ioctl_fionbio(&master, true)?;
        Ok(Self { master: Master::new(master)?, user })
    }

    /// Our end, and that of the command.
    pub(crate) fn into_ends(self) -> (Master, OwnedFd) {
        (self.master, self.user)
    }
}

/// The end of a pseudo-terminal on which people would sit.
#[derive(Clone, Debug)]
pub struct Master(Arc<AsyncFd<OwnedFd>>);

impl Master {
    #[expect(
        deprecated,
        reason = "its successor is unsafe, and asks for what an `OwnedFd` is: one file, open for life"
    )]
    fn new(file: OwnedFd) -> io::Result<Self> {
        Ok(Self(Arc::new(AsyncFd::new(file)?)))
    }

    /// Types this in. Waits where the command does not read what was typed.
    ///
    /// # Errors
    ///
    /// Once nobody has the terminal open any more.
    ///
    /// # Cancellation
    ///
    /// Dropping the future may leave a part of it typed in.
    pub async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = self.0.async_io(Interest::WRITABLE, |fd| Ok(rustix::io::write(fd, bytes)?)).await?;
            bytes = bytes.get(written..).unwrap_or_default();
        }
        Ok(())
    }

    /// Gives the terminal the size that `original` has at this moment; whoever runs on it is told by SIGWINCH.
    ///
    /// # Errors
    ///
    /// Where `original` is no terminal.
    pub fn resize_like(&self, original: impl AsFd) -> io::Result<()> {
        Ok(tcsetwinsize(self.0.get_ref(), tcgetwinsize(original)?)?)
    }

    pub(crate) fn poll_read(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut ready = ready!(self.0.poll_read_ready(cx))?;
            let read = |fd: &AsyncFd<OwnedFd>| Ok(rustix::io::read(fd, buf.initialize_unfilled())?);
            match ready.try_io(read) {
                Ok(Ok(count)) => {
                    buf.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                // EIO: nobody has the other end open any more.
                Ok(Err(error)) => return Poll::Ready(Err(error)),
                Err(_would_block) => {}
            }
        }
    }
}
