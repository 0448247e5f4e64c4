//! What the server answers by itself, before the host is asked: whether it lives, whether it is ready, what it can run,
//! and the files that a browser loads.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};
use serde_json::{Map, Value, json};
use tidings::{Body, Health, Host, Problem, ProblemKind, Reply, Reporting};

use crate::connections::{Serve, TakenOver};

/// A [`Host`] with `/healthz`, `/readyz`, `/pipelines` and, where the feature `web` is built, a browser's files before it.
#[derive(Clone, Debug)]
pub struct Front {
    host: Host,
    /// The answer of `/pipelines`: they do not change while the server runs.
    pipelines: Bytes,
    taken_over: Arc<TakenOver>,
    #[cfg(feature = "web")]
    web: tidings::web::Web,
}

impl Front {
    /// Puts them before this host. `pipelines` is what [`Pipelines::listing`](crate::pipeline::Pipelines::listing) gives.
    #[must_use]
    pub fn new(host: Host, pipelines: impl Into<Bytes>, taken_over: Arc<TakenOver>) -> Self {
        Self {
            host,
            pipelines: pipelines.into(),
            taken_over,
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
        let taken_over = &self.taken_over;
        let taken_over =
            json!({ "streams": taken_over.streams(), "polls": taken_over.polls(), "answers": taken_over.answers() });
        let shown: Value = json!({ "status": status, "transports": transports, "taken_over": taken_over });
        Body::json(shown.to_string())
    }

    fn pipelines(&self) -> Response<Body> {
        Body::json(self.pipelines.clone())
    }
}

impl Serve for Front {
    fn reply_now<B>(&self, request: &Request<B>) -> Option<Response<Bytes>> {
        // None of its paths is one of those that are answered before it.
        self.host.answer_now(request)
    }

    fn take_report<B>(&self, request: &Request<B>) -> Option<Reporting> {
        self.host.take_report(request)
    }

    async fn reply(&self, request: Request<Body>) -> Reply {
        let answer = match request.uri().path() {
            "/healthz" => Self::healthz,
            "/readyz" => Self::readyz,
            "/pipelines" => Self::pipelines,
            #[cfg(feature = "web")]
            path if self.web.has(path) => {
                let mut web = self.web;
                let Ok(response) = tower_service::Service::call(&mut web, request).into_inner();
                return response.into();
            }
            _ => return self.host.reply(request).await,
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
        response.into()
    }
}
