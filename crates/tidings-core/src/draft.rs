//! Events that have no number yet: what may be said of a job, and in which shape.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    json::Json,
    names::{CustomType, EventType, Kind},
    text::push_string,
};

/// An event that has no number yet.
#[derive(Clone, Debug)]
pub struct Draft {
    kind: EventType,
    data: Json,
}

impl Draft {
    /// The first event of every job.
    #[must_use]
    pub fn queued(kind: &Kind, input: &Json) -> Self {
        let (kind, input) = (kind.as_str().as_bytes(), input.as_bytes());
        Self::built(EventType::Queued, [&br#"{"kind":""#[..], kind, &br#"","input":"#[..], input, &b"}"[..]].concat())
    }

    /// An attempt begins; the first has number 1.
    #[must_use]
    pub fn started(attempt: u32) -> Self {
        Self::built(EventType::Started, format!(r#"{{"attempt":{attempt}}}"#))
    }

    /// How far a job is.
    #[must_use]
    pub fn progress(progress: &Progress) -> Self {
        Self::built(EventType::Progress, to_text(progress))
    }

    /// A line that a job has printed; `stream` is `stdout`, `stderr` or a name of the host's own.
    #[must_use]
    pub fn log(stream: &str, line: &str) -> Self {
        let mut data = Vec::with_capacity(r#"{"stream":"","line":""}"#.len() + stream.len() + line.len());
        data.extend_from_slice(br#"{"stream":"#);
        push_string(stream, &mut data);
        data.extend_from_slice(br#","line":"#);
        push_string(line, &mut data);
        data.push(b'}');
        Self::built(EventType::Log, data)
    }

    /// Somebody asked for the job to be cancelled.
    #[must_use]
    pub fn cancelling(reason: Option<&str>) -> Self {
        Self::built(EventType::Cancelling, format!(r#"{{"reason":{}}}"#, to_text(&reason)))
    }

    /// The job is over and has a result.
    #[must_use]
    pub fn succeeded(result: &Json) -> Self {
        Self::built(EventType::Succeeded, format!(r#"{{"result":{result}}}"#))
    }

    /// The job is over and has an error. `code` is for programs, `message` for people.
    #[must_use]
    pub fn failed(code: &str, message: &str) -> Self {
        let (code, message) = (to_text(code), to_text(message));
        Self::built(EventType::Failed, format!(r#"{{"error":{{"code":{code},"message":{message}}}}}"#))
    }

    /// The job is over because somebody asked for that.
    #[must_use]
    pub fn cancelled(reason: Option<&str>) -> Self {
        Self::built(EventType::Cancelled, format!(r#"{{"reason":{}}}"#, to_text(&reason)))
    }

    /// An event of a type of the host's own.
    #[must_use]
    pub fn custom(kind: CustomType, data: Json) -> Self {
        Self { kind: EventType::Custom(kind), data }
    }

    /// What a program outside has reported: `progress`, `log`, a terminal type or a type of its own, whose data have
    /// the shape that the type asks for. They are kept as sent; where nothing was sent that needn't be, the data are
    /// what the type has by default.
    ///
    /// # Errors
    ///
    /// Where the type is none that a reporter may send, or the data do not have its shape.
    pub fn reported(kind: &str, data: Option<Json>) -> Result<Self, InvalidDraft> {
        let kind: EventType =
            kind.parse().map_err(|_| InvalidDraft(format!("{kind:?} is not a type that events may have")))?;
        let data = match (&kind, data) {
            (EventType::Queued | EventType::Started | EventType::Cancelling, _) => {
                return Err(InvalidDraft(format!("a reporter can't send {kind}")));
            }
            (EventType::Succeeded, None) => Json::trusted(Bytes::from_static(br#"{"result":null}"#)),
            (EventType::Cancelled, None) => Json::trusted(Bytes::from_static(br#"{"reason":null}"#)),
            (_, None) => Json::null(),
            (_, Some(data)) => data,
        };
        check(&kind, &data).map_err(|why| InvalidDraft(format!("data of {kind}: {why}")))?;
        Ok(Self { kind, data })
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

    /// How many bytes its type and data take, which is what the limit on an event's size means.
    #[must_use]
    pub fn size(&self) -> usize {
        self.kind.as_str().len() + self.data.as_bytes().len()
    }

    fn built(kind: EventType, data: impl Into<Bytes>) -> Self {
        Self { kind, data: Json::trusted(data.into()) }
    }
}

/// The event can't be taken, and why.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InvalidDraft(String);

/// How far a job is. Numbers that are negative or no numbers are taken for 0.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Progress {
    #[serde(serialize_with = "number")]
    done: f64,
    #[serde(serialize_with = "some_number")]
    total: Option<f64>,
    unit: Option<String>,
    message: Option<String>,
}

impl Progress {
    /// So much is done.
    #[must_use]
    pub fn new(done: f64) -> Self {
        Self { done, ..Self::default() }
    }

    /// So many per cent are done.
    #[must_use]
    pub fn percent(done: f64) -> Self {
        Self::new(done).with_total(100.0).with_unit("%")
    }

    /// Out of how much.
    #[must_use]
    pub fn with_total(self, total: f64) -> Self {
        Self { total: Some(total), ..self }
    }

    /// What is counted, such as `%`, `bytes` or `steps`.
    #[must_use]
    pub fn with_unit(self, unit: impl Into<String>) -> Self {
        Self { unit: Some(unit.into()), ..self }
    }

    /// What is being done, for people.
    #[must_use]
    pub fn with_message(self, message: impl Into<String>) -> Self {
        Self { message: Some(message.into()), ..self }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for this signature")]
fn number<S: serde::Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let value = if value.is_finite() { value.max(0.0) } else { 0.0 };
    if value.fract() == 0.0 && value < EXACT {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole number that is not negative and fits"
        )]
        return serializer.serialize_u64(value as u64);
    }
    serializer.serialize_f64(value)
}

#[expect(clippy::ref_option, reason = "serde asks for this signature")]
fn some_number<S: serde::Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => number(value, serializer),
        None => serializer.serialize_none(),
    }
}

/// What the data of a terminal event hold, for whoever checks them and whoever folds them.
#[derive(Deserialize)]
pub(crate) struct Outcome<'a> {
    #[serde(borrow)]
    pub(crate) result: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) error: Option<&'a RawValue>,
    #[serde(rename = "reason")]
    _reason: Option<Text>,
}

/// A string, whichever.
struct Text;

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl serde::de::Visitor<'_> for Visitor {
            type Value = Text;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E>(self, _: &str) -> Result<Text, E> {
                Ok(Text)
            }
        }

        deserializer.deserialize_str(Visitor)
    }
}

impl<'a> Outcome<'a> {
    pub(crate) fn read(data: &'a Json) -> Result<Self, serde_json::Error> {
        serde_json::from_str(data.as_str())
    }
}

fn check(kind: &EventType, data: &Json) -> Result<(), String> {
    #[derive(Deserialize)]
    struct Measured {
        done: f64,
        total: Option<f64>,
        #[serde(rename = "unit")]
        _unit: Option<Text>,
        #[serde(rename = "message")]
        _message: Option<Text>,
    }
    #[derive(Deserialize)]
    struct Printed {
        #[serde(rename = "stream")]
        _stream: Option<Text>,
        #[serde(rename = "line")]
        _line: Text,
    }
    #[derive(Deserialize)]
    struct Described {
        #[serde(rename = "code")]
        _code: Text,
        #[serde(rename = "message")]
        _message: Text,
    }
    if !matches!(kind, EventType::Custom(_)) && !data.is_object() {
        return Err("an object is expected".to_owned());
    }
    match kind {
        EventType::Progress => {
            let measured: Measured = data.to().map_err(|e| e.to_string())?;
            if measured.done < 0.0 || measured.total.is_some_and(|total| total < 0.0) {
                return Err("numbers must not be negative".to_owned());
            }
            Ok(())
        }
        EventType::Log => data.to::<Printed>().map(drop).map_err(|e| e.to_string()),
        EventType::Failed => {
            let error = Outcome::read(data).map_err(|e| e.to_string())?.error.map(|error| data.part(error));
            let Some(error) = error.filter(Json::is_object) else {
                return Err("error: an object is expected".to_owned());
            };
            error.to::<Described>().map(drop).map_err(|e| format!("error: {e}"))
        }
        EventType::Succeeded | EventType::Cancelled => Outcome::read(data).map(drop).map_err(|e| e.to_string()),
        _ => Ok(()),
    }
}

/// Strings, numbers and plain structs of them, which can always be written.
fn to_text<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Json {
        Json::parse(text.as_bytes()).expect("valid JSON")
    }

    #[test]
    fn drafts_write_text_safely() {
        let line = "\"quoted\"\r\ndata: forged\u{0}";
        assert_eq!(
            Draft::log("stdout", line).data().to_string(),
            r#"{"stream":"stdout","line":"\"quoted\"\r\ndata: forged\u0000"}"#
        );
        assert_eq!(Draft::failed("a\"b", "\n").data().to_string(), r#"{"error":{"code":"a\"b","message":"\n"}}"#);
        assert_eq!(Draft::cancelled(Some("\"")).data().to_string(), r#"{"reason":"\""}"#);
        assert_eq!(Draft::cancelling(None).data().to_string(), r#"{"reason":null}"#);
        for draft in [
            Draft::log("s", line),
            Draft::failed("c", line),
            Draft::cancelled(Some(line)),
            Draft::progress(&Progress::new(f64::NAN).with_total(0.5).with_unit(line)),
        ] {
            assert_eq!(json(draft.data().as_str()), *draft.data());
        }
    }

    #[test]
    fn a_report_must_have_the_shape_of_its_type() {
        let good = [
            ("progress", r#"{"done":0.5}"#),
            ("progress", r#"{"done":1,"total":null,"unit":null,"message":null}"#),
            ("log", r#"{"line":""}"#),
            ("succeeded", r#"{"result":[1]}"#),
            ("failed", r#"{"error":{"code":"x","message":"y"}}"#),
            ("cancelled", r#"{"reason":null}"#),
            ("tick", "[1]"),
        ];
        for (kind, data) in good {
            let draft = Draft::reported(kind, Some(json(data))).unwrap_or_else(|e| panic!("{kind} {data}: {e}"));
            assert_eq!(draft.data().as_str(), data);
        }
        let bad = [
            ("progress", r#"{"done":-1}"#),
            ("progress", r#"{"done":"1"}"#),
            ("progress", r#"{"total":1}"#),
            ("progress", r#"{"done":1,"total":-0.1}"#),
            ("progress", r#"[1,2,"%","x"]"#),
            ("log", r#"{"stream":"stdout"}"#),
            ("log", r#"["stdout","x"]"#),
            ("succeeded", "1"),
            ("failed", r#"{"error":"x"}"#),
            ("failed", r#"{"error":["x","y"]}"#),
            ("cancelled", r#"{"reason":1}"#),
            ("succeeded", r#"{"result":1,"result":2}"#),
            ("failed", r#"{"error":{"code":"x","message":"y"},"result":1,"result":2}"#),
            ("queued", r#"{"kind":"a","input":{}}"#),
            ("started", r#"{"attempt":2}"#),
            ("cancelling", r#"{"reason":null}"#),
            ("gap", "{}"),
            ("Bad", "{}"),
        ];
        for (kind, data) in bad {
            assert!(Draft::reported(kind, Some(json(data))).is_err(), "{kind} {data}");
        }
        assert!(Draft::reported("progress", None).is_err());
        assert_eq!(
            Draft::reported("succeeded", None).map(|d| d.data().to_string()).ok().as_deref(),
            Some(r#"{"result":null}"#)
        );
    }
}
