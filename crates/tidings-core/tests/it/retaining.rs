//! Bounds: what is kept has limits, going over one is told, and a job that runs never loses its snapshot.

use std::{sync::Arc, time::Duration};

use tidings_core::{
    Clock, Cursor, Draft, Item, JobId, Json, Limit, Limits, MemoryLog, More, Page, ProblemKind, Progress, ReadError,
    Retention, Scope, State, Submission,
};

use crate::support::{Ask, Server, kind};

fn start(set: impl FnOnce(&mut Retention)) -> Server {
    let mut retention = Retention::default();
    set(&mut retention);
    let clock = Clock::tokio();
    let log = MemoryLog::new(retention).with_clock(clock.clone());
    let mut limits = Limits::default();
    limits.running = 1;
    Server::start(|host| host.with_log(Arc::new(log)).with_clock(clock).with_limits(limits))
}

async fn open(server: &Server) -> JobId {
    let submission = Submission::new(kind("outside"), Json::null()).with_lease(Duration::from_secs(86_400));
    server.host.jobs().submit(submission).await.expect("a job").job.id
}

async fn lines(server: &Server, job: JobId, count: usize, size: usize) {
    let drafts = (0..count).map(|_| Draft::log("stdout", &"x".repeat(size))).collect();
    server.host.jobs().report(job, None, drafts).await.expect("it is taken");
}

async fn finish(server: &Server, job: JobId) {
    let end = vec![Draft::succeeded(&Json::null())];
    server.host.jobs().report(job, None, end).await.expect("it is taken");
}

async fn page(server: &Server, job: JobId, after: Cursor) -> Page {
    let all = Limit { events: usize::MAX, bytes: usize::MAX };
    server.host.feed().read(job, after, all).await.expect("a page")
}

#[tokio::test(start_paused = true)]
async fn of_one_job_the_oldest_events_go_and_the_gap_has_the_fold() {
    let server = start(|retention| retention.events_per_job = 10);
    let job = open(&server).await;
    let progress = vec![Draft::progress(&Progress::percent(40.0))];
    server.host.jobs().report(job, None, progress).await.expect("it is taken");
    let before = server.job(job).await.cursor();
    lines(&server, job, 97, 1).await;
    let read = page(&server, job, Cursor::START).await;
    let gap = read.gap.as_ref().expect("a gap");
    assert_eq!((gap.requested, gap.resumed_at, gap.jobs[0].seq), (0, 91, 90));
    assert_eq!(
        gap.jobs[0].progress.as_ref().map(|json| json.as_str()),
        read.job.progress.as_ref().map(|json| json.as_str())
    );
    assert_eq!(read.events().map(|entry| entry.event.seq()).collect::<Vec<_>>(), (91..=100).collect::<Vec<_>>());
    assert_eq!((read.cursor, read.more), (read.job.cursor(), More::Later));
    assert_eq!(page(&server, job, before).await.gap.map(|gap| (gap.requested, gap.resumed_at)), Some((3, 91)));
    // The tag of the last one dropped is still known, and that of those before is not.
    assert!(page(&server, job, gap.cursor).await.gap.is_none());
    let limit = Limit { events: 1, bytes: 1 };
    let wrong = "90-00000000".parse().expect("a cursor");
    assert!(matches!(server.host.feed().read(job, wrong, limit).await, Err(ReadError::Mismatch)));
    let unknown = "50-00000000".parse().expect("a cursor");
    assert!(page(&server, job, unknown).await.gap.is_some());
}

#[tokio::test(start_paused = true)]
async fn bytes_count_as_well() {
    let server = start(|retention| retention.bytes_per_job = 100_000);
    let job = open(&server).await;
    lines(&server, job, 50, 10_000).await;
    let kept = page(&server, job, Cursor::START).await;
    let count = kept.events().count() as u64;
    assert!((8..=9).contains(&count), "{count}");
    assert_eq!(kept.gap.map(|gap| gap.resumed_at), Some(53 - count));
}

#[tokio::test(start_paused = true)]
async fn of_all_jobs_those_that_are_over_lose_theirs_first() {
    let server = start(|retention| retention.bytes = 100_000);
    let (running, ended, second) = (open(&server).await, open(&server).await, open(&server).await);
    lines(&server, running, 3, 10_000).await;
    lines(&server, ended, 3, 10_000).await;
    finish(&server, ended).await;
    lines(&server, second, 6, 10_000).await;
    assert!(page(&server, running, Cursor::START).await.gap.is_none());
    assert!(page(&server, ended, Cursor::START).await.gap.is_some());
    // All of it gone, the job is known as it ended.
    lines(&server, second, 1, 60_000).await;
    let gone = page(&server, ended, Cursor::START).await;
    assert_eq!((gone.events().count(), gone.more, gone.job.state), (0, More::Never, State::Succeeded));
    assert_eq!(gone.gap.map(|gap| gap.resumed_at), Some(7));
    // Then the oldest of those that run go, and still each is known.
    lines(&server, second, 1, 60_000).await;
    assert!(page(&server, running, Cursor::START).await.gap.is_some());
    for job in [running, second] {
        assert_eq!(server.job(job).await.state, State::Running);
        lines(&server, job, 1, 10).await;
    }
}

#[tokio::test(start_paused = true)]
async fn where_the_jobs_themselves_weigh_those_that_ended_first_go_first() {
    let server = start(|retention| retention.bytes = 100_000);
    let mut ended = Vec::new();
    for _ in 0..8 {
        let job = open(&server).await;
        let end = vec![Draft::succeeded(&Json::from_value(&"x".repeat(20_000)).expect("JSON"))];
        server.host.jobs().report(job, None, end).await.expect("it is taken");
        tokio::time::advance(Duration::from_millis(5)).await;
        ended.push(job);
    }
    let known: Vec<_> = ended.iter().map(|job| server.host.feed().known(*job).is_some()).collect();
    assert_eq!(known.iter().filter(|known| **known).count(), 4, "{known:?}");
    assert!(known.is_sorted(), "{known:?}");
}

#[tokio::test(start_paused = true)]
async fn after_its_end_a_job_is_kept_for_an_hour() {
    let server = start(|_| {});
    let (ended, running) = (open(&server).await, open(&server).await);
    finish(&server, ended).await;
    tokio::time::advance(Duration::from_secs(3599)).await;
    assert_eq!(server.get(&format!("/jobs/{ended}")).await.status, 200);
    tokio::time::advance(Duration::from_secs(1)).await;
    server.get(&format!("/jobs/{ended}")).await.is(ProblemKind::UnknownJob);
    assert_eq!(server.get("/jobs").await.json()["jobs"].as_array().map(Vec::len), Some(1));
    assert_eq!(server.get(&format!("/jobs/{running}")).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn of_too_many_jobs_those_that_ended_first_go_first() {
    let server = start(|retention| retention.jobs = 3);
    let jobs = [open(&server).await, open(&server).await, open(&server).await];
    server.ask(Ask::post("/jobs").json(r#"{"kind":"outside","worker":"external"}"#)).await.is(ProblemKind::Overloaded);
    tokio::time::advance(Duration::from_millis(5)).await;
    finish(&server, jobs[1]).await;
    tokio::time::advance(Duration::from_millis(5)).await;
    finish(&server, jobs[0]).await;
    open(&server).await;
    server.get(&format!("/jobs/{}", jobs[1])).await.is(ProblemKind::UnknownJob);
    assert_eq!(server.get(&format!("/jobs/{}", jobs[0])).await.status, 200);
    open(&server).await;
    server.get(&format!("/jobs/{}", jobs[0])).await.is(ProblemKind::UnknownJob);
    assert_eq!(server.job(jobs[2]).await.state, State::Running);
}

#[tokio::test(start_paused = true)]
async fn no_job_goes_for_one_that_is_not_taken() {
    let server = start(|retention| (retention.jobs, retention.waiting) = (3, 1));
    let ended = open(&server).await;
    finish(&server, ended).await;
    let runs = server.submit("waits").await;
    server.until(runs, State::Running).await;
    let waiting = Submission::new(kind("waits"), Json::null());
    let jobs = server.host.jobs();
    jobs.submit(waiting.clone()).await.expect("there is room for one");
    assert!(jobs.submit(waiting).await.is_err_and(|problem| problem.kind() == ProblemKind::Overloaded));
    assert!(jobs.get(ended).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn over_several_jobs_a_gap_names_those_that_it_concerns() {
    let server = start(|retention| retention.events_per_job = 5);
    let (calm, busy) = (open(&server).await, open(&server).await);
    lines(&server, busy, 20, 1).await;
    let mut follow = server.host.feed().follow(Scope::all(), Cursor::START).await.expect("it is followed");
    let Some(Ok(Item::Gap(gap))) = follow.next().await else { panic!("no gap") };
    assert_eq!(gap.jobs.iter().map(|job| job.id).collect::<Vec<_>>(), [busy]);
    let Some(Ok(Item::Events(events))) = follow.next().await else { panic!("no events") };
    assert_eq!(events.iter().filter(|entry| entry.event.job() == calm).count(), 2);
    assert_eq!(events.iter().filter(|entry| entry.event.job() == busy).count(), 5);
    assert!(events.is_sorted_by_key(|entry| entry.position));
    // Nothing of the calm one was dropped, so who follows it alone is told of nothing.
    let mut follow = server.host.feed().follow(Scope::jobs([calm]), Cursor::START).await.expect("it is followed");
    assert!(matches!(follow.next().await, Some(Ok(Item::Events(events))) if events.len() == 2));
}

#[tokio::test(start_paused = true)]
async fn a_follower_of_several_jobs_is_told_of_each_gap_whichever_was_dropped_first() {
    let server = start(|retention| retention.events_per_job = 10);
    let (one, other) = (open(&server).await, open(&server).await);
    let mut follow = server.host.feed().follow(Scope::all(), Cursor::START).await.expect("jobs");
    // So large that the follower does not read all of them at once.
    lines(&server, one, 8, 20_000).await;
    lines(&server, other, 20, 1).await;
    assert!(matches!(follow.next().await, Some(Ok(Item::Events(_)))), "what was there when it began");
    let mut told = async || match tokio::time::timeout(Duration::from_secs(60), follow.next()).await.expect("more") {
        Some(Ok(Item::Gap(gap))) => gap.jobs.iter().map(|job| job.id).collect(),
        Some(Ok(Item::Events(_))) => Vec::new(),
        other => panic!("{other:?}"),
    };
    assert_eq!(told().await, [other]);
    assert_eq!(told().await, []);
    // Before the end of what was dropped of the other one, and after what the follower has read.
    lines(&server, one, 6, 1).await;
    let mut next = told().await;
    while next.is_empty() {
        next = told().await;
    }
    assert!(next.contains(&one), "{next:?}");
}
