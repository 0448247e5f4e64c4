//! Reports events over one connection, without ever waiting for it.

use std::io::{self, Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use super::answers::{Answers, Part};
use super::api::{self, Job};
use crate::Result;

/// So many events of each stream may be on their way when reports are made as fast as they are taken.
const WINDOW: u64 = 64;
/// So many requests may be on their way.
const IN_FLIGHT: usize = 64;
/// So many are sent at once when reports are made as fast as they are taken.
const BATCH: usize = 16;

/// How fast events are reported.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Pace {
    /// So many a second, of all jobs together. Their stamp is the time they are due at, so that a reporter that is held
    /// up hides no delay.
    PerSecond(f64),
    /// As fast as the server takes and delivers them.
    FlatOut,
    /// Each once the one before has arrived everywhere.
    OneByOne,
}

/// A program that reports events of jobs in turn.
#[derive(Debug)]
pub(super) struct Reporter {
    address: SocketAddrV4,
    connection: TcpStream,
    answers: Answers,
    out: Vec<u8>,
    buffer: Vec<u8>,
    jobs: Vec<Job>,
    size: usize,
    pace: Pace,
    epoch: Instant,
    /// When the next event is due, from the epoch on.
    due: Duration,
    sent: u64,
    answered: u64,
}

impl Reporter {
    pub(super) fn connect(
        address: SocketAddrV4,
        jobs: Vec<Job>,
        size: usize,
        pace: Pace,
        epoch: Instant,
    ) -> Result<Self> {
        let connection = TcpStream::connect(address)?;
        connection.set_nodelay(true)?;
        connection.set_nonblocking(true)?;
        let (out, buffer) = (Vec::new(), vec![0; 64 * 1024]);
        let answers = Answers::default();
        let due = epoch.elapsed();
        Ok(Self { address, connection, answers, out, buffer, jobs, size, pace, epoch, due, sent: 0, answered: 0 })
    }

    /// So many events were reported so far.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// Becomes readable when there is an answer.
    pub(super) fn wakes(&self) -> BorrowedFd<'_> {
        self.connection.as_fd()
    }

    /// Reports what is due, where so many events are on their way to some stream. Says after how long more will be due;
    /// none where something else has to happen first.
    pub(super) fn report(&mut self, on_their_way: u64) -> Result<Option<Duration>> {
        self.receive()?;
        let wait = match self.pace {
            Pace::PerSecond(rate) => self.report_due(rate),
            Pace::FlatOut => {
                let room = WINDOW.saturating_sub(on_their_way).min((IN_FLIGHT - self.in_flight()) as u64);
                for _ in 0..room.min(BATCH as u64) {
                    self.add(self.epoch.elapsed());
                }
                None
            }
            Pace::OneByOne => {
                if on_their_way == 0 && self.in_flight() == 0 {
                    self.add(self.epoch.elapsed());
                }
                None
            }
        };
        self.flush()?;
        Ok(wait)
    }

    fn report_due(&mut self, rate: f64) -> Option<Duration> {
        let interval = Duration::from_secs_f64(1.0 / rate);
        while self.in_flight() < IN_FLIGHT {
            let now = self.epoch.elapsed();
            if let Some(wait) = self.due.checked_sub(now).filter(|wait| !wait.is_zero()) {
                return Some(wait);
            }
            self.add(self.due);
            self.due += interval;
        }
        None
    }

    fn in_flight(&self) -> usize {
        (self.sent - self.answered) as usize
    }

    fn add(&mut self, stamp: Duration) {
        let job = &self.jobs[(self.sent % self.jobs.len() as u64) as usize];
        let event = api::event(stamp.as_nanos() as u64, self.size);
        self.out.extend_from_slice(job.report(self.address, &event).as_bytes());
        self.sent += 1;
    }

    fn flush(&mut self) -> Result<()> {
        while !self.out.is_empty() {
            match self.connection.write(&self.out) {
                Ok(written) => drop(self.out.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(format!("a report can't be sent: {error}").into()),
            }
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<()> {
        loop {
            let read = match self.connection.read(&mut self.buffer) {
                Ok(0) => return Err("the server has closed the reporter's connection".into()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(format!("answers to reports can't be read: {error}").into()),
            };
            let (answered, mut refused) = (&mut self.answered, None);
            self.answers.feed(&self.buffer[..read], |part| match part {
                Part::Head(200) | Part::Body(_) => {}
                Part::Head(status) => refused = Some(status),
                Part::End => *answered += 1,
            })?;
            if let Some(status) = refused {
                return Err(format!("the server refuses a report: {status}").into());
            }
        }
    }
}
