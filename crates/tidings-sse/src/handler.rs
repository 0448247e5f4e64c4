//! Answering with a stream.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use tidings_core::{
    Answer, Answering, Body, Context, Cursor, Endpoint, Error, Feed, Framing, Json, Mount, Notifier, Problem,
    ProblemKind, Pulse, Reach, Shutdown, Streaming, Target, parse_cursor,
};

use crate::{Config, frame};

/// Server-Sent Events as a transport.
#[derive(Clone, Debug, Default)]
pub struct Sse {
    config: Config,
}

impl Sse {
    /// Event streams with these knobs.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config }
    }
}

impl Notifier for Sse {
    fn name(&self) -> &'static str {
        "sse"
    }

    fn mount(&self, cx: &Context) -> Result<Mount, Error> {
        let seconds = self.config.heartbeat_seconds.max(1);
        let handler = Handler {
            feed: cx.feed.clone(),
            shutdown: cx.shutdown.clone(),
            pulse: cx.pulse(Duration::from_secs(seconds.into()) / 2),
            config: self.config.clone(),
        };
        let info =
            Json::parse(format!(r#"{{"heartbeat_seconds":{seconds}}}"#).as_bytes()).unwrap_or_else(|_| Json::null());
        Ok(Mount::endpoint(handler).with_reach(Reach::ManyJobs).with_info(info))
    }
}

#[derive(Debug)]
struct Handler {
    feed: Feed,
    shutdown: Shutdown,
    pulse: Pulse,
    config: Config,
}

impl Endpoint for Handler {
    fn answer<'a>(&'a self, target: Target, request: Request<Body>) -> Answering<'a> {
        Answering::later(async move {
            let asked = Asked::read(&target, request.headers());
            // A stream that kept the request alive would keep its header alive.
            drop(request);
            match asked {
                Ok(asked) => self.stream(&target, asked).await.unwrap_or_else(Answer::from),
                Err(problem) => problem.into(),
            }
        })
    }
}

/// What a request asks for, beside whose events.
#[derive(Debug)]
struct Asked {
    after: Cursor,
    framing: &'static Framing,
}

impl Asked {
    fn read(target: &Target, headers: &HeaderMap) -> Result<Self, Problem> {
        if !accepts_streams(headers) {
            return Err(Problem::new(ProblemKind::NotAcceptable, "this is a text/event-stream"));
        }
        let framing = match target.params().one("as")? {
            None => &frame::TYPED,
            Some("message") => &frame::MESSAGES,
            Some(_) => return Err(Problem::new(ProblemKind::InvalidRequest, "the parameter as can be message")),
        };
        let last = headers.get("last-event-id").map(|id| id.to_str().unwrap_or("?")).filter(|id| !id.is_empty());
        let after = last.map(parse_cursor).transpose()?.or(target.after()).unwrap_or_default();
        Ok(Self { after, framing })
    }
}

impl Handler {
    async fn stream(&self, target: &Target, asked: Asked) -> Result<Answer, Problem> {
        let follow = match self.feed.follow(target.scope().clone(), asked.after).await.map_err(Problem::from) {
            Ok(follow) => follow,
            Err(problem) if problem.kind() == ProblemKind::Overloaded => return Ok(overloaded()),
            Err(problem) => return Err(problem),
        };
        if follow.is_over() {
            return Ok(Answer::empty(StatusCode::NO_CONTENT));
        }
        if self.shutdown.has_begun() {
            return Ok(overloaded());
        }
        let [least, most] = self.config.retry_millis;
        let retry = frame::retry(fastrand::u32(least..=most.max(least)));
        let streaming = Streaming::new(follow, asked.framing, retry.into(), self.pulse.clone());
        Ok(Answer::Follow(head(()), Box::new(streaming)))
    }
}

/// A stream that ends at once, and asks its client to come back later.
fn overloaded() -> Answer {
    Answer::Response(head(Body::from(frame::OVERLOADED)))
}

fn head<B>(body: B) -> Response<B> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// Whether a client takes event streams (RFC 9110, 12.5.1): the most specific range that it names decides.
fn accepts_streams(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let ranges: Vec<_> = values.flat_map(|value| value.split(',')).filter(|range| !range.trim().is_empty()).collect();
    let accepted = |name: &str| {
        ranges.iter().find(|range| essence(range).eq_ignore_ascii_case(name)).map(|range| !is_weightless(range))
    };
    ranges.is_empty()
        || accepted("text/event-stream").or_else(|| accepted("text/*")).or_else(|| accepted("*/*")).unwrap_or(false)
}

fn essence(range: &str) -> &str {
    range.split(';').next().unwrap_or_default().trim()
}

/// Whether a range has the weight 0, which excludes it.
fn is_weightless(range: &str) -> bool {
    range.split(';').skip(1).any(|parameter| {
        let weight = parameter.trim().strip_prefix("q=").or_else(|| parameter.trim().strip_prefix("Q="));
        weight.and_then(|weight| weight.trim().parse::<f32>().ok()) == Some(0.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_excludes_streams_does_not_get_one() {
        for (accept, accepted) in [
            ("text/event-stream", true),
            ("*/*", true),
            ("text/*;q=0.1", true),
            ("application/json, */*;q=0.1", true),
            ("", true),
            ("application/json", false),
            ("text/event-stream;q=0, */*", false),
            ("text/event-stream; q=0.0", false),
            ("Text/Event-Stream", true),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT, accept.parse().expect("a value"))]);
            assert_eq!(accepts_streams(&headers), accepted, "{accept}");
        }
        assert!(accepts_streams(&HeaderMap::new()));
    }
}
