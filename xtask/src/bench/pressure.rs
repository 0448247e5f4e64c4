//! What a load costs under pressure, beside the same load without: it should make next to no difference.

use std::time::Duration;

use super::api::Api;
use super::crowd::Idle;
use super::figures::Unit;
use super::load::{Load, Measured};
use super::numbers::{median, short};
use super::plan::Plan;
use super::reporter::Pace;
use super::server::{Server, Servers};
use super::turns::Turns;
use super::whole::{OPENED, SIZE, open_one};
use crate::Result;

/// The load.
const STREAMS: usize = 500;
const PACE: f64 = 100.0;
/// Whatever the pressure is, so many turns are taken of each in turn, as many one way round as the other: many short
/// ones, as a machine that is shared is slower for some of them.
const TURNS: usize = 12;
const WARM_UP: Duration = Duration::from_millis(500);
const TIME: Duration = Duration::from_millis(1500);
/// So many events a job has before anybody follows it: more than [`KEPT_EVENTS`], and more than the buffers of a socket
/// that is never read can take.
const HISTORY: usize = 1200;
/// The bound on a job's events, where it is reached.
const KEPT_EVENTS: usize = 1000;
/// The bound on the bytes of all events, where it is reached: by the history of a few jobs.
const KEPT_BYTES: usize = 1024 * 1024;
/// Clients that subscribe and never read.
const NEVER_READ: usize = 1000;
/// Jobs that are over and still kept.
const FINISHED: usize = 100_000;
/// What CPU time and delay may grow by.
const CPU_BOUND: f64 = 1.1;
const DELAY_BOUND: f64 = 1.2;

/// What a server is put under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pressure {
    None,
    /// The job has as many events as are kept: each append drops one.
    FullJob,
    /// All jobs together have as many bytes as are kept: each append drops something, of the oldest job first.
    FullLog,
    /// Clients on the same job never read.
    NeverRead,
    /// Many jobs are over and kept.
    Finished,
    /// None, once more: what differs here differs by chance.
    Again,
}

/// In the order in which they take their turns; in every second turn it is the other way round, so that a machine that
/// becomes slower meanwhile, or faster, speaks for none of them.
const PRESSURES: [Pressure; 6] =
    [Pressure::None, Pressure::FullJob, Pressure::FullLog, Pressure::NeverRead, Pressure::Finished, Pressure::Again];

pub(super) fn measure(servers: &Servers, plan: &Plan) -> Result<Turns> {
    println!(
        "   {STREAMS} streams on one job, {PACE} events a second, {TURNS} turns of {TIME:?}; {FINISHED} jobs are run first"
    );
    let servers = PRESSURES.map(|pressure| pressure.start(servers));
    let mut running = Vec::new();
    for (pressure, server) in PRESSURES.into_iter().zip(servers) {
        running.push((pressure, server?));
    }
    let (mut turns, mut ratios) = (Turns::default(), Vec::new());
    for _ in 0..TURNS {
        let mut taken = Vec::new();
        for (pressure, server) in &running {
            let measured = plan.least_disturbed(|| pressure.turn(server))?;
            turns.judge(&measured);
            let name = pressure.name();
            turns.add(&format!("{name}: server CPU per delivery"), Unit::Nanoseconds, measured.cpu_per_delivery());
            turns.add(&format!("{name}: delay, p99"), Unit::Nanoseconds, measured.delay(0.99));
            taken.push((*pressure, measured));
        }
        let of = |wanted: Pressure| taken.iter().filter(move |(pressure, _)| *pressure == wanted);
        let once: Vec<_> = of(Pressure::None).map(|(_, measured)| measured).collect();
        let both: Vec<_> = once.iter().copied().chain(of(Pressure::Again).map(|(_, measured)| measured)).collect();
        for (pressure, measured) in &taken {
            // What is without pressure itself can't be its own measure.
            let without = if *pressure == Pressure::Again { &once } else { &both };
            ratios.push((*pressure, Ratios::of(measured, without)));
        }
        running.reverse();
    }
    for pressure in PRESSURES.into_iter().skip(1) {
        let of_it = || ratios.iter().filter(|(other, _)| *other == pressure).map(|(_, ratios)| ratios);
        let cpu: Vec<_> = of_it().map(|ratios| ratios.cpu).collect();
        let delay: Vec<_> = of_it().map(|ratios| ratios.delay).collect();
        println!("   {}: {}", pressure.name(), verdict(&cpu, &delay));
        for (what, values) in [("CPU per delivery", cpu), ("p99", delay)] {
            let name = format!("{}: {what}, beside none", pressure.name());
            values.into_iter().for_each(|value| turns.add(&name, Unit::Ratio, value));
        }
    }
    Ok(turns)
}

/// What the same load costs more than without pressure.
#[derive(Clone, Copy, Debug)]
struct Ratios {
    cpu: f64,
    delay: f64,
}

impl Ratios {
    /// Beside the geometric mean of those without, so that a ratio and its inverse are as likely where it is chance.
    fn of(measured: &Measured, without: &[&Measured]) -> Self {
        let beside = |value: fn(&Measured) -> f64| {
            let logarithms: f64 = without.iter().copied().map(value).map(f64::ln).sum();
            value(measured) / (logarithms / without.len() as f64).exp()
        };
        Self { cpu: beside(Measured::cpu_per_delivery), delay: beside(|measured| measured.delay(0.99)) }
    }
}

impl Pressure {
    fn name(self) -> &'static str {
        match self {
            Self::None => "no pressure",
            Self::FullJob => "job at its bound",
            Self::FullLog => "log at its bound",
            Self::NeverRead => "1,000 that never read",
            Self::Finished => "100,000 finished jobs",
            Self::Again => "no pressure, again",
        }
    }

    fn config(self) -> String {
        match self {
            Self::None | Self::NeverRead | Self::Again => String::new(),
            Self::FullJob => format!("[retention]\nevents_per_job = {KEPT_EVENTS}\n"),
            Self::FullLog => format!("[retention]\nbytes = {KEPT_BYTES}\n"),
            // Room for the measured ones, so that none has to go for them.
            Self::Finished => format!("[retention]\njobs = {}\n", FINISHED + 100),
        }
    }

    /// Starts a server, and does what is done once.
    fn start(self, servers: &Servers) -> Result<Server> {
        let server = servers.start(&self.name().replace([' ', ','], "-"), &self.config())?;
        if self == Self::Finished {
            let mut api = Api::connect(server.address())?;
            let jobs = api.open(FINISHED)?;
            api.finish(&jobs)?;
        }
        Ok(server)
    }

    /// Runs the load on a new job.
    fn turn(self, server: &Server) -> Result<Measured> {
        let job = open_one(server)?;
        let mut api = Api::connect(server.address())?;
        api.fill(&job, HISTORY, SIZE)?;
        let never_read =
            (self == Self::NeverRead).then(|| Idle::clog(server.address(), &job, NEVER_READ)).transpose()?;
        let load = Load {
            jobs: vec![job.clone()],
            streams: STREAMS,
            after: OPENED + HISTORY as u64,
            size: SIZE,
            pace: Pace::PerSecond(PACE),
            warm_up: WARM_UP,
            time: TIME,
        };
        let measured = load.run(server)?;
        drop(never_read);
        // What is over goes first from a log that is full.
        api.finish(&[job])?;
        Ok(measured)
    }
}

/// Whether the medians of these ratios are within their bounds, in words.
fn verdict(cpu: &[f64], delay: &[f64]) -> String {
    let one = |what: &str, ratios: &[f64], bound: f64| {
        let ratio = median(ratios).unwrap_or(f64::NAN);
        let holds = if ratio <= bound { "holds" } else { "DOES NOT HOLD" };
        format!("{what} × {ratio:.2} (at most {}: {holds})", short(bound))
    };
    format!("{}, {}", one("CPU per delivery", cpu, CPU_BOUND), one("p99", delay, DELAY_BOUND))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bound_is_judged_by_its_median() {
        let verdict = verdict(&[1.0, 9.0, 1.099], &[1.21, 0.9, 1.3]);
        let expected = "CPU per delivery × 1.10 (at most 1.1: holds), p99 × 1.21 (at most 1.2: DOES NOT HOLD)";
        assert_eq!(verdict, expected);
    }
}
