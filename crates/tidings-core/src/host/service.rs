//! Which request goes where.

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    task::{Context as TaskContext, Poll, ready},
};

use bytes::Bytes;
use futures_core::future::BoxFuture;
use http::{Method, Request, Response, StatusCode, Version, header, request::Parts};
use http_body::Body as HttpBody;
use tower_service::Service;

use super::{Host, Mounted, Reporting, answers, names::Head, reports};
use crate::{
    answer::{Answer, Answered, Body, Held, Hold, Reply},
    feed::ReadError,
    log::Scope,
    names::{JobId, Kind},
    problem::{Problem, ProblemKind},
    stream::StreamBody,
    target::{Params, Target},
    transport::{Answering, Reach},
};

/// How many jobs can be named in one request for the events of several.
const NAMED_JOBS: usize = 100;

/// The place of a request.
enum Route<'h, 'p> {
    Jobs,
    Job(&'p str),
    Cancel(&'p str),
    Reports(&'p str),
    JobEvents(&'p str, &'h Mounted),
    Events(&'h Mounted),
    Transports,
}

impl Route<'_, '_> {
    fn allowed(&self) -> &'static str {
        match self {
            Route::Jobs => "GET, HEAD, POST",
            Route::Job(_) => "GET, HEAD, DELETE",
            Route::Cancel(_) | Route::Reports(_) => "POST",
            Route::JobEvents(..) | Route::Events(_) | Route::Transports => "GET, HEAD",
        }
    }
}

impl Host {
    fn route<'h, 'p>(&'h self, path: &'p str) -> Option<Route<'h, 'p>> {
        let [first, second, third, fourth] = segments(self.within_base(path).strip_prefix('/')?);
        let segments = (first?, second, third, fourth);
        Some(match segments {
            ("jobs", None, ..) => Route::Jobs,
            ("jobs", Some(job), None, _) => Route::Job(job),
            ("jobs", Some(job), Some("cancel"), None) => Route::Cancel(job),
            ("jobs", Some(job), Some("events"), None) => Route::Reports(job),
            ("jobs", Some(job), Some(name), None) => Route::JobEvents(job, self.endpoint(name, Reach::OneJob)?),
            ("events", None, ..) => Route::Events(self.default_events()?),
            ("events", Some(name), None, _) => Route::Events(self.endpoint(name, Reach::ManyJobs)?),
            ("transports", None, ..) => Route::Transports,
            _ => return None,
        })
    }

    /// A path without the one that the host is mounted at.
    fn within_base<'p>(&self, path: &'p str) -> &'p str {
        match path.strip_prefix(&self.0.base_path) {
            Some(rest) if rest.starts_with('/') => rest,
            _ => path,
        }
    }

    /// Answers what is asked for most, a `GET` of a job that is known here, from the head alone and at once. `None` for all
    /// other requests. [`reply`](Self::reply) answers this one too, and no differently: nothing is moved or waited for
    /// here, and that is a good part of what such an answer costs.
    pub fn answer_now<B>(&self, request: &Request<B>) -> Option<Response<Bytes>> {
        let Head { method: &Method::GET, uri, headers, .. } = Head::of(request) else { return None };
        let id = self.within_base(uri.path()).strip_prefix("/jobs/")?.parse().ok()?;
        let job = self.feed().known(id)?;
        // What is refused is told by who answers everything.
        self.check(&Head::of(request)).ok()?;
        Some(answers::show(self, headers, &job))
    }

    /// Begins with a report of events in JSON by a reporter that may send it, which is what comes most often of all that has
    /// a body. `None` for all other requests. [`reply`](Self::reply) answers this one too, and no differently, but moves all
    /// of the request about until the body is there.
    pub fn take_report<B>(&self, request: &Request<B>) -> Option<Reporting> {
        let Head { method: &Method::POST, uri, headers, .. } = Head::of(request) else { return None };
        let place = self.within_base(uri.path()).strip_prefix("/jobs/")?;
        let id = place.split_at_checked(JobId::LENGTH).filter(|(_, rest)| *rest == "/events")?.0.parse().ok()?;
        self.check(&Head::of(request)).ok()?;
        Reporting::of(self, headers, id)
    }

    /// Whether a request is one for this host at all.
    fn check(&self, head: &Head<'_>) -> Result<(), Problem> {
        let target = head.uri.path_and_query().map_or(0, |target| target.as_str().len());
        let most = self.jobs().limits().request_target_bytes;
        if target > most {
            let detail = format!("the request target has {target} bytes of at most {most}");
            return Err(Problem::new(ProblemKind::UriTooLong, detail));
        }
        self.0.names.check(head)
    }

    /// Answers a request. Never fails.
    pub async fn answer(&self, request: Request<Body>) -> Response<Body> {
        // The box is gone before what is held is waited for.
        Box::pin(self.reply(request)).await.into_response().await
    }

    /// Answers a request, or hands out what it is to wait for. For servers that can hold a request at less than the cost of
    /// its connection; for all others there is [`answer`](Self::answer).
    pub async fn reply(&self, request: Request<Body>) -> Reply {
        let (parts, body) = request.into_parts();
        let head = parts.method == Method::HEAD;
        let reply = self.try_answer(parts, body).await.unwrap_or_else(|problem| problem.into_response().into());
        if head { without_body(reply.into_response().await).into() } else { reply }
    }

    /// What is asked for most is answered without a box; what is seldom or takes long has one, so that this future stays
    /// small.
    async fn try_answer(&self, parts: Parts, body: Body) -> Result<Reply, Problem> {
        self.check(&Head::from(&parts))?;
        let route = self
            .route(parts.uri.path())
            .ok_or_else(|| Problem::new(ProblemKind::NotFound, "see GET /transports for the paths that there are"))?;
        let job = match route {
            Route::Job(id) | Route::Cancel(id) | Route::Reports(id) | Route::JobEvents(id, _) => {
                let id = id.parse().map_err(|_| Problem::from(ProblemKind::UnknownJob))?;
                Some(match self.feed().known(id) {
                    Some(job) => job,
                    // Before it is said to be unknown, the log catches up.
                    None => Box::pin(self.feed().job(id)).await?,
                })
            }
            Route::Jobs | Route::Events(_) | Route::Transports => None,
        };
        let response = match (&route, &parts.method, job) {
            (Route::Jobs, &Method::GET | &Method::HEAD, _) => answers::list(self, &parts),
            (Route::Jobs, &Method::POST, _) => Box::pin(answers::submit(self, &parts, body)).await,
            (Route::Job(_), &Method::GET | &Method::HEAD, Some(job)) => {
                Ok(answers::show(self, &parts.headers, &job).map(Body::from))
            }
            (Route::Job(_), &Method::DELETE, Some(job)) => Box::pin(answers::delete(self, job.id)).await,
            (Route::Cancel(_), &Method::POST, Some(job)) => Box::pin(answers::cancel(self, &parts, body, job.id)).await,
            (Route::Reports(_), &Method::POST, Some(job)) => {
                let id = job.id;
                // The log copies a snapshot that changes while somebody holds it.
                drop(job);
                Box::pin(reports::report(self, &parts, body, id)).await
            }
            (Route::JobEvents(_, mounted), &Method::GET | &Method::HEAD, Some(job)) => {
                let params = Params::parse(parts.uri.query());
                let (mounted, after) = (*mounted, params.cursor("after")?);
                return self.ask(mounted, Target::new(Scope::job(job.id), after, params), parts, body).await;
            }
            (Route::Events(mounted), &Method::GET | &Method::HEAD, _) => {
                let mounted = *mounted;
                let target = Box::pin(self.many(Params::parse(parts.uri.query()))).await?;
                return self.ask(mounted, target, parts, body).await;
            }
            (Route::Transports, &Method::GET | &Method::HEAD, _) => Ok(answers::transports(self)),
            (route, ..) => {
                let allowed = http::HeaderValue::from_static(route.allowed());
                Err(Problem::from(ProblemKind::MethodNotAllowed).with_header(header::ALLOW, allowed))
            }
        };
        response.map(Reply::Response)
    }

    /// What a request for the events of several jobs is about.
    async fn many(&self, params: Params) -> Result<Target, Problem> {
        let invalid = |detail: String| Problem::new(ProblemKind::InvalidRequest, detail);
        let named: Vec<&str> = params.all("job").collect();
        if named.len() > NAMED_JOBS {
            return Err(invalid(format!("{} jobs are named of at most {NAMED_JOBS}", named.len())));
        }
        if named.contains(&"") {
            return Err(invalid("a parameter job is empty".to_owned()));
        }
        let kind = params.one("kind")?;
        let parse = |kind: &str| kind.parse::<Kind>().map_err(|_| invalid(format!("{kind:?} can't be a kind of jobs")));
        let kind = kind.map(parse).transpose()?;
        let scope = if named.is_empty() {
            kind.map_or_else(Scope::all, Scope::kind)
        } else {
            let mut known = Vec::new();
            for id in named.iter().filter_map(|id| id.parse().ok()) {
                match self.feed().job(id).await {
                    Ok(job) if kind.as_ref().is_none_or(|kind| job.kind == *kind) => known.push(id),
                    Ok(_) | Err(ReadError::UnknownJob) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            if known.is_empty() {
                return Err(Problem::new(ProblemKind::UnknownJob, "none of these jobs is known"));
            }
            Scope::jobs(known)
        };
        let after = match params.one("after") {
            Ok(Some("now")) => Some(self.feed().end()),
            _ => params.cursor("after")?,
        };
        Ok(Target::new(scope, after, params))
    }

    /// Asks a transport, and renders what it answers.
    async fn ask(&self, mounted: &Mounted, target: Target, parts: Parts, body: Body) -> Result<Reply, Problem> {
        let Some(endpoint) = &mounted.mount.endpoint else { return Err(ProblemKind::NotFound.into()) };
        let (head, version) = (parts.method == Method::HEAD, parts.version);
        let answer = match endpoint.answer(target, Request::from_parts(parts, body)) {
            Answering::Ready(answer) => answer,
            Answering::Later(answer) => answer.await,
        };
        Ok(match answer {
            Answer::Response(response) => response.into(),
            Answer::Follow(response, streaming) => {
                let stream = StreamBody::new(*streaming, self.jobs().clone(), self.shutdown().clone());
                response.map(|()| Body::stream(stream)).into()
            }
            Answer::Hold(mut hold) => {
                if head {
                    hold.wait = std::time::Duration::ZERO;
                }
                let host = self.clone();
                Reply::Held(Held::new(async move {
                    let response = host.hold(hold, version).await.unwrap_or_else(Problem::into_response);
                    let (head, body) = response.into_parts();
                    Response::from_parts(head, Box::pin(body.into_whole()).await)
                }))
            }
        })
    }

    /// Holds a request until there is news, its time is over, or the host shuts down.
    async fn hold(&self, mut hold: Box<Hold>, version: Version) -> Result<Response<Body>, Problem> {
        let deadline = tokio::time::sleep(hold.wait);
        tokio::pin!(deadline);
        loop {
            let end = tokio::select! {
                biased;
                () = hold.watch.changed() => End::News,
                () = self.shutdown().begun() => End::Shutdown,
                () = &mut deadline => End::Time,
            };
            let page = self.feed().read_on(&hold.watch, hold.job, hold.after, hold.limit).await?;
            if end == End::News && !page.is_news() {
                continue;
            }
            let mut response = (hold.render)(&page);
            if end == End::Shutdown {
                let headers = response.headers_mut();
                headers.insert(header::RETRY_AFTER, http::HeaderValue::from_static("1"));
                // HTTP/2 has no such field (RFC 9113, 8.2.2): there the whole connection is told.
                if version != Version::HTTP_2 {
                    headers.insert(header::CONNECTION, http::HeaderValue::from_static("close"));
                }
            }
            return Ok(response);
        }
    }
}

/// The first of what stands between slashes.
fn segments(path: &str) -> [Option<&str>; 4] {
    let mut rest = Some(path);
    std::array::from_fn(|_| {
        let path = rest.take()?;
        let Some(slash) = path.bytes().position(|byte| byte == b'/') else { return Some(path) };
        rest = path.get(slash + 1..);
        path.get(..slash)
    })
}

/// The head alone, which says how long the body would have been (RFC 9110, 9.3.2). HTTP/1 leaves a body out by itself;
/// to HTTP/2 one that follows is an error.
fn without_body(mut response: Response<Body>) -> Response<Body> {
    let length = response.body().size_hint().exact();
    if let Some(length) =
        length.filter(|_| !response.status().is_redirection() && response.status() != StatusCode::NO_CONTENT)
    {
        response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    }
    response.map(|_| Body::empty())
}

/// How a hold ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    News,
    Shutdown,
    Time,
}

impl<B> Service<Request<B>> for Host
where
    B: HttpBody<Data = Bytes> + Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Serving;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Serving {
        let host = self.clone();
        Serving(Stage::Replying(Box::pin(async move { host.reply(request.map(Body::wrap)).await })))
    }
}

/// A request that is being served. Dropping it has no effect on what it has written to the log by then.
pub struct Serving(Stage);

/// One after the other rather than one future for both: most of those that there are at a time are held, and then keep
/// nothing of what it took to find out that they are to be.
enum Stage {
    Replying(BoxFuture<'static, Reply>),
    Held(Held),
}

impl Future for Serving {
    type Output = Answered;

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Answered> {
        loop {
            match &mut self.0 {
                Stage::Replying(reply) => match ready!(reply.as_mut().poll(cx)) {
                    Reply::Response(response) => return Poll::Ready(Ok(response)),
                    Reply::Held(held) => self.0 = Stage::Held(held),
                },
                Stage::Held(held) => return Pin::new(held).poll(cx).map(|response| Ok(response.map(Body::from))),
            }
        }
    }
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Serving")
    }
}
