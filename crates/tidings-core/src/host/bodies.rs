//! Request bodies: read whole, within their limits.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    task::Poll,
};

use bytes::Bytes;
use http::{HeaderMap, header};
use http_body::Body as HttpBody;
use tokio::time::Instant;

use crate::{
    answer::Broken,
    limits::Limits,
    problem::{Problem, ProblemKind},
};

/// What a body may be taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MediaType {
    Json,
    NdJson,
}

/// What the body of a request is: JSON, where nothing is said.
pub(super) fn media_type(headers: &HeaderMap) -> Result<MediaType, Problem> {
    // What nearly every request says, and nothing has to be taken apart for.
    if headers.get(header::CONTENT_TYPE).is_some_and(|plain| plain == "application/json")
        && headers.keys_len() == headers.len()
        && !headers.contains_key(header::CONTENT_ENCODING)
    {
        return Ok(MediaType::Json);
    }
    let refuse = |detail: &'static str| Err(Problem::new(ProblemKind::UnsupportedMediaType, detail));
    if headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
    {
        return refuse("bodies are taken without a Content-Encoding");
    }
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let Some(media_type) = types.next() else { return Ok(MediaType::Json) };
    let essence = media_type.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if types.next().is_some() {
        refuse("Content-Type is there twice")
    } else if essence.eq_ignore_ascii_case("application/json") {
        Ok(MediaType::Json)
    } else if essence.eq_ignore_ascii_case("application/x-ndjson") {
        Ok(MediaType::NdJson)
    } else {
        refuse("bodies are application/json (curl --json), or for reports application/x-ndjson")
    }
}

/// Only JSON is taken.
pub(super) fn expect_json(headers: &HeaderMap) -> Result<(), Problem> {
    match media_type(headers)? {
        MediaType::Json => Ok(()),
        MediaType::NdJson => Err(Problem::new(ProblemKind::UnsupportedMediaType, "the body is application/json here")),
    }
}

/// Reads a body of at most `most` bytes.
pub(super) async fn read<B>(mut body: B, most: usize, limits: &Limits) -> Result<Bytes, Problem>
where
    B: HttpBody<Data = Bytes> + Unpin,
{
    // What is said of its length is enough, where something is said.
    if body.size_hint().lower() > most as u64 {
        return Err(too_large(most));
    }
    let mut timing = Timing::new(limits);
    let (mut first, mut rest) = (Bytes::new(), Vec::new());
    loop {
        let Some(chunk) = timing.next(&mut body).await? else { break };
        if first.len() + rest.len() + chunk.len() > most {
            return Err(too_large(most));
        }
        // Nearly all bodies come in one piece, which is taken as it is.
        if first.is_empty() {
            first = chunk;
        } else {
            rest.extend_from_slice(&chunk);
        }
        if body.is_end_stream() {
            break;
        }
    }
    Ok(if rest.is_empty() { first } else { [first, rest.into()].concat().into() })
}

/// How long a body may take. The clock is only asked where something has to be waited for.
struct Timing<'a> {
    limits: &'a Limits,
    /// When all of it has to be there.
    whole: Option<Instant>,
}

impl<'a> Timing<'a> {
    fn new(limits: &'a Limits) -> Self {
        Self { limits, whole: None }
    }

    /// The next piece of a body; nothing at its end.
    async fn next<B>(&mut self, body: &mut B) -> Result<Option<Bytes>, Problem>
    where
        B: HttpBody<Data = Bytes> + Unpin,
    {
        let mut next = pin!(chunk(body));
        let at_once = poll_fn(|cx| Poll::Ready(next.as_mut().poll(cx))).await;
        let next = match at_once {
            Poll::Ready(next) => next,
            Poll::Pending => {
                let now = Instant::now();
                let whole = *self.whole.get_or_insert_with(|| now + Limits::seconds(self.limits.body_seconds));
                let until = whole.min(now + Limits::seconds(self.limits.idle_body_seconds));
                let next = tokio::time::timeout_at(until, next).await;
                next.map_err(|_| Problem::from(ProblemKind::RequestTimeout))?
            }
        };
        next.transpose()
    }
}

/// The next piece of a body; nothing at its end.
pub(super) async fn chunk<B>(body: &mut B) -> Option<Result<Bytes, Problem>>
where
    B: HttpBody<Data = Bytes> + Unpin,
{
    loop {
        let frame = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await?;
        match frame.map(http_body::Frame::into_data) {
            Ok(Ok(data)) => return Some(Ok(data)),
            // Trailers say nothing here.
            Ok(Err(_)) => {}
            Err(_) => return Some(Err(Problem::new(ProblemKind::InvalidRequest, Broken.to_string()))),
        }
    }
}

pub(super) fn too_large(most: usize) -> Problem {
    Problem::new(ProblemKind::PayloadTooLarge, format!("at most {most} bytes are taken here"))
}
