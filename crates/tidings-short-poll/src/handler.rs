//! Answering a poll.

use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use tidings_core::{
    Answer, Answering, Body, Context, Endpoint, Error, Feed, JobId, Jobs, Limit, More, Mount, Notifier, Page, Problem,
    ProblemKind, Target, etag,
};

use crate::Config;

/// Short polling as a transport.
#[derive(Clone, Debug, Default)]
pub struct ShortPoll {
    config: Config,
}

impl ShortPoll {
    /// Short polling with these knobs.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config }
    }
}

impl Notifier for ShortPoll {
    fn name(&self) -> &'static str {
        "short-poll"
    }

    fn mount(&self, cx: &Context) -> Result<Mount, Error> {
        Ok(Mount::endpoint(Handler { feed: cx.feed.clone(), jobs: cx.jobs.clone(), config: self.config.clone() }))
    }
}

#[derive(Debug)]
struct Handler {
    feed: Feed,
    jobs: Jobs,
    config: Config,
}

impl Endpoint for Handler {
    fn answer<'a>(&'a self, target: Target, request: Request<Body>) -> Answering<'a> {
        let (job, limit) = match page_of(&target) {
            Ok(page) => page,
            Err(problem) => return Answering::Ready(problem.into()),
        };
        let after = target.after().unwrap_or_default();
        if let Some(page) = self.feed.nothing_new(job, after) {
            return Answering::Ready(self.render(&page, request.headers()));
        }
        Answering::later(async move {
            match self.feed.read(job, after, limit).await {
                Ok(page) => self.render(&page, request.headers()),
                Err(error) => Problem::from(error).into(),
            }
        })
    }
}

/// Which job is asked for, and how much of it.
fn page_of(target: &Target) -> Result<(JobId, Limit), Problem> {
    let job = target.scope().as_job().ok_or_else(|| Problem::from(ProblemKind::NotFound))?;
    Ok((job, Limit::page(target.params())?))
}

impl Handler {
    fn render(&self, page: &Page, asked: &HeaderMap) -> Answer {
        let tag = etag::of(page.cursor);
        let whole = page.more != More::Now;
        let mut answer = if whole && etag::none_match_is(asked, &tag) {
            let mut response = http::Response::new(Body::empty());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response
        } else {
            Body::json(self.jobs.page_json(page))
        };
        let headers = answer.headers_mut();
        let cache = if whole { "private, no-cache" } else { "no-store" };
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
        if whole {
            headers.insert(header::ETAG, tag);
        }
        let again = match page.more {
            More::Now => Some(0),
            More::Later => Some(self.config.interval_seconds),
            More::Never => None,
        };
        if let Some(seconds) = again {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        Answer::Response(answer)
    }
}
