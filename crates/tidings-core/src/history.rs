//! The events of one job that are kept in memory.

use std::{
    collections::VecDeque,
    hint::black_box,
    sync::{Arc, OnceLock},
};

use crate::{
    cursor::Tag,
    event::Event,
    log::{Batch, Entry, Limit},
    recent::CHUNK,
    retention::Retention,
    snapshot::Snapshot,
};

/// A chunk is sealed at so many events, or at [`CHUNK`] bytes of JSON.
const SEALED_AT: usize = 256;

/// The events of one job that are kept, in chunks that all readers share.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) dropped: Option<Folded>,
    /// The chunks that no longer change.
    sealed: VecDeque<Arc<[Entry]>>,
    /// How many events at the front of the first chunk were dropped.
    skip: usize,
    /// The events since.
    open: Vec<Entry>,
    open_bytes: usize,
    /// A copy of the open ones for readers, made by who asks first.
    shared: OnceLock<Arc<[Entry]>>,
    len: usize,
    bytes: usize,
}

/// What was dropped of a job.
#[derive(Clone, Debug)]
pub(crate) struct Folded {
    /// The job as of the last event of it.
    pub(crate) job: Arc<Snapshot>,
    /// That event's position.
    pub(crate) position: u64,
    /// How many events had been dropped of the whole log by then.
    pub(crate) count: u64,
}

/// What an event costs in memory, about.
pub(crate) fn cost(entry: &Entry) -> usize {
    entry.event.json().len() + Event::COST + size_of::<Entry>()
}

/// For how many events room is kept where the next chunk begins.
const KEPT_OPEN: usize = 16;

impl History {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// What all of it costs in memory, about.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether this is more than may be kept of a job.
    pub(crate) fn is_over(&self, retention: &Retention) -> bool {
        self.len > retention.events_per_job || self.bytes > retention.bytes_per_job
    }

    /// The seq of the first event that is kept, or will be.
    pub(crate) fn first_seq(&self) -> u64 {
        self.dropped.as_ref().map_or(1, |dropped| dropped.job.seq + 1)
    }

    pub(crate) fn push(&mut self, entry: Entry) {
        let (cost, terminal) = (cost(&entry), entry.event.is_terminal());
        self.len += 1;
        self.bytes += cost;
        self.open_bytes += cost;
        self.open.push(entry);
        self.shared.take();
        if self.open.len() >= SEALED_AT || self.open_bytes >= CHUNK {
            self.seal();
        }
        if terminal {
            // Nothing follows, and there may be very many jobs that are over.
            self.open.shrink_to_fit();
        }
    }

    fn seal(&mut self) {
        self.open_bytes = 0;
        if !self.open.is_empty() {
            self.sealed.push_back(self.open.drain(..).collect());
            // Some room stays for those that follow, and not a whole chunk's: there may be very many jobs.
            self.open.shrink_to(KEPT_OPEN);
        }
    }

    /// The position of the last event, kept or not.
    pub(crate) fn last_position(&self) -> u64 {
        let last = self.open.last().or_else(|| self.sealed.back()?.last()).map(|entry| entry.position);
        last.or(self.dropped.as_ref().map(|dropped| dropped.position)).unwrap_or_default()
    }

    /// Looks at where the next event goes, so that it is near by then.
    pub(crate) fn touch(&self) {
        black_box(self.last_position());
    }

    /// Takes the oldest event out and folds it into what was dropped: `count` events of the whole log by now.
    /// Gives its position.
    pub(crate) fn drop_first(&mut self, count: u64) -> Option<u64> {
        if self.sealed.is_empty() {
            self.shared.take();
            self.seal();
        }
        let chunk = self.sealed.front()?;
        let entry = chunk.get(self.skip)?;
        let position = entry.position;
        self.len -= 1;
        self.bytes -= cost(entry);
        let folded = match self.dropped.take() {
            Some(Folded { mut job, .. }) => Arc::make_mut(&mut job).apply(&entry.event).map(|()| job),
            None => Snapshot::open(&entry.event).map(Arc::new),
        };
        // The ledger has folded the same events in before, so this one fits too.
        self.dropped = folded.ok().map(|job| Folded { job, position, count });
        self.skip += 1;
        if self.skip == chunk.len() {
            self.sealed.pop_front();
            self.skip = 0;
        }
        Some(position)
    }

    /// The event with this seq, where it is kept.
    pub(crate) fn get(&self, seq: u64) -> Option<&Entry> {
        let at = usize::try_from(seq.checked_sub(self.first_seq())?).ok()? + self.skip;
        let (chunk, at) = self.locate(at);
        self.sealed.get(chunk).map_or(self.open.as_slice(), AsRef::as_ref).get(at)
    }

    /// The tag of the event with this seq, where it is kept or is the last that was dropped.
    pub(crate) fn tag(&self, seq: u64) -> Option<Tag> {
        match &self.dropped {
            Some(dropped) if dropped.job.seq == seq => Some(dropped.job.tag),
            _ => self.get(seq).map(|entry| entry.event.tag()),
        }
    }

    /// Events in a row that follow the one with the seq `after`: as many as one chunk has of them, up to the limit.
    pub(crate) fn read(&self, after: u64, limit: Limit) -> Batch {
        let kept = (after + 1).saturating_sub(self.first_seq());
        let at = usize::try_from(kept).unwrap_or(usize::MAX).saturating_add(self.skip);
        let (chunk, at) = self.locate(at);
        let entries = match self.sealed.get(chunk) {
            Some(sealed) => sealed.clone(),
            None => self.shared.get_or_init(|| self.open.as_slice().into()).clone(),
        };
        let mut bytes = 0;
        let wanted = entries.get(at..).unwrap_or_default().iter().take(limit.events.max(1)).enumerate();
        let count = wanted
            .take_while(|(nth, entry)| {
                bytes += entry.event.json().len();
                *nth == 0 || bytes <= limit.bytes
            })
            .count();
        Batch::new(entries, at..at.saturating_add(count))
    }

    /// The chunk that the `at`th event from the beginning of the first chunk lies in, and its place there.
    fn locate(&self, mut at: usize) -> (usize, usize) {
        // From the back, as most readers are near the end.
        let sealed: usize = self.len + self.skip - self.open.len();
        if at >= sealed {
            return (self.sealed.len(), at - sealed);
        }
        let mut chunk = self.sealed.len();
        let mut before = sealed;
        while let Some(last) = chunk.checked_sub(1).and_then(|last| self.sealed.get(last)) {
            chunk -= 1;
            before -= last.len();
            if at >= before {
                at -= before;
                break;
            }
        }
        (chunk, at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{draft::Draft, json::Json, names::JobId, time::Timestamp};

    const ALL: Limit = Limit { events: usize::MAX, bytes: usize::MAX };

    fn entries(count: u64) -> Vec<Entry> {
        let (job, mut at) = (JobId::new(), (0, Tag::START));
        let queued = Draft::queued(&"test".parse().expect("a kind"), &Json::null());
        (1..=count)
            .map(|position| {
                let draft = if position == 1 { queued.clone() } else { Draft::log("s", "x") };
                let event = Event::seal(job, at, Timestamp::from_millis(0), &draft);
                at = (event.seq(), event.tag());
                Entry { position, kind: "test".parse().expect("a kind"), event }
            })
            .collect()
    }

    fn seqs(history: &History, mut after: u64, limit: Limit) -> Vec<u64> {
        let mut all = Vec::new();
        loop {
            let batch = history.read(after, limit);
            let Some(last) = batch.last() else { return all };
            after = last.event.seq();
            all.extend(batch.iter().map(|entry| entry.event.seq()));
        }
    }

    #[test]
    fn a_page_ends_at_its_limit_and_has_one_event_at_least() {
        let mut history = History::default();
        entries(10).into_iter().for_each(|entry| history.push(entry));
        assert_eq!(history.read(0, Limit { events: 3, ..ALL }).len(), 3);
        assert_eq!(history.read(0, Limit { bytes: 1, ..ALL }).len(), 1);
        let two = history.read(5, ALL).iter().take(2).map(|entry| entry.event.json().len()).sum();
        assert_eq!(history.read(5, Limit { bytes: two, ..ALL }).len(), 2);
    }

    #[test]
    fn what_is_dropped_is_folded() {
        let mut history = History::default();
        entries(600).into_iter().for_each(|entry| history.push(entry));
        for count in 1..=300 {
            history.drop_first(count);
        }
        let dropped = history.dropped.clone().expect("a fold");
        assert_eq!((dropped.job.seq, dropped.position, dropped.count, history.first_seq()), (300, 300, 300, 301));
        while history.drop_first(0).is_some() {
            assert_eq!(history.last_position(), 600);
        }
        assert_eq!(history.last_position(), 600);
        assert_eq!((history.len(), history.bytes(), history.first_seq()), (0, 0, 601));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn all_that_is_kept_can_be_read(steps in prop::collection::vec((0usize..400, 0usize..400), 1..6), limit in 1usize..600) {
            let all = entries(2400);
            let mut rest = all.into_iter();
            let mut history = History::default();
            let mut last = 0;
            for (push, drop) in steps {
                for entry in rest.by_ref().take(push) {
                    last = entry.event.seq();
                    history.push(entry);
                }
                for _ in 0..drop {
                    history.drop_first(0);
                }
                let first = history.first_seq();
                prop_assert_eq!(history.len() as u64, last + 1 - first);
                let limit = Limit { events: limit, ..ALL };
                prop_assert_eq!(seqs(&history, first - 1, limit), (first..=last).collect::<Vec<_>>());
                for seq in [first, first + 1, (first + last) / 2, last] {
                    let want = (first..=last).contains(&seq).then_some(seq);
                    prop_assert_eq!(history.get(seq).map(|entry| entry.event.seq()), want);
                }
                prop_assert_eq!(history.get(first - 1).map(|entry| entry.position), None);
            }
        }
    }
}
