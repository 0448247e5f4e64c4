//! What a connection is doing: how many requests it has had, and how many of them are being answered.

use std::{
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

/// The body of an answer, which keeps its request running until it has been sent or given up.
#[derive(Debug)]
pub(super) struct Tracked {
    body: Body,
    #[expect(dead_code, reason = "held for its drop")]
    running: Running,
    /// Where a stream of events is left once it has brought what was there.
    handover: Option<Arc<Handover>>,
    is_left: bool,
}

impl Tracked {
    /// `handover`: where the connection may be taken over.
    pub(super) fn new(body: Body, running: Running, handover: Option<Arc<Handover>>) -> Self {
        Self { body, running, handover, is_left: false }
    }
}

impl http_body::Body for Tracked {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if self.is_left {
            return Poll::Pending;
        }
        let frame = Pin::new(&mut self.body).poll_frame(cx);
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
        !self.is_left && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
