//! What a client asks of a server besides following.

use crate::support::{Reply, Server, Step, job_json, url};
use tidings_client::{Client, Config, Cursor, ErrorKind, JobId, Json, ListFilter, State, Submission};
use tokio::time::Instant;

/// A server at a prefix, and a client of it.
fn server(replies: impl IntoIterator<Item = Reply>) -> (Server, Client) {
    let (server, http) = Server::new(Config::default(), replies);
    (server, Client::with_http(url("/api"), http).expect("a base"))
}

fn submission() -> Submission {
    Submission::new("pipeline".parse().expect("a kind")).with_input(Json::from("deploy"))
}

fn cursor() -> Cursor {
    "2-9f3c1a2b".parse().expect("a cursor")
}

/// A job that was accepted, as the server answers.
fn accepted(id: JobId) -> Reply {
    Reply::json(job_json(id, cursor(), &["sse"])).status(202)
}

#[tokio::test(start_paused = true)]
async fn a_submission_is_one_job_however_often_it_is_sent() {
    let id = JobId::new();
    let replies = [
        Reply::none(),
        Reply::new(502),
        Reply::problem(503, "overloaded").header("retry-after", "9"),
        // The answer is lost on the way.
        Reply::new(202).then(Step::Break),
        accepted(id),
        accepted(id),
    ];
    let (server, client) = server(replies);
    let job = client.submit(&submission()).await.expect("it is accepted");
    assert_eq!((job.id(), job.snapshot().state, job.is_over()), (id, State::Running, false));
    assert_eq!(job.link("sse"), Some(format!("/api/jobs/{id}/sse").as_str()));
    let asked = server.seen();
    assert_eq!(asked.len(), 5);
    assert!((9..11).contains(&(asked[3].at - asked[2].at).as_secs()));
    assert!(asked[1..].iter().all(|asked| asked.method == "POST" && asked.target == "/api/jobs"));
    assert!(asked[1..].iter().all(|asked| asked.body == r#"{"kind":"pipeline","input":"deploy"}"#));
    let mut keys = server.sent("idempotency-key");
    keys.dedup();
    assert_eq!(keys.len(), 2, "one for the connection that was never made, and one: {keys:?}");
    client.submit(&submission()).await.expect("it is accepted");
    assert_ne!(server.sent("idempotency-key")[5], keys[1], "another submission is another job");
}

#[tokio::test(start_paused = true)]
async fn what_the_server_refuses_is_not_asked_again() {
    let (server, client) = server([Reply::problem(422, "unknown-kind")]);
    let error = client.submit(&submission()).await.expect_err("it is refused");
    assert_eq!((error.problem(), server.seen().len()), (Some("unknown-kind"), 1));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stays_away_is_given_up() {
    let (asked, client) = server([Reply::new(503).always()]);
    let begun = Instant::now();
    let error = client.get(JobId::new()).await.expect_err("it never answers");
    assert_eq!(error.status().map(|status| status.as_u16()), Some(503));
    assert!((30..90).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    assert!(asked.seen().len() > 3);
    let (server, client) = server([Reply::new(503).header("retry-after", "31").always()]);
    client.get(JobId::new()).await.expect_err("it wants to be left alone");
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn jobs_are_shown_listed_cancelled_and_deleted() {
    let (id, next) = (JobId::new(), JobId::new());
    let listed = format!(r#"{{"jobs":[{}],"cursor":"7-9f3c1a2b","next":"{next}"}}"#, job_json(id, cursor(), &[]));
    let replies = [
        Reply::json(job_json(id, cursor(), &["sse"])),
        Reply::json(listed),
        Reply::json(r#"{"jobs":[],"cursor":"7-9f3c1a2b","next":null}"#),
        accepted(id),
        accepted(id),
        Reply::new(204),
        Reply::json(concat!(
            r#"{"transports":[{"name":"sse","job":"/api/jobs/{id}/sse","events":"/api/events/sse","heartbeat_seconds":15},"#,
            r#"{"name":"amqp","exchange":"tidings.events","status":"up","since":"2026-11-21T10:00:00.000Z","lag":3}]}"#
        )),
    ];
    let (server, client) = server(replies);
    assert_eq!(client.get(id).await.expect("a job").json().as_str(), job_json(id, cursor(), &["sse"]));
    let filter = ListFilter::new().with_state(State::Running).with_kind("a".parse().expect("a kind")).with_limit(1);
    let listing = client.list(&filter).await.expect("a list");
    assert_eq!((listing.jobs[0].id(), listing.cursor.number()), (id, 7));
    let next = listing.next.expect("there is more");
    assert!(client.list(&ListFilter::new().with_page(&next)).await.expect("a list").next.is_none());
    client.cancel(id, Some("no \"need\"")).await.expect("it is cancelled");
    client.cancel(id, None).await.expect("it is cancelled");
    client.delete(id).await.expect("it is deleted");
    let mounted = client.transports().await.expect("a list");
    assert_eq!((mounted[0].heartbeat_seconds, mounted[1].lag), (Some(15), Some(3)));
    let asked: Vec<_> = server.seen().iter().map(|asked| format!("{} {}", asked.method, asked.target)).collect();
    let expected = [
        format!("GET /api/jobs/{id}"),
        "GET /api/jobs?state=running&kind=a&limit=1".to_owned(),
        format!("GET /api/jobs?page={next}"),
        format!("POST /api/jobs/{id}/cancel"),
        format!("POST /api/jobs/{id}/cancel"),
        format!("DELETE /api/jobs/{id}"),
        "GET /api/transports".to_owned(),
    ];
    assert_eq!(asked, expected);
    assert_eq!((&*server.seen()[3].body, &*server.seen()[4].body), (r#"{"reason":"no \"need\""}"#, ""));
}

#[tokio::test(start_paused = true)]
async fn a_base_may_be_no_server() {
    for base in ["https://server.test", "/api", "server.test:80"] {
        let refused = Client::new(base.parse().expect("a URL of some sort")).expect_err("it can't be asked");
        assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    }
}
