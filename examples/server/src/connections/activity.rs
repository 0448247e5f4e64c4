//! What a connection is doing: how many requests it has had, and how many of them are being answered.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

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

pin_project! {
    /// The body of an answer, which keeps its request running until it has been sent or given up.
    #[derive(Debug)]
    pub(super) struct Tracked<B> {
        #[pin]
        pub(super) body: B,
        pub(super) running: Running,
    }
}

impl<B: Body> Body for Tracked<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
