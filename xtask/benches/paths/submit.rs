//! Jobs that are submitted.

use std::time::{Duration, Instant};

use criterion::{BenchmarkGroup, Criterion, Throughput, measurement::WallTime};
use tidings_core::{Draft, Json, Submission};

use crate::support::{here, host, outside, runtime};

/// How many jobs one log is given before the next log is taken.
const JOBS: u64 = 20_000;

pub(crate) fn all(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("submit");
    group.throughput(Throughput::Elements(1));
    submit(&mut group, "here", here);
    submit(&mut group, "outside", outside);
    kept(&mut group);
    group.finish();
}

/// Into logs that are empty at first.
fn submit(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, submission: fn() -> Submission) {
    let runtime = runtime();
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|times| {
            let (mut left, mut taken) = (times, Duration::ZERO);
            while left > 0 {
                let (now, host) = (left.min(JOBS), host(usize::MAX));
                let submissions: Vec<_> = (0..now).map(|_| submission()).collect();
                taken += runtime.block_on(async {
                    let begun = Instant::now();
                    for submission in submissions {
                        host.jobs().submit(submission).await.expect("taken");
                    }
                    begun.elapsed()
                });
                left -= now;
            }
            taken
        });
    });
}

/// From its submission to its end, with as many jobs kept that are over as may be: for each that comes one is forgotten.
fn kept(group: &mut BenchmarkGroup<'_, WallTime>) {
    let (runtime, host) = (runtime(), host(100_000));
    let result = Draft::succeeded(&Json::null());
    let run = async || {
        let job = host.jobs().submit(outside()).await.expect("taken").job.id;
        host.jobs().report(job, None, vec![result.clone()]).await.expect("taken");
    };
    runtime.block_on(async {
        for _ in 0..100_000 {
            run().await;
        }
    });
    group.bench_function("and-end-with-100000-kept", |bencher| {
        bencher.iter_custom(|times| {
            runtime.block_on(async {
                let begun = Instant::now();
                for _ in 0..times {
                    run().await;
                }
                begun.elapsed()
            })
        });
    });
}
