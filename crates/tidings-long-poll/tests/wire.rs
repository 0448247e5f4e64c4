//! Long polling as WIRE.md has it.

use std::time::Duration;

use serde_json::Value;
use tidings_core::{Body, Retention};
use tidings_long_poll::{Config, LongPoll};
use tidings_testkit::{Author, Response, Server};
use tokio::time::Instant;
use tower_service::Service as _;

async fn server() -> (Server, Author) {
    let server = Server::start(|host| host.mount(LongPoll::default()), Retention::default()).await.expect("a server");
    let job = server.open().await.expect("a job");
    (server, job)
}

/// Asks for what follows the two events that a job begins with.
async fn poll(server: &Server, job: &Author, query: &str, headers: &[(&str, &str)]) -> Response {
    server.get(&format!("/jobs/{}/long-poll?after=2{query}", job.job()), headers).await.expect("a request")
}

async fn json(mut response: Response) -> Value {
    serde_json::from_slice(&response.bytes().await.expect("a body")).expect("JSON")
}

#[tokio::test(start_paused = true)]
async fn a_hold_that_ends_with_nothing_is_no_error() {
    let (server, job) = server().await;
    for (query, prefer, seconds, applied) in [
        ("", "", 25, None),
        ("&wait=3", "", 3, None),
        ("&wait=0", "", 0, None),
        ("&wait=55", "", 55, None),
        ("&wait=56", "", 55, None),
        ("&wait=99999999999999999999", "", 55, None),
        ("", "wait=4", 4, Some("wait=4")),
        ("", "respond-async, wait=5", 5, Some("wait=5")),
        ("", "wait=900", 55, Some("wait=55")),
        ("", "wait=0", 0, Some("wait=0")),
        ("", "wait=soon", 25, None),
        // The query was written for this very request.
        ("&wait=6", "wait=4", 6, None),
    ] {
        let headers = [("prefer", prefer)];
        let headers = if prefer.is_empty() { &headers[..0] } else { &headers[..] };
        let asked = Instant::now();
        let response = poll(&server, &job, query, headers).await;
        assert_eq!((response.status().as_u16(), asked.elapsed().as_secs()), (200, seconds), "{query} {prefer}");
        assert_eq!(response.header("preference-applied"), applied, "{query} {prefer}");
        assert_eq!(response.header("vary"), applied.map(|_| "Prefer"));
        assert_eq!(response.header("cache-control"), Some("no-store"));
        assert_eq!((response.header("etag"), response.header("retry-after")), (None, None));
        let page = json(response).await;
        assert_eq!((page["events"].as_array().map(Vec::len), &page["done"]), (Some(0), &false.into()));
        assert_eq!(page["cursor"], page["job"]["cursor"]);
    }
    for query in ["&wait=", "&wait=-1", "&wait=x", "&wait=1&wait=1", "&limit=0"] {
        let refused = poll(&server, &job, query, &[]).await.problem().await.expect("a problem");
        assert_eq!(refused.0, "invalid-request", "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_appended_by_then_comes_in_one_page() {
    let (server, job) = server().await;
    let held = tokio::spawn({
        let (server, job) = (server.clone(), job.clone());
        async move {
            let asked = Instant::now();
            let response = poll(&server, &job, "", &[]).await;
            (asked.elapsed(), json(response).await)
        }
    });
    tokio::time::sleep(Duration::from_secs(9)).await;
    // Three batches, and nobody else has had a turn in between.
    for _ in 0..3 {
        job.lines(2).await.expect("written");
    }
    let (waited, page) = held.await.expect("an answer");
    assert_eq!((waited.as_secs(), page["events"].as_array().map(Vec::len)), (9, Some(6)));
}

#[tokio::test(start_paused = true)]
async fn a_page_may_be_full() {
    let (server, job) = server().await;
    job.lines(5).await.expect("written");
    let page = json(poll(&server, &job, "&limit=2", &[]).await).await;
    assert_eq!((&page["more"], page["events"].as_array().map(Vec::len)), (&true.into(), Some(2)));
}

#[tokio::test(start_paused = true)]
async fn at_the_end_nothing_is_held() {
    let (server, job) = server().await;
    job.finish().await.expect("written");
    let asked = Instant::now();
    let response = server.get(&format!("/jobs/{}/long-poll?after=3", job.job()), &[]).await.expect("a request");
    assert!(asked.elapsed().is_zero());
    assert_eq!(json(response).await["done"], true);
}

#[tokio::test(start_paused = true)]
async fn at_shutdown_holds_end_and_their_clients_come_back_elsewhere() {
    let (server, job) = server().await;
    let held = tokio::spawn({
        let (server, job) = (server.clone(), job.clone());
        async move { poll(&server, &job, "", &[]).await }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let began = Instant::now();
    server.shut_down();
    let response = held.await.expect("an answer");
    assert!(began.elapsed() < Duration::from_millis(50), "{:?}", began.elapsed());
    assert_eq!((response.status().as_u16(), response.header("connection")), (200, Some("close")));
    assert_eq!(response.header("retry-after"), Some("1"));
    assert_eq!(json(response).await["events"].as_array().map(Vec::len), Some(0));
    // Over HTTP/2, where a connection can't be closed by a field, there is none.
    let request = http::Request::get(format!("http://localhost/jobs/{}/long-poll?after=2", job.job()));
    let request = request.version(http::Version::HTTP_2).body(Body::empty()).expect("a request");
    let Ok(response) = server.host().clone().call(request).await;
    assert!(!response.headers().contains_key("connection") && response.headers().contains_key("retry-after"));
}

#[tokio::test(start_paused = true)]
async fn head_does_not_hold() {
    let (server, job) = server().await;
    let asked = Instant::now();
    let request = http::Request::head(format!("/jobs/{}/long-poll?after=2", job.job())).header("host", "localhost");
    let Ok(response) = server.host().clone().call(request.body(Body::empty()).expect("a request")).await;
    assert_eq!((response.status().as_u16(), asked.elapsed().as_secs()), (200, 0));
}

#[tokio::test(start_paused = true)]
async fn the_hold_is_configured() {
    let config = Config::default().with_wait_seconds(90).with_wait_seconds_most(10);
    let server = Server::start(|host| host.mount(LongPoll::new(config)), Retention::default()).await.expect("a server");
    let job = server.open().await.expect("a job");
    let asked = Instant::now();
    poll(&server, &job, "", &[]).await;
    assert_eq!(asked.elapsed().as_secs(), 10);
}
