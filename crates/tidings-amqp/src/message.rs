//! Messages: the properties and headers that go with a body.

use bytes::Bytes;
use lapin::{
    BasicProperties,
    types::{AMQPValue, FieldTable, ShortString},
};
use tidings_core::{Cursor, Event, JobId, Kind, Problem, Timestamp};

use crate::topology::{GAP, routing_key, text};

/// AMQP 0-9-1's `delivery-mode` of messages that are to outlive the broker's process.
const PERSISTENT: u8 = 2;

/// How long the header `detail` is at most, in bytes. All headers of a message share one frame, of 128 KiB as a rule.
const DETAIL: usize = 1024;

/// A message, ready to be published.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) routing_key: ShortString,
    pub(crate) properties: BasicProperties,
    pub(crate) body: Bytes,
}

impl Message {
    /// An event of a job of this kind.
    pub(crate) fn event(kind: &Kind, event: &Event) -> Self {
        let (job, name) = (event.job(), event.kind().as_str());
        let id = format!("{job}:{}", event.seq());
        Self {
            // At most 64 + 36 + 64 bytes and two dots, which a short string has room for.
            routing_key: routing_key(kind, job, name).into(),
            properties: about(name, id, event.time(), event.cursor()),
            body: event.json().clone(),
        }
    }

    /// Events of a job that are no longer kept, up to `cursor`; the next that there is follows it.
    pub(crate) fn gap(kind: &Kind, job: JobId, cursor: Cursor, time: Timestamp, body: String) -> Self {
        let id = format!("{job}:{GAP}:{}", cursor.number() + 1);
        Self {
            routing_key: routing_key(kind, job, GAP).into(),
            properties: about(GAP, id, time, cursor),
            body: body.into(),
        }
    }

    /// The answer to a submission that was accepted: the job as it is.
    pub(crate) fn accepted(reply_to: &ShortString, request: &BasicProperties, snapshot: Bytes) -> Self {
        Self::answer(reply_to, request, "application/json", snapshot)
    }

    /// The answer to one that never will be.
    pub(crate) fn refused(reply_to: &ShortString, request: &BasicProperties, problem: &Problem) -> Self {
        Self::answer(reply_to, request, "application/problem+json", problem.to_json().into())
    }

    fn answer(reply_to: &ShortString, request: &BasicProperties, content_type: &str, body: Bytes) -> Self {
        let mut properties = ours(content_type);
        if let Some(id) = request.correlation_id() {
            properties = properties.with_correlation_id(id.clone());
        }
        Self { routing_key: reply_to.clone(), properties, body }
    }

    /// A submission that can never be accepted: as it came, with two more headers.
    pub(crate) fn dead(request: &BasicProperties, body: Vec<u8>, problem: &Problem) -> Self {
        let mut headers = request.headers().clone().unwrap_or_default();
        headers.insert("problem".into(), text(problem.kind().name()));
        headers.insert("detail".into(), text(cut(problem.detail(), DETAIL)));
        let properties = request.clone().with_headers(headers).with_delivery_mode(PERSISTENT);
        // The broker would take it for gone once this time is over, which was meant for the queue that it came from;
        // and it refuses a message of a user other than the one who publishes.
        let properties = without_expiration_and_user(&properties);
        Self { routing_key: ShortString::default(), properties, body: body.into() }
    }
}

fn about(message_type: &str, id: String, time: Timestamp, cursor: Cursor) -> BasicProperties {
    let mut headers = FieldTable::default();
    // Numbers of events stay below 2^53.
    headers.insert("seq".into(), AMQPValue::LongLongInt(i64::try_from(cursor.number()).unwrap_or(i64::MAX)));
    headers.insert("cursor".into(), text(&cursor.to_string()));
    ours("application/json")
        .with_type(message_type.into())
        .with_message_id(id.into())
        .with_timestamp(time.as_millis() / 1000)
        .with_headers(headers)
}

fn ours(content_type: &str) -> BasicProperties {
    BasicProperties::default()
        .with_content_type(content_type.into())
        .with_app_id("tidings".into())
        .with_delivery_mode(PERSISTENT)
}

/// lapin's properties can be added to, and nothing be taken away from them.
fn without_expiration_and_user(from: &BasicProperties) -> BasicProperties {
    let mut to = BasicProperties::default();
    macro_rules! keep {
        ($($get:ident $with:ident),*) => { $(if let Some(value) = from.$get() { to = to.$with(value.clone()); })* };
    }
    keep!(
        content_type with_content_type, content_encoding with_content_encoding, headers with_headers,
        delivery_mode with_delivery_mode, priority with_priority, correlation_id with_correlation_id,
        reply_to with_reply_to, message_id with_message_id, timestamp with_timestamp, kind with_type,
        app_id with_app_id
    );
    to
}

/// The beginning of a text, of whole characters.
fn cut(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or_default()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use tidings_core::{Draft, ProblemKind, Tag};

    use super::*;

    fn kind() -> Kind {
        "pipeline".parse().expect("a kind")
    }

    fn header<'a>(message: &'a Message, name: &str) -> Option<&'a AMQPValue> {
        message.properties.headers().as_ref()?.inner().get(name)
    }

    #[test]
    fn an_event_is_what_the_wire_shows() {
        let job = JobId::new();
        let draft = Draft::custom("build.cached".parse().expect("a type"), tidings_core::Json::null());
        let event = Event::seal(job, (11, Tag::START), Timestamp::from_millis(1_795_255_203_123), &draft);
        let message = Message::event(&kind(), &event);
        assert_eq!(message.routing_key.as_str(), format!("pipeline.{job}.build.cached"));
        assert_eq!(message.body, *event.json());
        let properties = &message.properties;
        let short = |value: &Option<ShortString>| value.as_ref().map(ToString::to_string);
        assert_eq!(short(properties.content_type()).as_deref(), Some("application/json"));
        assert_eq!(short(properties.kind()).as_deref(), Some("build.cached"));
        assert_eq!(short(properties.message_id()), Some(format!("{job}:12")));
        assert_eq!(short(properties.app_id()).as_deref(), Some("tidings"));
        assert_eq!((*properties.timestamp(), *properties.delivery_mode()), (Some(1_795_255_203), Some(2)));
        assert_eq!(header(&message, "seq"), Some(&AMQPValue::LongLongInt(12)));
        assert_eq!(header(&message, "cursor"), Some(&text(&event.cursor().to_string())));
    }

    #[test]
    fn a_gap_has_an_id_of_its_own() {
        let job = JobId::new();
        let message =
            Message::gap(&kind(), job, Cursor::new(119, Tag::START), Timestamp::from_millis(0), "{}".to_owned());
        assert_eq!(message.routing_key.as_str(), format!("pipeline.{job}.gap"));
        let id = message.properties.message_id().as_ref().map(ToString::to_string);
        assert_eq!(id, Some(format!("{job}:gap:120")));
        assert_eq!(header(&message, "seq"), Some(&AMQPValue::LongLongInt(119)));
    }

    #[test]
    fn a_dead_letter_is_what_came_and_why() {
        let mut headers = FieldTable::default();
        headers.insert("theirs".into(), AMQPValue::Boolean(true));
        let request = BasicProperties::default()
            .with_message_id("m".into())
            .with_expiration("5".into())
            .with_user_id("them".into())
            .with_headers(headers);
        let problem = Problem::new(ProblemKind::InvalidInput, "ä".repeat(100_000));
        let message = Message::dead(&request, b"body".to_vec(), &problem);
        assert_eq!(message.body, &b"body"[..]);
        assert_eq!(header(&message, "theirs"), Some(&AMQPValue::Boolean(true)));
        assert_eq!(header(&message, "problem"), Some(&text("invalid-input")));
        assert_eq!(header(&message, "detail"), Some(&text(&"ä".repeat(512))));
        let properties = &message.properties;
        assert!(properties.message_id().is_some() && properties.expiration().is_none());
        assert!(properties.user_id().is_none());
    }

    #[test]
    fn an_answer_has_the_id_of_its_question() {
        let request = BasicProperties::default().with_correlation_id("c".into());
        let reply_to = ShortString::from("q");
        let message = Message::accepted(&reply_to, &request, Bytes::from_static(b"{}"));
        assert_eq!(message.properties.correlation_id(), request.correlation_id());
        let message = Message::refused(&reply_to, &BasicProperties::default(), &ProblemKind::InvalidInput.into());
        assert_eq!((message.routing_key.as_str(), message.properties.correlation_id()), ("q", &None));
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!((cut("aä", 2), cut("aä", 3), cut("ä", 1), cut("", 5)), ("a", "aä", "", ""));
    }
}
