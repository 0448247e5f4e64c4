//! Following a job over whichever transport works.

mod climb;
mod following;
mod ladder;
mod reader;

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_core::stream::{FusedStream, Stream};
use futures_util::StreamExt;
use tidings_core::{Cursor, JobId, Snapshot};
use tokio_util::sync::CancellationToken;

use self::following::{Following, Setup, Told};
use crate::{client::Client, error::Error, follower::Follower, transport::Transport, update::Update};

/// Follows one job to its end, over whichever transport works, and never loses its place.
///
/// What comes, in this order: the job as it is ([`Update::Job`]), which transport is read ([`Update::Transport`], and
/// again whenever that changes), and the job's events from the first one, or from the one after a cursor: each once, in
/// order, with gaps told. After the terminal event comes `None`.
///
/// It tries the transports in their order, those that the server has mounted. What it does about trouble:
///
/// - An event stream that brings no first byte within 5 s, or later no heartbeat in its time, is held back by something
///   on the way: the next transport goes on at once, from the same cursor. From there a better one is tried again, beside
///   the one in use, every 25 s, and takes over as soon as it is seen to work: a stream, once something has come after
///   its first bytes, and long polling, once a request that was held is answered.
/// - A page that is 5 s late is lost on the way too, and the next transport goes on at once. The first long poll is not
///   held, so that this is soon known.
/// - A stream that was cut is asked for again at once, if it brought something. A page that was cut is asked for again
///   at once with half its `limit`.
/// - A server that is away or has no room is asked again, after pauses with full jitter that grow to 30 s, or as long as
///   it says. Where it answers otherwise and just the transport fails twice, the next one goes on.
/// - What another try can't mend is an `Err`, and the last item: the job is unknown, the cursor is of another history
///   (`cursor-mismatch`), the server wants to be told who asks (401).
///
/// Nothing happens before the first item is asked for; until then it can be set up. It is a [`Stream`] too.
#[derive(Debug)]
pub struct Follow {
    setup: Setup,
    running: Option<Follower>,
    transport: Option<Transport>,
    snapshot: Option<Snapshot>,
}

impl Follow {
    pub(crate) fn new(client: Client, job: JobId) -> Self {
        let setup = Setup {
            client,
            job,
            transports: Transport::ALL.to_vec(),
            after: None,
            timeout: None,
            cancel: CancellationToken::new(),
            told: Told::default(),
        };
        Self { setup, running: None, transport: None, snapshot: None }
    }

    /// Over these transports, the best first. With none at all, following ends with an error.
    #[must_use]
    pub fn with_transports(mut self, transports: impl IntoIterator<Item = Transport>) -> Self {
        self.setup.transports.clear();
        for transport in transports {
            if !self.setup.transports.contains(&transport) {
                self.setup.transports.push(transport);
            }
        }
        self
    }

    /// From the event after this one, which another follower has got to, over any transport.
    #[must_use]
    pub fn after(mut self, cursor: Cursor) -> Self {
        self.setup.after = Some(cursor);
        self
    }

    /// Ends with an error of the kind [`Timeout`](crate::ErrorKind::Timeout) where the job is not over in this time,
    /// counted from the first item that is asked for. What went wrong last is its source.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.setup.timeout = Some(timeout);
        self
    }

    /// Ends, as if the job were over, once this token is cancelled. The job goes on.
    #[must_use]
    pub fn with_cancel(mut self, cancel: CancellationToken) -> Self {
        self.setup.cancel = cancel;
        self
    }

    /// Calls this with what went wrong, each time that there is a pause before it asks again: the server is away or has no
    /// room, say. It goes on all the same; this is for people who wait, and wonder. Where it goes on at once, over another
    /// transport say, nothing is told.
    ///
    /// It is called while the follow is polled, and must not block. A later one takes the place of an earlier one.
    #[must_use]
    pub fn on_pause(mut self, tell: impl Fn(&Error) + Send + Sync + 'static) -> Self {
        self.setup.told = Told(Some(Arc::new(tell)));
        self
    }

    /// Which job.
    #[must_use]
    pub fn job(&self) -> JobId {
        self.setup.job
    }

    /// Which transport it reads over, once one has brought something.
    #[must_use]
    pub fn transport(&self) -> Option<Transport> {
        self.transport
    }

    /// The job as the newest is known of it: as it was when following began, with what has come since folded in.
    #[must_use]
    pub fn snapshot(&self) -> Option<&Snapshot> {
        self.snapshot.as_ref()
    }

    /// The next item, or `None` once there is nothing more to come.
    ///
    /// # Cancellation
    ///
    /// Safe: what is under way when the future is dropped goes on with the next call, and nothing is lost. Dropping the
    /// `Follow` closes what it had open.
    pub async fn next(&mut self) -> Option<Result<Update, Error>> {
        StreamExt::next(self).await
    }

    fn learn(&mut self, update: &Update) {
        match update {
            Update::Job(job) => self.snapshot = Some(job.snapshot().clone()),
            Update::Transport(transport) => self.transport = Some(*transport),
            Update::Gap(gap) => {
                // One that can't be read is no worse than none: the events that follow are all the same.
                if let Ok(told) = Snapshot::parse(&gap.job)
                    && self.snapshot.as_ref().is_none_or(|known| known.seq < told.seq)
                {
                    self.snapshot = Some(told);
                }
            }
            Update::Event(event) => {
                if let Some(snapshot) = &mut self.snapshot
                    && event.seq() > snapshot.seq
                    && let Err(error) = snapshot.apply(event)
                {
                    tracing::debug!(%error, "an event that does not fit into what is known of its job");
                }
            }
        }
    }
}

impl Stream for Follow {
    type Item = Result<Update, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let running = this.running.get_or_insert_with(|| Follower::new(Following::new(this.setup.clone())));
        let item = std::task::ready!(running.poll_next_unpin(cx));
        if let Some(Ok(update)) = &item {
            this.learn(update);
        }
        Poll::Ready(item)
    }
}

impl FusedStream for Follow {
    fn is_terminated(&self) -> bool {
        self.running.as_ref().is_some_and(FusedStream::is_terminated)
    }
}
