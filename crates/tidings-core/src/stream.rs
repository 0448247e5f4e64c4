//! A stream of events as a response body.

use std::task::{Context, Poll};

use bytes::Bytes;

use crate::{
    answer::Streaming,
    feed::ReadError,
    framing::Coding,
    jobs::{GapScope, Jobs},
    shutdown::Shutdown,
};

/// At which silent tick the heartbeat is sent.
const SILENT_TICKS: u8 = 2;

/// A stream of events as a response body. It ends with what it follows, and at shutdown.
#[derive(Debug)]
pub(crate) struct StreamBody {
    streaming: Streaming,
    jobs: Jobs,
    shutdown: Shutdown,
    /// Ticks since something was sent.
    silent: u8,
    ended: bool,
}

impl StreamBody {
    pub(crate) fn new(streaming: Streaming, jobs: Jobs, shutdown: Shutdown) -> Self {
        Self { streaming, jobs, shutdown, silent: 0, ended: false }
    }

    /// What is to be sent next, in this coding, which may be another one from call to call.
    pub(crate) fn poll_chunk(&mut self, cx: &mut Context<'_>, coding: Coding) -> Poll<Option<Bytes>> {
        if self.ended {
            return Poll::Ready(None);
        }
        // Looked at before the events: what ends a job comes before what ends its streams, and must not be passed over.
        let jobs_over = self.shutdown.are_jobs_over();
        let begun = self.shutdown.has_begun() && self.streaming.follow.ends_at_shutdown();
        let opening = coding.encoded(std::mem::take(&mut self.streaming.opening));
        let Streaming { follow, framing, pulse, .. } = &mut self.streaming;
        let scope = if follow.scope().as_job().is_some() { GapScope::OneJob } else { GapScope::ManyJobs };
        match follow.poll_framed(cx, (framing, coding), |gap| self.jobs.gap_json(gap, scope)) {
            Poll::Ready(Some(Ok(bytes))) => {
                self.silent = 0;
                let whole = if opening.is_empty() { bytes } else { [opening, bytes].concat().into() };
                return Poll::Ready(Some(whole));
            }
            Poll::Ready(end) => {
                if let Some(Err(ReadError::Log(error))) = end {
                    tracing::warn!(%error, "a stream ends early, for its log can't be read");
                }
                return self.end(opening);
            }
            Poll::Pending if !opening.is_empty() => return Poll::Ready(Some(opening)),
            Poll::Pending => {}
        }
        if jobs_over || begun {
            return self.end(opening);
        }
        // Every pulse ticks once when a shutdown begins and once when the jobs are over.
        std::task::ready!(pulse.poll_tick(cx));
        self.silent += 1;
        follow.rest();
        if self.silent < SILENT_TICKS {
            return self.poll_chunk(cx, coding);
        }
        self.silent = 0;
        Poll::Ready(Some(coding.encoded(Bytes::from_static(framing.heartbeat))))
    }

    fn end(&mut self, opening: Bytes) -> Poll<Option<Bytes>> {
        self.ended = true;
        Poll::Ready(if opening.is_empty() { None } else { Some(opening) })
    }
}

/// A stream of events that was taken out of its [`Body`](crate::Body), for who writes it to a socket without HTTP's help.
///
/// What it gives are whole chunks as HTTP/1.1 has them (RFC 9112, 7.1), which many streams share: they are to be written as
/// they are, one after another, and `0`, CR LF, CR LF after the last. Dropping it ends it.
#[derive(Debug)]
pub struct EventStream(Box<StreamBody>);

impl EventStream {
    pub(crate) fn new(stream: Box<StreamBody>) -> Self {
        Self(stream)
    }

    /// The next chunks, some 64 KiB at most unless one event alone is larger; nothing once it has ended. To be asked only
    /// when what it gave before is written: a stream that is not asked costs nobody anything.
    pub fn poll_chunks(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.0.poll_chunk(cx, Coding::Chunked)
    }
}
