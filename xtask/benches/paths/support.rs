//! A host without sockets, and what is put into it.

use std::{sync::Arc, time::Duration};

use tidings_core::{Draft, Host, JobId, Json, Kind, MemoryLog, Progress, Retention, Submission};
use tokio::runtime::{Builder, Runtime};

/// How many bytes of data an event has here.
const DATA: usize = 200;

/// One thread, as the cost of one core is what is asked for.
pub(crate) fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().expect("a runtime")
}

/// A host whose log takes so many jobs and keeps of events what it keeps by default; nobody drives it.
pub(crate) fn host(jobs: usize) -> Host {
    let mut retention = Retention::default();
    (retention.jobs, retention.waiting) = (jobs, jobs);
    let builder = Host::builder().with_log(Arc::new(MemoryLog::new(retention)));
    builder.with_job(kind(), |_| async { Ok(Json::null()) }).build().expect("a host").0
}

pub(crate) fn kind() -> Kind {
    "bench".parse().expect("a kind")
}

/// A job that runs here.
pub(crate) fn here() -> Submission {
    Submission::new(kind(), json(r#"{"source":"main.rs","steps":3}"#))
}

/// A job that is reported from outside.
pub(crate) fn outside() -> Submission {
    here().with_lease(Duration::from_secs(3600))
}

/// Opens a job that is reported from outside.
pub(crate) fn open(runtime: &Runtime, host: &Host) -> JobId {
    runtime.block_on(host.jobs().submit(outside())).expect("a job").job.id
}

/// A line of which the data of a `log` have their size.
pub(crate) fn line() -> String {
    "x".repeat(DATA - Draft::log("stdout", "").data().as_str().len())
}

/// An event of a type of the host's own.
pub(crate) fn tick() -> Draft {
    Draft::custom("tick".parse().expect("a type"), data())
}

/// Its data.
pub(crate) fn data() -> Json {
    json(&format!(r#"{{"at":1,"text":"{}"}}"#, "x".repeat(DATA - r#"{"at":1,"text":""}"#.len())))
}

pub(crate) fn progress(done: f64) -> Draft {
    Draft::progress(&Progress::percent(done).with_message("compiling"))
}

pub(crate) fn json(text: &str) -> Json {
    Json::parse(text.as_bytes()).expect("JSON")
}
