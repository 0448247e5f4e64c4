//! What the server answers by itself, before the host is asked: whether it lives, whether it is ready, what it can run,
//! and the files that a browser loads.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::future::Either;
use http::{HeaderValue, Method, Request, Response, header};
use serde_json::{Map, Value, json};
use tidings::{Body, Health, Host, Problem, ProblemKind, Serving};
use tower_service::Service;

/// A [`Host`] with `/healthz`, `/readyz`, `/pipelines` and, where the feature `web` is built, a browser's files before it.
#[derive(Clone, Debug)]
pub struct Front {
    host: Host,
    /// The answer of `/pipelines`: they do not change while the server runs.
    pipelines: Bytes,
    #[cfg(feature = "web")]
    web: tidings::web::Web,
}

impl Front {
    /// Puts them before this host. `pipelines` is what [`Pipelines::listing`](crate::pipeline::Pipelines::listing) gives.
    #[must_use]
    pub fn new(host: Host, pipelines: impl Into<Bytes>) -> Self {
        Self {
            host,
            pipelines: pipelines.into(),
            #[cfg(feature = "web")]
            web: tidings::web::Web::new(),
        }
    }

    /// `200` while the process lives.
    fn healthz(&self) -> Response<Body> {
        Body::json(r#"{"status":"alive"}"#)
    }

    /// `503` from the start of shutdown only: a server whose broker is away still serves HTTP.
    fn readyz(&self) -> Response<Body> {
        if self.host.shutdown().has_begun() {
            return Problem::from(ProblemKind::ShuttingDown).into_response();
        }
        let mut status = "ready";
        let mut transports = Map::new();
        for (name, transport) in self.host.statuses() {
            if transport.health != Health::Up {
                status = "degraded";
            }
            let since = transport.since.to_string();
            let shown = json!({ "status": transport.health.as_str(), "since": since, "lag": transport.lag });
            transports.insert(name.to_owned(), shown);
        }
        let shown: Value = json!({ "status": status, "transports": transports });
        Body::json(shown.to_string())
    }

    fn pipelines(&self) -> Response<Body> {
        Body::json(self.pipelines.clone())
    }
}

impl<B> Service<Request<B>> for Front
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    Host: Service<Request<B>, Response = Response<Body>, Error = Infallible, Future = Serving>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<Serving, Ready<Result<Response<Body>, Infallible>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.host.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let answer = match request.uri().path() {
            "/healthz" => Self::healthz,
            "/readyz" => Self::readyz,
            "/pipelines" => Self::pipelines,
            #[cfg(feature = "web")]
            path if self.web.has(path) => return Either::Right(self.web.call(request)),
            _ => return Either::Left(self.host.call(request)),
        };
        let mut response = match *request.method() {
            Method::GET => answer(self),
            Method::HEAD => answer(self).map(|_| Body::empty()),
            _ => {
                let allow = HeaderValue::from_static("GET, HEAD");
                Problem::from(ProblemKind::MethodNotAllowed).with_header(header::ALLOW, allow).into_response()
            }
        };
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Either::Right(ready(Ok(response)))
    }
}
