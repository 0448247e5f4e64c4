//! Answers: which problem, which header, which method.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{self, Poll},
};

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body::{Frame, SizeHint};
use tidings_core::{
    Answer, Answering, Body, Context, Endpoint, Error, JobId, Limit, Mount, Notifier, Problem, ProblemKind, Reach,
    State, Target,
};

use crate::support::{Ask, Server};

/// A transport that answers with a page.
#[derive(Debug)]
struct Pages;

impl Notifier for Pages {
    fn name(&self) -> &'static str {
        "pages"
    }

    fn mount(&self, cx: &Context) -> Result<Mount, Error> {
        Ok(Mount::endpoint(Handler(cx.clone())).with_reach(Reach::ManyJobs))
    }
}

#[derive(Debug)]
struct Handler(Context);

impl Endpoint for Handler {
    fn answer<'a>(&'a self, target: Target, _: Request<Body>) -> Answering<'a> {
        Answering::later(async move {
            let Some(job) = target.scope().as_job() else { return Answer::empty(StatusCode::NO_CONTENT) };
            let limit = match Limit::page(target.params()) {
                Ok(limit) => limit,
                Err(problem) => return problem.into(),
            };
            match self.0.feed.read(job, target.after().unwrap_or_default(), limit).await {
                Ok(page) => Answer::Response(Body::json(self.0.jobs.page_json(&page))),
                Err(error) => Problem::from(error).into(),
            }
        })
    }
}

fn start() -> Server {
    Server::start(|host| host.mount(Pages))
}

#[tokio::test(start_paused = true)]
async fn a_job_is_shown_with_its_tag() {
    let server = start();
    let job = server.submit("waits").await;
    server.until(job, State::Running).await;
    let path = format!("/jobs/{job}");
    let reply = server.get(&path).await;
    let tag = format!("\"{}\"", server.job(job).await.cursor());
    assert_eq!((reply.status, reply.header("etag")), (StatusCode::OK, Some(tag.as_str())));
    assert_eq!((reply.header("retry-after"), reply.header("cache-control")), (Some("1"), Some("private, no-cache")));
    assert_eq!(reply.json()["links"]["pages"], format!("/jobs/{job}/pages"));
    for (value, known) in [
        (tag.clone(), true),
        (format!("W/{tag}"), true),
        (format!("\"other\", {tag}"), true),
        ("*".to_owned(), true),
        ("\"other\"".to_owned(), false),
        (tag.trim_matches('"').to_owned(), false),
    ] {
        let again = server.ask(Ask::get(&path).header("if-none-match", &value)).await;
        assert_eq!(again.status == StatusCode::NOT_MODIFIED, known, "{value}");
        assert_eq!(again.body.is_empty(), known);
        // A 304 carries the headers of its 200.
        for name in ["etag", "cache-control", "retry-after"] {
            assert_eq!(again.header(name), reply.header(name), "{value} {name}");
        }
    }
    server.go.send_replace(true);
    server.over(job).await;
    let over = server.ask(Ask::get(&path).header("if-none-match", &tag)).await;
    assert_eq!((over.status, over.header("retry-after")), (StatusCode::OK, None));
}

#[tokio::test(start_paused = true)]
async fn head_is_get_without_what_it_brings() {
    let server = start();
    let job = server.submit("waits").await;
    server.until(job, State::Running).await;
    for path in ["/jobs".to_owned(), format!("/jobs/{job}"), format!("/jobs/{job}/pages"), "/transports".to_owned()] {
        let (head, get) = (server.ask(Ask::new(Method::HEAD, &path)).await, server.get(&path).await);
        assert_eq!(head.status, StatusCode::OK, "{path}");
        assert!(head.body.is_empty(), "{path}: {head:?}");
        let length = get.body.len().to_string();
        assert_eq!(head.header("content-length"), Some(length.as_str()), "{path}");
        let mut headers = head.headers.clone();
        headers.remove("content-length");
        assert_eq!(headers, get.headers, "{path}");
    }
    assert_eq!(server.ask(Ask::new(Method::HEAD, "/nothing")).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test(start_paused = true)]
async fn another_method_is_told_which_there_are() {
    let server = start();
    let job = server.submit("waits").await;
    for (path, allowed) in [
        ("/jobs".to_owned(), "GET, HEAD, POST"),
        (format!("/jobs/{job}"), "GET, HEAD, DELETE"),
        (format!("/jobs/{job}/cancel"), "POST"),
        (format!("/jobs/{job}/events"), "POST"),
        (format!("/jobs/{job}/pages"), "GET, HEAD"),
        ("/events".to_owned(), "GET, HEAD"),
        ("/events/pages".to_owned(), "GET, HEAD"),
        ("/transports".to_owned(), "GET, HEAD"),
    ] {
        for method in ["GET", "HEAD", "POST", "DELETE", "PUT", "PATCH", "OPTIONS", "TRACE", "CONNECT", "BREW"] {
            if allowed.split(", ").any(|name| name == method) {
                continue;
            }
            let reply = server.ask(Ask::new(method.parse().expect("a method"), &path)).await;
            assert_eq!(reply.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
            if method != "HEAD" {
                reply.is(ProblemKind::MethodNotAllowed);
            }
            assert_eq!(reply.header("allow"), Some(allowed), "{method} {path}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_nowhere_is_not_found() {
    let server = start();
    let job = server.submit("waits").await;
    for path in ["/", "/job", "/jobs/x/y/z", "/transports/x", "/events/nothing", "/events/pages/x", "/%6aobs", "//jobs"]
    {
        server.get(path).await.is(ProblemKind::NotFound);
    }
    for path in [format!("/jobs/{job}/nothing"), format!("/jobs/{job}/"), format!("/jobs/{job}/pages/")] {
        server.get(&path).await.is(ProblemKind::NotFound);
    }
    let upper = job.to_string().to_uppercase();
    for id in ["", "x", "7f2c1f0e-4a55-4f0e-8a5e-0a4b5e1c2d3f", upper.as_str(), "%00"] {
        server.get(&format!("/jobs/{id}")).await.is(ProblemKind::UnknownJob);
        server.get(&format!("/jobs/{id}/pages")).await.is(ProblemKind::UnknownJob);
        // The job comes before the method.
        server.ask(Ask::new(Method::PUT, &format!("/jobs/{id}"))).await.is(ProblemKind::UnknownJob);
    }
}

#[tokio::test(start_paused = true)]
async fn cursors_and_parameters_are_looked_at() {
    let server = start();
    let (job, other) = (server.submit("waits").await, server.submit("waits").await);
    server.until(job, State::Running).await;
    server.until(other, State::Running).await;
    let foreign = server.job(other).await.cursor();
    for (query, problem) in [
        ("after=x", ProblemKind::InvalidCursor),
        ("after=", ProblemKind::InvalidCursor),
        ("after=9007199254740992", ProblemKind::InvalidCursor),
        ("after=1&after=1", ProblemKind::InvalidRequest),
        ("after=3", ProblemKind::CursorMismatch),
        (&format!("after={foreign}"), ProblemKind::CursorMismatch),
        ("limit=0", ProblemKind::InvalidRequest),
        ("limit=1&limit=2", ProblemKind::InvalidRequest),
    ] {
        server.get(&format!("/jobs/{job}/pages?{query}")).await.is(problem);
    }
    for query in ["after=0", "after=0000000000000000000000002", "limit=1001", "x=&x="] {
        assert_eq!(server.get(&format!("/jobs/{job}/pages?{query}")).await.status, StatusCode::OK, "{query}");
    }
    let named = |count: usize| (0..count).map(|_| format!("job={job}")).collect::<Vec<_>>().join("&");
    assert_eq!(server.get(&format!("/events?job=x&job={job}")).await.status, StatusCode::NO_CONTENT);
    server.get("/events?job=x").await.is(ProblemKind::UnknownJob);
    server.get("/events?kind=A").await.is(ProblemKind::InvalidRequest);
    // A hundred ids do not fit into a request target, so the limit on those is met first.
    server.get(&format!("/events?{}", named(100))).await.is(ProblemKind::UriTooLong);
    server.get(&format!("/events?{}", ["job=x"; 101].join("&"))).await.is(ProblemKind::InvalidRequest);
}

#[tokio::test(start_paused = true)]
async fn bodies_are_looked_at_in_their_order() {
    let server = start();
    let post = |body: &str| Ask::post("/jobs").json(body);
    let large = format!(r#"{{"kind":"echo","input":"{}"}}"#, "x".repeat(1 << 20));
    for (body, problem) in [
        ("", ProblemKind::MalformedJson),
        ("{\"kind\":", ProblemKind::MalformedJson),
        ("{\"kind\":\"echo\"} x", ProblemKind::MalformedJson),
        (&"[".repeat(65), ProblemKind::MalformedJson),
        ("[\"echo\"]", ProblemKind::InvalidInput),
        ("{}", ProblemKind::InvalidInput),
        (r#"{"kind":"echo","more":1}"#, ProblemKind::InvalidInput),
        (r#"{"kind":"nobody"}"#, ProblemKind::UnknownKind),
        (&large, ProblemKind::PayloadTooLarge),
    ] {
        server.ask(post(body)).await.is(problem);
    }
    let typed = |media_type: &str| Ask::post("/jobs").header("content-type", media_type).body(large.clone().into());
    for media_type in ["text/plain", "application/x-ndjson", "application/jsonx", ""] {
        server.ask(typed(media_type)).await.is(ProblemKind::UnsupportedMediaType);
    }
    let coded = Ask::post("/jobs").header("content-encoding", "gzip").body(r#"{"kind":"echo"}"#.into());
    server.ask(coded).await.is(ProblemKind::UnsupportedMediaType);
    for media_type in ["application/json; charset=utf-8", "Application/JSON"] {
        let ask = Ask::post("/jobs").header("content-type", media_type).body(r#"{"kind":"echo"}"#.into());
        assert_eq!(server.ask(ask).await.status, StatusCode::ACCEPTED, "{media_type}");
    }
    // Nothing said means JSON. What says that it is too large is not read.
    assert_eq!(server.ask(Ask::post("/jobs").body(r#"{"kind":"echo"}"#.into())).await.status, StatusCode::ACCEPTED);
    let said = Ask::post("/jobs").body(Body::wrap(Said((1 << 20) + 1)));
    server.ask(said).await.is(ProblemKind::PayloadTooLarge);
    // 401 before 415, 415 before 413: the rest of the order is in the tests of reports and methods.
    let job = server.open().await;
    let path = format!("/jobs/{}/events", job.0);
    server.ask(Ask::post(&path).header("content-type", "text/plain")).await.is(ProblemKind::Unauthorized);
    let wrong_type = Ask::post(&path).header("tidings-report-token", &job.1).header("content-type", "text/plain");
    server
        .ask(wrong_type.header("report-seq", "x").body(large.clone().into()))
        .await
        .is(ProblemKind::UnsupportedMediaType);
    let too_large = Ask::post(&path).header("tidings-report-token", &job.1).header("report-seq", "x").json(&large);
    server.ask(too_large).await.is(ProblemKind::PayloadTooLarge);
    server.ask(Ask::post(&format!("/jobs/{}/cancel", job.0)).json(&large)).await.is(ProblemKind::PayloadTooLarge);
}

/// A body that says how long it is, and is not to be read.
struct Said(u64);

impl http_body::Body for Said {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut task::Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        panic!("a body is read that is too large")
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0)
    }
}

#[tokio::test(start_paused = true)]
async fn a_report_is_answered_the_same_by_whichever_way_it_is_taken() {
    let server = Server::start(|host| host.with_base("/tidings"));
    let (job, token) = server.open().await;
    let path = format!("/jobs/{job}/events");
    let report = |path: &str| Ask::post(path).header("tidings-report-token", &token);
    // None of these appends anything, so that each can be asked twice.
    let taken: [&dyn Fn() -> Ask; 9] = [
        &|| report(&path).json("[]"),
        &|| report(&format!("/tidings{path}")).json("[]"),
        &|| Ask::post(&path).header("authorization", &format!("Bearer {token}")).json("[]"),
        &|| report(&path).body("[]".into()),
        &|| report(&path).header("report-seq", "1").json("[]"),
        &|| report(&path).header("report-seq", "3").json(r#"{"type":"tick"}"#),
        &|| report(&path).json("{"),
        &|| report(&path).json(r#"{"type":"queued"}"#),
        &|| report(&path).body(Body::wrap(Said((1 << 20) + 1))),
    ];
    for (nth, ask) in taken.iter().enumerate() {
        let reply = server.ask_as_report(ask()).await.unwrap_or_else(|| panic!("{nth} is not taken"));
        assert_eq!(reply, server.ask(ask()).await, "{nth}");
    }
    let unknown = JobId::new();
    for (ask, status) in [
        (Ask::post(&path).json("[]"), 401),
        (Ask::post(&path).header("tidings-report-token", "wrong").json("[]"), 401),
        (report(&format!("/jobs/{unknown}/events")).json("[]"), 404),
        (report(&format!("{path}/")).json("[]"), 404),
        (report(&format!("/jobs/{job}/cancel")).header("origin", "http://elsewhere").json("{}"), 403),
        (report(&path).header("origin", "http://elsewhere").json("[]"), 403),
        (report(&path).header("content-type", "text/plain").body("[]".into()), 415),
        (report(&path).header("report-seq", "x").json("[]"), 400),
        (report(&path).header("content-type", "application/x-ndjson").body("\n".into()), 200),
        (Ask::get(&path).header("tidings-report-token", &token), 405),
    ] {
        let request = ask.into_request();
        assert!(server.host.take_report(&request).is_none(), "{status}");
        let reply = server.answer(request).await;
        assert_eq!(reply.status, status, "{reply:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_has_its_length() {
    let server = start();
    let target = |length: usize| format!("/jobs?x={}", "y".repeat(length - "/jobs?x=".len()));
    assert_eq!(server.get(&target(2048)).await.status, StatusCode::OK);
    server.get(&target(2049)).await.is(ProblemKind::UriTooLong);
}

#[tokio::test(start_paused = true)]
async fn under_a_base_links_begin_with_it() {
    for (base, prefix) in [("/tidings", "/tidings"), ("https://example.org/a", "/a"), ("https://example.org", "")] {
        let server = Server::start(|host| host.mount(Pages).with_base(base));
        let job = server.submit("waits").await;
        for path in [format!("{prefix}/jobs/{job}"), format!("/jobs/{job}")] {
            let reply = server.get(&path).await;
            assert_eq!(reply.json()["links"]["pages"], format!("{base}/jobs/{job}/pages"), "{path}");
        }
        let accepted = server.ask(Ask::post("/jobs").json(r#"{"kind":"x","worker":"external"}"#)).await;
        let job = accepted.id();
        assert_eq!(accepted.header(header::LOCATION.as_str()), Some(format!("{base}/jobs/{job}").as_str()));
        assert_eq!(accepted.json()["report"]["href"], format!("{base}/jobs/{job}/events"));
        let transports = server.get("/transports").await.json();
        let pages = serde_json::json!({"name": "pages", "job": format!("{base}/jobs/{{id}}/pages"), "events": format!("{base}/events/pages")});
        assert_eq!(transports, serde_json::json!({"transports": [pages]}));
    }
}
