//! How cost grows: with subscribers, jobs, history and the size of events.

use std::thread;
use std::time::Duration;

use super::api::Api;
use super::crowd::{Idle, Wish};
use super::figures::Unit;
use super::load::{Load, Measured};
use super::plan::Plan;
use super::process;
use super::reporter::Pace;
use super::server::Servers;
use super::turns::Turns;
use super::whole::{OPENED, SIZE, open_one};
use crate::Result;

/// Each point is measured so often.
const TURNS: usize = 3;
/// Longer than between two heartbeats, so that idle streams show all that they cost.
const IDLE: Duration = Duration::from_secs(16);

/// A row of points that differ in one thing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    /// What differs.
    pub(super) what: &'static str,
    points: &'static [usize],
    point: fn(usize) -> Point,
    per: Per,
}

/// What the CPU time is divided by.
#[derive(Clone, Copy, Debug)]
enum Per {
    Delivery,
    Report,
}

/// A server with a load.
#[derive(Clone, Copy, Debug)]
struct Point {
    jobs: usize,
    streams: usize,
    /// Events that there are before the streams begin.
    history: usize,
    size: usize,
    /// Events a second.
    pace: f64,
}

/// All of them.
pub(super) const ROWS: [Row; 4] = [
    Row {
        what: "subscribers",
        points: &[100, 1000, 10_000],
        // The same number of deliveries each.
        point: |streams| Point { jobs: 1, streams, history: 0, size: SIZE, pace: 40_000.0 / streams as f64 },
        per: Per::Delivery,
    },
    Row {
        what: "jobs",
        points: &[1, 100, 10_000],
        point: |jobs| Point { jobs, streams: jobs, history: 0, size: SIZE, pace: 2000.0 },
        per: Per::Report,
    },
    Row {
        what: "events kept",
        points: &[0, 1000, 100_000],
        point: |history| Point { jobs: 1, streams: 500, history, size: SIZE, pace: 80.0 },
        per: Per::Delivery,
    },
    Row {
        what: "bytes of an event",
        points: &[50, 200, 1024, 4096, 16_384],
        point: |size| Point { jobs: 1, streams: 200, history: 0, size, pace: 100.0 },
        per: Per::Delivery,
    },
];

/// The idle streams that the capacity table begins with; what is beyond is drawn from them.
const IDLE_STREAMS: [usize; 3] = [1000, 10_000, 18_000];
pub(super) const IDLE_SERVER: &str = "idle streams: memory of the server";
pub(super) const IDLE_KERNEL: &str = "idle stream: memory of the kernel, both ends";
pub(super) const IDLE_CPU: &str = "idle streams: server CPU in a second";

pub(super) fn measure(servers: &Servers, plan: &Plan) -> Result<Turns> {
    let mut turns = Turns::default();
    for row in ROWS {
        println!("   by {}: {:?}", row.what, row.points);
        for _ in 0..TURNS {
            for wanted in row.points {
                let point = (row.point)(*wanted);
                if point.streams > plan.most_streams {
                    // It would be another point.
                    println!("   {wanted} need a higher limit on open files (ulimit -n), and are left out");
                    continue;
                }
                let measured = plan.least_disturbed(|| point.measure(servers, plan))?;
                turns.judge(&measured);
                let (name, cpu) = row.cpu(&measured);
                turns.add_at(&name, *wanted as f64, Unit::Nanoseconds, cpu);
                turns.add_at(&row.memory_name(), *wanted as f64, Unit::Bytes, measured.memory as f64);
            }
        }
    }
    println!("   idle streams: {IDLE_STREAMS:?}, for {} s", IDLE.as_secs());
    for wanted in IDLE_STREAMS {
        let count = plan.streams(wanted);
        let kernel = idle(servers, count, &mut turns)?;
        if wanted == IDLE_STREAMS[IDLE_STREAMS.len() - 1] {
            // Of fewer it can't be told from what the kernel takes and gives back anyhow.
            turns.add(IDLE_KERNEL, Unit::Bytes, kernel / count as f64);
        }
    }
    Ok(turns)
}

impl Row {
    /// The name of the figure for CPU time.
    pub(super) fn cpu_name(&self) -> String {
        match self.per {
            Per::Delivery => format!("{}: server CPU per delivery", self.what),
            Per::Report => format!("{}: server CPU per event, its report included", self.what),
        }
    }

    /// The name of the figure for memory.
    pub(super) fn memory_name(&self) -> String {
        format!("{}: memory of the server", self.what)
    }

    fn cpu(&self, measured: &Measured) -> (String, f64) {
        let cpu = match self.per {
            Per::Delivery => measured.cpu_per_delivery(),
            Per::Report => measured.cpu_per_report(),
        };
        (self.cpu_name(), cpu)
    }
}

impl Point {
    fn measure(self, servers: &Servers, plan: &Plan) -> Result<Measured> {
        let Self { streams, history, size, .. } = self;
        // More than any history here, so that nothing is dropped.
        let server = servers.start("growth", "[retention]\nevents_per_job = 1000000\n")?;
        let mut api = Api::connect(server.address())?;
        let jobs = api.open(self.jobs)?;
        for job in jobs.iter().filter(|_| history > 0) {
            api.fill(job, history, size)?;
        }
        let (after, pace) = (OPENED + history as u64, Pace::PerSecond(self.pace));
        Load { jobs, streams, after, size, pace, warm_up: plan.warm_up, time: plan.time }.run(&server)
    }
}

/// Leaves streams alone, and looks at what they cost. Gives the kernel's memory for all of them.
fn idle(servers: &Servers, count: usize, turns: &mut Turns) -> Result<f64> {
    let server = servers.start("idle", "")?;
    let job = open_one(&server)?;
    let kernel_before = process::kernel_memory()?;
    let _idle = Idle::park(server.address(), &job, count, Wish::Stream { after: OPENED })?;
    // The first second is still that of the beginning.
    thread::sleep(Duration::from_secs(1));
    let cpu_before = server.cpu()?;
    thread::sleep(IDLE);
    let cpu = (server.cpu()? - cpu_before).as_nanos() as f64 / IDLE.as_secs_f64();
    let kernel = process::kernel_memory()?.saturating_sub(kernel_before);
    turns.add_at(IDLE_SERVER, count as f64, Unit::Bytes, server.memory()? as f64);
    turns.add_at(IDLE_CPU, count as f64, Unit::Nanoseconds, cpu);
    Ok(kernel as f64)
}
