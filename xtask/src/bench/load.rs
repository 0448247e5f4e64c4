//! One measured run: streams that are read, and a reporter.

use std::net::SocketAddrV4;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;

use super::api::Job;
use super::crowd::{Crowd, Seen};
use super::numbers::Histogram;
use super::process;
use super::reporter::{Pace, Reporter};
use super::server::Server;
use crate::Result;

/// How long what is on its way may take to arrive.
const DRAIN: Duration = Duration::from_secs(20);
/// How long it may take until so many events are reported.
const PATIENCE: Duration = Duration::from_secs(120);
/// When reports are made as fast as they are taken, streams are read so often: one read then takes many events, and the
/// load is not what is measured.
const BETWEEN_READS: Duration = Duration::from_millis(10);

/// Where others take so much of the server's core, its figures are those of a busy machine.
pub(super) const DISTURBED: f64 = 0.05;

/// What a run is made of.
#[derive(Clone, Debug)]
pub(super) struct Load {
    pub(super) jobs: Vec<Job>,
    /// As many or more than there are jobs: each of them has as many.
    pub(super) streams: usize,
    /// The seq after which the streams begin.
    pub(super) after: u64,
    /// Bytes of an event's data.
    pub(super) size: usize,
    pub(super) pace: Pace,
    /// Before anything is measured.
    pub(super) warm_up: Duration,
    pub(super) time: Duration,
}

/// What was measured in one run.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    pub(super) time: Duration,
    pub(super) reports: u64,
    pub(super) deliveries: u64,
    pub(super) delays: Histogram,
    /// The server's.
    pub(super) cpu: Duration,
    /// The server's, at the end.
    pub(super) memory: u64,
    /// What part of the time the load's own core was at work for it. Near 1 the load is what was measured.
    pub(super) load_share: f64,
    /// What part of the time others took of the server's core. None where it has no core of its own.
    pub(super) others_share: Option<f64>,
}

impl Measured {
    /// The server's CPU time for each delivery, in nanoseconds.
    pub(super) fn cpu_per_delivery(&self) -> f64 {
        self.cpu.as_nanos() as f64 / self.deliveries as f64
    }

    /// The server's CPU time for each report and what it brought, in nanoseconds.
    pub(super) fn cpu_per_report(&self) -> f64 {
        self.cpu.as_nanos() as f64 / self.reports as f64
    }

    /// Whether others took so much of the server's core that the figures are those of a busy machine.
    pub(super) fn is_disturbed(&self) -> bool {
        self.others_share.is_some_and(|share| share > DISTURBED)
    }

    pub(super) fn deliveries_per_second(&self) -> f64 {
        self.deliveries as f64 / self.time.as_secs_f64()
    }

    /// A quantile of the delays, in nanoseconds.
    pub(super) fn delay(&self, share: f64) -> f64 {
        self.delays.quantile(share).unwrap_or(0) as f64
    }
}

/// A run that is under way.
struct Run {
    crowd: Crowd,
    reporter: Reporter,
    streams_per_job: u64,
    is_lazy: bool,
    next_read: Instant,
}

/// What is looked at before and after.
struct Mark {
    at: Instant,
    reports: u64,
    deliveries: u64,
    cpu: Duration,
    own_cpu: Duration,
    busy: Option<Duration>,
}

impl Load {
    /// Opens the streams, reports, and reads. Fails if any stream has lost, repeated or missed an event.
    pub(super) fn run(&self, server: &Server) -> Result<Measured> {
        let mut run = self.begin(server.address())?;
        run.go_on(Instant::now() + self.warm_up, u64::MAX)?;
        run.crowd.forget_delays();
        let before = run.mark(server)?;
        run.go_on(before.at + self.time, u64::MAX)?;
        let after = run.mark(server)?;
        let memory = server.memory()?;
        let delays = run.crowd.seen().delays.clone();
        run.drain()?;

        let time = after.at - before.at;
        let share = |time_at_work: Duration| time_at_work.as_secs_f64() / time.as_secs_f64();
        let cpu = after.cpu - before.cpu;
        let busy = after.busy.zip(before.busy).map(|(after, before)| after.saturating_sub(before));
        Ok(Measured {
            time,
            reports: after.reports - before.reports,
            deliveries: after.deliveries - before.deliveries,
            delays,
            cpu,
            memory,
            load_share: share(after.own_cpu.saturating_sub(before.own_cpu)),
            others_share: busy.map(|busy| share(busy.saturating_sub(cpu))),
        })
    }

    /// Opens the streams, reports so many events, and reads them. Measures nothing.
    pub(super) fn run_events(&self, server: &Server, events: u64) -> Result<()> {
        let mut run = self.begin(server.address())?;
        run.go_on(Instant::now() + PATIENCE, events)?;
        run.drain()
    }

    fn begin(&self, address: SocketAddrV4) -> Result<Run> {
        let epoch = Instant::now();
        let crowd = Crowd::connect(address, &self.jobs, self.streams, self.after, epoch)?;
        let reporter = Reporter::connect(address, self.jobs.clone(), self.size, self.pace, epoch)?;
        let streams_per_job = (self.streams / self.jobs.len()) as u64;
        let is_lazy = self.pace == Pace::FlatOut;
        Ok(Run { crowd, reporter, streams_per_job, is_lazy, next_read: epoch })
    }
}

impl Run {
    /// Reports and reads until then, or until so many events are reported.
    fn go_on(&mut self, until: Instant, most: u64) -> Result<()> {
        loop {
            let due = self.reporter.report(self.on_their_way())?;
            let now = Instant::now();
            if now >= until || self.reporter.sent() >= most {
                return Ok(());
            }
            let mut patience = until - now;
            if let Some(due) = due {
                patience = patience.min(due);
            }
            if self.is_lazy {
                patience = patience.min(self.next_read.saturating_duration_since(now));
            }
            let is_readable = self.wait(patience)?;
            if is_readable || (self.is_lazy && Instant::now() >= self.next_read) {
                let Self { crowd, reporter, streams_per_job, .. } = self;
                let streams = crowd.len();
                crowd
                    .read(|seen| reporter.report(on_their_way(reporter, *streams_per_job, seen, streams)).map(drop))?;
                self.next_read = Instant::now() + BETWEEN_READS;
            }
        }
    }

    fn on_their_way(&self) -> u64 {
        on_their_way(&self.reporter, self.streams_per_job, self.crowd.seen(), self.crowd.len())
    }

    /// Waits for an answer to a report, or for something to read. Says whether there is something to read now.
    fn wait(&self, patience: Duration) -> Result<bool> {
        let patience = Timespec { tv_sec: patience.as_secs() as i64, tv_nsec: patience.subsec_nanos().into() };
        let mut both = [
            PollFd::from_borrowed_fd(self.reporter.wakes(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.crowd.wakes(), PollFlags::IN),
        ];
        let looked_at = if self.is_lazy { &mut both[..1] } else { &mut both[..] };
        // A child that ends interrupts it.
        retry_on_intr(|| poll(looked_at, Some(&patience)))?;
        Ok(!both[1].revents().is_empty())
    }

    /// Reads until all that was reported has arrived on every stream, and says so if it has not.
    fn drain(&mut self) -> Result<()> {
        let expected = self.reporter.sent() * self.streams_per_job;
        let until = Instant::now() + DRAIN;
        while self.crowd.seen().deliveries < expected && Instant::now() < until {
            self.crowd.read(|_| Ok(()))?;
            thread::sleep(Duration::from_millis(1));
        }
        complete(expected, self.crowd.seen())
    }

    fn mark(&self, server: &Server) -> Result<Mark> {
        Ok(Mark {
            at: Instant::now(),
            reports: self.reporter.sent(),
            deliveries: self.crowd.seen().deliveries,
            cpu: server.cpu()?,
            own_cpu: process::cpu(std::process::id())?,
            busy: server.core_busy()?,
        })
    }
}

/// Events that streams have yet to see, on average; none only if none has any to see.
fn on_their_way(reporter: &Reporter, streams_per_job: u64, seen: &Seen, streams: usize) -> u64 {
    (reporter.sent() * streams_per_job).saturating_sub(seen.deliveries).div_ceil(streams as u64)
}

/// Fails if anything is missing, was lost on the way, or came twice.
fn complete(expected: u64, seen: &Seen) -> Result<()> {
    let Seen { deliveries, lost, repeated, .. } = seen;
    if (*deliveries, *lost, *repeated) == (expected, 0, 0) {
        return Ok(());
    }
    Err(format!("{deliveries} of {expected} deliveries came; {lost} were lost on the way, {repeated} repeated").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_counts_only_if_each_event_came_once() {
        let seen = |deliveries, lost, repeated| Seen { deliveries, lost, repeated, ..Seen::default() };
        assert!(complete(100, &seen(100, 0, 0)).is_ok());
        for (deliveries, lost, repeated) in [(99, 0, 0), (99, 1, 0), (101, 0, 1), (100, 1, 1)] {
            assert!(complete(100, &seen(deliveries, lost, repeated)).is_err(), "{deliveries} {lost} {repeated}");
        }
    }
}
