//! A job may be forgotten as soon as it is over, and those who follow it are still told how it ended.

use std::time::Duration;

use tidings_core::{Cursor, Draft, Follow, Item, JobId, Json, ReadError, Scope, State, Submission};

use crate::support::{Server, kind};

async fn open(server: &Server) -> JobId {
    let submission = Submission::new(kind("outside"), Json::null()).with_lease(Duration::from_secs(86_400));
    server.host.jobs().submit(submission).await.expect("a job").job.id
}

async fn report(server: &Server, job: JobId, drafts: Vec<Draft>) {
    server.host.jobs().report(job, None, drafts).await.expect("it is taken");
}

/// Ends a job and forgets it, and nobody else has a turn in between.
async fn end_and_delete(server: &Server, job: JobId) {
    report(server, job, vec![Draft::succeeded(&Json::null())]).await;
    server.host.jobs().delete(job).await.expect("it is over");
}

async fn follow(server: &Server, scope: Scope) -> Follow {
    server.host.feed().follow(scope, Cursor::START).await.expect("it is followed")
}

async fn next(follow: &mut Follow) -> Option<Item> {
    let next = tokio::time::timeout(Duration::from_secs(60), follow.next()).await.expect("there is more, or an end");
    next.map(|item| item.expect("the log can be read"))
}

fn seqs(item: Option<Item>) -> Vec<u64> {
    match item {
        Some(Item::Events(events)) => events.iter().map(|entry| entry.event.seq()).collect(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_in_step_sees_the_end() {
    let server = Server::start(|host| host);
    let job = open(&server).await;
    let mut in_step = follow(&server, Scope::job(job)).await;
    assert_eq!(seqs(next(&mut in_step).await), [1, 2]);
    report(&server, job, vec![Draft::log("s", "x")]).await;
    end_and_delete(&server, job).await;
    assert_eq!(seqs(next(&mut in_step).await), [3, 4]);
    assert!(next(&mut in_step).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn who_lags_is_told_of_a_gap_with_the_job_as_it_ended() {
    let server = Server::start(|host| host);
    let job = open(&server).await;
    let mut lagging = follow(&server, Scope::job(job)).await;
    for _ in 0..20 {
        report(&server, job, vec![Draft::log("s", &"x".repeat(30_000))]).await;
    }
    end_and_delete(&server, job).await;
    assert_eq!(seqs(next(&mut lagging).await), [1, 2]);
    let Some(Item::Gap(gap)) = next(&mut lagging).await else { panic!("no gap") };
    assert_eq!((gap.requested, gap.resumed_at), (2, 24));
    assert_eq!((gap.jobs[0].state, gap.jobs[0].cursor()), (State::Succeeded, gap.cursor));
    assert!(next(&mut lagging).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_the_end_is_told_of_it_and_who_comes_later_is_not() {
    let server = Server::start(|host| host);
    let job = open(&server).await;
    let mut in_step = follow(&server, Scope::job(job)).await;
    let feed = server.host.feed().clone();
    let waiting = tokio::spawn(async move { feed.finished(job).await });
    tokio::task::yield_now().await;
    end_and_delete(&server, job).await;
    let later = server.host.feed().follow(Scope::job(job), Cursor::START).await;
    assert!(matches!(later, Err(ReadError::UnknownJob)), "{later:?}");
    assert!(matches!(server.host.feed().finished(job).await, Err(ReadError::UnknownJob)));
    assert_eq!(waiting.await.expect("no panic").expect("it is told").state, State::Succeeded);
    assert_eq!(seqs(next(&mut in_step).await), [1, 2]);
    assert_eq!(seqs(next(&mut in_step).await), [3]);
}
