//! A job may be forgotten as soon as it is over, and those who follow it are still told how it ended.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tidings_core::{
    Clock, Cursor, Draft, Follow, Item, JobId, Json, MemoryLog, ReadError, Retention, Scope, State, Submission, Tag,
};

use crate::support::{Server, kind};

async fn open(server: &Server) -> JobId {
    open_of(server, "outside").await
}

async fn open_of(server: &Server, name: &str) -> JobId {
    let submission = Submission::new(kind(name), Json::null()).with_lease(Duration::from_secs(86_400));
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

/// Reads a follower up to its next gap, and says which jobs it names.
async fn gap(follow: &mut Follow) -> Vec<(JobId, State)> {
    loop {
        match next(follow).await {
            Some(Item::Gap(gap)) => return gap.jobs.iter().map(|job| (job.id, job.state)).collect(),
            Some(_) => {}
            None => panic!("no gap"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_follows_many_jobs_is_told_how_a_forgotten_one_ended() {
    let server = Server::start(|host| host);
    let (first, second) = (open(&server).await, open(&server).await);
    let mut followers = Vec::new();
    for scope in [Scope::all(), Scope::kind(kind("outside")), Scope::jobs([first, second]), Scope::jobs([first])] {
        let mut follower = follow(&server, scope).await;
        assert_eq!(seqs(next(&mut follower).await).first(), Some(&1));
        followers.push(follower);
    }
    end_and_delete(&server, first).await;
    for mut follower in followers {
        assert_eq!(gap(&mut follower).await, [(first, State::Succeeded)]);
        // That is told once, and of the one job alone nothing is left to come.
        let more = tokio::time::timeout(Duration::from_secs(1), follower.next()).await;
        let over = *follower.scope() == Scope::jobs([first]);
        assert_eq!((more.is_err(), matches!(more, Ok(None))), (!over, over));
    }
    // A scope that it does not belong to has lost nothing.
    let mut other = follow(&server, Scope::jobs([second])).await;
    assert_eq!(seqs(next(&mut other).await), [1, 2]);
}

/// Whatever was dropped and forgotten before it, a place in the log that anybody is told has the tag of its event: without
/// it, another log would take the place for one of its own.
#[tokio::test(start_paused = true)]
async fn every_place_over_several_jobs_names_its_history() {
    let mut retention = Retention::default();
    retention.events_per_job = 4;
    let server = Server::start(|host| host.with_log(Arc::new(MemoryLog::new(retention).with_clock(Clock::tokio()))));
    let mut tags = HashMap::from([(0, Tag::START)]);
    let mut all = follow(&server, Scope::all()).await;
    let mut kept = Vec::new();
    for round in 0..40_usize {
        let job = open_of(&server, ["a", "b"][round % 2]).await;
        kept.push(job);
        let lines = vec![Draft::log("s", "x"); round % 7];
        report(&server, kept[round / 5 % kept.len()], lines.clone()).await;
        report(&server, job, lines).await;
        if round % 3 == 0 {
            end_and_delete(&server, job).await;
            kept.pop();
        }
        // Read as it is written, before it is dropped.
        let end = server.host.feed().end();
        tags.insert(end.number(), end.tag().expect("a tag"));
        while all.cursor() != end {
            if let Some(Item::Events(events)) = next(&mut all).await {
                tags.extend(events.iter().map(|entry| (entry.position, entry.event.tag())));
            }
        }
    }
    let (end, mut gaps) = (server.host.feed().end(), 0);
    for after in 0..=end.number() {
        for scope in [Scope::all(), Scope::kind(kind("a")), Scope::kind(kind("b")), Scope::jobs(kept.clone())] {
            let follow = server.host.feed().follow(scope, Cursor::unchecked(after)).await;
            let mut follow = follow.expect("it is followed");
            let mut places = vec![follow.cursor()];
            while follow.cursor() != end || places.len() == 1 {
                let Ok(item) = tokio::time::timeout(Duration::from_millis(1), next(&mut follow)).await else { break };
                if let Some(Item::Gap(gap)) = item {
                    gaps += 1;
                    places.push(gap.cursor);
                }
                places.push(follow.cursor());
            }
            for place in places {
                let tag = place.tag().unwrap_or_else(|| panic!("after {after}: the place {place} has no tag"));
                if let Some(known) = tags.get(&place.number()) {
                    assert_eq!(tag, *known, "after {after}, at {place}");
                }
            }
        }
    }
    assert!(gaps > 100, "{gaps}");
}
