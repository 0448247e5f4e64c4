//! What the paths inside cost that every event, every submission and every request takes: `cargo bench -p xtask`.

mod append;
mod encode;
mod parse;
mod read;
mod request;
mod submit;
mod support;
mod wake;

use std::time::Duration;

use criterion::Criterion;

// What `tidings-server` has: a good part of what an event costs is the memory that it is kept in.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() {
    // Short, so that all of it takes a minute: what is looked for is a change by a tenth, and not by a hundredth.
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1200))
        .configure_from_args();
    append::all(&mut criterion);
    wake::all(&mut criterion);
    submit::all(&mut criterion);
    read::all(&mut criterion);
    request::all(&mut criterion);
    encode::all(&mut criterion);
    parse::all(&mut criterion);
    criterion.final_summary();
}
