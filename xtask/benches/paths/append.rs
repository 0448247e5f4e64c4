//! Events that are appended, with nobody who follows them, to a log that has reached its bound.

use std::time::Instant;

use criterion::{BenchmarkGroup, Criterion, Throughput, measurement::WallTime};
use tidings_core::{Draft, JobId, Jobs};

use crate::support::{host, line, open, runtime, tick};

/// How many events a batch has.
const BATCH: usize = 16;

/// Over how many jobs events are spread.
const JOBS: usize = 1000;

pub(crate) fn all(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("append");
    let line = line();
    append(&mut group, "log", 1, 1, || Draft::log("stdout", &line));
    let tick = tick();
    append(&mut group, "custom", 1, 1, || tick.clone());
    append(&mut group, "batch", 1, BATCH, || tick.clone());
    append(&mut group, "many-jobs", JOBS, 1, || tick.clone());
    group.finish();
}

/// Reports to `jobs` jobs in turn, in batches of `batch` events.
fn append(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, jobs: usize, batch: usize, draft: impl Fn() -> Draft) {
    let (runtime, host) = (runtime(), host(jobs));
    let ids: Vec<JobId> = (0..jobs).map(|_| open(&runtime, &host)).collect();
    let report = async |jobs: &Jobs, job: JobId| {
        let drafts = std::iter::repeat_with(&draft).take(batch).collect();
        jobs.report(job, None, drafts).await.expect("taken");
    };
    // Up to the bound: 100,000 events of a job, or a gigabyte of all.
    let until_full = 100_000 * jobs.min(20) / batch;
    runtime.block_on(async {
        for job in ids.iter().cycle().take(until_full) {
            report(host.jobs(), *job).await;
        }
    });
    group.throughput(Throughput::Elements(batch as u64));
    let mut next = ids.iter().cycle();
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|times| {
            runtime.block_on(async {
                let begun = Instant::now();
                for job in next.by_ref().take(usize::try_from(times).unwrap_or(usize::MAX)) {
                    report(host.jobs(), *job).await;
                }
                begun.elapsed()
            })
        });
    });
}
