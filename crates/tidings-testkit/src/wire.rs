//! Requests to a host without a socket: counted, and cut off where a scenario says so.

use std::{
    fmt,
    future::poll_fn,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body::Body as _;
use tidings_core::{Body, Host};
use tower_service::Service as _;

use crate::{adapter::Refused, failure::Failure};

/// A body broke off before its end: the connection was cut. Only what came whole before it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection was cut")]
pub struct Cut;

/// What all requests of one server share.
#[derive(Debug)]
pub(crate) struct Wire {
    /// How often a response, or the body of one, was polled. Written by every request, read by scenarios.
    polls: AtomicU64,
    /// After how many bytes the body of the next response is cut off, or [`WHOLE`]. Written by scenarios, taken by the
    /// next request.
    cut: AtomicU64,
}

/// Not cut off at all.
const WHOLE: u64 = u64::MAX;

impl Default for Wire {
    fn default() -> Self {
        Self { polls: AtomicU64::new(0), cut: AtomicU64::new(WHOLE) }
    }
}

impl Wire {
    pub(crate) fn polls(&self) -> u64 {
        self.polls.load(Ordering::Relaxed)
    }

    pub(crate) fn cut_next(&self, after: u64) {
        self.cut.store(after, Ordering::Relaxed);
    }

    fn polled(&self) {
        self.polls.fetch_add(1, Ordering::Relaxed);
    }
}

/// The answer to a request of an adapter's. Dropping it hangs up.
pub struct Response {
    wire: Arc<Wire>,
    status: StatusCode,
    headers: HeaderMap,
    body: Body,
    /// How many bytes may still come before the connection is cut.
    rest: u64,
}

impl Response {
    pub(crate) async fn get(
        wire: Arc<Wire>,
        mut host: Host,
        target: &str,
        headers: &[(&str, &str)],
    ) -> Result<Self, Failure> {
        let rest = wire.cut.swap(WHOLE, Ordering::Relaxed);
        let mut request = Request::get(target).header("host", "localhost");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request =
            request.body(Body::empty()).map_err(|error| Failure::new(format!("{target} is no request: {error}")))?;
        let mut answer = pin!(host.call(request));
        let answered = poll_fn(|cx| {
            wire.polled();
            answer.as_mut().poll(cx)
        });
        let Ok(response) = answered.await;
        let (parts, body) = response.into_parts();
        Ok(Self { wire, status: parts.status, headers: parts.headers, body, rest })
    }

    /// Its status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// A field of its header, where it is there and is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The next piece of its body, as large as the transport made it; nothing at the end. Cancel safe.
    ///
    /// # Errors
    ///
    /// Where the body breaks off.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Cut> {
        loop {
            if self.rest == 0 {
                return Err(Cut);
            }
            let frame = poll_fn(|cx| {
                self.wire.polled();
                Pin::new(&mut self.body).poll_frame(cx)
            });
            match frame.await.map(|frame| frame.map(http_body::Frame::into_data)) {
                None => return Ok(None),
                Some(Err(_)) => return Err(Cut),
                // Trailers carry no events.
                Some(Ok(Err(_))) => {}
                Some(Ok(Ok(data))) => {
                    let most = usize::try_from(self.rest).unwrap_or(usize::MAX);
                    let data = data.slice(..data.len().min(most));
                    if self.rest != WHOLE {
                        self.rest -= data.len() as u64;
                    }
                    return Ok(Some(data));
                }
            }
        }
    }

    /// The rest of its body. Cancel safe in that what was read is lost together with the response.
    ///
    /// # Errors
    ///
    /// Where the body breaks off.
    pub async fn bytes(&mut self) -> Result<Bytes, Cut> {
        let mut whole = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            whole.extend_from_slice(&chunk);
        }
        Ok(whole.into())
    }

    /// Reads the answer as a problem (RFC 9457).
    ///
    /// # Errors
    ///
    /// Where it is none.
    pub async fn problem(mut self) -> Result<Refused, Failure> {
        #[derive(serde::Deserialize)]
        struct Wire {
            r#type: String,
        }
        let status = self.status;
        let body = self.bytes().await.map_err(|cut| Failure::new(format!("{status}: {cut}")))?;
        let wire: Wire = serde_json::from_slice(&body)
            .map_err(|error| Failure::new(format!("{status} with a body that is no problem: {error}")))?;
        match wire.r#type.strip_prefix("urn:tidings:problem:") {
            Some(name) => Ok(Refused(name.to_owned())),
            None => Err(Failure::new(format!("{status} with a problem of a type that is not ours: {}", wire.r#type))),
        }
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response").field("status", &self.status).finish_non_exhaustive()
    }
}
