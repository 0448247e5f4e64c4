//! A socket that errs where its peer does not go on: hyper has no limit on how long a write may take, and its limit on
//! a head counts from the end of the request before, so that it would close connections that merely idle.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use super::{activity::Activity, taken::Handover};

/// The socket of one connection. It begins with bytes that have been read already.
#[derive(Debug)]
pub(super) struct Paced<T> {
    io: T,
    prefix: Bytes,
    activity: Arc<Activity>,
    head_limit: Option<Duration>,
    /// Runs while a head has begun and is not whole.
    head: Option<Head>,
    stall: Stall,
    /// Told whether something is left to write.
    handover: Option<Arc<Handover>>,
}

/// Limits how long a socket may take nothing of what is written to it.
#[derive(Debug)]
pub(super) struct Stall {
    limit: Duration,
    /// Runs while the socket takes nothing.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Stall {
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, timer: None }
    }

    /// Passes on what the socket said, unless it has been saying that it is full for too long.
    pub(super) fn check<R>(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        if outcome.is_ready() {
            self.timer = None;
            return outcome;
        }
        let limit = self.limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + limit)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer takes nothing")))
    }
}

/// The head of the request that comes after `begun` others.
#[derive(Debug)]
struct Head {
    begun: usize,
    /// Runs from when the rest is waited for: most come whole.
    limit: Option<Pin<Box<Sleep>>>,
}

impl<T> Paced<T> {
    /// `write_limit`: how long the peer may take nothing of what is written.
    pub(super) fn new(io: T, prefix: Bytes, activity: Arc<Activity>, write_limit: Duration) -> Self {
        Self { io, prefix, activity, head_limit: None, head: None, stall: Stall::new(write_limit), handover: None }
    }

    /// Says there when all has been written.
    #[must_use]
    pub(super) fn with_handover(self, handover: Arc<Handover>) -> Self {
        Self { handover: Some(handover), ..self }
    }

    /// With a limit on the time from a head's first byte to the request, as HTTP/1 needs.
    #[must_use]
    pub(super) fn with_head_limit(self, limit: Duration) -> Self {
        Self { head_limit: Some(limit), ..self }
    }

    /// The socket, and what nobody has read of what came before it.
    pub(super) fn into_parts(self) -> (T, Bytes) {
        (self.io, self.prefix)
    }

    /// A byte that comes in while no request runs begins a head. (One that comes earlier, from a client that does not
    /// wait for its answers, is not seen to: its connection is closed as an idle one instead.)
    fn head_goes_on(&mut self) {
        if self.head_limit.is_some() && self.activity.is_idle() && self.head.is_none() {
            self.head = Some(Head { begun: self.activity.begun(), limit: None });
        }
    }

    fn poll_head_limit(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let (Some(head), Some(limit)) = (&mut self.head, self.head_limit) else {
            return Poll::Pending;
        };
        if !self.activity.is_idle() || self.activity.begun() != head.begun {
            self.head = None;
            return Poll::Pending;
        }
        let limit = head.limit.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + limit)));
        ready!(limit.as_mut().poll(cx));
        Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, "the rest of a head did not come"))
    }

    fn set_flushed(&self, flushed: bool) {
        if let Some(handover) = &self.handover {
            handover.set_flushed(flushed);
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Paced<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.prefix.is_empty() {
            let length = this.prefix.len().min(buf.remaining());
            buf.put_slice(&this.prefix.copy_to_bytes(length));
            if this.prefix.is_empty() {
                // Even an empty slice keeps its memory.
                this.prefix = Bytes::new();
            }
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        match Pin::new(&mut this.io).poll_read(cx, buf) {
            Poll::Ready(outcome) => {
                if buf.filled().len() > before {
                    this.head_goes_on();
                }
                Poll::Ready(outcome)
            }
            Poll::Pending => this.poll_head_limit(cx).map(Err),
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Paced<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.set_flushed(false);
        let outcome = Pin::new(&mut this.io).poll_write(cx, buf);
        this.stall.check(cx, outcome)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.set_flushed(false);
        let outcome = Pin::new(&mut this.io).poll_write_vectored(cx, bufs);
        this.stall.check(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    // A TCP socket flushes and shuts down at once: only its writes wait.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper 1.12 flushes the socket in each turn in which it has buffered anything, and only once it has handed all of
        // that over: what a connection is taken over by rests on it. It is to be looked at with each new version.
        let this = self.get_mut();
        this.set_flushed(true);
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    fn paced() -> (DuplexStream, Paced<DuplexStream>, Arc<Activity>) {
        let (client, server) = duplex(8);
        let activity = Arc::new(Activity::default());
        let prefix = Bytes::from_static(b"begun");
        let paced = Paced::new(server, prefix, Arc::clone(&activity), LIMIT).with_head_limit(LIMIT);
        (client, paced, activity)
    }

    async fn read(paced: &mut Paced<DuplexStream>) -> io::Result<String> {
        let mut buf = [0; 8];
        let length = paced.read(&mut buf).await?;
        Ok(String::from_utf8_lossy(&buf[..length]).into_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_read_before_comes_first() {
        let (mut client, mut paced, _) = paced();
        client.write_all(b"then").await.expect("there is room");
        assert_eq!(read(&mut paced).await.expect("bytes"), "begun");
        assert_eq!(read(&mut paced).await.expect("bytes"), "then");
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_has_begun_has_its_limit_and_a_connection_that_idles_has_not() {
        let (mut client, mut paced, _) = paced();
        read(&mut paced).await.expect("bytes");
        let idle = tokio::time::timeout(LIMIT * 5, read(&mut paced)).await;
        assert!(idle.is_err(), "{idle:?}");

        client.write_all(b"GET").await.expect("there is room");
        read(&mut paced).await.expect("bytes");
        let begun = Instant::now();
        let error = read(&mut paced).await.expect_err("the rest does not come");
        assert_eq!((error.kind(), begun.elapsed()), (io::ErrorKind::TimedOut, LIMIT));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_runs_has_no_limit_on_its_head() {
        let (mut client, mut paced, activity) = paced();
        read(&mut paced).await.expect("bytes");
        client.write_all(b"GET").await.expect("there is room");
        read(&mut paced).await.expect("bytes");
        let running = activity.begin();
        assert!(tokio::time::timeout(LIMIT * 5, read(&mut paced)).await.is_err());
        drop(running);
        assert!(tokio::time::timeout(LIMIT * 5, read(&mut paced)).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_makes_no_way_errs_and_one_that_does_has_all_the_time() {
        let (mut client, mut paced, _) = paced();
        let slowly = async {
            let mut byte = [0];
            for _ in 0..8 {
                tokio::time::sleep(LIMIT - Duration::from_secs(1)).await;
                client.read_exact(&mut byte).await.expect("a byte");
            }
        };
        let (written, ()) = tokio::join!(paced.write_all(&[0; 16]), slowly);
        written.expect("each byte made way");

        let begun = Instant::now();
        let error = paced.write_all(&[0]).await.expect_err("nobody reads");
        assert_eq!((error.kind(), begun.elapsed()), (io::ErrorKind::TimedOut, LIMIT));
    }
}
