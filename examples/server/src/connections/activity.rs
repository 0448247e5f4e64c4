//! What a connection is doing: how many requests it has had, and how many of them are being answered.

use std::{
    mem,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tidings::{Body, Broken};

use super::taken::{Handover, Left};

/// Shared by a connection's I/O, its requests and whoever closes it when it idles.
///
/// All of them run on the connection's task, or would come to no harm by seeing a number a moment late.
#[derive(Debug, Default)]
pub(super) struct Activity {
    /// Counted up as a request begins; never down.
    begun: AtomicUsize,
    /// Counted up as a request begins and down when the last byte of its answer has been handed to hyper.
    running: AtomicUsize,
}

impl Activity {
    /// Notes a request that begins. It runs until what is returned is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Running {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.running.fetch_add(1, Ordering::Relaxed);
        Running(Arc::clone(self))
    }

    pub(super) fn begun(&self) -> usize {
        self.begun.load(Ordering::Relaxed)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.running.load(Ordering::Relaxed) == 0
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct Running(Arc<Activity>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The most that is handed to hyper at once, which copies it to a buffer that it keeps.
const PIECE: usize = 16 * 1024;

/// The body of an answer, which keeps its request running until it has been sent or given up.
#[derive(Debug)]
pub(super) struct Tracked {
    body: Body,
    /// What the body has given and hyper has not been given.
    rest: Bytes,
    #[expect(dead_code, reason = "held for its drop")]
    running: Running,
    /// Where a stream of events is left once it has brought what was there.
    handover: Option<Arc<Handover>>,
    is_left: bool,
}

impl Tracked {
    /// `handover`: where the connection may be taken over.
    pub(super) fn new(body: Body, running: Running, handover: Option<Arc<Handover>>) -> Self {
        Self { body, rest: Bytes::new(), running, handover, is_left: false }
    }
}

impl Tracked {
    fn next_piece(&mut self) -> Bytes {
        // Most are one piece.
        let length = self.rest.len().min(PIECE);
        if length == self.rest.len() { mem::take(&mut self.rest) } else { self.rest.split_to(length) }
    }
}

impl http_body::Body for Tracked {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if self.is_left {
            return Poll::Pending;
        }
        if !self.rest.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(self.next_piece()))));
        }
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = frame {
            return Poll::Ready(Some(Ok(match frame.into_data() {
                Ok(data) => {
                    self.rest = data;
                    Frame::data(self.next_piece())
                }
                Err(trailers) => trailers,
            })));
        }
        if frame.is_pending()
            && let Some(handover) = self.handover.take()
            && let Some(stream) = self.body.take_stream()
        {
            self.is_left = true;
            handover.leave(Left::Stream(stream));
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        !self.is_left && self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (body, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut whole = SizeHint::new();
        whole.set_lower(body.lower() + rest);
        if let Some(upper) = body.upper() {
            whole.set_upper(upper + rest);
        }
        whole
    }
}

#[cfg(test)]
mod tests {
    use http_body::Body as _;
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn a_long_body_is_handed_on_in_pieces() {
        let whole: Vec<u8> = (0..100_000u32).map(|at| at.to_le_bytes()[0]).collect();
        let activity = Arc::new(Activity::default());
        let mut tracked = Tracked::new(Body::from(whole.clone()), activity.begin(), None);
        let mut sent = Vec::new();
        while !tracked.is_end_stream() {
            assert_eq!(tracked.size_hint().exact(), Some((whole.len() - sent.len()) as u64));
            let frame = tracked.frame().await.expect("a frame").expect("a body that can't fail");
            let piece = frame.into_data().expect("data");
            assert!((1..=PIECE).contains(&piece.len()));
            sent.extend_from_slice(&piece);
        }
        assert!(sent == whole && tracked.frame().await.is_none());
        assert!(!activity.is_idle());
        drop(tracked);
        assert!(activity.is_idle());
    }
}
