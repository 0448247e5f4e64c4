//! Reporting a job from outside.

use std::time::Duration;

use crate::support::{Reply, SECOND, Server, Step, job_json, url};
use tidings_client::{Client, Config, Draft, JobId, Json, Reporter, Submission};

const TOKEN: &str = "5ecret70ken";

/// A server of one external job, and the job's reporter.
async fn open(replies: impl IntoIterator<Item = Reply>) -> (Server, Reporter) {
    let id = JobId::new();
    let job = job_json(id, "2-9f3c1a2b".parse().expect("a cursor"), &[]);
    let report = format!(r#","report":{{"href":"/api/jobs/{id}/events","token":"{TOKEN}","lease_seconds":60}}}}"#);
    let opened = Reply::json(format!("{}{report}", &job[..job.len() - 1])).status(202).to("/api/jobs");
    let (server, http) = Server::new(Config::default(), [opened].into_iter().chain(replies));
    let client = Client::with_http(url("/api"), http).expect("a base");
    let submission = Submission::new("import".parse().expect("a kind"));
    let (job, reporter) = client.open(&submission, 60 * SECOND).await.expect("it is opened");
    assert_eq!(server.seen()[0].body, r#"{"kind":"import","input":null,"worker":"external","lease_seconds":60}"#);
    assert_eq!((job.id(), reporter.lease(), reporter.pending()), (id, 60 * SECOND, 0));
    let shown = format!("{job:?} {} {reporter:?} {submission:?}", job.json());
    assert!(!shown.contains(TOKEN) && !shown.contains(submission.key()), "{shown}");
    (server, reporter)
}

/// The answer once so many events were taken.
fn received(count: u64) -> Reply {
    let seq = count + 2;
    Reply::json(format!(
        r#"{{"seq":{seq},"cursor":"{seq}-9f3c1a2b","received":{count},"cancel_requested":{}}}"#,
        count > 2
    ))
}

fn line(text: &str) -> Draft {
    Draft::log("stdout", text)
}

/// The reports as the server saw them: the number of the first event, and the lines.
fn reports(server: &Server) -> Vec<(String, Vec<String>)> {
    let firsts = server.sent("report-seq");
    let lines = |body: &str| {
        let events: Vec<serde_json::Value> = serde_json::from_str(body).expect("an array");
        events.iter().map(|event| event["data"]["line"].as_str().unwrap_or("end").to_owned()).collect()
    };
    let seen = server.seen();
    seen.iter().zip(firsts).skip(1).map(|(seen, first)| (first, lines(&seen.body))).collect()
}

fn report(first: u64, lines: &[&str]) -> (String, Vec<String>) {
    (first.to_string(), lines.iter().map(|line| (*line).to_owned()).collect())
}

#[tokio::test(start_paused = true)]
async fn events_are_counted_and_what_fails_is_sent_again_as_it_was() {
    let replies = [
        received(2),
        // Taken, and the answer is lost on the way.
        received(3).then(Step::Break),
        Reply::new(502),
        received(3),
        received(3),
    ];
    let (server, mut reporter) = open(replies).await;
    let said = reporter.report([line("a"), line("b")]).await.expect("it is taken");
    assert_eq!((said.received, said.cursor.number(), said.cancel_requested), (2, 4, false));
    let said = reporter.report([Draft::succeeded(&Json::null())]).await.expect("it is taken");
    assert_eq!((said.received, said.cancel_requested), (3, true));
    // Nothing at all renews the lease.
    reporter.report([]).await.expect("it is heard");
    let end = report(3, &["end"]);
    assert_eq!(reports(&server), [report(1, &["a", "b"]), end.clone(), end.clone(), end, report(4, &[])]);
    let seen = &server.seen()[1];
    assert_eq!(seen.headers["authorization"], format!("Bearer {TOKEN}"));
    assert_eq!(seen.headers["content-type"], "application/json");
    assert!(seen.target.ends_with("/events") && seen.target.starts_with("/api/jobs/"));
}

#[tokio::test(start_paused = true)]
async fn what_was_not_taken_goes_before_what_comes_next() {
    let mut replies: Vec<_> = vec![received(1)];
    replies.extend((0..3).map(|_| Reply::problem(503, "overloaded").header("retry-after", "20")));
    replies.extend([Reply::new(200).after(Duration::MAX), received(4)]);
    let (server, mut reporter) = open(replies).await;
    reporter.report([line("a")]).await.expect("it is taken");
    let error = reporter.report([line("b")]).await.expect_err("the server is away for too long");
    assert!(error.is_temporary());
    assert_eq!(reporter.pending(), 1);
    // One that is dropped in the middle may have been taken.
    let dropped = tokio::time::timeout(SECOND, reporter.report([line("c")])).await;
    dropped.expect_err("there is no answer");
    assert_eq!(reporter.pending(), 2);
    assert_eq!(reporter.report([line("d")]).await.expect("it is taken").received, 4);
    assert_eq!(reporter.pending(), 0);
    let last = reports(&server).split_off(4);
    assert_eq!(last, [report(2, &["b", "c"]), report(2, &["b", "c", "d"])]);
}

#[tokio::test(start_paused = true)]
async fn many_events_go_in_several_bodies() {
    let (server, mut reporter) = open([received(1000), received(2000), received(2500)]).await;
    reporter.report((0..2500).map(|_| line("x"))).await.expect("they are taken");
    let counts: Vec<_> = reports(&server).into_iter().map(|(first, lines)| (first, lines.len())).collect();
    assert_eq!(counts, [("1".to_owned(), 1000), ("1001".to_owned(), 1000), ("2001".to_owned(), 500)]);
    let (server, mut reporter) = open([received(4), received(8), received(10)]).await;
    let large = "x".repeat(60_000);
    reporter.report((0..10).map(|_| line(&large))).await.expect("they are taken");
    assert_eq!(reports(&server).iter().map(|(_, lines)| lines.len()).collect::<Vec<_>>(), [4, 4, 2]);
    assert!(server.seen().iter().all(|seen| seen.body.len() < 300_000));
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_never_taken_takes_no_other_with_it() {
    let refused = || Reply::problem(413, "payload-too-large");
    let (server, mut reporter) = open([refused(), received(1), refused(), refused(), received(2), received(3)]).await;
    let error = reporter.report(["a", "large", "b", "c"].map(line)).await.expect_err("one of them is too large");
    assert_eq!((error.problem(), reporter.pending()), (Some("payload-too-large"), 2));
    reporter.report([]).await.expect("the others are taken");
    let sent: Vec<_> =
        reports(&server).into_iter().map(|(first, lines)| format!("{first} {}", lines.join(" "))).collect();
    assert_eq!(sent, ["1 a large b c", "1 a", "2 large b", "2 large", "2 b", "3 c"]);
}

#[tokio::test(start_paused = true)]
async fn once_the_job_is_over_nothing_is_kept() {
    for problem in [(409, "already-finished"), (404, "unknown-job"), (401, "unauthorized")] {
        let (server, mut reporter) = open([Reply::problem(problem.0, problem.1)]).await;
        let error = reporter.report(["a", "b"].map(line)).await.expect_err("it is refused");
        assert_eq!((error.problem(), reporter.pending()), (Some(problem.1), 0));
        assert_eq!(server.seen().len(), 2);
    }
}
