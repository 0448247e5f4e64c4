//! The log in memory: the embedded default, gone with its process.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use parking_lot::RwLock;

use crate::{
    cursor::{Cursor, Tag},
    error::{Error, ErrorKind},
    forgotten::{Dropped, Forgotten},
    history::History,
    ledger::{Admitted, Capacity, KEY_MEMORY, Ledger, Record, Refusal, Reporter, Write},
    log::{Appended, Batch, Entry, EventLog, Gap, Limit, Listing, More, Query, Read, ReadOutcome, Scope, Selection},
    names::JobId,
    retention::Retention,
    snapshot::Snapshot,
    tail::{Tail, Wake},
    time::{Clock, Timestamp},
};

/// How many entries of the whole log one read looks at, so that no reader holds the lock for long.
const SCANNED: usize = 10_000;

/// For how many entries of a write there is room in store.
const STORED: usize = 64;

/// How many jobs a gap over several jobs shows, the newest of those that it concerns.
const GAP_JOBS: usize = 500;

/// An [`EventLog`] in memory.
///
/// It keeps what its [`Retention`] says: the oldest events go first, those of jobs that are over before those of jobs
/// that run, and a job's snapshot stays for as long as the job is known.
#[derive(Debug)]
pub struct MemoryLog {
    state: RwLock<State>,
    tail: Arc<Tail>,
    retention: Retention,
    clock: Clock,
}

#[derive(Debug, Default)]
struct State {
    ledger: Ledger<History>,
    /// Where the events of the whole log are to be found; dropped ones are passed over.
    index: VecDeque<Run>,
    /// The length at which the index is looked through for runs that lead nowhere.
    index_limit: usize,
    /// The number and tag of the last event.
    end: (u64, Tag),
    /// What all histories cost.
    bytes: usize,
    /// The jobs that are over and have events left to drop, the longest ago first.
    droppable: BTreeSet<(Timestamp, JobId)>,
    /// Where events were dropped, of whichever job.
    dropped: Dropped,
    /// The same of jobs that are no longer known, with how the last of them ended.
    forgotten: Forgotten,
    /// Empty: the room for what a write comes to, so that not each of them has to ask for it.
    stored: Vec<Entry>,
    /// Who has to be woken up once the lock is let go of, because a job was forgotten.
    wakes: Vec<Wake>,
}

/// Events of one job that stand in a row in the whole log.
#[derive(Debug)]
struct Run {
    position: u64,
    job: JobId,
    seq: u64,
    len: u64,
    /// The tag of the event before the run, of whichever job. It is known here even when that event is not kept.
    before: Tag,
}

impl Run {
    /// The place before the event at `offset`, where that one is kept: in the run, the one before is of the same job, and
    /// is kept or the last that was dropped.
    fn place_before(&self, offset: u64, history: &History) -> Cursor {
        let tag = offset.checked_sub(1).and_then(|before| history.tag(self.seq + before));
        Cursor::new(self.position + offset - 1, tag.unwrap_or(self.before))
    }
}

impl MemoryLog {
    /// An empty log.
    #[must_use]
    pub fn new(retention: Retention) -> Self {
        Self { state: RwLock::default(), tail: Arc::default(), retention, clock: Clock::system() }
    }

    /// Takes the time by which jobs grow old from elsewhere.
    #[must_use]
    pub fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    fn capacity(&self) -> Capacity {
        let Retention { jobs, waiting, bytes, keys, .. } = self.retention;
        Capacity { jobs, waiting, bytes, keys }
    }

    /// The present time, where something is to be forgotten by then. Of most logs nothing is, and the clock is not asked
    /// where nothing ever could be.
    fn is_due(&self, state: &State) -> Option<Timestamp> {
        let (ended, key) = (state.ledger.longest_ended(), state.ledger.oldest_key());
        if ended.is_none() && key.is_none() {
            return None;
        }
        let (now, keep) = (self.clock.now(), Duration::from_secs(self.retention.ended_seconds));
        let due = ended.is_some_and(|(finished, _)| now.since(finished) >= keep)
            || key.is_some_and(|since| now.since(since) >= KEY_MEMORY);
        due.then_some(now)
    }

    /// Looks at the state, once the jobs whose time is over are forgotten. Any number may do so at once.
    fn look<R>(&self, look: impl FnOnce(&State) -> R) -> R {
        let state = self.state.read();
        if self.is_due(&state).is_none() {
            return look(&state);
        }
        drop(state);
        self.with_state(|state| look(state))
    }

    /// Works on the state, once the jobs whose time is over are forgotten, and wakes up whom that concerns afterwards,
    /// without the lock.
    fn with_state<R>(&self, work: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.state.write();
        if let Some(now) = self.is_due(&state) {
            let keep = Duration::from_secs(self.retention.ended_seconds);
            while let Some((finished, job)) = state.ledger.longest_ended()
                && now.since(finished) >= keep
            {
                state.forget(job, &self.tail);
            }
            state.ledger.forget_keys(now);
        }
        let done = work(&mut state);
        let wakes = std::mem::take(&mut state.wakes);
        drop(state);
        wakes.into_iter().for_each(Wake::wake);
        done
    }

    /// Takes a write; what comes with it has to be woken up once the lock is let go of.
    fn commit(&self, state: &mut State, write: &Write) -> Result<(Result<Appended, Refusal>, Wake), Error> {
        let capacity = self.capacity();
        let mut admitted = state.ledger.check(write, &capacity);
        // Those that are over make room, but only for a job that would have been taken otherwise.
        let roomy = Capacity { jobs: usize::MAX, bytes: usize::MAX, ..capacity };
        while let Err(Refusal::Overloaded) = admitted
            && state.ledger.check(write, &roomy).is_ok()
            && let Some(job) = state.ledger.overfull(&capacity)
        {
            state.forget(job, &self.tail);
            admitted = state.ledger.check(write, &capacity);
        }
        let admitted = match admitted {
            Ok(admitted) => admitted,
            Err(refusal) => return Ok((Err(refusal), Wake::default())),
        };
        // Held on to for a deletion alone: a snapshot that somebody holds is copied when it changes.
        let deleted = match admitted {
            Admitted::Deletion => state.ledger.appended(write.job).map(|last| Appended::new(last.job, 0)),
            Admitted::Drafts(..) => None,
        };
        let records = admitted.into_records(write, state.end.0);
        let (stored, wake) = state.store(records, &self.retention, &self.tail)?;
        // Of what was taken before nothing is stored once more.
        let appended = stored.or(deleted).or_else(|| state.ledger.appended(write.job)).ok_or(Refusal::UnknownJob);
        state.retain(&self.retention, &self.tail);
        Ok((appended, wake))
    }
}

#[async_trait]
impl EventLog for MemoryLog {
    async fn append(&self, write: Write) -> Result<Result<Appended, Refusal>, Error> {
        let (appended, wake) = self.with_state(|state| self.commit(state, &write))?;
        wake.wake();
        Ok(appended)
    }

    async fn read(&self, scope: &Scope, after: Cursor, limit: Limit) -> Result<ReadOutcome, Error> {
        Ok(self.look(|state| match scope.as_job() {
            Some(job) => state.read_job(job, after, limit),
            None => state.read_all(scope, after, limit),
        }))
    }

    async fn catch_up(&self) -> Result<(), Error> {
        Ok(())
    }

    fn job(&self, job: JobId) -> Option<Arc<Snapshot>> {
        self.look(|state| state.ledger.snapshot(job).cloned())
    }

    fn reporter(&self, job: JobId) -> Option<(Reporter, u64)> {
        self.look(|state| {
            // Who asks is about to report. Where there are many jobs, all that a report changes is somewhere in memory that
            // nobody has looked at for long: looked for at once, it is waited for about once, and otherwise piece by piece.
            self.tail.touch(job, || state.ledger.touch(job, History::touch));
            state.ledger.reporter(job)
        })
    }

    fn jobs(&self, query: &Query) -> Listing {
        let wanted = |job: &&Arc<Snapshot>| {
            query.state.is_none_or(|state| job.state == state)
                && query.kind.as_ref().is_none_or(|kind| job.kind == *kind)
        };
        self.look(|state| {
            let mut found = state.ledger.newest(query.before).filter(wanted);
            let jobs: Vec<_> = found.by_ref().take(query.limit).cloned().collect();
            let next = found.next().and(jobs.last()).map(|job| job.id);
            Listing::new(jobs, Cursor::new(state.end.0, state.end.1), next)
        })
    }

    fn tail(&self) -> &Arc<Tail> {
        &self.tail
    }
}

impl State {
    /// Keeps what a write has come to. Gives that, where it is anything, and who has to be woken up.
    fn store(
        &mut self,
        records: impl Iterator<Item = Record>,
        retention: &Retention,
        tail: &Tail,
    ) -> Result<(Option<Appended>, Wake), Error> {
        // Left behind by the write before, to be used again.
        let mut entries = std::mem::take(&mut self.stored);
        for record in records {
            if let Record::Deleted(job) = record {
                self.forget(job, tail);
            }
            self.ledger
                .apply(&record)
                .map_err(|e| Error::new(ErrorKind::Damaged, "a write was admitted wrongly").with_source(e))?;
            if let Record::Event { position, event, .. } = record {
                // All of a batch are of one job.
                let known = entries.first().map(|first| first.kind.clone());
                let kind = known.or_else(|| self.ledger.snapshot(event.job()).map(|job| job.kind.clone()));
                entries.extend(kind.map(|kind| Entry { position, kind, event }));
            }
        }
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return Ok(Default::default()) };
        let job = first.event.job();
        let (_, before) = std::mem::replace(&mut self.end, (last.position, last.event.tag()));
        let run = Run { position: first.position, job, seq: first.event.seq(), len: entries.len() as u64, before };
        if last.event.is_terminal() {
            self.droppable.insert((last.event.time(), job));
        }
        let wake = tail.advance(&entries);
        let mut stored = None;
        // The ledger has just taken the job's events, so it is there.
        if let Some((appended, history)) = self.ledger.appended_and_kept(job) {
            stored = Some(appended);
            let before = history.bytes();
            entries.drain(..).for_each(|entry| history.push(entry));
            self.bytes += history.bytes() - before;
            let mut is_over = history.is_over(retention);
            while is_over {
                is_over = self.drop_first(job, retention);
            }
        }
        entries.shrink_to(STORED);
        self.stored = entries;
        self.index_run(run);
        Ok((stored, wake))
    }

    fn index_run(&mut self, run: Run) {
        if let Some(last) = self.index.back_mut()
            && (last.job, last.seq + last.len, last.position + last.len) == (run.job, run.seq, run.position)
        {
            last.len += run.len;
            return;
        }
        self.index.push_back(run);
        // At twice what was left the last time, so that each run is looked at a few times in its life.
        if self.index.len() > self.index_limit {
            self.index.retain(|run| self.ledger.kept(run.job).is_some_and(|h| h.first_seq() < run.seq + run.len));
            self.index_limit = 2 * self.index.len() + 1024;
        }
    }

    fn forget(&mut self, job: JobId, tail: &Tail) {
        let Some(snapshot) = self.ledger.snapshot(job).cloned() else { return };
        if let Some(finished) = snapshot.finished_at {
            self.droppable.remove(&(finished, job));
        }
        if let Some(history) = self.ledger.forget(job) {
            self.bytes -= history.bytes();
            self.drop_at(history.last_position());
            let dropped = Dropped { position: history.last_position(), count: self.dropped.count };
            self.forgotten.push(snapshot.clone(), dropped);
        }
        self.wakes.push(tail.forget(&snapshot));
    }

    /// Drops what is too much of all jobs.
    fn retain(&mut self, retention: &Retention, tail: &Tail) {
        // What is remembered of jobs that are gone goes first, then events of jobs that are over, then those of jobs that
        // run. Where it is the jobs themselves that weigh, those that are over go: were they to go for events, one busy job
        // would have all others forgotten, and gain nothing by it.
        while self.bytes + self.ledger.bytes() + self.forgotten.bytes() > retention.bytes {
            if self.forgotten.pop().is_some() {
                continue;
            }
            if let Some((_, job)) = self.droppable.first().copied() {
                self.drop_first(job, retention);
            } else if let Some((_, job)) = self.ledger.longest_ended()
                && self.ledger.bytes() > retention.bytes / 2
            {
                self.forget(job, tail);
            } else if let Some(job) = self.oldest() {
                self.drop_first(job, retention);
            } else {
                break;
            }
        }
    }

    /// The job that the oldest event belongs to.
    fn oldest(&mut self) -> Option<JobId> {
        loop {
            let run = self.index.front()?;
            if self.ledger.kept(run.job).is_some_and(|history| history.first_seq() < run.seq + run.len) {
                return Some(run.job);
            }
            self.index.pop_front();
        }
    }

    /// Drops the oldest event of a job, and says whether there are still more of it than may be.
    fn drop_first(&mut self, job: JobId, retention: &Retention) -> bool {
        let Some(history) = self.ledger.kept_mut(job) else { return false };
        let before = history.bytes();
        let dropped = history.drop_first(self.dropped.count + 1);
        self.bytes -= before - history.bytes();
        let is_over = history.is_over(retention);
        if history.len() == 0
            && let Some(finished) = self.ledger.snapshot(job).and_then(|snapshot| snapshot.finished_at)
        {
            self.droppable.remove(&(finished, job));
        }
        if let Some(position) = dropped {
            self.drop_at(position);
        }
        is_over
    }

    fn drop_at(&mut self, position: u64) {
        self.dropped = self.dropped.and(Dropped { position, count: self.dropped.count + 1 });
    }

    fn read_job(&self, job: JobId, after: Cursor, limit: Limit) -> ReadOutcome {
        let (Some(snapshot), Some(history)) = (self.ledger.snapshot(job), self.ledger.kept(job)) else {
            return ReadOutcome::UnknownJob;
        };
        if after.number() > snapshot.seq || history.tag(after.number()).is_some_and(|tag| !after.agrees_with(tag)) {
            return ReadOutcome::Mismatch;
        }
        let gap = history.dropped.as_ref().filter(|dropped| after.number() < dropped.job.seq);
        let gap = gap.map(|dropped| Gap::new(after.number(), dropped.job.cursor(), vec![dropped.job.clone()]));
        let from = gap.as_ref().map_or(after.number(), |gap| gap.cursor.number());
        let events = history.read(from, limit);
        let through = events.last().map_or(snapshot.cursor(), |last| last.event.cursor());
        let more = match through.number() {
            last if last < snapshot.seq => More::Now,
            _ if snapshot.state.is_terminal() => More::Never,
            _ => More::Later,
        };
        ReadOutcome::Read(Read::new(Some(snapshot.clone()), events, through, more).with_gap(gap))
    }

    fn read_all(&self, scope: &Scope, after: Cursor, limit: Limit) -> ReadOutcome {
        let end = Cursor::new(self.end.0, self.end.1);
        let named: Option<Vec<_>> = match &scope.0 {
            Selection::Jobs(jobs) => Some(jobs.iter().filter_map(|job| self.ledger.snapshot(*job)).collect()),
            _ => None,
        };
        // Who follows jobs that were all forgotten meanwhile is told how they ended.
        let none_left = named.as_ref().is_some_and(Vec::is_empty);
        if none_left && self.forgotten.after(scope, after.number()).next().is_none() {
            return ReadOutcome::UnknownJob;
        }
        let at = self.index.partition_point(|run| run.position + run.len <= after.number());
        if after.number() > end.number() || self.tag_at(after.number()).is_some_and(|tag| !after.agrees_with(tag)) {
            return ReadOutcome::Mismatch;
        }
        let (mut entries, mut bytes, mut scanned) = (Vec::new(), 0, 0);
        // Where reading goes on, and the place before the first event that was found.
        let (mut through, mut resumed) = (end, None);
        'all: for run in self.index.range(at..) {
            if scanned >= SCANNED {
                through = Cursor::new(run.position - 1, run.before);
                break;
            }
            scanned += 1;
            let included = self.ledger.snapshot(run.job).is_some_and(|job| scope.includes(run.job, &job.kind));
            let Some(history) = self.ledger.kept(run.job).filter(|_| included) else { continue };
            let unread = (after.number() + 1).saturating_sub(run.position);
            let first = unread.max(history.first_seq().saturating_sub(run.seq));
            let mut place = run.place_before(first, history);
            for offset in first..run.len {
                let Some(entry) = history.get(run.seq + offset) else { break };
                let full = entries.len() >= limit.events.max(1)
                    || (bytes + entry.event.json().len() > limit.bytes && !entries.is_empty());
                if full || scanned > SCANNED {
                    through = place;
                    break 'all;
                }
                resumed.get_or_insert(place);
                place = scope.cursor(entry);
                bytes += entry.event.json().len();
                scanned += 1;
                entries.push(entry.clone());
            }
        }
        let gap = self.gap(scope, after.number(), resumed.unwrap_or(through));
        let more = match named {
            _ if through.number() < end.number() => More::Now,
            Some(jobs) if jobs.iter().all(|job| job.state.is_terminal()) => More::Never,
            _ => More::Later,
        };
        let count = entries.len();
        ReadOutcome::Read(Read::new(None, Batch::new(entries.into(), 0..count), through, more).with_gap(gap))
    }

    /// The tag of the event at a position of the whole log, where it is known.
    fn tag_at(&self, position: u64) -> Option<Tag> {
        if position == self.end.0 {
            return Some(self.end.1);
        }
        let next = self.index.partition_point(|run| run.position <= position);
        if let Some(run) = self.index.get(next).filter(|run| run.position == position + 1) {
            return Some(run.before);
        }
        let run = self.index.get(next.checked_sub(1)?)?;
        let offset = Some(position - run.position).filter(|offset| *offset < run.len)?;
        self.ledger.kept(run.job)?.tag(run.seq + offset)
    }

    fn gap(&self, scope: &Scope, after: u64, before: Cursor) -> Option<Gap> {
        if after >= self.dropped.position {
            return None;
        }
        let mut covered = self.forgotten.covered(scope, after);
        let mut jobs: Vec<_> = self.forgotten.after(scope, after).cloned().collect();
        let mut found = 0;
        for job in self.ledger.newest(None).filter(|job| scope.includes(job.id, &job.kind)) {
            let dropped = self.ledger.kept(job.id).and_then(|history| history.dropped.as_ref());
            let Some(dropped) = dropped.filter(|dropped| dropped.position > after) else { continue };
            covered = covered.max(dropped.count);
            if found < GAP_JOBS {
                jobs.push(job.clone());
                found += 1;
            }
        }
        if covered == 0 {
            return None;
        }
        jobs.sort_unstable_by_key(|job| Reverse(job.id));
        jobs.truncate(GAP_JOBS);
        Some(Gap::new(after, before, jobs).with_covered(covered))
    }
}
