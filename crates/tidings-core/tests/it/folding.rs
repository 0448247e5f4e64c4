//! Folding the records alone brings back all of `Jobs`.

use std::sync::Arc;

use async_trait::async_trait;
use http::Method;
use tidings_core::{
    Appended, Capacity, Cursor, Draft, Error, Event, EventLog, Intent, JobId, Json, Ledger, Limit, Listing, MemoryLog,
    Opening, Private, Query, ReadOutcome, Record, Refusal, Reporter, Retention, Scope, Snapshot, State, Tail,
    Timestamp, Write,
};
use tokio::sync::Mutex;

use crate::support::{Ask, Server};

/// A log that keeps all records that its writes become, beside the log in memory that answers.
#[derive(Debug)]
struct Recorder {
    memory: MemoryLog,
    /// The same writes, admitted once more, and what they became.
    kept: Mutex<(Ledger, Vec<Record>, u64)>,
}

const ROOM: Capacity = Capacity { jobs: 1000, waiting: 1000, bytes: usize::MAX, keys: usize::MAX };

#[async_trait]
impl EventLog for Recorder {
    async fn append(&self, write: Write) -> Result<Result<Appended, Refusal>, Error> {
        let mut kept = self.kept.lock().await;
        let (ledger, records, position) = &mut *kept;
        if let Ok(admitted) = ledger.admit(&write, *position, &ROOM) {
            for record in admitted {
                ledger.apply(&record).expect("what is admitted can be folded");
                if let Record::Event { position: at, .. } = record {
                    *position = at;
                }
                records.push(record);
            }
        }
        self.memory.append(write).await
    }

    async fn read(&self, scope: &Scope, after: Cursor, limit: Limit) -> Result<ReadOutcome, Error> {
        self.memory.read(scope, after, limit).await
    }

    async fn catch_up(&self) -> Result<(), Error> {
        self.memory.catch_up().await
    }

    fn job(&self, job: JobId) -> Option<Arc<Snapshot>> {
        self.memory.job(job)
    }

    fn reporter(&self, job: JobId) -> Option<(Reporter, u64)> {
        self.memory.reporter(job)
    }

    fn jobs(&self, query: &Query) -> Listing {
        self.memory.jobs(query)
    }

    fn tail(&self) -> &Arc<Tail> {
        self.memory.tail()
    }
}

/// All that a snapshot says.
fn said(job: &Snapshot) -> String {
    format!(
        "{} {} {} {} {} {} {} {:?} {:?} {:?} {} {} {:?} {} {:?}",
        job.id,
        job.kind,
        job.state,
        job.seq,
        job.tag,
        job.attempt,
        job.input,
        job.progress,
        job.result,
        job.error,
        job.cancel_requested,
        job.created_at,
        job.started_at,
        job.updated_at,
        job.finished_at
    )
}

#[tokio::test(start_paused = true)]
async fn the_records_alone_bring_everything_back() {
    let memory = MemoryLog::new(Retention::default());
    let log = Arc::new(Recorder { memory, kept: Mutex::default() });
    let server = Server::start(|host| host.with_log(log.clone()));
    let keyed = |key: &str| Ask::post("/jobs").header("idempotency-key", key).json(r#"{"kind":"waits","input":[1.0]}"#);
    // One job of each fate.
    for kind in ["echo", "fails", "panics", "waits"] {
        server.submit(kind).await;
    }
    let (cancelled, deleted) = (server.ask(keyed("a")).await.id(), server.submit("echo").await);
    server.until(cancelled, State::Running).await;
    server.ask(Ask::post(&format!("/jobs/{cancelled}/cancel")).json(r#"{"reason":"x"}"#)).await;
    server.over(cancelled).await;
    server.over(deleted).await;
    server.ask(Ask::new(Method::DELETE, &format!("/jobs/{deleted}"))).await;
    let outside = server.open().await;
    server.report(&outside, r#"[{"type":"progress","data":{"done":1}},{"type":"tick"}]"#).await;
    let (_, waits) = (server.submit("stubborn").await, server.submit("waits").await);
    server.until(waits, State::Running).await;

    let kept = log.kept.lock().await;
    let (_, records, _) = &*kept;
    let mut folded: Ledger = Ledger::default();
    for record in records {
        folded.apply(record).expect("the records fit one another");
    }
    let (before, after): (Vec<_>, Vec<_>) = (log.jobs(&Query::new(1000)).jobs, folded.newest(None).cloned().collect());
    assert_eq!(before.len(), 8);
    assert_eq!(
        before.iter().map(|job| said(job)).collect::<Vec<_>>(),
        after.iter().map(|job| said(job)).collect::<Vec<_>>()
    );
    for job in &before {
        let reporter = |found: Option<(Reporter, u64)>| found.map(|(who, received)| (who.token, who.lease, received));
        assert_eq!(reporter(log.reporter(job.id)), reporter(folded.reporter(job.id)));
        let events: Vec<_> = records.iter().filter_map(|record| of(record, job.id)).map(|event| event.json()).collect();
        let shown = server.events(job.id).await;
        assert_eq!(shown.iter().map(Event::json).collect::<Vec<_>>(), events);
    }
    assert_eq!(folded.reporter(outside.0).map(|(_, received)| received), Some(2));
    assert!(folded.snapshot(deleted).is_none());
    assert_eq!(folded.key(cancelled).map(|key| &**key), Some("a"));
    // And it refuses what it has refused before.
    let key = records.iter().find_map(|record| match record {
        Record::Event { private: Private::Opening(opening), .. } => opening.key.clone(),
        _ => None,
    });
    let opening = Arc::new(Opening { key, reporter: None });
    let queued = Draft::queued(&crate::support::kind("waits"), &Json::null());
    let time = Timestamp::from_millis(0);
    let write = Write { job: JobId::new(), intent: Intent::Open(opening), drafts: vec![queued], time };
    assert!(matches!(folded.admit(&write, 0, &ROOM), Err(Refusal::KeyTaken { job, .. }) if job == cancelled));
}

fn of(record: &Record, job: JobId) -> Option<&Event> {
    match record {
        Record::Event { event, .. } => Some(event).filter(|event| event.job() == job),
        Record::Deleted(_) => None,
    }
}

#[test]
fn jobs_of_a_kind_share_its_name_and_kinds_without_end_are_not_remembered() {
    let mut ledger: Ledger = Ledger::default();
    let capacity = Capacity { jobs: usize::MAX, waiting: usize::MAX, bytes: usize::MAX, keys: 0 };
    let mut name_of = |kind: &str| {
        let job = JobId::new();
        let drafts = vec![Draft::queued(&kind.parse().expect("a kind"), &Json::null())];
        let intent = Intent::Open(Arc::new(Opening { key: None, reporter: None }));
        let write = Write { job, intent, drafts, time: Timestamp::from_millis(1) };
        for record in ledger.admit(&write, 0, &capacity).expect("admitted") {
            ledger.apply(&record).expect("it fits");
        }
        // The job keeps its name alive, so that no other can have its place.
        ledger.snapshot(job).expect("a job").kind.as_str().as_ptr()
    };
    let first = name_of("build");
    assert_eq!(name_of("build"), first);
    for nth in 0..1000 {
        assert_ne!(name_of(&format!("invented-{nth}")), first);
    }
    assert_ne!(name_of("build"), first);
}
