//! Reporting from outside, as WIRE.md has it.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::StatusCode;
use http_body::Frame;
use tidings_core::{Body, JobId, ProblemKind, State};
use tokio::{sync::mpsc, time::Instant};

use crate::support::{Ask, Reply, Server};

type Job = (JobId, String);

fn events((job, token): &Job) -> Ask {
    Ask::post(&format!("/jobs/{job}/events")).header("authorization", &format!("Bearer {token}"))
}

async fn numbered(server: &Server, job: &Job, first: &str, body: &str) -> Reply {
    server.ask(events(job).header("report-seq", first).json(body)).await
}

fn lines(job: &Job, body: impl Into<Body>) -> Ask {
    events(job).header("content-type", "application/x-ndjson").body(body.into())
}

const LOG: &str = r#"{"type":"log","data":{"line":"x"}}"#;

#[tokio::test(start_paused = true)]
async fn reports_are_numbered_and_answered_with_their_place() {
    let server = Server::start(|host| host);
    let job = server.open().await;
    let one = server.report(&job, r#"{"type":"progress","data":{"done":1.50}}"#).await;
    assert_eq!(one.status, StatusCode::OK);
    let cursor = server.job(job.0).await.cursor().to_string();
    assert_eq!(one.json(), serde_json::json!({"seq": 3, "cursor": cursor, "received": 1, "cancel_requested": false}));
    let two = server.report(&job, &format!(r#"[{LOG}, {{"type":"build.cached","data":[1]}}]"#)).await;
    assert_eq!((&two.json()["seq"], &two.json()["received"]), (&5.into(), &3.into()));
    server.report(&job, r#"{"type":"succeeded","data":{"result":{"ok":true}}}"#).await;
    assert_eq!(server.job(job.0).await.result.as_ref().map(|json| json.as_str()), Some(r#"{"ok":true}"#));
    assert_eq!(server.types(job.0).await, ["queued", "started", "progress", "log", "build.cached", "succeeded"]);
    server.report(&job, LOG).await.is(ProblemKind::AlreadyFinished);
}

#[tokio::test(start_paused = true)]
async fn only_who_has_the_token_reports() {
    let server = Server::start(|host| host);
    let (job, other) = (server.open().await, server.open().await);
    let path = format!("/jobs/{}/events", job.0);
    let here = server.submit("waits").await;
    for ask in [
        Ask::post(&path),
        Ask::post(&path).header("authorization", "Bearer "),
        Ask::post(&path).header("authorization", &format!("Basic {}", job.1)),
        Ask::post(&path).header("authorization", &format!("Bearer {}", other.1)),
        Ask::post(&path).header("tidings-report-token", "wrong").header("authorization", &format!("Bearer {}", job.1)),
        // A job that is not reported from outside has no token at all.
        Ask::post(&format!("/jobs/{here}/events")).header("authorization", &format!("Bearer {}", job.1)),
    ] {
        let reply = server.ask(ask.json(LOG)).await;
        reply.is(ProblemKind::Unauthorized);
        assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
    }
    let own = Ask::post(&path).header("tidings-report-token", &job.1).header("authorization", "Basic taken");
    assert_eq!(server.ask(own.json(LOG)).await.status, StatusCode::OK);
    // The job comes before the token, the token before the body.
    server.report(&(JobId::new(), job.1.clone()), LOG).await.is(ProblemKind::UnknownJob);
    server.ask(Ask::post(&path).header("content-type", "text/plain")).await.is(ProblemKind::Unauthorized);
}

#[tokio::test(start_paused = true)]
async fn an_array_goes_in_whole_or_not_at_all() {
    let server = Server::start(|host| host);
    let job = server.open().await;
    let large = format!(r#"{{"type":"log","data":{{"line":"{}"}}}}"#, "x".repeat(64 << 10));
    for (last, problem) in [
        (r#"{"type":"log","data":{}}"#, ProblemKind::InvalidInput),
        (r#"{"type":"gap","data":{}}"#, ProblemKind::InvalidInput),
        (r#"{"type":"queued","data":{}}"#, ProblemKind::InvalidInput),
        (r#"["log",{"line":"x"}]"#, ProblemKind::InvalidInput),
        (r#"{"type":"log","data":{"line":"x"},"seq":1}"#, ProblemKind::InvalidInput),
        (r#"{"type":"succeeded"},{"type":"log","data":{"line":"x"}}"#, ProblemKind::InvalidInput),
        (
            r#"{"type":"succeeded"},{"type":"failed","data":{"error":{"code":"x","message":"y"}}}"#,
            ProblemKind::InvalidInput,
        ),
        (r#"{"type":"succeeded","data":{"result":1,"result":2}}"#, ProblemKind::InvalidInput),
        (
            r#"{"type":"failed","data":{"error":{"code":"x","message":"y"},"result":1,"result":2}}"#,
            ProblemKind::InvalidInput,
        ),
        (large.as_str(), ProblemKind::PayloadTooLarge),
        ("{", ProblemKind::MalformedJson),
    ] {
        server.report(&job, &format!("[{LOG},{last}]")).await.is(problem);
        assert_eq!(server.types(job.0).await, ["queued", "started"], "{last}");
        assert_eq!(server.job(job.0).await.seq, 2, "{last}");
    }
    for body in ["1", "\"log\"", "null"] {
        server.report(&job, body).await.is(ProblemKind::InvalidInput);
    }
    assert_eq!(server.report(&job, &format!("[{LOG}]")).await.json()["seq"], 3);
}

#[tokio::test(start_paused = true)]
async fn with_numbers_a_repeat_is_safe() {
    let server = Server::start(|host| host);
    let job = server.open().await;
    let batch = format!("[{LOG},{LOG},{LOG}]");
    assert_eq!(numbered(&server, &job, "1", &batch).await.json()["received"], 3);
    // The whole of it again, and then with two more that overlap.
    assert_eq!(numbered(&server, &job, "1", &batch).await.json()["received"], 3);
    assert_eq!(numbered(&server, &job, "3", &batch).await.json()["received"], 5);
    let hole = numbered(&server, &job, "7", LOG).await;
    assert_eq!(hole.is(ProblemKind::ReportGap)["received"], 5);
    for bad in ["0", "-1", "x", "", "1.0", "+1", "9007199254740992"] {
        numbered(&server, &job, bad, LOG).await.is(ProblemKind::InvalidRequest);
    }
    let twice = events(&job).header("report-seq", "6").header("report-seq", "6").json(LOG);
    server.ask(twice).await.is(ProblemKind::InvalidRequest);
    let end = format!(r#"[{LOG},{{"type":"succeeded"}}]"#);
    assert_eq!(numbered(&server, &job, "6", &end).await.json()["received"], 7);
    // After the end too, for the answer may have been lost; but what is new is too late.
    assert_eq!(numbered(&server, &job, "6", &end).await.json()["received"], 7);
    numbered(&server, &job, "8", LOG).await.is(ProblemKind::AlreadyFinished);
    numbered(&server, &job, "7", &format!("[{LOG},{LOG}]")).await.is(ProblemKind::AlreadyFinished);
    assert_eq!(server.types(job.0).await.len(), 9);
}

#[tokio::test(start_paused = true)]
async fn what_others_write_does_not_count_as_reported() {
    let server = Server::start(|host| host);
    let job = server.open().await;
    numbered(&server, &job, "1", LOG).await;
    server.ask(Ask::post(&format!("/jobs/{}/cancel", job.0))).await;
    assert_eq!(numbered(&server, &job, "2", LOG).await.json()["received"], 2);
}

#[tokio::test(start_paused = true)]
async fn a_silent_reporter_is_taken_for_dead() {
    let server = Server::start(|host| host);
    let begun = Instant::now();
    let job = server.open().await;
    tokio::time::sleep(Duration::from_secs(50)).await;
    // Nothing at all renews the lease as well.
    assert_eq!(server.report(&job, "[]").await.json()["received"], 0);
    let over = server.over(job.0).await;
    assert_eq!((over.state, begun.elapsed().as_secs()), (State::Failed, 110));
    assert!(over.error.as_ref().is_some_and(|error| error.as_str().contains(r#""code":"worker-lost""#)));
    server.report(&job, LOG).await.is(ProblemKind::AlreadyFinished);
    server.report(&job, "[]").await.is(ProblemKind::AlreadyFinished);
}

#[tokio::test(start_paused = true)]
async fn a_reporter_that_has_ended_its_job_has_no_lease() {
    let server = Server::start(|host| host);
    let job = server.open().await;
    server.report(&job, r#"{"type":"succeeded"}"#).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(server.types(job.0).await, ["queued", "started", "succeeded"]);
}

#[tokio::test(start_paused = true)]
async fn lines_are_taken_one_by_one_up_to_the_first_bad_one() {
    let server = Server::start(|host| host);
    let job = server.open().await;
    let body = format!("{LOG}\n\n  {LOG} \r\n{{\"type\":\"log\"}}\n{LOG}\n");
    let problem = server.ask(lines(&job, body)).await.is(ProblemKind::InvalidInput);
    assert_eq!(problem["line"], 4);
    assert_eq!(server.types(job.0).await, ["queued", "started", "log", "log"]);
    // The last line needs no end.
    let reply = server.ask(lines(&job, format!("{LOG}\n{LOG}"))).await;
    assert_eq!((reply.status, &reply.json()["received"]), (StatusCode::OK, &4.into()));
    let bad = server.ask(lines(&job, format!("{LOG}\nnot json"))).await.is(ProblemKind::MalformedJson);
    assert_eq!(bad["line"], 2);
    let large = format!("{LOG}\n{{\"type\":\"log\",\"data\":{{\"line\":\"{}\"}}}}\n", "x".repeat(64 << 10));
    assert_eq!(server.ask(lines(&job, large)).await.is(ProblemKind::PayloadTooLarge)["line"], 2);
    let endless = format!("{LOG}\n{}", "x".repeat(1 << 20));
    assert_eq!(server.ask(lines(&job, endless)).await.is(ProblemKind::PayloadTooLarge)["line"], 2);
    let over = server.ask(lines(&job, format!("{{\"type\":\"succeeded\"}}\n{LOG}\n"))).await;
    assert_eq!(over.is(ProblemKind::AlreadyFinished)["line"], 2);
}

#[tokio::test(start_paused = true)]
async fn lines_are_numbered_on() {
    let server = Server::start(|host| host);
    let job = server.open().await;
    let three = format!("{LOG}\n\n{LOG}\n{LOG}\n");
    let ask = || lines(&job, three.clone()).header("report-seq", "1");
    assert_eq!(server.ask(ask()).await.json()["received"], 3);
    assert_eq!(server.ask(ask()).await.json()["received"], 3);
    let hole = lines(&job, three.clone()).header("report-seq", "5");
    assert_eq!(server.ask(hole).await.is(ProblemKind::ReportGap)["received"], 3);
    let end = || lines(&job, format!("{LOG}\n{{\"type\":\"succeeded\"}}\n")).header("report-seq", "4");
    assert_eq!(server.ask(end()).await.json()["received"], 5);
    assert_eq!(server.ask(end()).await.json()["received"], 5);
    assert_eq!(server.types(job.0).await.len(), 7);
}

/// A body that comes piece by piece.
struct Pieces(mpsc::UnboundedReceiver<&'static str>);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| Ok(Frame::data(Bytes::from_static(piece.as_bytes())))))
    }
}

#[tokio::test(start_paused = true)]
async fn a_line_is_in_the_log_before_the_next_one_comes() {
    let server = Server::start(|host| host);
    let job = server.open().await;
    let (pieces, body) = mpsc::unbounded_channel();
    let asked = server.ask(lines(&job, Body::wrap(Pieces(body))));
    let told = async {
        for piece in ["{\"type\":\"log\",", "\"data\":{\"line\":\"a\"}}\n{\"type\"", ":\"tick\"}\n"] {
            pieces.send(piece).expect("the body is read");
            tokio::time::sleep(Duration::from_secs(40)).await;
        }
        // In all twice as long as the lease is: each line has renewed it.
        assert_eq!(server.types(job.0).await, ["queued", "started", "log", "tick"]);
        pieces.send("\n").expect("the body is read");
        tokio::time::sleep(Duration::from_secs(40)).await;
        pieces.send("{\"type\":\"succeeded\"}").expect("the body is read");
        drop(pieces);
    };
    let (reply, ()) = tokio::join!(asked, told);
    assert_eq!((reply.status, &reply.json()["received"]), (StatusCode::OK, &3.into()));
}

#[tokio::test(start_paused = true)]
async fn lines_that_stop_coming_end_with_the_lease() {
    let server = Server::start(|host| host);
    let job = server.open().await;
    let (pieces, body) = mpsc::unbounded_channel();
    pieces.send("{\"type\":\"log\",\"data\":{\"line\":\"a\"}}\n").expect("the body is there");
    let begun = Instant::now();
    let reply = server.ask(lines(&job, Body::wrap(Pieces(body)))).await;
    assert_eq!(begun.elapsed().as_secs(), 60);
    reply.is(ProblemKind::RequestTimeout);
    assert_eq!(server.over(job.0).await.state, State::Failed);
    drop(pieces);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_late_is_given_up() {
    let server = Server::start(|host| host);
    // Silent for ten seconds.
    let (silent, body) = mpsc::unbounded_channel();
    silent.send("{").expect("the body is there");
    let begun = Instant::now();
    server.ask(Ask::post("/jobs").body(Body::wrap(Pieces(body)))).await.is(ProblemKind::RequestTimeout);
    assert_eq!(begun.elapsed().as_secs(), 10);
    // Never silent for long, and never done.
    let (slow, body) = mpsc::unbounded_channel();
    let begun = Instant::now();
    tokio::spawn(async move {
        while slow.send(" ").is_ok() {
            tokio::time::sleep(Duration::from_secs(7)).await;
        }
    });
    server.ask(Ask::post("/jobs").body(Body::wrap(Pieces(body)))).await.is(ProblemKind::RequestTimeout);
    assert_eq!(begun.elapsed().as_secs(), 30);
}
