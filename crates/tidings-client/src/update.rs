//! What a follower of a job tells: its events, and where some were no longer kept.

use bytes::Bytes;
use serde::Deserialize;
use tidings_core::{Cursor, Event, Json, Snapshot};

use crate::{error::Error, job::Job, transport::Transport};

/// Something that a client learns about a job.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Update {
    /// The job's next event. [`Event::json`] are the bytes that came over the wire.
    Event(Event),
    /// Events after the last one seen are no longer kept.
    Gap(Gap),
    /// The job as it is when [`Follow`](crate::Follow) begins. No other follower tells it.
    Job(Box<Job>),
    /// What [`Follow`](crate::Follow) reads over from here on. No other follower tells it.
    Transport(Transport),
}

/// Events that were dropped before this client could see them.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct Gap {
    /// The `seq` after which events were asked for.
    pub requested: u64,
    /// The `seq` of the first event that follows.
    pub resumed_at: u64,
    /// The job's snapshot as JSON, as of its own `seq`: events up to that one are already in it.
    pub job: Json,
}

impl Update {
    /// Whether nothing can follow it: the terminal event, or a gap that it was lost in.
    pub(crate) fn is_last(&self) -> bool {
        match self {
            Self::Event(event) => event.is_terminal(),
            Self::Gap(gap) => gap.is_last(),
            Self::Job(_) | Self::Transport(_) => false,
        }
    }
}

/// What one answer, or one piece of it, has brought.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    pub(crate) updates: Vec<Update>,
    /// Where to go on after these, if that is known.
    pub(crate) cursor: Option<Cursor>,
    /// Whether there is nothing more to come.
    pub(crate) is_over: bool,
}

impl Turn {
    /// Adds what the next one has brought.
    pub(crate) fn append(&mut self, next: Self) {
        self.updates.extend(next.updates);
        self.cursor = next.cursor.or(self.cursor);
        self.is_over = next.is_over;
    }
}

impl Gap {
    pub(crate) fn parse(json: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(json).map_err(|error| Error::malformed("what came is no gap").with_source(error))
    }

    /// Whether the job is over, and its last event among those that are lost.
    fn is_last(&self) -> bool {
        let job = Snapshot::parse(&self.job);
        job.is_ok_and(|job| job.state.is_terminal() && job.seq < self.resumed_at)
    }
}

pub(crate) fn parse_event(json: Bytes) -> Result<Event, Error> {
    Event::parse(json).map_err(|error| Error::malformed("what came is no event").with_source(error))
}

/// How far a follower is in its job: sees to it that seqs only rise, one by one or over a gap that was told.
#[derive(Debug)]
pub(crate) struct Run {
    last: u64,
}

impl Run {
    pub(crate) fn new(after: Option<Cursor>) -> Self {
        Self { last: after.unwrap_or_default().number() }
    }

    /// Gives the update back if it is the next one, and `None` if it is a repeat. A gap is a repeat where all that it
    /// misses has come from elsewhere; where a part has, the rest of it is told.
    pub(crate) fn admit(&mut self, mut update: Update) -> Result<Option<Update>, Error> {
        let next = self.last + 1;
        match &mut update {
            Update::Event(event) if event.seq() > next => {
                return Err(Error::malformed(format!("event {} came in the place of event {next}", event.seq())));
            }
            Update::Event(event) if event.seq() < next => return Ok(None),
            Update::Event(_) => self.last = next,
            Update::Gap(gap) if gap.resumed_at <= next => return Ok(None),
            Update::Gap(gap) => {
                gap.requested = gap.requested.max(self.last);
                self.last = gap.resumed_at - 1;
            }
            Update::Job(_) | Update::Transport(_) => {}
        }
        Ok(Some(update))
    }
}

#[cfg(test)]
mod tests {
    use tidings_core::{Draft, JobId, Tag, Timestamp};

    use super::*;

    fn event(seq: u64) -> Update {
        let (job, time) = (JobId::new(), Timestamp::from_millis(0));
        Update::Event(Event::seal(job, (seq - 1, Tag::START), time, &Draft::log("stdout", "")))
    }

    fn gap(resumed_at: u64) -> Update {
        Update::Gap(Gap { requested: 0, resumed_at, job: Json::null() })
    }

    #[test]
    fn repeats_are_dropped_and_holes_are_errors() {
        let mut run = Run::new(None);
        assert!(matches!(run.admit(event(1)), Ok(Some(_))));
        assert!(matches!(run.admit(event(1)), Ok(None)));
        assert!(matches!(run.admit(event(2)), Ok(Some(_))));
        assert!(run.admit(event(4)).is_err());
        let mut run = Run::new(Some(Cursor::unchecked(7)));
        assert!(matches!(run.admit(event(7)), Ok(None)));
        assert!(matches!(run.admit(event(8)), Ok(Some(_))));
    }

    #[test]
    fn a_gap_may_be_jumped_once_it_is_told() {
        let mut run = Run::new(None);
        assert!(matches!(run.admit(gap(120)), Ok(Some(_))));
        assert!(matches!(run.admit(event(119)), Ok(None)));
        assert!(matches!(run.admit(event(120)), Ok(Some(_))));
        for old in [0, 3, 121] {
            assert!(matches!(run.admit(gap(old)), Ok(None)), "nothing is missing before {old}");
        }
        assert!(matches!(run.admit(event(121)), Ok(Some(_))));
        // What it asked for has come in part since then.
        let told = run.admit(gap(130));
        assert!(matches!(told, Ok(Some(Update::Gap(Gap { requested: 121, resumed_at: 130, .. })))), "{told:?}");
    }
}
