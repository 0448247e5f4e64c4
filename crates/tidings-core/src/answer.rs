//! Answers, and the bodies that they have.

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_core::future::BoxFuture;
use http::{HeaderValue, Response, StatusCode, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::{BodyExt as _, combinators::UnsyncBoxBody};

use crate::{
    cursor::Cursor,
    feed::{Follow, Watch},
    framing::{Coding, Framing},
    log::Limit,
    names::JobId,
    page::Page,
    problem::Problem,
    pulse::Pulse,
    stream::{EventStream, StreamBody},
};

/// What an endpoint answers with.
#[derive(Debug)]
#[non_exhaustive]
pub enum Answer {
    /// A whole response.
    Response(Response<Body>),
    /// A head, and events for as long as they come.
    Follow(Response<()>, Box<Streaming>),
    /// A page, once there is news.
    Hold(Box<Hold>),
}

impl Answer {
    /// A response without a body, which nobody stores.
    #[must_use]
    pub fn empty(status: StatusCode) -> Self {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Self::Response(response)
    }
}

impl From<Problem> for Answer {
    fn from(problem: Problem) -> Self {
        Self::Response(problem.into_response())
    }
}

/// A stream of events, which the host renders as a body.
#[derive(Debug)]
#[non_exhaustive]
pub struct Streaming {
    /// What is streamed, and when it ends.
    pub follow: Follow,
    /// How.
    pub framing: &'static Framing,
    /// What leaves with the head, before the first event.
    pub opening: Bytes,
    /// Ticks at half the time that the stream may be silent for; at every second one without an event the framing's
    /// heartbeat is sent.
    pub pulse: Pulse,
}

impl Streaming {
    /// Streams what is followed in a framing.
    #[must_use]
    pub fn new(follow: Follow, framing: &'static Framing, opening: Bytes, pulse: Pulse) -> Self {
        Self { follow, framing, opening, pulse }
    }
}

/// A request that is held until there is news of a job.
pub struct Hold {
    /// Which job.
    pub(crate) job: JobId,
    /// What its client has seen.
    pub(crate) after: Cursor,
    /// How much it takes.
    pub(crate) limit: Limit,
    /// Began before the look that found nothing.
    pub(crate) watch: Watch,
    /// How long it is held.
    pub(crate) wait: Duration,
    pub(crate) render: Render,
}

/// Turns the page that a hold ends with into a response.
type Render = Box<dyn FnOnce(&Page) -> Response<Body> + Send>;

impl Hold {
    /// Holds a request for at most `wait`. The watch must have begun before the page was read that had no news.
    #[must_use]
    pub fn new(
        page: &Page,
        limit: Limit,
        watch: Watch,
        wait: Duration,
        render: impl FnOnce(&Page) -> Response<Body> + Send + 'static,
    ) -> Self {
        Self { job: page.job.id, after: page.cursor, limit, watch, wait, render: Box::new(render) }
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hold")
            .field("job", &self.job)
            .field("after", &self.after)
            .field("wait", &self.wait)
            .finish_non_exhaustive()
    }
}

/// The body of a request or a response. It never fails as a response's body; as a request's body a failure ends it
/// early.
pub struct Body(Repr);

enum Repr {
    Whole(Bytes),
    Stream(Box<StreamBody>),
    Boxed(UnsyncBoxBody<Bytes, Broken>),
}

/// A body that broke off: whoever sent it went away or broke the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body broke off")]
pub struct Broken;

impl Body {
    /// No body.
    #[must_use]
    pub fn empty() -> Self {
        Self(Repr::Whole(Bytes::new()))
    }

    /// A whole body of JSON, as a response.
    #[must_use]
    pub fn json(json: impl Into<Bytes>) -> Response<Self> {
        let mut response = Response::new(Self::from(json));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }

    /// Wraps any body. Where its size hint says that it is too large, it is refused without being read.
    pub fn wrap<B>(body: B) -> Self
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
    {
        if body.is_end_stream() { Self::empty() } else { Self(Repr::Boxed(body.map_err(|_| Broken).boxed_unsync())) }
    }

    pub(crate) fn stream(stream: StreamBody) -> Self {
        Self(Repr::Stream(Box::new(stream)))
    }

    /// The stream of events that this is, for who goes on with it without HTTP's help; nothing where it is another body.
    /// What was sent of it by then is not sent again, and nothing is left of the body.
    #[must_use]
    pub fn take_stream(&mut self) -> Option<EventStream> {
        let Repr::Stream(_) = self.0 else { return None };
        match std::mem::replace(&mut self.0, Repr::Whole(Bytes::new())) {
            Repr::Stream(stream) => Some(EventStream::new(stream)),
            Repr::Whole(_) | Repr::Boxed(_) => None,
        }
    }

    /// The whole body, waited for where it is not there as a whole. One that breaks off is what came of it.
    pub(crate) async fn into_whole(mut self) -> Bytes {
        if let Repr::Whole(bytes) = self.0 {
            return bytes;
        }
        let mut whole = Vec::new();
        while let Some(Ok(frame)) = self.frame().await {
            whole.extend_from_slice(&frame.into_data().unwrap_or_default());
        }
        whole.into()
    }

    /// The whole body, where it is there as a whole.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&Bytes> {
        match &self.0 {
            Repr::Whole(bytes) => Some(bytes),
            Repr::Stream(_) | Repr::Boxed(_) => None,
        }
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(bytes: T) -> Self {
        Self(Repr::Whole(bytes.into()))
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::empty()
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match &mut self.0 {
            Repr::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Repr::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Repr::Stream(stream) => {
                stream.poll_chunk(cx, Coding::Identity).map(|chunk| chunk.map(|bytes| Ok(Frame::data(bytes))))
            }
            Repr::Boxed(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Repr::Whole(bytes) => bytes.is_empty(),
            Repr::Stream(_) => false,
            Repr::Boxed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Repr::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Repr::Stream(_) => SizeHint::default(),
            Repr::Boxed(body) => body.size_hint(),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Whole(bytes) => f.debug_tuple("Body").field(bytes).finish(),
            Repr::Stream(_) | Repr::Boxed(_) => f.write_str("Body(…)"),
        }
    }
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Reply {
    /// It is answered.
    Response(Response<Body>),
    /// It is answered once there is news.
    Held(Held),
}

impl Reply {
    /// The answer, waited for where it is held. Dropping the future drops the request, which has no effect.
    pub async fn into_response(self) -> Response<Body> {
        match self {
            Self::Response(response) => response,
            Self::Held(held) => held.await.map(Body::from),
        }
    }
}

impl From<Response<Body>> for Reply {
    fn from(response: Response<Body>) -> Self {
        Self::Response(response)
    }
}

/// The answer to a request that is held until there is news, its time is over, or the host shuts down. It keeps nothing
/// of the request, so that it can be waited for without what the request came by, and its body is whole. Dropping it has
/// no effect.
#[must_use = "nobody is answered unless it is waited for"]
pub struct Held(BoxFuture<'static, Response<Bytes>>);

impl Held {
    pub(crate) fn new(answer: impl Future<Output = Response<Bytes>> + Send + 'static) -> Self {
        Self(Box::pin(answer))
    }
}

impl Future for Held {
    type Output = Response<Bytes>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response<Bytes>> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Held")
    }
}

/// A response that can't fail, as services here answer.
pub type Answered = Result<Response<Body>, Infallible>;
