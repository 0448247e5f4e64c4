//! The same over HTTP/2 with prior knowledge, where the two differ: heads, streams, holds, hosts.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request, Response,
    body::Incoming,
    client::conn::http2::{SendRequest, handshake},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;

use crate::{
    job::{EXTERNAL, Job, events_of},
    support::{HANGS, Server},
};

/// One connection.
struct Client {
    sender: SendRequest<Full<Bytes>>,
    authority: String,
}

impl Client {
    async fn connect(server: &Server) -> Self {
        let io = TokioIo::new(tokio::net::TcpStream::connect(server.address).await.expect("the listener is open"));
        let (sender, connection) = handshake(TokioExecutor::new(), io).await.expect("it speaks HTTP/2");
        tokio::spawn(connection);
        Self { sender, authority: server.address.to_string() }
    }

    async fn send(&mut self, request: http::request::Builder, path: &str, body: &str) -> Response<Incoming> {
        let request: Request<_> = request
            .uri(format!("http://{}{path}", self.authority))
            .body(Full::from(body.to_owned()))
            .expect("a valid request");
        let answer = tokio::time::timeout(HANGS, self.sender.send_request(request)).await;
        answer.expect("it does not hang").expect("an answer")
    }

    async fn get(&mut self, path: &str) -> Response<Incoming> {
        self.send(Request::get("/"), path, "").await
    }
}

async fn text(response: Response<Incoming>) -> String {
    let body = tokio::time::timeout(HANGS, response.into_body().collect()).await.expect("it does not hang");
    String::from_utf8(body.expect("a whole body").to_bytes().to_vec()).expect("text")
}

fn field<'a>(response: &'a Response<Incoming>, name: &str) -> Option<&'a str> {
    response.headers().get(name).map(|value| value.to_str().expect("text"))
}

async fn assert_problem(response: Response<Incoming>, status: u16, name: &str) {
    assert_eq!(response.status(), status);
    assert_eq!(field(&response, "content-type"), Some("application/problem+json"));
    let json: Value = serde_json::from_str(&text(response).await).expect("JSON");
    assert_eq!(json["type"], format!("urn:tidings:problem:{name}"));
}

#[tokio::test]
async fn a_job_is_submitted_polled_and_cancelled() {
    let server = Server::start("");
    let mut client = Client::connect(&server).await;
    let accepted = client.send(Request::post("/"), "/jobs", EXTERNAL).await;
    assert_eq!((accepted.status().as_u16(), field(&accepted, "retry-after")), (202, Some("1")));
    let location = field(&accepted, "location").expect("it says where").to_owned();
    let shown = client.get(&location).await;
    let tag = field(&shown, "etag").expect("a tag").to_owned();
    let known = client.send(Request::get("/").header("if-none-match", &tag), &location, "").await;
    assert_eq!((known.status().as_u16(), field(&known, "etag")), (304, Some(tag.as_str())));
    let page = text(client.get(&format!("{location}/short-poll")).await).await;
    assert_eq!(events_of(&page).len(), 2);
    let cancelled = client.send(Request::post("/"), &format!("{location}/cancel"), "").await;
    assert_eq!(cancelled.status(), 202);
    let head = client.send(Request::head("/"), &format!("{location}/sse"), "").await;
    assert_eq!((head.status().as_u16(), field(&head, "cache-control")), (200, Some("no-cache, no-transform")));
    assert_eq!(text(head).await, "");
    let deleted = client.send(Request::delete("/"), &location, "").await;
    assert_problem(deleted, 409, "still-running").await;
}

#[tokio::test]
async fn streams_and_holds_share_a_connection() {
    let server = Server::start("");
    let job = Job::open(&server);
    let mut client = Client::connect(&server).await;
    let stream = client.get(&job.path("/sse")).await;
    assert_eq!(field(&stream, "content-type"), Some("text/event-stream; charset=utf-8"));
    let (sender, authority) = (client.sender.clone(), client.authority.clone());
    let path = job.path("/long-poll?after=2&wait=55");
    let hold = tokio::spawn(async move { Client { sender, authority }.get(&path).await });
    let report = Request::post("/").header("tidings-report-token", &job.token);
    let reported = client.send(report, &job.path("/events"), r#"[{"type":"note"},{"type":"succeeded"}]"#).await;
    assert_eq!(reported.status(), 200);
    let held = tokio::time::timeout(Duration::from_secs(50), hold).await.expect("before its time").expect("no panic");
    assert_eq!(field(&held, "connection"), None);
    assert_eq!(events_of(&text(held).await), &job.events()[2..]);
    let streamed = text(stream).await;
    let data: Vec<_> = streamed.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    assert_eq!(data, job.events(), "the bytes are the same on every transport");
    assert_eq!(client.get(&job.path("/sse?after=4")).await.status(), 204);
}

#[tokio::test]
async fn problems_are_the_same() {
    let server = Server::start("");
    let job = Job::open(&server);
    let mut client = Client::connect(&server).await;
    for (path, status, name) in [
        ("/jobs/nonsense".to_owned(), 404, "unknown-job"),
        ("/nothing".to_owned(), 404, "not-found"),
        (job.path("/cancel"), 405, "method-not-allowed"),
        (job.path("/sse?after=x"), 400, "invalid-cursor"),
        (job.path("/sse?after=9"), 410, "cursor-mismatch"),
        ("/jobs?limit=0".to_owned(), 400, "invalid-request"),
    ] {
        assert_problem(client.get(&path).await, status, name).await;
    }
    let foreign = Request::post("/").header("origin", "http://elsewhere.example.org");
    assert_problem(client.send(foreign, "/jobs", EXTERNAL).await, 403, "wrong-origin").await;
    let response = client.send(Request::post("/"), &job.path("/events"), "[]").await;
    assert_eq!(field(&response, "www-authenticate"), Some("Bearer"));
    assert_problem(response, 401, "unauthorized").await;
    client.authority = "elsewhere.example.org".to_owned();
    assert_problem(client.get("/jobs").await, 421, "wrong-host").await;
}
