//! The whole server: how many deliveries, how late, what each costs, and what an idle client takes.

use std::thread;
use std::time::Duration;

use super::api::{Api, Job};
use super::crowd::{Idle, Wish};
use super::figures::Unit;
use super::load::{Load, Measured};
use super::numbers::median;
use super::plan::Plan;
use super::process;
use super::reporter::Pace;
use super::server::{Server, Servers};
use super::turns::Turns;
use crate::Result;

/// Bytes of an event's data, where nothing else is said.
pub(super) const SIZE: usize = 200;
/// The seq of the last event of a job that was just opened: it is queued and started at once.
pub(super) const OPENED: u64 = 2;
/// Streams on one job.
const STREAMS: usize = 1000;
/// Events a second: half of what one core does, or less.
const PACE: f64 = 50.0;
/// Idle clients.
const IDLE: usize = 10_000;
/// A server that takes no connection over from hyper: what a host of its own has.
const PLAIN: &str = "[connections]\ntake_over = false\n";
/// As many bytes of the server's memory may an idle client take, where its connection is taken over and where not.
const TAKEN_OVER_BOUND: f64 = 2_000.0;
const PLAIN_BOUND: f64 = 12_000.0;
/// How long the server and the kernel may take to put away what opening a connection took.
const SETTLE: Duration = Duration::from_secs(1);

pub(super) fn measure(servers: &Servers, plan: &Plan) -> Result<Turns> {
    println!("   {STREAMS} streams on one job, events with {SIZE} bytes of data: {PACE} a second, and flat out");
    let mut turns = Turns::default();
    for _ in 0..plan.turns {
        let server = servers.start("whole", "")?;
        let paced = plan.least_disturbed(|| one_job(&server, plan, Pace::PerSecond(PACE)))?;
        turns.judge(&paced);
        turns.add("paced: server CPU per delivery", Unit::Nanoseconds, paced.cpu_per_delivery());
        turns.add("paced: delay, median", Unit::Nanoseconds, paced.delay(0.5));
        turns.add("paced: delay, p99", Unit::Nanoseconds, paced.delay(0.99));
        let flat_out = plan.least_disturbed(|| one_job(&server, plan, Pace::FlatOut))?;
        turns.judge(&flat_out);
        turns.add("flat out: deliveries", Unit::PerSecond, flat_out.deliveries_per_second());
        turns.add("flat out: server CPU per delivery", Unit::Nanoseconds, flat_out.cpu_per_delivery());
    }
    let count = plan.streams(IDLE);
    println!("   {count} idle streams, and as many parked long polls, as they are and as plain bodies");
    let (stream, long_poll) = (Wish::Stream { after: OPENED }, Wish::LongPoll { after: OPENED });
    let clients = [("idle stream", stream), ("parked long poll", long_poll)];
    for (served, config, bound) in [("", "", TAKEN_OVER_BOUND), (", plain body", PLAIN, PLAIN_BOUND)] {
        for (name, wish) in clients {
            let name = format!("{name}{served}");
            let mut each = Vec::new();
            for _ in 0..plan.turns {
                let idle = idle(servers, config, count, wish)?;
                turns.add(&format!("{name}: memory of the server"), Unit::Bytes, idle.server);
                turns.add(&format!("{name}: memory of the kernel, both ends"), Unit::Bytes, idle.kernel);
                each.push(idle.server);
            }
            println!("   {name}: {}", verdict(&each, bound));
        }
    }
    Ok(turns)
}

/// Whether the median of what each takes of the server's memory is within its bound, in words.
fn verdict(each: &[f64], bound: f64) -> String {
    let value = median(each).unwrap_or(f64::NAN);
    let holds = if value <= bound { "holds" } else { "DOES NOT HOLD" };
    format!("{} of the server's memory (at most {}: {holds})", Unit::Bytes.show(value), Unit::Bytes.show(bound))
}

/// The memory that each of many idle clients takes.
#[derive(Clone, Copy, Debug)]
struct IdleMemory {
    server: f64,
    kernel: f64,
}

/// Parks so many clients on a server of their own.
fn idle(servers: &Servers, config: &str, count: usize, wish: Wish) -> Result<IdleMemory> {
    let server = servers.start("idle", config)?;
    let job = open_one(&server)?;
    let look = || Ok::<_, Box<dyn std::error::Error>>((server.memory()? as f64, process::kernel_memory()? as f64));
    let (server_before, kernel_before) = look()?;
    let _idle = Idle::park(server.address(), &job, count, wish)?;
    thread::sleep(SETTLE);
    let (server_after, kernel_after) = look()?;
    let each = |before: f64, after: f64| (after - before) / count as f64;
    Ok(IdleMemory { server: each(server_before, server_after), kernel: each(kernel_before, kernel_after) })
}

/// Runs a load on a new job.
fn one_job(server: &Server, plan: &Plan, pace: Pace) -> Result<Measured> {
    let jobs = vec![open_one(server)?];
    let load = Load { jobs, streams: STREAMS, after: OPENED, size: SIZE, pace, warm_up: plan.warm_up, time: plan.time };
    load.run(server)
}

/// Opens a job.
pub(super) fn open_one(server: &Server) -> Result<Job> {
    Ok(Api::connect(server.address())?.open(1)?.remove(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_on_memory_is_judged_by_the_median() {
        let verdicts = [&[1_990.0, 9_000.0, 100.0], &[2_010.0, 9_000.0, 100.0]].map(|each| verdict(each, 2_000.0));
        let expected = [
            "1.99 kB of the server's memory (at most 2 kB: holds)",
            "2.01 kB of the server's memory (at most 2 kB: DOES NOT HOLD)",
        ];
        assert_eq!(verdicts, expected);
    }
}
