//! The last events of a job that has readers, encoded once for all of them.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;
use smallvec::SmallVec;
use tokio::time::Instant;

use crate::{
    cursor::Cursor,
    framing::{Coding, Framing},
    log::{Batch, Entry},
};

/// The most that one reader is handed at once.
pub(crate) const CHUNK: usize = 64 * 1024;

/// How much JSON is kept for readers that lag a little, and for how long once there is something newer. Who lags more
/// reads the log.
const KEPT: usize = 4 * CHUNK;
const KEPT_FOR: Duration = Duration::from_secs(5);

/// As much as a framing and a coding add to most events, and ask for before they begin: with less room the half of an event
/// would have to move.
const FRAME: usize = 128;

/// What events are encoded with.
pub(crate) type Encoding = (&'static Framing, Coding);

/// The last events of one job, in a row, with what has been encoded of them.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    entries: VecDeque<Entry>,
    /// The number of the last event that was told, held or not; 0 before the first.
    last: u64,
    bytes: usize,
    pushed: Option<Instant>,
    /// Nearly always in one way.
    encoded: SmallVec<[(Encoding, Encoded); 1]>,
}

/// What is held here of what follows a place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// These events, to be written to a reader.
    Slice(Slice),
    /// The place is that of the last event that was told.
    CaughtUp,
    /// That is for the log to say.
    Elsewhere,
}

/// Encoded events in a row.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Slice {
    pub(crate) bytes: Bytes,
    /// The place after the last event in it.
    pub(crate) cursor: Cursor,
    /// Whether the job is over with that event.
    pub(crate) terminal: bool,
}

impl Recent {
    pub(crate) fn push(&mut self, entries: &[Entry]) {
        self.pushed = Some(Instant::now());
        for entry in entries {
            self.bytes += entry.event.json().len();
            self.entries.push_back(entry.clone());
        }
        let Some((last, newest)) = self.entries.back().map(|entry| (entry.event.seq(), entry.event.time())) else {
            return;
        };
        self.last = last;
        while self.entries.len() > 1
            && let Some(oldest) = self.entries.front()
            && (self.bytes > KEPT || newest.since(oldest.event.time()) > KEPT_FOR)
            && let Some(dropped) = self.entries.pop_front()
        {
            self.bytes -= dropped.event.json().len();
            for (_, encoded) in &mut self.encoded {
                encoded.drop_through(dropped.event.seq());
            }
        }
    }

    /// All events that follow the one with the number `after`, where they are held.
    pub(crate) fn entries_after(&self, after: u64) -> Option<Batch> {
        if after == self.last && after > 0 {
            return Some(Batch::default());
        }
        let first = self.entries.front()?.event.seq();
        let skip = (after + 1).checked_sub(first).filter(|_| after < self.last)?;
        let entries: Arc<[Entry]> = self.entries.iter().skip(usize::try_from(skip).ok()?).cloned().collect();
        let range = 0..entries.len();
        Some(Batch::new(entries, range))
    }

    /// What follows the event with the number `after`. For a reader that is `alone` nothing is kept that it has been given:
    /// where each job has one reader, that is most of what would be kept here.
    pub(crate) fn after(&mut self, after: u64, encoding: Encoding, alone: bool) -> Held {
        let all = if alone { self.take_all(after, encoding) } else { None };
        all.map(Held::Slice).or_else(|| self.find(after, encoding)).unwrap_or(Held::Elsewhere)
    }

    /// All that is held, where that is what follows, and fits into one piece whatever the framing adds.
    fn take_all(&mut self, after: u64, (framing, coding): Encoding) -> Option<Slice> {
        let last = &self.entries.back()?.event;
        if self.entries.front()?.event.seq() != after + 1 || self.bytes > CHUNK / 2 {
            return None;
        }
        let (cursor, terminal) = (last.cursor(), last.is_terminal());
        let mut bytes = Vec::with_capacity(self.bytes + FRAME * self.entries.len());
        for entry in self.entries.drain(..) {
            coding.encode(&mut bytes, |bytes| (framing.event)(&entry, entry.event.cursor(), bytes));
        }
        self.bytes = 0;
        self.encoded.clear();
        Some(Slice { bytes: bytes.into(), cursor, terminal })
    }

    fn find(&mut self, after: u64, encoding: Encoding) -> Option<Held> {
        let (framing, coding) = encoding;
        if after == self.last && after > 0 {
            return Some(Held::CaughtUp);
        }
        let first = self.entries.front()?.event.seq();
        if after + 1 < first || after > self.last {
            return None;
        }
        let at = match self.encoded.iter().position(|((known, coded), _)| known.is(framing) && *coded == coding) {
            Some(at) => at,
            None => {
                self.encoded.push((encoding, Encoded::default()));
                self.encoded.len() - 1
            }
        };
        let (_, encoded) = self.encoded.get_mut(at)?;
        encoded.extend(&self.entries, encoding);
        let (bytes, last) = encoded.after(after)?;
        let event = &self.entries.get(usize::try_from(last.checked_sub(first)?).ok()?)?.event;
        Some(Held::Slice(Slice { bytes, cursor: event.cursor(), terminal: event.is_terminal() }))
    }

    /// Keeps nothing where nothing has come for a while: those who wait have all seen it by then.
    pub(crate) fn rest(&mut self) {
        let silent = self.pushed.is_some_and(|pushed| pushed.elapsed() > KEPT_FOR);
        if silent {
            *self = Self { last: self.last, ..Self::default() };
        }
    }
}

/// Segments in a row. Where somebody lags by several of them, neighbours of like size become one: so a reader which lags by
/// many small appends gets them in a few pieces, no byte is copied more often than the logarithm of a chunk, and none at
/// all where everybody keeps up.
#[derive(Debug, Default)]
struct Encoded {
    segments: VecDeque<Segment>,
}

#[derive(Debug)]
struct Segment {
    first: u64,
    bytes: Bytes,
    /// Where each event ends. Most are of one.
    ends: SmallVec<[u32; 2]>,
}

impl Segment {
    fn last(&self) -> u64 {
        self.first + self.ends.len() as u64 - 1
    }
}

impl Encoded {
    /// Encodes what has not been encoded yet of what is held.
    fn extend(&mut self, entries: &VecDeque<Entry>, (framing, coding): Encoding) {
        let Some(first) = entries.front().map(|entry| entry.event.seq()) else { return };
        let from = self.segments.back().map_or(first, |segment| segment.last() + 1);
        let skip = usize::try_from(from.saturating_sub(first)).unwrap_or(usize::MAX);
        let json: usize = entries.iter().skip(skip).map(|entry| entry.event.json().len() + FRAME).sum();
        let (mut bytes, mut ends, mut start) = (Vec::with_capacity(json.min(CHUNK)), SmallVec::new(), from);
        for entry in entries.iter().skip(skip) {
            let before = bytes.len();
            coding.encode(&mut bytes, |bytes| (framing.event)(entry, entry.event.cursor(), bytes));
            if bytes.len() > CHUNK && before > 0 {
                let rest = bytes.split_off(before);
                self.segments.push_back(Segment { first: start, bytes: bytes.into(), ends: std::mem::take(&mut ends) });
                (bytes, start) = (rest, entry.event.seq());
            }
            // A chunk and one event are far below 4 GiB.
            ends.push(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        }
        if !ends.is_empty() {
            self.segments.push_back(Segment { first: start, bytes: bytes.into(), ends });
        }
    }

    /// Joins those from this one on.
    fn join(&mut self, from: usize) {
        for mut segment in self.segments.split_off(from) {
            while self.segments.len() > from
                && let Some(before) = self.segments.back()
                && before.bytes.len() <= 2 * segment.bytes.len()
                && before.bytes.len() + segment.bytes.len() <= CHUNK
            {
                let Some(mut whole) = self.segments.pop_back() else { break };
                let offset = u32::try_from(whole.bytes.len()).unwrap_or(u32::MAX);
                whole.ends.extend(segment.ends.iter().map(|end| end + offset));
                whole.bytes = [whole.bytes, segment.bytes].concat().into();
                segment = whole;
            }
            self.segments.push_back(segment);
        }
    }

    /// The bytes of the events after `after`, and the seq of the last of them.
    fn after(&mut self, after: u64) -> Option<(Bytes, u64)> {
        let at = self.segments.partition_point(|segment| segment.last() <= after);
        if at + 1 < self.segments.len() {
            self.join(at);
        }
        let segment = self.segments.get(at)?;
        let inside = usize::try_from((after + 1).checked_sub(segment.first)?).ok()?;
        let start = match inside.checked_sub(1) {
            Some(before) => *segment.ends.get(before)? as usize,
            None => 0,
        };
        Some((segment.bytes.slice(start..), segment.last()))
    }

    fn drop_through(&mut self, seq: u64) {
        while self.segments.front().is_some_and(|segment| segment.last() <= seq) {
            self.segments.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use proptest::prelude::*;

    use super::*;
    use crate::{cursor::Tag, draft::Draft, event::Event, names::JobId, time::Timestamp};

    thread_local! {
        static ENCODED: Cell<usize> = const { Cell::new(0) };
    }

    const PLAIN: Encoding = (&LINES, Coding::Identity);
    static LINES: Framing = Framing { event: line, gap: |_, _, _| {}, heartbeat: b"" };

    fn line(entry: &Entry, cursor: Cursor, out: &mut Vec<u8>) {
        ENCODED.set(ENCODED.get() + 1);
        out.extend_from_slice(format!("{} {}\n", cursor.number(), entry.event.data()).as_bytes());
    }

    fn entries(count: u64, line: &str) -> Vec<Entry> {
        entries_every(0, count, line)
    }

    fn entries_every(millis: u64, count: u64, line: &str) -> Vec<Entry> {
        let (job, mut at) = (JobId::new(), (0, Tag::START));
        (1..=count)
            .map(|position| {
                let event = Event::seal(job, at, Timestamp::from_millis(position * millis), &Draft::log("s", line));
                at = (event.seq(), event.tag());
                Entry { position, kind: "test".parse().expect("a kind"), event }
            })
            .collect()
    }

    fn read_all(recent: &mut Recent, mut after: u64) -> (String, usize) {
        let (mut text, mut slices) = (String::new(), 0);
        while let Held::Slice(slice) = recent.after(after, PLAIN, false) {
            assert!(slice.bytes.len() <= CHUNK && slice.cursor.number() > after);
            text.push_str(std::str::from_utf8(&slice.bytes).expect("text"));
            after = slice.cursor.number();
            slices += 1;
        }
        (text, slices)
    }

    fn wanted(entries: &[Entry], after: u64) -> String {
        let later = entries.iter().filter(|entry| entry.event.seq() > after);
        later.map(|entry| format!("{} {}\n", entry.event.seq(), entry.event.data())).collect()
    }

    #[test]
    fn each_event_is_encoded_once_for_all_readers() {
        let all = entries(100, "x");
        let mut recent = Recent::default();
        ENCODED.set(0);
        for entry in &all {
            recent.push(std::slice::from_ref(entry));
            for _ in 0..10 {
                assert!(matches!(recent.after(entry.event.seq() - 1, PLAIN, false), Held::Slice(_)));
            }
        }
        assert_eq!(read_all(&mut recent, 0).0, wanted(&all, 0));
        assert_eq!(ENCODED.get(), 100);
    }

    #[test]
    fn a_reader_that_lags_gets_few_pieces() {
        let mut recent = Recent::default();
        for entry in entries(1000, "x") {
            recent.push(std::slice::from_ref(&entry));
            recent.after(entry.event.seq() - 1, PLAIN, false);
        }
        let (_, slices) = read_all(&mut recent, 0);
        assert!(slices <= 12, "{slices} pieces");
    }

    #[test]
    fn what_is_kept_is_bounded_and_the_rest_is_not_made_up() {
        let mut recent = Recent::default();
        for entry in entries(100, &"x".repeat(10_000)) {
            recent.push(std::slice::from_ref(&entry));
        }
        assert!(recent.bytes <= KEPT && recent.bytes > KEPT / 2);
        assert_eq!(recent.after(0, PLAIN, false), Held::Elsewhere);
        assert_eq!(recent.after(100, PLAIN, false), Held::CaughtUp);
        assert!(matches!(recent.after(99, PLAIN, false), Held::Slice(_)));
    }

    #[test]
    fn a_slow_trickle_leaves_little_behind() {
        let mut recent = Recent::default();
        for entry in entries_every(1000, 100, "x") {
            recent.push(std::slice::from_ref(&entry));
            assert!(matches!(recent.after(entry.event.seq() - 1, PLAIN, false), Held::Slice(_)));
        }
        assert_eq!(recent.entries.len(), 6);
        assert_eq!(recent.after(90, PLAIN, false), Held::Elsewhere);
    }

    #[test]
    fn what_the_only_reader_was_given_is_not_kept() {
        let mut recent = Recent::default();
        let all = entries(4, "x");
        recent.push(&all[..3]);
        let Held::Slice(slice) = recent.after(0, PLAIN, true) else { panic!("it is held") };
        assert_eq!((slice.bytes.as_ref(), slice.cursor.number()), (wanted(&all[..3], 0).as_bytes(), 3));
        assert_eq!((recent.entries.len(), recent.bytes), (0, 0));
        assert_eq!((recent.after(3, PLAIN, true), recent.after(1, PLAIN, true)), (Held::CaughtUp, Held::Elsewhere));
        assert_eq!(recent.entries_after(3).map(|held| held.len()), Some(0));
        assert!(recent.entries_after(1).is_none());
        recent.push(&all[3..]);
        assert_eq!(recent.entries_after(3).map(|held| held.len()), Some(1));
        let Held::Slice(slice) = recent.after(3, PLAIN, true) else { panic!("it is held") };
        assert_eq!(slice.bytes.as_ref(), wanted(&all, 3).as_bytes());
    }

    #[tokio::test(start_paused = true)]
    async fn silence_leaves_little_behind_too() {
        let mut recent = Recent::default();
        recent.push(&entries(100, "x"));
        recent.rest();
        assert_eq!(recent.entries.len(), 100);
        tokio::time::advance(KEPT_FOR * 2).await;
        recent.rest();
        assert_eq!((recent.entries.len(), recent.encoded.len()), (0, 0));
        assert_eq!(
            (recent.after(100, PLAIN, false), recent.after(98, PLAIN, false)),
            (Held::CaughtUp, Held::Elsewhere)
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn readers_get_every_event_once(batches in prop::collection::vec((1u64..20, 0u64..40), 1..20), size in 1usize..9000) {
            let all = entries(batches.iter().map(|(count, _)| count).sum(), &"x".repeat(size));
            let (mut recent, mut rest) = (Recent::default(), all.as_slice());
            for (count, back) in batches {
                let (now, later) = rest.split_at(count as usize);
                recent.push(now);
                rest = later;
                let last = recent.entries.back().expect("just pushed").event.seq();
                let after = last.saturating_sub(back);
                let held = recent.entries.front().is_some_and(|first| first.event.seq() <= after + 1);
                let seen: Vec<_> = all.iter().filter(|entry| entry.event.seq() <= last).cloned().collect();
                let want = if held { wanted(&seen, after) } else { String::new() };
                prop_assert_eq!(read_all(&mut recent, after).0, want);
            }
        }
    }
}
