//! The HTTP client that the followers share.

use std::{fmt, io, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, Response, Uri, header};
use http_body::Body as _;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioTimer},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};

use crate::{
    config::{Config, Protocol},
    dial::Dialer,
    error::{Error, ErrorKind},
    traffic::{Counters, Traffic},
    url,
};

/// As many redirects as browsers follow (Fetch Standard, "HTTP-redirect fetch").
const MAX_REDIRECTS: usize = 20;

/// An HTTP client with timeouts, a limit on what it reads into memory, and a count of what it sends and receives.
///
/// Clones share connections and counters. Where the traffic of several followers is to be told apart, give each a
/// client of its own. No TLS: URLs are `http`.
#[derive(Clone)]
pub struct HttpClient {
    inner: Client<Dialer, Full<Bytes>>,
    counters: Arc<Counters>,
    config: Arc<Config>,
}

impl HttpClient {
    /// A client that connects over TCP, to the first of a host's addresses that answers.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let counters = Arc::default();
        let dialer = Dialer::tcp(config.connect_timeout, Arc::clone(&counters));
        Self::with_dialer(config, dialer, counters)
    }

    /// A client that sends its requests over connections that `dial` makes, given a URL of the server: a Unix socket, a
    /// proxy, a pipe in a test. It has the configured time to connect.
    #[must_use]
    pub fn with_dial<F, Fut, S>(config: Config, dial: F) -> Self
    where
        F: Fn(Uri) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = io::Result<S>> + Send + 'static,
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let counters = Arc::default();
        let dialer = Dialer::new(dial, config.connect_timeout, Arc::clone(&counters));
        Self::with_dialer(config, dialer, counters)
    }

    fn with_dialer(config: Config, dialer: Dialer, counters: Arc<Counters>) -> Self {
        let inner = Client::builder(TokioExecutor::new())
            .http2_only(config.protocol == Protocol::Http2)
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .build(dialer);
        Self { inner, counters, config: Arc::new(config) }
    }

    /// What this client and its clones have sent and received so far.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.counters.read()
    }

    /// How it was configured.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Sends a request and reads the whole answer, whatever its status. Redirects are not followed.
    ///
    /// # Errors
    ///
    /// Where there is no connection, no answer in time, or one that is larger than configured; where the URL is none
    /// that can be asked. A status is no error here.
    ///
    /// # Cancellation
    ///
    /// Dropping the future closes the connection. Whether the server took the request is then unknown.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Bytes>, Error> {
        let response = self.head(request, self.config.answer_timeout).await?;
        let (head, body) = response.into_parts();
        Ok(Response::from_parts(head, body.collect(self.config.max_answer_bytes).await?))
    }

    /// Asks for `uri`, following redirects, and gives the body to be read piece by piece. Each head has this time to
    /// arrive.
    pub(crate) async fn get(&self, uri: &Uri, headers: &HeaderMap, limit: Duration) -> Result<Response<Body>, Error> {
        let mut target = uri.clone();
        for _ in 0..=MAX_REDIRECTS {
            let mut request = Request::new(Full::default());
            *request.method_mut() = Method::GET;
            *request.uri_mut() = target.clone();
            *request.headers_mut() = headers.clone();
            let response = self.head(request, limit).await?;
            match redirect(&response) {
                Some(location) => target = url::resolve(&target, location)?,
                None => return Ok(response),
            }
        }
        Err(Error::malformed(format!("more than {MAX_REDIRECTS} redirects")))
    }

    async fn head(&self, request: Request<Full<Bytes>>, limit: Duration) -> Result<Response<Body>, Error> {
        url::check(request.uri())?;
        let server = request.uri().authority().map(ToString::to_string).unwrap_or_default();
        self.counters.add_request();
        match timeout(limit, self.inner.request(request)).await {
            Ok(Ok(response)) => Ok(response.map(|inner| Body { inner, idle_timeout: self.config.idle_timeout })),
            Ok(Err(error)) if error.is_connect() => {
                let message = format!("no connection to the server at {server}");
                Err(Error::new(ErrorKind::Connect, message).with_source(error))
            }
            Ok(Err(error)) => {
                Err(Error::new(ErrorKind::Disconnected, "the connection broke before the answer").with_source(error))
            }
            Err(_) => Err(Error::new(ErrorKind::Timeout, "no answer in time")),
        }
    }
}

impl Default for HttpClient {
    fn default() -> Self {
        Self::new(Config::default())
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient").field("config", &self.config).field("traffic", &self.traffic()).finish()
    }
}

/// The body of an answer, which is an error once it has been silent for too long.
#[derive(Debug)]
pub(crate) struct Body {
    inner: Incoming,
    idle_timeout: Duration,
}

impl Body {
    /// The same, with another time to be silent.
    pub(crate) fn with_idle_timeout(self, idle_timeout: Duration) -> Self {
        Self { idle_timeout, ..self }
    }

    /// The next piece, never an empty one; `None` at the end. Cancel-safe.
    pub(crate) async fn chunk(&mut self) -> Option<Result<Bytes, Error>> {
        loop {
            let frame = match timeout(self.idle_timeout, self.inner.frame()).await {
                Ok(frame) => frame?,
                Err(_) => return Some(Err(Error::new(ErrorKind::Timeout, "the server has been silent for too long"))),
            };
            match frame.map(http_body::Frame::into_data) {
                Ok(Ok(data)) if !data.is_empty() => return Some(Ok(data)),
                Ok(_) => {}
                Err(error) => {
                    let broken = Error::new(ErrorKind::Disconnected, "the connection broke in the middle of an answer");
                    return Some(Err(broken.with_source(error)));
                }
            }
        }
    }

    /// All of it, if it has no more than `limit` bytes.
    pub(crate) async fn collect(mut self, limit: usize) -> Result<Bytes, Error> {
        let too_large = || Error::new(ErrorKind::TooLarge, format!("an answer of more than {limit} bytes"));
        if self.inner.size_hint().lower() > limit as u64 {
            return Err(too_large());
        }
        let mut whole = BytesMut::new();
        while let Some(chunk) = self.chunk().await {
            let chunk = chunk?;
            if whole.len() + chunk.len() > limit {
                return Err(too_large());
            }
            whole.extend_from_slice(&chunk);
        }
        Ok(whole.freeze())
    }
}

/// Where an answer to a `GET` sends its client instead.
fn redirect(response: &Response<Body>) -> Option<&str> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    response.headers().get(header::LOCATION)?.to_str().ok()
}
