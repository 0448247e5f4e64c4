//! Those who wait for news of a job, and what it takes to tell them that there is some.

use std::task::{Context, Waker};

use criterion::{Criterion, Throughput};
use tidings_core::Scope;

use crate::support::{host, open, runtime, tick};

/// One who follows a job of its own, and a crowd.
const WAITING: [usize; 2] = [1, 1000];

pub(crate) fn all(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("wake");
    for waiting in WAITING {
        let (runtime, host) = (runtime(), host(1));
        let job = open(&runtime, &host);
        let mut watches: Vec<_> = (0..waiting).map(|_| host.feed().watch(&Scope::job(job))).collect();
        let cx = Context::from_waker(Waker::noop());
        let tick = tick();
        group.throughput(Throughput::Elements(waiting as u64));
        // What the event itself takes is in it: beside a crowd it is little.
        group.bench_function(waiting.to_string(), |bencher| {
            bencher.iter(|| {
                for watch in &mut watches {
                    assert!(watch.poll_changed(&cx).is_pending());
                }
                runtime.block_on(host.jobs().report(job, None, vec![tick.clone()])).expect("taken");
                for watch in &mut watches {
                    assert!(watch.poll_changed(&cx).is_ready());
                }
            });
        });
    }
    group.finish();
}
