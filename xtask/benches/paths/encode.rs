//! Events that are made, folded and shown.

use criterion::{BatchSize, Criterion, Throughput};
use tidings_core::{Draft, Event, JobId, Json, Progress, Snapshot, Tag, Timestamp};

use crate::support::{host, json, kind, line, progress, tick};

/// How many events are folded.
const EVENTS: usize = 1000;

pub(crate) fn all(criterion: &mut Criterion) {
    let (job, time) = (JobId::new(), Timestamp::from_millis(1_795_255_203_123));
    let mut group = criterion.benchmark_group("encode");
    group.throughput(Throughput::Elements(1));
    let (line, tick) = (line(), tick());
    group.bench_function("log-draft", |bencher| bencher.iter(|| Draft::log("stdout", &line)));
    let percent = Progress::percent(40.0).with_message("compiling");
    group.bench_function("progress-draft", |bencher| bencher.iter(|| Draft::progress(&percent)));
    group.bench_function("event", |bencher| {
        bencher.iter(|| Event::seal(job, (123_456, Tag::START), time, &tick));
    });

    let mut drafts = vec![Draft::queued(&kind(), &json(r#"{"source":"main.rs"}"#)), Draft::started(1)];
    drafts.extend((0..EVENTS / 4).flat_map(|_| [Draft::log("stdout", "compiled"), tick.clone(), progress(40.0)]));
    drafts.resize(EVENTS - 1, Draft::log("stdout", "linked"));
    drafts.push(Draft::succeeded(&Json::null()));
    let mut before = (0, Tag::START);
    let mut events = Vec::new();
    for draft in &drafts {
        let event = Event::seal(job, before, time, draft);
        before = (event.seq(), event.tag());
        events.push(event);
    }
    let fold = |events: &[Event]| {
        let (first, rest) = events.split_first().expect("events");
        let mut snapshot = Snapshot::open(first).expect("a job");
        rest.iter().for_each(|event| snapshot.apply(event).expect("the next one"));
        snapshot
    };
    group.throughput(Throughput::Elements(events.len() as u64));
    group.bench_function("fold", |bencher| bencher.iter(|| fold(&events)));

    let (host, snapshot) = (host(1), fold(&events));
    group.throughput(Throughput::Elements(1));
    group.bench_function("snapshot", |bencher| {
        bencher.iter_batched_ref(|| snapshot.clone(), |job| host.jobs().snapshot_json(job), BatchSize::SmallInput);
    });
    group.finish();
}
