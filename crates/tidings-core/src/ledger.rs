//! The ledger: every job as its records have left it, and the one place where a write is admitted and numbered.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use crate::{
    cursor::Tag,
    digest::Digest,
    draft::Draft,
    event::Event,
    log::Appended,
    names::{EventType, JobId, JobMap, Kind},
    snapshot::{InvalidHistory, Snapshot, State},
    time::Timestamp,
};

/// How long an idempotency key is remembered at least, also where its job is not.
pub const KEY_MEMORY: Duration = Duration::from_secs(24 * 60 * 60);

/// How many kinds are remembered at most; those that jobs have stay whole without.
const SHARED_KINDS: usize = 1000;

/// What a job is opened with and nobody is shown.
#[derive(Clone, Debug)]
pub struct Opening {
    /// The idempotency key, and the digest of the body that it came with.
    pub key: Option<(Arc<str>, Digest)>,
    /// Who reports the job, where it does not run here.
    pub reporter: Option<Reporter>,
}

/// A program outside that reports a job.
#[derive(Clone, Copy, Debug)]
pub struct Reporter {
    /// The digest of its token.
    pub token: Digest,
    /// How long it may be silent before it is taken for dead.
    pub lease: Duration,
}

/// What a writer means to do; it decides what is checked.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Intent {
    /// Open a new job.
    Open(Arc<Opening>),
    /// Add to a job on behalf of an attempt, which must be the current one.
    Attempt(u32),
    /// Add what a program outside has reported. With the number of the first event among this reporter's, those that
    /// were taken before are skipped.
    Report(Option<u64>),
    /// Move a job on from a state; refused where it is in another one by now.
    From(State),
    /// Forget a job that is over.
    Delete,
}

/// A batch of drafts for one job, to be taken whole or not at all.
#[derive(Clone, Debug)]
pub struct Write {
    /// Which job.
    pub job: JobId,
    /// What the writer means to do.
    pub intent: Intent,
    /// What it has to say, in order; nothing may follow a terminal draft.
    pub drafts: Vec<Draft>,
    /// When it said so.
    pub time: Timestamp,
}

/// Why a write was not taken. An outcome and no error: the writer came too late, or does not know something yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// There is no such job, or no longer.
    UnknownJob,
    /// The job is over.
    JobOver(State),
    /// The job is not over.
    StillRunning,
    /// Another attempt is the current one.
    StaleAttempt,
    /// The job is not in the state that the writer took it to be in.
    Moved(State),
    /// The idempotency key belongs to this job.
    KeyTaken {
        /// Which job.
        job: JobId,
        /// Whether it came with the same body.
        body: SameBody,
    },
    /// Events that come before these have not been reported yet; so many were taken so far.
    ReportGap(u64),
    /// There are as many jobs as may be, or as many that wait.
    Overloaded,
    /// The batch has events after a terminal one, or does not begin as a job must.
    Malformed,
}

/// Whether two submissions under one key were the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameBody {
    /// They were.
    Yes,
    /// They were not.
    No,
}

/// What a log keeps: all of it together brings back the whole ledger.
#[derive(Clone, Debug)]
pub enum Record {
    /// Something happened to a job.
    Event {
        /// Its number within the whole log.
        position: u64,
        /// What everybody is shown.
        event: Event,
        /// What nobody is shown.
        private: Private,
    },
    /// A job was forgotten at somebody's wish.
    Deleted(JobId),
}

/// The part of a record that nobody is shown.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Private {
    /// Nothing.
    None,
    /// The job was opened with this.
    Opening(Arc<Opening>),
    /// A program outside reported the event.
    Reported,
}

/// How much a ledger may hold.
#[derive(Clone, Copy, Debug)]
pub struct Capacity {
    /// Jobs in all.
    pub jobs: usize,
    /// Jobs that wait.
    pub waiting: usize,
    /// Bytes of what all jobs were submitted with and have come to.
    pub bytes: usize,
    /// Idempotency keys, those of forgotten jobs included.
    pub keys: usize,
}

/// Every job as its records have left it.
///
/// It does no I/O and knows no clock: the same records give the same ledger, on whichever node. Beside each job a log may
/// keep something of its own, a `K`: looked up by itself it would be as far away as the job once more.
#[derive(Debug, Default)]
pub struct Ledger<K = ()> {
    jobs: JobMap<Entry<K>>,
    /// The same jobs in the order of their ids, which is that of their submission.
    order: BTreeSet<JobId>,
    /// The jobs that are over, the longest ago first.
    ended: BTreeSet<(Timestamp, JobId)>,
    keys: HashMap<Arc<str>, Key>,
    /// The keys in the order in which they may be forgotten.
    keys_by_age: BTreeSet<(Timestamp, Arc<str>)>,
    /// Kinds that were met, for all jobs of a kind to share its name.
    kinds: HashSet<Kind>,
    waiting: usize,
    /// What all snapshots weigh.
    bytes: usize,
}

#[derive(Debug)]
struct Entry<K> {
    /// Shared with whoever asked for it; a change copies it only where somebody still holds it.
    snapshot: Arc<Snapshot>,
    key: Option<Arc<str>>,
    reporter: Option<Reporter>,
    /// How many events its reporter has had taken.
    received: u64,
    kept: K,
}

impl<K> Entry<K> {
    fn appended(&self) -> Appended {
        Appended::new(self.snapshot.clone(), self.reporter.map_or(0, |_| self.received))
    }
}

#[derive(Debug)]
struct Key {
    job: JobId,
    body: Digest,
    since: Timestamp,
}

impl<K: Default> Ledger<K> {
    /// Decides whether a write can be taken, and numbers it where it can. Changes nothing: the records still have to be
    /// [applied](Self::apply).
    ///
    /// `position` is the number of the last event in the whole log. An empty answer is a repeat of what was taken
    /// before.
    ///
    /// # Errors
    ///
    /// The reason why the write can't be taken. [`Refusal::Overloaded`] for want of room for jobs is only said where no
    /// job is over: the log that asks has made room before, see [`overfull`](Self::overfull).
    pub fn admit(&self, write: &Write, position: u64, capacity: &Capacity) -> Result<Vec<Record>, Refusal> {
        Ok(self.check(write, capacity)?.into_records(write, position).collect())
    }

    /// Decides what [`admit`](Self::admit) decides, and numbers nothing yet.
    pub(crate) fn check<'a>(&self, write: &'a Write, capacity: &Capacity) -> Result<Admitted<'a>, Refusal> {
        let entry = self.jobs.get(&write.job);
        let mut skip = 0;
        match (&write.intent, entry) {
            (Intent::Open(opening), None) => self.admit_opening(opening, &write.drafts, capacity)?,
            (Intent::Open(_), Some(_)) => return Err(Refusal::Malformed),
            (_, None) => return Err(Refusal::UnknownJob),
            (Intent::Delete, Some(entry)) if entry.snapshot.state.is_terminal() => {
                return Ok(Admitted::Deletion);
            }
            (Intent::Delete, Some(_)) => return Err(Refusal::StillRunning),
            (Intent::Report(Some(first)), Some(entry)) => {
                let next = entry.received + 1;
                if *first > next {
                    return Err(Refusal::ReportGap(entry.received));
                }
                skip = usize::try_from(next - first).unwrap_or(usize::MAX);
            }
            (_, Some(_)) => {}
        }
        let drafts = write.drafts.get(skip..).unwrap_or_default();
        let before = entry.map_or((0, Tag::START), |entry| (entry.snapshot.seq, entry.snapshot.tag));
        if drafts.is_empty() {
            // Who repeats what was taken is told so, whatever became of the job; who has nothing to say is told that it
            // is over.
            return match entry.map(|entry| entry.snapshot.state) {
                Some(state) if state.is_terminal() && write.drafts.is_empty() => Err(Refusal::JobOver(state)),
                _ => Ok(Admitted::Drafts(drafts, before)),
            };
        }
        if drafts.iter().rev().skip(1).any(|draft| draft.kind().is_terminal()) {
            return Err(Refusal::Malformed);
        }
        if let Some(entry) = entry {
            let snapshot = &entry.snapshot;
            match write.intent {
                _ if snapshot.state.is_terminal() => return Err(Refusal::JobOver(snapshot.state)),
                Intent::Attempt(attempt) if attempt != snapshot.attempt => return Err(Refusal::StaleAttempt),
                Intent::From(state) if state != snapshot.state => return Err(Refusal::Moved(snapshot.state)),
                // Asked for once, it is logged once.
                _ if snapshot.cancel_requested && drafts.iter().any(|draft| *draft.kind() == EventType::Cancelling) => {
                    return Err(Refusal::Moved(snapshot.state));
                }
                _ => {}
            }
        }
        Ok(Admitted::Drafts(drafts, before))
    }

    fn admit_opening(&self, opening: &Opening, drafts: &[Draft], capacity: &Capacity) -> Result<(), Refusal> {
        if let Some((key, body)) = &opening.key
            && let Some(known) = self.keys.get(key)
        {
            let body = if known.body == *body { SameBody::Yes } else { SameBody::No };
            return Err(Refusal::KeyTaken { job: known.job, body });
        }
        if opening.key.is_some() && self.keys.len() >= capacity.keys {
            return Err(Refusal::Overloaded);
        }
        match drafts {
            [first, ..] if *first.kind() != EventType::Queued => Err(Refusal::Malformed),
            [] => Err(Refusal::Malformed),
            [_] if self.waiting >= capacity.waiting => Err(Refusal::Overloaded),
            _ if self.jobs.len() >= capacity.jobs || self.bytes >= capacity.bytes => Err(Refusal::Overloaded),
            _ => Ok(()),
        }
    }

    /// Folds a record in.
    ///
    /// # Errors
    ///
    /// Where the record does not follow from those before it: the log is damaged.
    pub fn apply(&mut self, record: &Record) -> Result<(), InvalidHistory> {
        let (event, private) = match record {
            Record::Deleted(job) => {
                self.forget(*job);
                return Ok(());
            }
            Record::Event { event, private, .. } => (event, private),
        };
        let job = event.job();
        if let Some(entry) = self.jobs.get_mut(&job) {
            let before = entry.snapshot.state;
            // Nothing of what these say is kept with the job.
            let weighs = !matches!(event.kind(), EventType::Log | EventType::Custom(_));
            let weight = if weighs { entry.snapshot.weight() } else { 0 };
            let snapshot = Arc::make_mut(&mut entry.snapshot);
            snapshot.apply(event)?;
            if weighs {
                self.bytes = self.bytes + snapshot.weight() - weight;
            }
            if matches!(private, Private::Reported) {
                entry.received += 1;
            }
            if before == State::Queued && snapshot.state != State::Queued {
                self.waiting -= 1;
            }
            if let Some(finished) = snapshot.finished_at {
                self.ended.insert((finished, job));
            }
            return Ok(());
        }
        let mut snapshot = Snapshot::open(event)?;
        snapshot.kind = self.shared(snapshot.kind);
        let (mut key, mut reporter) = (None, None);
        if let Private::Opening(opening) = private {
            reporter = opening.reporter;
            if let Some((name, body)) = &opening.key {
                self.remember(name.clone(), Key { job, body: *body, since: event.time() });
                key = Some(name.clone());
            }
        }
        self.bytes += snapshot.weight();
        self.jobs.insert(job, Entry { snapshot: Arc::new(snapshot), key, reporter, received: 0, kept: K::default() });
        self.order.insert(job);
        self.waiting += 1;
        Ok(())
    }

    fn shared(&mut self, kind: Kind) -> Kind {
        if let Some(known) = self.kinds.get(&kind) {
            return known.clone();
        }
        // Whoever submits may invent kinds.
        if self.kinds.len() >= SHARED_KINDS {
            self.kinds.clear();
        }
        self.kinds.insert(kind.clone());
        kind
    }

    fn remember(&mut self, name: Arc<str>, key: Key) {
        self.keys_by_age.insert((key.since, name.clone()));
        self.keys.insert(name, key);
    }

    /// Forgets a job, and gives what was kept beside it; its idempotency key is remembered for as long as it has to be.
    pub fn forget(&mut self, job: JobId) -> Option<K> {
        let entry = self.jobs.remove(&job)?;
        self.bytes -= entry.snapshot.weight();
        self.order.remove(&job);
        if let Some(finished) = entry.snapshot.finished_at {
            self.ended.remove(&(finished, job));
        }
        if entry.snapshot.state == State::Queued {
            self.waiting -= 1;
        }
        Some(entry.kept)
    }

    /// Forgets idempotency keys that are old enough and whose jobs are gone.
    pub fn forget_keys(&mut self, now: Timestamp) {
        while let Some((since, name)) = self.keys_by_age.first().cloned() {
            if now.since(since) < KEY_MEMORY {
                break;
            }
            self.keys_by_age.pop_first();
            match self.keys.get(&name).map(|key| self.jobs.contains_key(&key.job)) {
                // Looked at again a day later.
                Some(true) => {
                    self.keys_by_age.insert((now, name));
                }
                Some(false) | None => {
                    self.keys.remove(&name);
                }
            }
        }
    }

    /// A job that has to be forgotten before another can be opened: the one that has been over for the longest, where
    /// there are as many as may be, or as much of them.
    #[must_use]
    pub fn overfull(&self, capacity: &Capacity) -> Option<JobId> {
        let full = self.jobs.len() >= capacity.jobs || self.bytes >= capacity.bytes;
        self.longest_ended().filter(|_| full).map(|(_, job)| job)
    }

    /// Bytes of what all jobs were submitted with and have come to.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The job that has been over for the longest, with the time of its end.
    #[must_use]
    pub fn longest_ended(&self) -> Option<(Timestamp, JobId)> {
        self.ended.first().copied()
    }

    /// A job as it is.
    #[must_use]
    pub fn snapshot(&self, job: JobId) -> Option<&Arc<Snapshot>> {
        self.jobs.get(&job).map(|entry| &entry.snapshot)
    }

    /// What is kept beside a job, as it was last left here.
    #[must_use]
    pub fn kept(&self, job: JobId) -> Option<&K> {
        self.jobs.get(&job).map(|entry| &entry.kept)
    }

    /// The same, to be changed.
    pub fn kept_mut(&mut self, job: JobId) -> Option<&mut K> {
        self.jobs.get_mut(&job).map(|entry| &mut entry.kept)
    }

    /// Who reports a job from outside, and how many of its events were taken.
    #[must_use]
    pub fn reporter(&self, job: JobId) -> Option<(Reporter, u64)> {
        let entry = self.jobs.get(&job)?;
        entry.reporter.map(|reporter| (reporter, entry.received))
    }

    /// Looks at what the next write to a job changes, so that it is near by then, and lets `kept` do so too.
    pub(crate) fn touch(&self, job: JobId, kept: impl FnOnce(&K)) {
        if let Some(entry) = self.jobs.get(&job) {
            entry.snapshot.touch();
            kept(&entry.kept);
        }
    }

    /// What a write has come to, for whoever wrote it.
    pub(crate) fn appended(&self, job: JobId) -> Option<Appended> {
        self.jobs.get(&job).map(Entry::appended)
    }

    /// The same with what is kept beside the job, to be changed.
    pub(crate) fn appended_and_kept(&mut self, job: JobId) -> Option<(Appended, &mut K)> {
        self.jobs.get_mut(&job).map(|entry| (entry.appended(), &mut entry.kept))
    }

    /// Since when the idempotency key is remembered that may be forgotten first.
    pub(crate) fn oldest_key(&self) -> Option<Timestamp> {
        self.keys_by_age.first().map(|(since, _)| *since)
    }

    /// The idempotency key that a job was submitted with.
    #[must_use]
    pub fn key(&self, job: JobId) -> Option<&Arc<str>> {
        self.jobs.get(&job)?.key.as_ref()
    }

    /// The jobs submitted before `before`, or all, the newest first.
    pub fn newest(&self, before: Option<JobId>) -> impl Iterator<Item = &Arc<Snapshot>> {
        use std::ops::Bound;

        let end = before.map_or(Bound::Unbounded, Bound::Excluded);
        self.order.range((Bound::Unbounded, end)).rev().filter_map(|job| self.snapshot(*job))
    }

    /// The jobs of one kind, or all, in no order.
    pub fn of_kind(&self, kind: Option<&Kind>) -> impl Iterator<Item = &Arc<Snapshot>> {
        self.jobs.values().map(|entry| &entry.snapshot).filter(move |s| kind.is_none_or(|kind| s.kind == *kind))
    }
}

/// What a write is admitted as.
#[derive(Debug)]
pub(crate) enum Admitted<'a> {
    /// The job is to be forgotten.
    Deletion,
    /// These are to be numbered, beginning after the event with this seq and tag.
    Drafts(&'a [Draft], (u64, Tag)),
}

impl<'a> Admitted<'a> {
    /// What is to be kept of the write; `position` is the number of the last event in the whole log.
    pub(crate) fn into_records(self, write: &'a Write, position: u64) -> impl Iterator<Item = Record> {
        let (deleted, drafts, mut before) = match self {
            Self::Deletion => (Some(Record::Deleted(write.job)), [].as_slice(), (0, Tag::START)),
            Self::Drafts(drafts, before) => (None, drafts, before),
        };
        let private = |first: bool| match &write.intent {
            Intent::Open(opening) if first => Private::Opening(opening.clone()),
            Intent::Report(_) => Private::Reported,
            _ => Private::None,
        };
        let events = drafts.iter().zip(position + 1..).map(move |(draft, position)| {
            let private = private(before.0 == 0);
            let event = Event::seal(write.job, before, write.time, draft);
            before = (event.seq(), event.tag());
            Record::Event { position, private, event }
        });
        deleted.into_iter().chain(events)
    }
}
