//! Writing the few things that every event is made of, without the machinery of formatting, which costs more than all
//! else about an event.

use crate::{cursor::Cursor, time::Timestamp};

/// The longest number that a `u64` can be.
const DIGITS: usize = 20;

/// A number in decimal digits.
pub(crate) struct Decimal {
    text: [u8; DIGITS],
    from: usize,
}

impl Decimal {
    pub(crate) fn of(mut number: u64) -> Self {
        let (mut text, mut from) = ([b'0'; DIGITS], DIGITS);
        for place in text.iter_mut().rev() {
            *place = digit(number % 10);
            from -= 1;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        Self { text, from }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.text.get(self.from..).unwrap_or_default()
    }
}

/// The last so many decimal digits of a number, with zeros before it.
pub(crate) fn padded<const N: usize>(mut number: u64) -> [u8; N] {
    let mut text = [b'0'; N];
    for place in text.iter_mut().rev() {
        *place = digit(number % 10);
        number /= 10;
    }
    text
}

/// A number as hex digits in lower case, all of them.
pub(crate) fn hex(number: u32) -> [u8; 8] {
    const EACH: u64 = 0x0101_0101_0101_0101;
    // All digits at once: moved to a byte each, half of them at a time.
    let mut digits = u64::from(number);
    digits = (digits << 16 | digits) & 0x0000_ffff_0000_ffff;
    digits = (digits << 8 | digits) & 0x00ff_00ff_00ff_00ff;
    digits = (digits << 4 | digits) & 0x0f0f_0f0f_0f0f_0f0f;
    // A digit and 6 come to 16 where it is a letter.
    let letters = (digits + 6 * EACH) >> 4 & EACH;
    (digits + u64::from(b'0') * EACH + u64::from(b'a' - b'0' - 10) * letters).to_be_bytes()
}

/// An object of JSON, written member by member. Nothing is escaped: names and texts are such that need it not.
pub(crate) struct Object(Vec<u8>);

impl Object {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// Goes on with an object that has members.
    pub(crate) fn continued(begun: Vec<u8>) -> Self {
        Self(begun)
    }

    fn name(&mut self, name: &str) {
        self.0.push(if self.0.is_empty() { b'{' } else { b',' });
        self.0.push(b'"');
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
    }

    pub(crate) fn json(&mut self, name: &str, json: &[u8]) {
        self.name(name);
        self.0.extend_from_slice(json);
    }

    pub(crate) fn text(&mut self, name: &str, text: &[u8]) {
        self.name(name);
        self.0.push(b'"');
        self.0.extend_from_slice(text);
        self.0.push(b'"');
    }

    pub(crate) fn number(&mut self, name: &str, number: u64) {
        self.json(name, Decimal::of(number).as_bytes());
    }

    pub(crate) fn bool(&mut self, name: &str, truth: bool) {
        self.json(name, if truth { b"true" } else { b"false" });
    }

    pub(crate) fn cursor(&mut self, name: &str, cursor: Cursor) {
        self.name(name);
        self.0.push(b'"');
        cursor.push_to(&mut self.0);
        self.0.push(b'"');
    }

    pub(crate) fn time(&mut self, name: &str, time: Option<Timestamp>) {
        match time {
            Some(time) => self.text(name, &time.text()),
            None => self.json(name, b"null"),
        }
    }

    /// The object, which has one member at least.
    pub(crate) fn end(mut self) -> Vec<u8> {
        self.0.push(b'}');
        self.0
    }
}

/// A text as a JSON string.
pub(crate) fn push_string(text: &str, out: &mut Vec<u8>) {
    let needs_escape = |byte: &u8| *byte < b' ' || *byte == b'"' || *byte == b'\\';
    // Nearly no text has anything to escape, and all of it is looked at without a branch.
    if text.as_bytes().iter().fold(false, |any, byte| any | needs_escape(byte)) {
        // Text can always be written, and to memory too.
        let _ = serde_json::to_writer(out, text);
    } else {
        out.reserve(text.len() + 2);
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a digit")]
fn digit(number: u64) -> u8 {
    b'0' + number as u8
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_are_written_as_formatting_does(number: u64) {
            for number in [number, number >> 40, number % 10, 0, u64::MAX] {
                prop_assert_eq!(Decimal::of(number).as_bytes().to_vec(), number.to_string().into_bytes());
                prop_assert_eq!(padded::<4>(number).to_vec(), format!("{:04}", number % 10_000).into_bytes());
            }
        }

        #[test]
        fn strings_are_written_as_serde_does(text in "[a-z\"\\\\\\x00-\\x20\\x7f-\u{ff}\u{2028}😀]{0,24}") {
            let mut out = Vec::new();
            push_string(&text, &mut out);
            prop_assert_eq!(out, serde_json::to_vec(&text).expect("text"));
        }

        #[test]
        fn hex_digits_are_written_as_formatting_does(number: u32) {
            prop_assert_eq!(hex(number).to_vec(), format!("{number:08x}").into_bytes());
        }
    }
}
