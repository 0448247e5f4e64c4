//! A host that is driven, and asked without a socket.

use std::{future::poll_fn, pin::Pin, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Body as _;
use serde_json::Value;
use tidings_core::{
    Body, Clock, Cursor, Event, Host, HostBuilder, JobContext, JobError, JobId, Json, Limit, More, ProblemKind,
    Snapshot, State,
};
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tower_service::Service as _;

/// A host, its driver, and a word that its jobs wait for.
pub(crate) struct Server {
    pub(crate) host: Host,
    pub(crate) driver: JoinHandle<()>,
    pub(crate) stop: CancellationToken,
    /// Jobs of the kind `waits` end once this is set.
    pub(crate) go: watch::Sender<bool>,
}

impl Server {
    /// A host that runs the kinds `waits`, which succeeds once it is told to go and stops when it is cancelled,
    /// `stubborn`, which does neither, `panics`, `fails`, and `echo`, whose result is its input.
    pub(crate) fn start(build: impl FnOnce(HostBuilder) -> HostBuilder) -> Self {
        let (go, going) = watch::channel(false);
        let builder = Host::builder()
            .with_clock(Clock::tokio())
            .with_job(kind("waits"), move |job| wait(job, going.clone()))
            .with_job(kind("stubborn"), |_| std::future::pending())
            .with_job(kind("panics"), |_| async { panic!("as it must") })
            .with_job(kind("fails"), |_| async { Err(JobError::new("exit-status", "1")) })
            .with_job(kind("echo"), |job: JobContext| async move { Ok(job.input().clone()) });
        let (host, driver) = build(builder).build().expect("a host");
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let driver = tokio::spawn(driver.run(async move { stopped.cancelled().await }));
        Self { host, driver, stop, go }
    }

    pub(crate) async fn ask(&self, ask: Ask) -> Reply {
        self.answer(ask.into_request()).await
    }

    pub(crate) async fn answer(&self, request: Request<Body>) -> Reply {
        Reply::of(self.host.clone().call(request).await.expect("hosts never err")).await
    }

    /// The same for a report whose head is looked at where it lies; nothing where it is none of those.
    pub(crate) async fn ask_as_report(&self, ask: Ask) -> Option<Reply> {
        let request = ask.into_request();
        let report = self.host.take_report(&request)?;
        Some(Reply::of(report.answer(request.into_body()).await).await)
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.ask(Ask::get(path)).await
    }

    /// Submits a job of a kind that runs here.
    pub(crate) async fn submit(&self, kind: &str) -> JobId {
        let reply = self.ask(Ask::post("/jobs").json(&format!(r#"{{"kind":"{kind}"}}"#))).await;
        assert_eq!(reply.status, StatusCode::ACCEPTED, "{reply:?}");
        reply.id()
    }

    /// Opens a job that is reported from outside, and gives its token.
    pub(crate) async fn open(&self) -> (JobId, String) {
        let reply = self.ask(Ask::post("/jobs").json(r#"{"kind":"outside","worker":"external"}"#)).await;
        (reply.id(), reply.json()["report"]["token"].as_str().expect("a token").to_owned())
    }

    pub(crate) async fn report(&self, (job, token): &(JobId, String), events: &str) -> Reply {
        self.ask(
            Ask::post(&format!("/jobs/{job}/events")).header("authorization", &format!("Bearer {token}")).json(events),
        )
        .await
    }

    pub(crate) async fn job(&self, job: JobId) -> std::sync::Arc<Snapshot> {
        self.host.jobs().get(job).await.expect("a job")
    }

    /// Waits until a job is in a state.
    pub(crate) async fn until(&self, job: JobId, state: State) {
        let mut watch = self.host.feed().watch(&tidings_core::Scope::job(job));
        let reached = async {
            while self.job(job).await.state != state {
                watch.changed().await;
            }
        };
        let reached = tokio::time::timeout(Duration::from_secs(600), reached).await;
        assert!(reached.is_ok(), "{:?}", self.job(job).await);
    }

    /// Waits until a job is over.
    pub(crate) async fn over(&self, job: JobId) -> std::sync::Arc<Snapshot> {
        let over = tokio::time::timeout(Duration::from_secs(600), self.host.feed().finished(job)).await;
        over.expect("the job ends").expect("the job is known")
    }

    /// The types of a job's events.
    pub(crate) async fn types(&self, job: JobId) -> Vec<String> {
        self.events(job).await.iter().map(|event| event.kind().to_string()).collect()
    }

    pub(crate) async fn events(&self, job: JobId) -> Vec<Event> {
        let all = Limit { events: usize::MAX, bytes: usize::MAX };
        let page = self.host.feed().read(job, Cursor::START, all).await.expect("a page");
        assert_ne!(page.more, More::Now);
        page.events().map(|entry| entry.event.clone()).collect()
    }
}

async fn wait(job: JobContext, mut going: watch::Receiver<bool>) -> Result<Json, JobError> {
    tokio::select! {
        _ = going.wait_for(|go| *go) => Ok(Json::null()),
        () = job.cancelled().cancelled() => Err(JobError::cancelled()),
    }
}

pub(crate) fn kind(name: &str) -> tidings_core::Kind {
    name.parse().expect("a kind")
}

async fn collect(mut body: Body) -> Bytes {
    let mut all = Vec::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        all.extend_from_slice(&frame.expect("a frame").into_data().expect("data"));
    }
    all.into()
}

/// A request.
pub(crate) struct Ask(http::request::Builder, Body);

impl Ask {
    pub(crate) fn new(method: Method, path: &str) -> Self {
        Self(Request::builder().method(method).uri(path), Body::empty())
    }

    pub(crate) fn get(path: &str) -> Self {
        Self::new(Method::GET, path)
    }

    pub(crate) fn post(path: &str) -> Self {
        Self::new(Method::POST, path)
    }

    pub(crate) fn header(self, name: &str, value: &str) -> Self {
        Self(self.0.header(name, value), self.1)
    }

    pub(crate) fn json(self, body: &str) -> Self {
        Self(self.0.header("content-type", "application/json"), Body::from(body.to_owned()))
    }

    pub(crate) fn body(self, body: Body) -> Self {
        Self(self.0, body)
    }

    pub(crate) fn into_request(self) -> Request<Body> {
        let mut request = self.0.body(self.1).expect("a request");
        request.headers_mut().entry("host").or_insert(http::HeaderValue::from_static("localhost"));
        request
    }

    /// The same, without the `Host` that is added where none is there.
    pub(crate) fn bare(self) -> Request<Body> {
        self.0.body(self.1).expect("a request")
    }
}

/// An answer.
#[derive(Debug, PartialEq)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    async fn of(response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        Self { status: parts.status, headers: parts.headers, body: collect(body).await }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn id(&self) -> JobId {
        self.json()["id"].as_str().and_then(|id| id.parse().ok()).unwrap_or_else(|| panic!("{self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("text"))
    }

    /// Checks that this is that problem, as WIRE.md shows it.
    #[track_caller]
    pub(crate) fn is(&self, problem: ProblemKind) -> Value {
        assert_eq!(self.status, problem.status(), "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        assert_eq!(self.header("cache-control"), Some("no-store"));
        let json = self.json();
        assert_eq!(json["type"], format!("urn:tidings:problem:{}", problem.name()), "{self:?}");
        assert_eq!(json["status"], problem.status().as_u16());
        assert!(json["title"].is_string() && json["detail"].is_string(), "{json}");
        assert_eq!(self.headers.contains_key("retry-after"), [429, 503].contains(&self.status.as_u16()), "{self:?}");
        json
    }
}
