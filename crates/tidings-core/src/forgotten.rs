//! What is remembered of jobs that are no longer known, so that who had not seen their ends is told of them.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use crate::{
    log::{Scope, Selection},
    names::Kind,
    snapshot::Snapshot,
};

/// Of how many kinds it is remembered where jobs of theirs were forgotten.
const KINDS: usize = 1000;

/// How many jobs are remembered as they ended, those that were forgotten last.
const JOBS: usize = 1000;

/// How much these may weigh.
const BYTES: usize = 16 << 20;

/// What is remembered of events that were dropped.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Dropped {
    /// The greatest position of any of them.
    pub(crate) position: u64,
    /// How many events had been dropped of the whole log when the last of them was: greater with each of them, as
    /// positions are not.
    pub(crate) count: u64,
}

impl Dropped {
    pub(crate) fn and(self, other: Self) -> Self {
        Self { position: self.position.max(other.position), count: self.count.max(other.count) }
    }
}

/// What is remembered of jobs that are no longer known.
#[derive(Debug, Default)]
pub(crate) struct Forgotten {
    /// Where events were dropped with them, by kind, and of those whose kinds were too many to remember.
    kinds: HashMap<Kind, Dropped>,
    rest: Dropped,
    /// The last of them as they ended, the one that was forgotten last at the back.
    jobs: VecDeque<(Arc<Snapshot>, Dropped)>,
    /// What these weigh.
    bytes: usize,
}

impl Forgotten {
    /// Remembers a job that is no longer known, and where the last of its events stood.
    pub(crate) fn push(&mut self, job: Arc<Snapshot>, dropped: Dropped) {
        if self.kinds.len() >= KINDS && !self.kinds.contains_key(&job.kind) {
            self.rest = self.kinds.drain().map(|(_, dropped)| dropped).fold(self.rest, Dropped::and);
        }
        let of_kind = self.kinds.entry(job.kind.clone()).or_default();
        *of_kind = of_kind.and(dropped);
        self.bytes += cost(&job);
        self.jobs.push_back((job, dropped));
        while self.jobs.len() > JOBS || self.bytes > BYTES {
            self.pop();
        }
    }

    /// Lets go of the job that was forgotten first, so that only its kind is remembered.
    pub(crate) fn pop(&mut self) -> Option<Arc<Snapshot>> {
        let (job, _) = self.jobs.pop_front()?;
        self.bytes -= cost(&job);
        Some(job)
    }

    /// What the jobs weigh that are remembered as they ended.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The jobs in a scope that ended after a position and are remembered.
    pub(crate) fn after(&self, scope: &Scope, after: u64) -> impl Iterator<Item = &Arc<Snapshot>> {
        self.known(scope, after).map(|(job, _)| job)
    }

    /// How many events had been dropped of the whole log when the last job in a scope was forgotten that had events after
    /// a position; 0 where there was none.
    pub(crate) fn covered(&self, scope: &Scope, after: u64) -> u64 {
        let dropped = match &scope.0 {
            Selection::Kind(kind) => self.kinds.get(kind).copied().unwrap_or_default().and(self.rest),
            Selection::All => self.kinds.values().copied().fold(self.rest, Dropped::and),
            Selection::Job(_) | Selection::Jobs(_) => {
                self.known(scope, after).map(|(_, dropped)| *dropped).fold(Dropped::default(), Dropped::and)
            }
        };
        if dropped.position > after { dropped.count } else { 0 }
    }

    fn known(&self, scope: &Scope, after: u64) -> impl Iterator<Item = &(Arc<Snapshot>, Dropped)> {
        self.jobs.iter().filter(move |(job, dropped)| dropped.position > after && scope.includes(job.id, &job.kind))
    }
}

fn cost(job: &Snapshot) -> usize {
    job.weight() + size_of::<Snapshot>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cursor::Tag, draft::Draft, event::Event, json::Json, names::JobId, time::Timestamp};

    fn job(kind: &str, bytes: usize) -> Arc<Snapshot> {
        let input = Json::from_value(&"x".repeat(bytes)).expect("JSON");
        let queued = Draft::queued(&kind.parse().expect("a kind"), &input);
        let event = Event::seal(JobId::new(), (0, Tag::START), Timestamp::from_millis(0), &queued);
        Arc::new(Snapshot::open(&event).expect("a job"))
    }

    #[test]
    fn jobs_and_their_bytes_are_bounded() {
        let mut forgotten = Forgotten::default();
        for count in 1..=3000 {
            forgotten.push(job("small", 10), Dropped { position: count, count });
        }
        assert_eq!((forgotten.jobs.len(), forgotten.after(&Scope::all(), 2990).count()), (JOBS, 10));
        for count in 3001..=3040 {
            forgotten.push(job("large", 1 << 20), Dropped { position: count, count });
        }
        assert!(
            forgotten.bytes() <= BYTES && forgotten.jobs.len() >= 15,
            "{} {}",
            forgotten.bytes(),
            forgotten.jobs.len()
        );
        while forgotten.pop().is_some() {}
        assert_eq!(forgotten.bytes(), 0);
        // That there were some is remembered by kind.
        let small = Scope::kind("small".parse().expect("a kind"));
        assert_eq!((forgotten.covered(&small, 2999), forgotten.covered(&small, 3000)), (3000, 0));
        assert_eq!(forgotten.covered(&Scope::all(), 3000), 3040);
    }

    #[test]
    fn of_very_many_kinds_all_are_remembered_together() {
        let mut forgotten = Forgotten::default();
        for count in 1..=2500 {
            forgotten.push(job(&format!("kind-{count}"), 1), Dropped { position: count, count });
        }
        assert!(forgotten.kinds.len() <= KINDS);
        assert!(forgotten.covered(&Scope::kind("kind-1".parse().expect("a kind")), 0) > 0);
    }
}
