//! A job as of one event: what folding its events up to that one gives.

use std::{
    fmt,
    hint::black_box,
    str::FromStr,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use http::HeaderValue;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    cursor::{Cursor, Tag},
    draft::Outcome,
    etag,
    event::Event,
    json::Json,
    names::{EventType, InvalidName, JobId, Kind},
    text::Object,
    time::Timestamp,
};

/// What a job is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// It waits for its turn.
    Queued,
    /// An attempt at it is under way.
    Running,
    /// It is over and has a result.
    Succeeded,
    /// It is over and has an error.
    Failed,
    /// It is over because somebody asked for that.
    Cancelled,
}

impl State {
    /// The state as it is spelled.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether a job in this state is over.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for State {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        [Self::Queued, Self::Running, Self::Succeeded, Self::Failed, Self::Cancelled]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or(InvalidName)
    }
}

/// A job as of one event.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Snapshot {
    /// Which job.
    pub id: JobId,
    /// What sort of job.
    pub kind: Kind,
    /// What it is doing.
    pub state: State,
    /// The number of the last event that is folded in.
    pub seq: u64,
    /// That event's tag.
    pub tag: Tag,
    /// Which attempt at it is the current one; 0 before the first.
    pub attempt: u32,
    /// What it was submitted with.
    pub input: Json,
    /// The data of its last `progress`.
    pub progress: Option<Json>,
    /// Its result, once it has succeeded.
    pub result: Option<Json>,
    /// Its error, once it has failed.
    pub error: Option<Json>,
    /// Whether somebody has asked for it to be cancelled.
    pub cancel_requested: bool,
    /// Why, where they have said so.
    pub cancel_reason: Option<String>,
    /// When it was submitted.
    pub created_at: Timestamp,
    /// When its first attempt began.
    pub started_at: Option<Timestamp>,
    /// When its last event was written.
    pub updated_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// This very state as it is shown, made by whoever asks first.
    shown: OnceLock<Arc<Shown>>,
}

impl Snapshot {
    /// A job as of its first event.
    ///
    /// # Errors
    ///
    /// Where the event is not the `queued` that every history begins with.
    pub fn open(event: &Event) -> Result<Self, InvalidHistory> {
        #[derive(Deserialize)]
        struct Queued<'a> {
            kind: &'a str,
            #[serde(borrow)]
            input: &'a RawValue,
        }
        let invalid = || InvalidHistory { job: event.job(), seq: event.seq() };
        if event.seq() != 1 || *event.kind() != EventType::Queued {
            return Err(invalid());
        }
        let data = event.data();
        let queued: Queued<'_> = serde_json::from_str(data.as_str()).map_err(|_| invalid())?;
        Ok(Self {
            id: event.job(),
            kind: queued.kind.parse().map_err(|_| invalid())?,
            state: State::Queued,
            seq: 1,
            tag: event.tag(),
            attempt: 0,
            input: data.part(queued.input),
            progress: None,
            result: None,
            error: None,
            cancel_requested: false,
            cancel_reason: None,
            created_at: event.time(),
            started_at: None,
            updated_at: event.time(),
            finished_at: None,
            shown: OnceLock::new(),
        })
    }

    /// Reads a job's JSON, as servers show it. What a list leaves out, its `input` and `result`, is null and none; why
    /// it was asked to be cancelled is shown nowhere.
    ///
    /// # Errors
    ///
    /// Where the text is no such JSON.
    pub fn parse(json: &Json) -> Result<Self, InvalidSnapshot> {
        #[derive(Deserialize)]
        struct Wire<'a> {
            id: &'a str,
            kind: &'a str,
            state: &'a str,
            seq: u64,
            cursor: &'a str,
            attempt: u32,
            #[serde(borrow)]
            input: Option<&'a RawValue>,
            #[serde(borrow)]
            progress: Option<&'a RawValue>,
            #[serde(borrow)]
            result: Option<&'a RawValue>,
            #[serde(borrow)]
            error: Option<&'a RawValue>,
            cancel_requested: bool,
            created_at: &'a str,
            started_at: Option<&'a str>,
            updated_at: &'a str,
            finished_at: Option<&'a str>,
        }
        let wire: Wire<'_> = serde_json::from_str(json.as_str()).map_err(|e| InvalidSnapshot(e.to_string()))?;
        let invalid = |member: &str| InvalidSnapshot(format!("invalid {member}"));
        let cursor: Cursor = wire.cursor.parse().map_err(|_| invalid("cursor"))?;
        let time = |text: &str, member| text.parse::<Timestamp>().map_err(|_| invalid(member));
        let part = |raw: Option<&RawValue>| raw.map(|raw| json.part(raw));
        Ok(Self {
            id: wire.id.parse().map_err(|_| invalid("id"))?,
            kind: wire.kind.parse().map_err(|_| invalid("kind"))?,
            state: wire.state.parse().map_err(|_| invalid("state"))?,
            seq: wire.seq,
            tag: cursor.tag().filter(|_| cursor.number() == wire.seq).ok_or_else(|| invalid("cursor"))?,
            attempt: wire.attempt,
            input: part(wire.input).unwrap_or_else(Json::null),
            progress: part(wire.progress),
            result: part(wire.result),
            error: part(wire.error),
            cancel_requested: wire.cancel_requested,
            cancel_reason: None,
            created_at: time(wire.created_at, "created_at")?,
            started_at: wire.started_at.map(|text| time(text, "started_at")).transpose()?,
            updated_at: time(wire.updated_at, "updated_at")?,
            finished_at: wire.finished_at.map(|text| time(text, "finished_at")).transpose()?,
            shown: OnceLock::new(),
        })
    }

    /// Looks at what the next event changes, so that it is near by then.
    pub(crate) fn touch(&self) {
        let Self { state, seq, tag, updated_at, finished_at, shown, .. } = self;
        black_box((state.is_terminal(), *seq, *tag, *updated_at, *finished_at, shown.get().is_some()));
    }

    /// Folds the next event in.
    ///
    /// # Errors
    ///
    /// Where the event is not the next one of this job, or can't follow; nothing has changed then.
    pub fn apply(&mut self, event: &Event) -> Result<(), InvalidHistory> {
        #[derive(Deserialize)]
        struct Started {
            attempt: u32,
        }
        #[derive(Deserialize)]
        struct Cancelling {
            reason: Option<String>,
        }
        let invalid = || InvalidHistory { job: event.job(), seq: event.seq() };
        if event.job() != self.id || event.seq() != self.seq + 1 || self.state.is_terminal() {
            return Err(invalid());
        }
        match event.kind() {
            EventType::Queued => return Err(invalid()),
            EventType::Started => {
                self.attempt = event.data().to::<Started>().map_err(|_| invalid())?.attempt;
                self.state = State::Running;
                self.started_at.get_or_insert(event.time());
            }
            EventType::Progress => self.progress = Some(event.data()),
            EventType::Cancelling => {
                self.cancel_requested = true;
                self.cancel_reason = event.data().to::<Cancelling>().map_err(|_| invalid())?.reason;
            }
            EventType::Succeeded => {
                let data = event.data();
                self.result = Outcome::read(&data).map_err(|_| invalid())?.result.map(|result| data.part(result));
                self.finish(State::Succeeded, event);
            }
            EventType::Failed => {
                let data = event.data();
                self.error = Outcome::read(&data).map_err(|_| invalid())?.error.map(|error| data.part(error));
                self.finish(State::Failed, event);
            }
            EventType::Cancelled => self.finish(State::Cancelled, event),
            EventType::Log | EventType::Custom(_) => {}
        }
        self.seq = event.seq();
        self.tag = event.tag();
        self.updated_at = event.time();
        self.shown = OnceLock::new();
        Ok(())
    }

    fn finish(&mut self, state: State, event: &Event) {
        self.state = state;
        self.finished_at = Some(event.time());
    }

    /// The place after the last event that is folded in.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor::new(self.seq, self.tag)
    }

    /// How many bytes of it its job has chosen.
    pub(crate) fn weight(&self) -> usize {
        let optional = [&self.progress, &self.result, &self.error];
        let optional = optional.into_iter().flatten().map(|json| json.as_bytes().len());
        let reason = self.cancel_reason.as_ref().map_or(0, String::len);
        self.input.as_bytes().len() + reason + optional.sum::<usize>()
    }

    /// The snapshot as it is shown, made at most once; `links` is the JSON of its `links`, and the same on every call.
    pub(crate) fn shown(&self, links: impl FnOnce() -> String) -> &Shown {
        self.shown.get_or_init(|| {
            let json = self.render(Detail::Full, &links()).into();
            Arc::new(Shown { json, tag: etag::of(self.cursor()) })
        })
    }

    /// The snapshot as JSON, made anew.
    pub(crate) fn render(&self, detail: Detail, links: &str) -> String {
        let null = Json::null();
        // The names of the members and what has a length of its own take about 420 bytes.
        let mut out = Object::with_capacity(420 + self.weight() + links.len());
        out.text("id", &self.id.text());
        out.text("kind", self.kind.as_str().as_bytes());
        out.text("state", self.state.as_str().as_bytes());
        out.number("seq", self.seq);
        out.cursor("cursor", self.cursor());
        out.number("attempt", self.attempt.into());
        if let Detail::Full = detail {
            out.json("input", self.input.as_bytes());
        }
        out.json("progress", self.progress.as_ref().unwrap_or(&null).as_bytes());
        if let Detail::Full = detail {
            out.json("result", self.result.as_ref().unwrap_or(&null).as_bytes());
        }
        out.json("error", self.error.as_ref().unwrap_or(&null).as_bytes());
        out.bool("cancel_requested", self.cancel_requested);
        out.time("created_at", Some(self.created_at));
        out.time("started_at", self.started_at);
        out.time("updated_at", Some(self.updated_at));
        out.time("finished_at", self.finished_at);
        out.json("links", links.as_bytes());
        // Text among text.
        String::from_utf8(out.end()).unwrap_or_default()
    }
}

/// A snapshot as clients are shown it.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) json: Bytes,
    /// Its entity tag.
    pub(crate) tag: HeaderValue,
}

/// How much of a snapshot is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    /// All of it.
    Full,
    /// Without `input` and `result`, as in a list.
    Listed,
}

/// The event can't stand at this place of the job's history: the log is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("event {seq} of job {job} can't stand where it stands")]
pub struct InvalidHistory {
    job: JobId,
    seq: u64,
}

/// The text is no job's JSON, and why.
#[derive(Debug, thiserror::Error)]
#[error("not a job: {0}")]
pub struct InvalidSnapshot(String);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draft::{Draft, Progress};

    fn fold(drafts: &[Draft]) -> Result<Snapshot, InvalidHistory> {
        let job = JobId::new();
        let mut at = (0, Tag::START);
        let mut snapshot: Option<Snapshot> = None;
        for draft in drafts {
            let event = Event::seal(job, at, Timestamp::from_millis(1000 + at.0), draft);
            at = (event.seq(), event.tag());
            match &mut snapshot {
                Some(snapshot) => snapshot.apply(&event)?,
                None => snapshot = Some(Snapshot::open(&event)?),
            }
        }
        Ok(snapshot.expect("at least one draft"))
    }

    fn queued() -> Draft {
        Draft::queued(&"pipeline".parse().expect("a kind"), &Json::from_value(&[1]).expect("JSON"))
    }

    #[test]
    fn a_snapshot_is_what_the_wire_shows() {
        let drafts = [queued(), Draft::started(1), Draft::progress(&Progress::percent(40.0)), Draft::cancelling(None)];
        let snapshot = fold(&drafts).expect("a history");
        assert_eq!(
            String::from_utf8_lossy(&snapshot.shown(|| "{}".to_owned()).json),
            format!(
                concat!(
                    r#"{{"id":"{id}","kind":"pipeline","state":"running","seq":4,"cursor":"{cursor}","attempt":1,"input":[1],"#,
                    r#""progress":{{"done":40,"total":100,"unit":"%","message":null}},"result":null,"error":null,"cancel_requested":true,"#,
                    r#""created_at":"1970-01-01T00:00:01.000Z","started_at":"1970-01-01T00:00:01.001Z","#,
                    r#""updated_at":"1970-01-01T00:00:01.003Z","finished_at":null,"links":{{}}}}"#
                ),
                id = snapshot.id,
                cursor = snapshot.cursor()
            )
        );
        let listed = snapshot.render(Detail::Listed, "{}");
        assert!(!listed.contains("input") && !listed.contains("result"), "{listed}");
    }

    #[test]
    fn what_is_shown_can_be_read() {
        let drafts = [queued(), Draft::started(1), Draft::progress(&Progress::percent(40.0)), Draft::cancelling(None)];
        let ends = [Draft::succeeded(&Json::from("x")), Draft::failed("a", "b"), Draft::cancelled(None)];
        for drafts in [drafts.to_vec(), drafts[..1].to_vec()].into_iter().chain(ends.map(|end| vec![queued(), end])) {
            let snapshot = fold(&drafts).expect("a history");
            for detail in [Detail::Full, Detail::Listed] {
                let text = snapshot.render(detail, "{}");
                let read = Snapshot::parse(&Json::parse(text.as_bytes()).expect("JSON")).expect("a snapshot");
                assert_eq!(read.render(detail, "{}"), text);
            }
        }
    }

    #[test]
    fn what_is_no_snapshot_is_refused() {
        let text = fold(&[queued(), Draft::started(1)]).expect("a history").render(Detail::Full, "{}");
        for (from, to) in
            [("\"seq\":2", "\"seq\":3"), ("running", "walking"), ("2-", "2"), ("\"attempt\"", "\"try\""), ("Z", "")]
        {
            let json = Json::parse(text.replacen(from, to, 1).as_bytes()).expect("JSON");
            assert!(Snapshot::parse(&json).is_err(), "{from} {to}");
        }
    }

    #[test]
    fn each_ending_leaves_its_trace() {
        let end = |draft| fold(&[queued(), Draft::started(1), draft]).expect("a history");
        let done = end(Draft::succeeded(&Json::from_value("x").expect("JSON")));
        assert_eq!((done.state, done.result.map(|r| r.to_string())), (State::Succeeded, Some("\"x\"".to_owned())));
        let failed = end(Draft::failed("exit-status", "1"));
        assert_eq!(failed.error.map(|e| e.to_string()).as_deref(), Some(r#"{"code":"exit-status","message":"1"}"#));
        let cancelled = end(Draft::cancelled(None));
        assert_eq!((cancelled.state, cancelled.finished_at), (State::Cancelled, Some(Timestamp::from_millis(1002))));
    }

    #[test]
    fn nothing_follows_the_end_and_nothing_precedes_the_beginning() {
        assert!(fold(&[queued(), Draft::cancelled(None), Draft::log("stdout", "x")]).is_err());
        assert!(fold(&[queued(), Draft::failed("a", "b"), Draft::cancelled(None)]).is_err());
        assert!(fold(&[Draft::started(1)]).is_err());
        assert!(fold(&[queued(), queued()]).is_err());
    }

    #[test]
    fn what_was_rendered_is_made_anew_after_a_change() {
        let job = JobId::new();
        let first = Event::seal(job, (0, Tag::START), Timestamp::from_millis(1), &queued());
        let mut snapshot = Snapshot::open(&first).expect("a history");
        let before = snapshot.shown(|| "{}".to_owned()).json.clone();
        assert_eq!(before, snapshot.shown(|| unreachable!("rendered once")).json);
        let second = Event::seal(job, (1, first.tag()), Timestamp::from_millis(2), &Draft::started(1));
        snapshot.apply(&second).expect("the next event");
        assert_ne!(before, snapshot.shown(|| "{}".to_owned()).json);
    }
}
