//! Requests that a host answers, without what it takes to get them off a socket.

use std::{future::poll_fn, pin::Pin};

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput};
use http::{Request, StatusCode};
use http_body::Body as _;
use tidings_core::{Body, Host};
use tower_service::Service as _;

use crate::support::{data, host, outside, runtime};

pub(crate) fn all(criterion: &mut Criterion) {
    let (runtime, host) = (runtime(), host(usize::MAX));
    let accepted = runtime.block_on(host.jobs().submit(outside())).expect("a job");
    let (job, report) = (accepted.job.id, accepted.report.expect("a reporter"));
    let shown = format!("/jobs/{job}");
    let get = || Request::get(&shown).header("host", "127.0.0.1:7330").header("accept", "*/*");
    let show = || get().body(Body::empty()).expect("a request");
    let tag = format!("\"{}\"", accepted.job.cursor());
    let show_304 = || get().header("if-none-match", &tag).body(Body::empty()).expect("a request");
    let (reports, bearer) = (format!("/jobs/{job}/events"), format!("Bearer {}", report.token));
    let post = |path| Request::post(path).header("host", "127.0.0.1:7330").header("content-type", "application/json");
    let event = Bytes::from(format!(r#"{{"type":"tick","data":{}}}"#, data()));
    let report = || post(&reports).header("authorization", &bearer).body(event.clone().into()).expect("a request");
    let jobs = "/jobs".to_owned();
    let submission = Bytes::from_static(br#"{"kind":"bench","input":{"source":"main.rs"},"worker":"external"}"#);
    let submit = || post(&jobs).body(submission.clone().into()).expect("a request");

    let mut group = criterion.benchmark_group("request");
    group.throughput(Throughput::Elements(1));
    let mut ask = |name: &str, status: StatusCode, request: &dyn Fn() -> Request<Body>| {
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                request,
                |request| runtime.block_on(answer(host.clone(), request, status)),
                BatchSize::SmallInput,
            );
        });
    };
    ask("show", StatusCode::OK, &show);
    ask("show-unchanged", StatusCode::NOT_MODIFIED, &show_304);
    ask("report", StatusCode::OK, &report);
    ask("submit", StatusCode::ACCEPTED, &submit);
    group.finish();
}

/// Asks as `tidings-server` does.
async fn answer(mut host: Host, request: Request<Body>, status: StatusCode) -> usize {
    let response = if let Some(response) = host.answer_now(&request) {
        response.map(Body::from)
    } else if let Some(report) = host.take_report(&request) {
        report.answer(request.into_body()).await
    } else {
        host.call(request).await.expect("hosts never err")
    };
    assert_eq!(response.status(), status);
    let mut body = response.into_body();
    let mut bytes = 0;
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        bytes += frame.expect("a frame").data_ref().map_or(0, Bytes::len);
    }
    bytes
}
