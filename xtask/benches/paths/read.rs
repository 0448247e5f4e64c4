//! Events that are read.

use criterion::{BatchSize, Criterion, Throughput};
use tidings_core::{Cursor, Limit};

use crate::support::{host, open, runtime, tick};

/// How many events are read at once.
const EVENTS: usize = 1000;

pub(crate) fn all(criterion: &mut Criterion) {
    let (runtime, host) = (runtime(), host(1));
    let job = open(&runtime, &host);
    runtime.block_on(host.jobs().report(job, None, vec![tick(); 10 * EVENTS])).expect("taken");
    let limit = Limit { events: EVENTS, bytes: 1 << 20 };
    let mut group = criterion.benchmark_group("read");
    group.throughput(Throughput::Elements(EVENTS as u64));
    for (name, after) in [("1000-oldest", Cursor::START), ("1000-newest", Cursor::unchecked(9 * EVENTS as u64 + 2))] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| runtime.block_on(host.feed().read(job, after, limit)).expect("a page").events().count());
        });
    }
    let page = runtime.block_on(host.feed().read(job, Cursor::START, limit)).expect("a page");
    group.bench_function("1000-as-a-page", |bencher| {
        // A page is rendered once; a copy of one that was never rendered is rendered anew.
        bencher.iter_batched_ref(|| page.clone(), |page| host.jobs().page_json(page), BatchSize::SmallInput);
    });
    group.throughput(Throughput::Elements(1));
    group.bench_function("snapshot", |bencher| bencher.iter(|| host.feed().known(job)));
    group.finish();
}
