//! Answering a poll, once there is something to say.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Request, Response, header};
use tidings_core::{
    Answer, Answering, Body, Context, Cursor, Endpoint, Error, Feed, Hold, JobId, Jobs, Limit, Mount, Notifier, Page,
    Problem, ProblemKind, Scope, Target, Watch,
};

use crate::{Config, prefer};

/// Long polling as a transport.
#[derive(Clone, Debug, Default)]
pub struct LongPoll {
    config: Config,
}

impl LongPoll {
    /// Long polling with these knobs.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config }
    }
}

impl Notifier for LongPoll {
    fn name(&self) -> &'static str {
        "long-poll"
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
        let (poll, wait) =
            match Poll::asked(&target).and_then(|poll| Ok((poll, self.wait(&target, request.headers())?))) {
                Ok(asked) => asked,
                Err(problem) => return Answering::Ready(problem.into()),
            };
        drop(request);
        // Watched before it is read, so that nothing is slept through in between.
        let watch = self.feed.watch(&Scope::job(poll.job));
        if let Some(page) = self.feed.nothing_new(poll.job, poll.after) {
            return Answering::Ready(self.answer_with(&poll, &page, watch, wait));
        }
        Answering::later(async move {
            match self.feed.read(poll.job, poll.after, poll.limit).await {
                Ok(page) => self.answer_with(&poll, &page, watch, wait),
                Err(error) => Problem::from(error).into(),
            }
        })
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
struct Poll {
    job: JobId,
    after: Cursor,
    limit: Limit,
}

impl Poll {
    fn asked(target: &Target) -> Result<Self, Problem> {
        let job = target.scope().as_job().ok_or_else(|| Problem::from(ProblemKind::NotFound))?;
        Ok(Self { job, after: target.after().unwrap_or_default(), limit: Limit::page(target.params())? })
    }
}

/// How long a request is held, and who has said so.
#[derive(Clone, Copy, Debug)]
enum Wait {
    /// Nobody, or the query.
    Plain(u64),
    /// A `Prefer` field, which is told that it was heard.
    Preferred(u64),
}

impl Wait {
    fn seconds(self) -> u64 {
        match self {
            Self::Plain(seconds) | Self::Preferred(seconds) => seconds,
        }
    }
}

impl Handler {
    fn wait(&self, target: &Target, headers: &HeaderMap) -> Result<Wait, Problem> {
        let most = u64::from(self.config.wait_seconds_most);
        Ok(match (target.params().number("wait", 0, most)?, prefer::wait(headers)) {
            (Some(asked), _) => Wait::Plain(asked),
            (None, Some(preferred)) => Wait::Preferred(preferred.min(most)),
            (None, None) => Wait::Plain(u64::from(self.config.wait_seconds).min(most)),
        })
    }

    /// Answers at once where there is news or nobody waits.
    fn answer_with(&self, poll: &Poll, page: &Page, watch: Watch, wait: Wait) -> Answer {
        if page.is_news() || wait.seconds() == 0 {
            return Answer::Response(render(&self.jobs, page, wait));
        }
        let jobs = self.jobs.clone();
        let held = Duration::from_secs(wait.seconds());
        Answer::Hold(Box::new(Hold::new(page, poll.limit, watch, held, move |page| render(&jobs, page, wait))))
    }
}

fn render(jobs: &Jobs, page: &Page, wait: Wait) -> Response<Body> {
    let mut response = Body::json(jobs.page_json(page));
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Wait::Preferred(seconds) = wait {
        headers.insert(header::VARY, HeaderValue::from_static("Prefer"));
        // Digits can always stand in a field.
        if let Ok(applied) = HeaderValue::try_from(format!("wait={seconds}")) {
            headers.insert("preference-applied", applied);
        }
    }
    response
}
