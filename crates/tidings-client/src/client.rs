//! A client of a Tidings server.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::Full;
use tidings_core::{JobId, Json};
use tokio::{
    sync::OnceCell,
    time::{sleep, timeout},
};

use crate::{
    answer::refused_whole,
    backoff::Backoff,
    error::{Error, ErrorKind},
    follow::Follow,
    http_client::HttpClient,
    job::{Job, ListFilter, Listing, Mounted, Opened},
    reporter::Reporter,
    submission::Submission,
    url,
};

/// A client of one Tidings server: submits jobs, shows them, cancels them, follows and reports them.
///
/// Clones share connections. A request that failed and [may succeed later](Error::is_temporary) is tried again, after
/// random pauses that grow to 30 s or as long as the server asks for, until
/// [`Config::retry_for`](crate::Config::retry_for) is over. All of them are safe to try again: the server does once what
/// it is asked twice.
///
/// # Cancellation
///
/// Dropping the future of a request drops the request. Whether the server did what it was asked is then unknown.
#[derive(Clone)]
pub struct Client {
    http: HttpClient,
    base: Arc<Uri>,
    heartbeat: Arc<OnceCell<Option<Duration>>>,
}

impl Client {
    /// A client of the server at `base`: its root, as `http://127.0.0.1:7330`, or the prefix that a host has mounted it
    /// under.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] where that is not the URL of an http server.
    pub fn new(base: Uri) -> Result<Self, Error> {
        Self::with_http(base, HttpClient::default())
    }

    /// The same, over an HTTP client that was configured before, or whose connections are made in another way.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn with_http(base: Uri, http: HttpClient) -> Result<Self, Error> {
        url::check(&base)?;
        Ok(Self { http, base: Arc::new(base), heartbeat: Arc::default() })
    }

    /// The HTTP client that it asks through: its configuration, and what went over the wire.
    #[must_use]
    pub fn http(&self) -> &HttpClient {
        &self.http
    }

    /// Where the server is.
    #[must_use]
    pub fn base(&self) -> &Uri {
        &self.base
    }

    /// Submits a job, once: however often the request has to be sent, its idempotency key is the same.
    ///
    /// # Errors
    ///
    /// What the server refuses, such as `unknown-kind` or `invalid-input`, and what did not succeed in time.
    pub async fn submit(&self, submission: &Submission) -> Result<Job, Error> {
        let answer = self.send_submission(submission, None).await?;
        Job::parse(&json(&answer)?)
    }

    /// Opens a job that runs elsewhere, and that its [`Reporter`] tells the server about. It fails as lost once its
    /// reporter has been silent for the length of the lease: 5 s to 86,400 s, in whole seconds.
    ///
    /// # Errors
    ///
    /// As [`submit`](Self::submit).
    pub async fn open(&self, submission: &Submission, lease: Duration) -> Result<(Job, Reporter), Error> {
        let answer = self.send_submission(submission, Some(lease)).await?;
        let Opened { job, href, token, lease_seconds } = Opened::parse(answer.body())?;
        let href = url::resolve(&self.base, &href)?;
        let reporter = Reporter::new(self.clone(), href, &token, Duration::from_secs(lease_seconds))?;
        Ok((job, reporter))
    }

    async fn send_submission(
        &self,
        submission: &Submission,
        lease: Option<Duration>,
    ) -> Result<Response<Bytes>, Error> {
        let mut request = self.request(Method::POST, "/jobs", submission.body(lease))?;
        let key = HeaderValue::from_str(submission.key())
            .map_err(|error| Error::new(ErrorKind::InvalidInput, "the key is no idempotency key").with_source(error))?;
        request.headers_mut().insert("idempotency-key", key);
        self.ask(&request, StatusCode::ACCEPTED).await
    }

    /// Shows a job.
    ///
    /// # Errors
    ///
    /// `unknown-job`, and what did not succeed in time.
    pub async fn get(&self, job: JobId) -> Result<Job, Error> {
        Job::parse(&json(&self.ask(&self.request_for(job)?, StatusCode::OK).await?)?)
    }

    /// Shows a job if it is shown at the first try.
    pub(crate) async fn get_once(&self, job: JobId) -> Result<Job, Error> {
        Job::parse(&json(&self.ask_once(&self.request_for(job)?, StatusCode::OK).await?)?)
    }

    fn request_for(&self, job: JobId) -> Result<Request<Full<Bytes>>, Error> {
        self.request(Method::GET, &format!("/jobs/{job}"), Bytes::new())
    }

    /// Lists jobs, the newest first.
    ///
    /// # Errors
    ///
    /// What did not succeed in time.
    pub async fn list(&self, filter: &ListFilter) -> Result<Listing, Error> {
        let parameters = filter.parameters();
        let parameters: Vec<_> = parameters.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let mut request = self.request(Method::GET, "/jobs", Bytes::new())?;
        *request.uri_mut() = url::with_query(request.uri(), &parameters)?;
        Listing::parse(self.ask(&request, StatusCode::OK).await?.body())
    }

    /// Asks for a job to be cancelled, and shows it: `cancelled` where it waited; otherwise it is over when its worker
    /// has stopped, or has ended in another way before. To ask again changes nothing.
    ///
    /// # Errors
    ///
    /// `already-finished` where it has succeeded or failed, `unknown-job`, and what did not succeed in time.
    pub async fn cancel(&self, job: JobId, reason: Option<&str>) -> Result<Job, Error> {
        let body = reason.map_or_else(Bytes::new, |reason| format!(r#"{{"reason":{}}}"#, Json::from(reason)).into());
        let request = self.request(Method::POST, &format!("/jobs/{job}/cancel"), body)?;
        Job::parse(&json(&self.ask(&request, StatusCode::ACCEPTED).await?)?)
    }

    /// Has the server forget a job that is over.
    ///
    /// # Errors
    ///
    /// `still-running`, `unknown-job`, and what did not succeed in time. Where an answer was lost on the way, the job
    /// may be unknown because it was just deleted.
    pub async fn delete(&self, job: JobId) -> Result<(), Error> {
        let request = self.request(Method::DELETE, &format!("/jobs/{job}"), Bytes::new())?;
        self.ask(&request, StatusCode::NO_CONTENT).await.map(drop)
    }

    /// Tells what the server has mounted.
    ///
    /// # Errors
    ///
    /// What did not succeed in time.
    pub async fn transports(&self) -> Result<Vec<Mounted>, Error> {
        let request = self.request(Method::GET, "/transports", Bytes::new())?;
        Mounted::parse_all(self.ask(&request, StatusCode::OK).await?.body())
    }

    /// How long an event stream of the server is silent at most, where the server says so soon enough. Asked for once.
    pub(crate) async fn heartbeat(&self) -> Option<Duration> {
        let asking = self.heartbeat.get_or_try_init(|| async {
            let request = self.request(Method::GET, "/transports", Bytes::new())?;
            let mounted = Mounted::parse_all(self.ask_once(&request, StatusCode::OK).await?.body())?;
            let seconds =
                mounted.into_iter().find(|mounted| mounted.name == "sse").and_then(|sse| sse.heartbeat_seconds);
            Ok::<_, Error>(seconds.map(Duration::from_secs))
        });
        // A client that can't know waits a little longer for a stream to be dead, and that is all.
        timeout(self.http.config().first_byte_timeout, asking).await.ok()?.ok().copied().flatten()
    }

    /// Follows a job, over whichever transport works: see [`Follow`].
    #[must_use]
    pub fn follow(&self, job: JobId) -> Follow {
        Follow::new(self.clone(), job)
    }

    /// A request for what lies at `path` below the base.
    pub(crate) fn request(&self, method: Method, path: &str, body: Bytes) -> Result<Request<Full<Bytes>>, Error> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = url::below(&self.base, path)?;
        let json = HeaderValue::from_static("application/json");
        if request.method() == Method::POST {
            request.headers_mut().insert(header::CONTENT_TYPE, json.clone());
        }
        request.headers_mut().insert(header::ACCEPT, json);
        Ok(request)
    }

    /// Sends a request until there is an answer to it, or another try can't help, or time is up.
    pub(crate) async fn ask(
        &self,
        request: &Request<Full<Bytes>>,
        expected: StatusCode,
    ) -> Result<Response<Bytes>, Error> {
        let config = self.http.config();
        let mut backoff = Backoff::new(config).with_full_jitter().giving_up_after(config.retry_for);
        loop {
            match self.ask_once(request, expected).await {
                Ok(answer) => return Ok(answer),
                Err(error) if error.retry_after().is_some_and(|pause| pause > config.retry_for) => return Err(error),
                Err(error) => sleep(backoff.failed(error)?).await,
            }
        }
    }

    /// Sends a request. Every other status than the expected one is an error.
    pub(crate) async fn ask_once(
        &self,
        request: &Request<Full<Bytes>>,
        expected: StatusCode,
    ) -> Result<Response<Bytes>, Error> {
        let answer = self.http.send(request.clone()).await?;
        if answer.status() == expected { Ok(answer) } else { Err(refused_whole(&answer)) }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("base", &self.base).field("http", &self.http).finish()
    }
}

fn json(answer: &Response<Bytes>) -> Result<Json, Error> {
    Json::parse(answer.body()).map_err(|error| Error::malformed("the answer is no JSON").with_source(error))
}
