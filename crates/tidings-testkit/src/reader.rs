//! A client as a scenario has it: follows one job over as many exchanges as it takes, and checks what no client may
//! ever see.

use std::{future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use tidings_core::{Event, JobId};
use tokio::time::Instant;

use crate::{
    adapter::{Adapter, Connection, End, Followed, Refused, Seen},
    failure::{Failure, ensure},
    server::{Server, seq_of},
};

/// How long anything that is due may take, in the time that the scenario runs in.
const DUE: Duration = Duration::from_secs(120);

/// A client of one job.
#[derive(Debug)]
pub(crate) struct Reader {
    adapter: Arc<dyn Adapter>,
    server: Server,
    job: JobId,
    connection: Option<Box<dyn Connection>>,
    /// Where it goes on after a cut.
    cursor: Option<String>,
    /// The number of the last event that it has seen, or that it was told is no longer kept.
    seq: u64,
    /// What it has seen, over all its exchanges.
    pub(crate) events: Vec<Event>,
    /// The gaps that it was told of: what was asked for, and what follows.
    pub(crate) gaps: Vec<(u64, u64)>,
    /// How many exchanges it took by now.
    pub(crate) exchanges: usize,
    /// When its last exchange ended or was refused.
    left_at: Instant,
}

/// What one step of a reader came to.
#[derive(Debug)]
pub(crate) enum Step {
    Event,
    Gap,
    Nothing,
    End(End),
    Refused(Refused),
}

impl Reader {
    /// A client that begins after a cursor, of the event with the number `seq`.
    pub(crate) fn after(adapter: &Arc<dyn Adapter>, server: &Server, job: JobId, cursor: Option<(&str, u64)>) -> Self {
        Self {
            adapter: adapter.clone(),
            server: server.clone(),
            job,
            connection: None,
            cursor: cursor.map(|(cursor, _)| cursor.to_owned()),
            seq: cursor.map_or(0, |(_, seq)| seq),
            events: Vec::new(),
            gaps: Vec::new(),
            exchanges: 0,
            left_at: Instant::now(),
        }
    }

    /// A client that begins with the first event.
    pub(crate) fn new(adapter: &Arc<dyn Adapter>, server: &Server, job: JobId) -> Self {
        Self::after(adapter, server, job, None)
    }

    /// The number of the last event that it has seen.
    pub(crate) fn seq(&self) -> u64 {
        self.seq
    }

    /// When its last exchange ended or was refused, before the pause that it was asked for.
    pub(crate) fn left_at(&self) -> Instant {
        self.left_at
    }

    /// The numbers of what it has seen.
    pub(crate) fn seqs(&self) -> Vec<u64> {
        self.events.iter().map(Event::seq).collect()
    }

    /// Whether it has seen the job's last event.
    pub(crate) fn is_over(&self) -> bool {
        self.events.last().is_some_and(Event::is_terminal)
    }

    /// Hangs up. The next step begins a new exchange where the last one has left off.
    pub(crate) fn hang_up(&mut self) {
        self.connection = None;
    }

    /// Begins an exchange, where none is open.
    pub(crate) async fn connect(&mut self) -> Result<Option<Refused>, Failure> {
        if self.connection.is_none() {
            self.exchanges += 1;
            match self.adapter.follow(&self.server, self.job, self.cursor.as_deref()).await? {
                Followed::Refused(refused) => return Ok(Some(refused)),
                Followed::Open(connection) => self.connection = Some(connection),
            }
        }
        Ok(None)
    }

    /// The next thing that it sees; an exchange that has ended is followed by a new one in the next step.
    ///
    /// What it sees must follow what it has seen.
    pub(crate) async fn step(&mut self) -> Result<Step, Failure> {
        let before = self.seq;
        let step = self.leap().await?;
        match step {
            Step::Event => {
                ensure!(self.seq == before + 1, "event {} came where {} should have come", self.seq, before + 1);
            }
            Step::Gap => {
                let (requested, resumed_at) = self.gaps.last().copied().unwrap_or_default();
                ensure!(requested == before, "a gap after {requested} was told to a client that had seen {before}");
                ensure!(resumed_at > before + 1, "a gap was told that leads from {before} to {resumed_at}");
            }
            Step::Nothing | Step::End(_) | Step::Refused(_) => {}
        }
        Ok(step)
    }

    /// As [`step`](Self::step), wherever what it sees leads.
    pub(crate) async fn leap(&mut self) -> Result<Step, Failure> {
        if let Some(refused) = self.connect().await? {
            self.left_at = Instant::now();
            return Ok(Step::Refused(refused));
        }
        let Some(connection) = &mut self.connection else { return Err(Failure::new("no exchange is open")) };
        let seen = connection.next().await?;
        self.cursor = connection.cursor().map(str::to_owned).or_else(|| self.cursor.take());
        Ok(match seen {
            Seen::Nothing => Step::Nothing,
            Seen::Event(json) => {
                self.take(json)?;
                Step::Event
            }
            Seen::Gap { requested, resumed_at, job } => {
                let seq = seq_of(&job).ok_or_else(|| Failure::new("a gap was told without the job's snapshot"))?;
                ensure!(seq + 1 >= resumed_at, "a gap up to {resumed_at} has a snapshot as of {seq}, which is too old");
                self.seq = resumed_at.saturating_sub(1);
                self.gaps.push((requested, resumed_at));
                Step::Gap
            }
            Seen::End(end) => {
                self.connection = None;
                self.left_at = Instant::now();
                if let End::Again(pause) = end {
                    tokio::time::sleep(pause).await;
                }
                Step::End(end)
            }
        })
    }

    fn take(&mut self, json: Bytes) -> Result<(), Failure> {
        let event = Event::parse(json.clone())
            .map_err(|error| Failure::new(format!("{error}: {}", String::from_utf8_lossy(&json))))?;
        ensure!(event.job() == self.job, "an event of another job was told: {}", String::from_utf8_lossy(&json));
        self.seq = event.seq();
        self.events.push(event);
        Ok(())
    }

    /// Reads on until it has seen the event with this number.
    pub(crate) async fn read_to(&mut self, seq: u64) -> Result<(), Failure> {
        let what = format!("event {seq}");
        due(&what, async {
            while self.seq < seq {
                self.step_on().await?;
            }
            Ok(())
        })
        .await
    }

    /// Reads on until it has seen the job's last event.
    pub(crate) async fn read_to_end(&mut self) -> Result<(), Failure> {
        due("the job's last event", async {
            while !self.is_over() {
                self.step_on().await?;
            }
            Ok(())
        })
        .await
    }

    /// A step in the middle of a job, where nothing ends for good.
    async fn step_on(&mut self) -> Result<(), Failure> {
        match self.step().await? {
            Step::Refused(Refused(problem)) => Err(Failure::new(format!("refused with {problem} after {}", self.seq))),
            Step::End(End::Over) => Err(Failure::new(format!("told that the job is over after event {}", self.seq))),
            _ => Ok(()),
        }
    }
}

/// Fails where something that is due does not come.
pub(crate) async fn due<T>(what: &str, coming: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    match tokio::time::timeout(DUE, coming).await {
        Ok(came) => came,
        Err(_) => Err(Failure::new(format!("{what} did not come within {} s", DUE.as_secs()))),
    }
}
