//! What all followers are to those who use them.

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::stream::{FusedStream, Stream};
use futures_util::stream::{self, StreamExt};

use crate::{error::Error, update::Update};

/// What comes over one transport, item by item: of a job, its [`Update`]s.
///
/// A follower asks again by itself where that may help; pauses, repeats and broken connections don't show. An `Err` is
/// why it gave up, and the last item. `None` is the end, after the job's terminal event; whoever asks on gets `None`
/// again.
///
/// Nothing happens unless somebody waits for an item, and then no more than that item needs: what is not read stays in
/// the socket, or on the server. Dropping a follower closes what it had open.
///
/// It is a [`Stream`] too.
pub struct Follower<T = Update> {
    items: Pin<Box<dyn FusedStream<Item = Result<T, Error>> + Send>>,
}

/// What a follower draws from: one step after another, each of which may be slow and must not be dropped half-way.
pub(crate) trait Source: Send + 'static {
    type Item;

    /// The next item. After `None` or an error it is not called again.
    fn next(&mut self) -> impl Future<Output = Option<Result<Self::Item, Error>>> + Send;
}

impl<T: 'static> Follower<T> {
    pub(crate) fn new<S: Source<Item = T>>(source: S) -> Self {
        // The step under way lives in here and not in the future that `next` returns: that makes `next` cancel-safe.
        let items = stream::unfold(Some(source), |source| async {
            let mut source = source?;
            let item = source.next().await?;
            let source = item.is_ok().then_some(source);
            Some((item, source))
        });
        Self { items: Box::pin(items.fuse()) }
    }

    /// The next item, or `None` once there is nothing more to come.
    ///
    /// # Cancellation
    ///
    /// Safe: a request that is under way when the future is dropped goes on with the next call, and nothing is lost.
    pub async fn next(&mut self) -> Option<Result<T, Error>> {
        poll_fn(|cx| self.items.as_mut().poll_next(cx)).await
    }
}

impl<T> Stream for Follower<T> {
    type Item = Result<T, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.items.as_mut().poll_next(cx)
    }
}

impl<T> FusedStream for Follower<T> {
    fn is_terminated(&self) -> bool {
        self.items.is_terminated()
    }
}

impl<T> fmt::Debug for Follower<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower").field("ended", &self.items.is_terminated()).finish_non_exhaustive()
    }
}
