//! What is read from outside.

use criterion::{Criterion, Throughput};
use tidings_core::{Cursor, Draft, Event, JobId, Json, Params, Submission, Tag, Timestamp};

use crate::support::{data, line, tick};

pub(crate) fn all(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse");
    group.throughput(Throughput::Elements(1));
    let report = format!(r#"{{"type":"tick","data":{}}}"#, data());
    group.bench_function("json", |bencher| bencher.iter(|| Json::parse(report.as_bytes()).expect("JSON")));
    let spaced = report.replace(',', ", ").replace(':', ": ");
    group.bench_function("json-with-spaces", |bencher| bencher.iter(|| Json::parse(spaced.as_bytes()).expect("JSON")));
    let printed = Draft::log("stdout", &line()).data().clone();
    group.bench_function("reported-log", |bencher| {
        bencher.iter(|| Draft::reported("log", Some(printed.clone())).expect("a draft"));
    });
    let event = Event::seal(JobId::new(), (123_456, Tag::START), Timestamp::from_millis(1_795_255_203_123), &tick());
    let event = event.json();
    group.bench_function("event", |bencher| bencher.iter(|| Event::parse(event.clone()).expect("an event")));
    let submission = br#"{"kind":"bench","input":{"source":"main.rs"},"worker":"external"}"#;
    group.bench_function("submission", |bencher| bencher.iter(|| Submission::parse(submission).expect("one")));
    group.bench_function("params", |bencher| {
        bencher.iter(|| {
            let params = Params::parse(Some("after=123456-9f3c1a2b&limit=100"));
            (params.cursor("after").expect("a cursor"), params.number("limit", 1, 1000).expect("a number"))
        });
    });
    group.bench_function("cursor", |bencher| bencher.iter(|| "123456-9f3c1a2b".parse::<Cursor>().expect("one")));
    let id = JobId::new().to_string();
    group.bench_function("job-id", |bencher| bencher.iter(|| id.parse::<JobId>().expect("an id")));
    group.finish();
}
