//! Events: what happened to a job, numbered and sealed.

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
pub struct Event {
    json: Bytes,
    data: Json,
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
        let cursor_len = r#""cursor":"-12345678","#.len() + digits.as_bytes().len();
        // To the byte, as events are kept: the members' names, what stands between them, and their values.
        let len = r#"{"job":"","seq":,"time":"","type":"","data":}"#.len()
            + JobId::LENGTH
            + digits.as_bytes().len()
            + cursor_len
            + Timestamp::LENGTH
            + kind.len()
            + data.len();
        let mut text = Vec::with_capacity(len);
        text.extend_from_slice(br#"{"job":""#);
        text.extend_from_slice(&job.text());
        text.extend_from_slice(br#"","seq":"#);
        text.extend_from_slice(digits.as_bytes());
        text.push(b',');
        let head = text.len();
        text.extend_from_slice(br#""time":""#);
        text.extend_from_slice(&time.text());
        text.extend_from_slice(br#"","type":""#);
        text.extend_from_slice(kind.as_bytes());
        text.extend_from_slice(br#"","data":"#);
        text.extend_from_slice(data);
        text.push(b'}');
        let tag = before.1.next(&text);
        // The cursor is not part of what it vouches for, and goes in between: it is written behind, and turned to its
        // place.
        text.extend_from_slice(br#""cursor":""#);
        Cursor::new(seq, tag).push_to(&mut text);
        text.extend_from_slice(br#"","#);
        if let Some(rest) = text.get_mut(head..) {
            rest.rotate_right(cursor_len);
        }
        let json = Bytes::from(text);
        let data = json.slice(json.len() - 1 - data.len()..json.len() - 1);
        Self { json, data: Json::trusted(data), job, seq, tag, time, kind: draft.kind().clone() }
    }

    /// Reads an event that came over a transport. The bytes are kept as they are.
    ///
    /// # Errors
    ///
    /// Where the text is no event. Whether its tag fits is not checked: that takes all events before it.
    pub fn parse(json: Bytes) -> Result<Self, InvalidEvent> {
        let wire: Wire<'_> = serde_json::from_slice(&json).map_err(|e| InvalidEvent(e.to_string()))?;
        let invalid = |member: &str| InvalidEvent(format!("invalid {member}"));
        let cursor: Cursor = wire.cursor.parse().map_err(|_| invalid("cursor"))?;
        let event = Self {
            data: Json::trusted(json.slice_ref(wire.data.get().as_bytes())),
            job: wire.job.parse().map_err(|_| invalid("job"))?,
            seq: wire.seq,
            tag: cursor.tag().filter(|_| cursor.number() == wire.seq).ok_or_else(|| invalid("cursor"))?,
            time: wire.time.parse().map_err(|_| invalid("time"))?,
            kind: wire.kind.parse().map_err(|_| invalid("type"))?,
            json: Bytes::new(),
        };
        Ok(Self { json, ..event })
    }

    /// The whole event as JSON, on one line.
    #[must_use]
    pub fn json(&self) -> &Bytes {
        &self.json
    }

    /// The job that it happened to.
    #[must_use]
    pub fn job(&self) -> JobId {
        self.job
    }

    /// Its number within its job: 1, 2, 3, … without a hole.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// What vouches for it and all before it.
    #[must_use]
    pub fn tag(&self) -> Tag {
        self.tag
    }

    /// The place in its job after this event.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor::new(self.seq, self.tag)
    }

    /// When it was written.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// What it says.
    #[must_use]
    pub fn kind(&self) -> &EventType {
        &self.kind
    }

    /// What goes with its type.
    #[must_use]
    pub fn data(&self) -> &Json {
        &self.data
    }

    /// Whether its job is over with it.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        self.kind.is_terminal()
    }
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
        assert_eq!(read.data(), draft.data());
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
