//! The parser against `cases/sse.json`: whole, cut at every byte, and byte by byte.

use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use tidings_client::event_source::{Message, Parser};

#[derive(Deserialize)]
struct Case {
    name: String,
    input: Option<String>,
    input_hex: Option<String>,
    events: Vec<Dispatched>,
    retry: Option<u64>,
    last_id: String,
}

#[derive(Deserialize)]
struct Dispatched {
    r#type: String,
    data: String,
    id: String,
}

impl Case {
    fn bytes(&self) -> Bytes {
        match (&self.input, &self.input_hex) {
            (Some(text), None) => Bytes::from(text.clone()),
            (None, Some(hex)) => {
                let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex digits");
                (0..hex.len()).step_by(2).map(byte).collect()
            }
            _ => panic!("{}: either input or input_hex", self.name),
        }
    }

    fn check(&self, pieces: impl IntoIterator<Item = Bytes>, how: &str) {
        let mut parser = Parser::new(1000);
        let mut events = Vec::new();
        for mut piece in pieces {
            while let Some(event) = parser.parse(&mut piece).expect("no case is large") {
                events.push(event);
            }
            assert!(piece.is_empty(), "{}, {how}", self.name);
        }
        let expected: Vec<_> = self.events.iter().map(Dispatched::message).collect();
        assert_eq!(events, expected, "{}, {how}", self.name);
        assert_eq!(parser.retry(), self.retry.map(Duration::from_millis), "{}, {how}", self.name);
        assert_eq!(parser.last_event_id(), self.last_id, "{}, {how}", self.name);
    }
}

impl Dispatched {
    fn message(&self) -> Message {
        Message { event: self.r#type.clone(), data: self.data.clone(), id: self.id.clone() }
    }
}

fn cases() -> Vec<Case> {
    let cases: Vec<Case> = serde_json::from_str(include_str!("cases/sse.json")).expect("the cases are valid");
    assert_eq!(cases.len(), 43);
    cases
}

#[test]
fn whole() {
    for case in cases() {
        case.check([case.bytes()], "whole");
    }
}

#[test]
fn cut_at_every_byte() {
    for case in cases() {
        let input = case.bytes();
        for at in 0..=input.len() {
            case.check([input.slice(..at), input.slice(at..)], &format!("cut at {at}"));
        }
    }
}

#[test]
fn byte_by_byte() {
    for case in cases() {
        let input = case.bytes();
        case.check((0..input.len()).map(|at| input.slice(at..=at)), "byte by byte");
    }
}
