//! Events: what happened to a job, numbered and sealed.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    cursor::{Cursor, Tag},
    draft::Draft,
    json::Json,
    names::{EventType, JobId},
    text::Decimal,
    time::Timestamp,
};

/// One thing that happened to a job, numbered and sealed.
///
/// Its JSON is made once, when it is numbered, and is the same bytes on every transport. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Event(Arc<Sealed>);

#[derive(Debug)]
struct Sealed {
    json: Bytes,
    /// Where the data stand in it: most events are only ever handed on whole.
    data: Range<usize>,
    job: JobId,
    seq: u64,
    tag: Tag,
    time: Timestamp,
    kind: EventType,
}

impl Event {
    /// Numbers a draft: it becomes the event after `before` of that job.
    #[must_use]
    pub fn seal(job: JobId, before: (u64, Tag), time: Timestamp, draft: &Draft) -> Self {
        let seq = before.0 + 1;
        let (digits, kind, data) = (Decimal::of(seq), draft.kind().as_str(), draft.data().as_bytes());
        let digits = digits.as_bytes();
        let cursor_len = r#""cursor":"-12345678","#.len() + digits.len();
        let head_len = r#"{"job":"","seq":,"#.len() + JobId::LENGTH + digits.len();
        // To the byte, as events are kept.
        let data_from = data_from(digits, kind);
        let mut text = Vec::with_capacity(data_from + data.len() + 1);
        // The cursor is no part of what it vouches for. Its room is at the front at first, and then the head, which is
        // short, changes places with it.
        text.resize(cursor_len, b' ');
        text.extend_from_slice(br#"{"job":""#);
        text.extend_from_slice(&job.text());
        text.extend_from_slice(br#"","seq":"#);
        text.extend_from_slice(digits);
        text.extend_from_slice(br#","time":""#);
        text.extend_from_slice(&time.text());
        text.extend_from_slice(br#"","type":""#);
        text.extend_from_slice(kind.as_bytes());
        text.extend_from_slice(br#"","data":"#);
        text.extend_from_slice(data);
        text.push(b'}');
        let tag = before.1.next(text.get(cursor_len..).unwrap_or_default());
        text.copy_within(cursor_len..cursor_len + head_len, 0);
        let mut at = head_len;
        for part in [&br#""cursor":""#[..], digits, b"-", &tag.text(), br#"","#] {
            if let Some(place) = text.get_mut(at..at + part.len()) {
                place.copy_from_slice(part);
            }
            at += part.len();
        }
        let (data, kind) = (data_from..text.len() - 1, draft.kind().clone());
        Self(Arc::new(Sealed { json: text.into(), data, job, seq, tag, time, kind }))
    }

    /// What one costs in memory besides its JSON, about.
    pub(crate) const COST: usize = size_of::<Sealed>() + 2 * size_of::<usize>();

    /// Reads an event that came over a transport. The bytes are kept as they are.
    ///
    /// # Errors
    ///
    /// Where the text is no event. Whether its tag fits is not checked: that takes all events before it.
    pub fn parse(json: Bytes) -> Result<Self, InvalidEvent> {
        let wire: Wire<'_> = serde_json::from_slice(&json).map_err(|e| InvalidEvent(e.to_string()))?;
        let invalid = |member: &str| InvalidEvent(format!("invalid {member}"));
        let cursor: Cursor = wire.cursor.parse().map_err(|_| invalid("cursor"))?;
        let sealed = Sealed {
            // Here they may stand anywhere.
            data: place_in(&json, wire.data.get().as_bytes()),
            job: wire.job.parse().map_err(|_| invalid("job"))?,
            seq: wire.seq,
            tag: cursor.tag().filter(|_| cursor.number() == wire.seq).ok_or_else(|| invalid("cursor"))?,
            time: wire.time.parse().map_err(|_| invalid("time"))?,
            kind: wire.kind.parse().map_err(|_| invalid("type"))?,
            json: Bytes::new(),
        };
        Ok(Self(Arc::new(Sealed { json, ..sealed })))
    }

    /// The whole event as JSON, on one line.
    #[must_use]
    pub fn json(&self) -> &Bytes {
        &self.0.json
    }

    /// The job that it happened to.
    #[must_use]
    pub fn job(&self) -> JobId {
        self.0.job
    }

    /// Its number within its job: 1, 2, 3, … without a hole.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.0.seq
    }

    /// What vouches for it and all before it.
    #[must_use]
    pub fn tag(&self) -> Tag {
        self.0.tag
    }

    /// The place in its job after this event.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor::new(self.0.seq, self.0.tag)
    }

    /// When it was written.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        self.0.time
    }

    /// What it says.
    #[must_use]
    pub fn kind(&self) -> &EventType {
        &self.0.kind
    }

    /// What goes with its type. It shares the memory of the whole event.
    #[must_use]
    pub fn data(&self) -> Json {
        Json::trusted(self.0.json.slice(self.0.data.clone()))
    }

    /// Whether its job is over with it.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        self.0.kind.is_terminal()
    }
}

/// Where a part of these bytes stands in them.
fn place_in(whole: &[u8], part: &[u8]) -> Range<usize> {
    let from = part.as_ptr().addr() - whole.as_ptr().addr();
    from..from + part.len()
}

/// Where the data begin in the JSON of an event that was sealed.
fn data_from(digits: &[u8], kind: &str) -> usize {
    let names = r#"{"job":"","seq":,"cursor":"-12345678","time":"","type":"","data":"#.len();
    names + JobId::LENGTH + 2 * digits.len() + Timestamp::LENGTH + kind.len()
}

#[derive(Deserialize)]
struct Wire<'a> {
    job: &'a str,
    seq: u64,
    cursor: &'a str,
    time: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// The text is no event, and why.
#[derive(Debug, thiserror::Error)]
#[error("not an event: {0}")]
pub struct InvalidEvent(String);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draft::Progress;

    fn json(text: &str) -> Json {
        Json::parse(text.as_bytes()).expect("valid JSON")
    }

    #[test]
    fn an_event_is_what_the_wire_shows() {
        let job = JobId::new();
        let time = Timestamp::from_millis(1_795_255_203_123);
        let first = Event::seal(job, (0, Tag::START), time, &Draft::started(1));
        let event = Event::seal(
            job,
            (11, first.tag()),
            time,
            &Draft::progress(&Progress::percent(40.0).with_message("building")),
        );
        let cursor = event.cursor();
        assert_eq!(
            event.json(),
            &format!(
                r#"{{"job":"{job}","seq":12,"cursor":"{cursor}","time":"2026-11-21T10:00:03.123Z","type":"progress","data":{{"done":40,"total":100,"unit":"%","message":"building"}}}}"#
            )
        );
        let without = String::from_utf8_lossy(event.json()).replace(&format!(r#""cursor":"{cursor}","#), "");
        assert_eq!(first.tag().next(without.as_bytes()), event.tag());
    }

    #[test]
    fn what_is_sealed_can_be_read() {
        let draft = Draft::custom("build.cached".parse().expect("valid"), json(r#"{"b":1.50,"a":"\n\u2028"}"#));
        let event = Event::seal(JobId::new(), (0, Tag::START), Timestamp::from_millis(5), &draft);
        let read = Event::parse(event.json().clone()).expect("an event");
        assert_eq!(read.json(), event.json());
        assert_eq!((read.job(), read.cursor(), read.time()), (event.job(), event.cursor(), event.time()));
        assert_eq!((read.kind(), read.data()), (event.kind(), event.data()));
        assert_eq!(&read.data(), draft.data());
    }

    #[test]
    fn what_is_no_event_is_refused() {
        let event = Event::seal(JobId::new(), (0, Tag::START), Timestamp::from_millis(5), &Draft::started(1));
        let text = String::from_utf8_lossy(event.json()).into_owned();
        for (from, to) in
            [("\"seq\":1", "\"seq\":2"), ("started", "Started"), ("1-", "1"), ("\"data\"", "\"date\""), ("Z", "")]
        {
            assert!(Event::parse(text.replacen(from, to, 1).into()).is_err(), "{from} {to}");
        }
    }
}
