//! Cursors: where a reader is, and which history that place belongs to.

use std::{fmt, str::FromStr};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::text::{Decimal, hex};

/// The greatest number that a cursor may name: the greatest whole number that every JSON reader keeps exactly.
pub const MAX_NUMBER: u64 = (1 << 53) - 1;

/// What vouches for a history: it chains each event of a job to all before it.
///
/// The first 32 bits of xxh3-64 over an event's JSON without its cursor, seeded with the tag of the event before it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Tag(u32);

impl Tag {
    /// The tag before any event.
    pub const START: Self = Self(0);

    /// As it is shown, in ASCII.
    pub(crate) fn text(self) -> [u8; 8] {
        hex(self.0)
    }

    /// The tag of the event that follows the one with this tag.
    #[must_use]
    pub fn next(self, json_without_cursor: &[u8]) -> Self {
        let hash = xxh3_64_with_seed(json_without_cursor, u64::from(self.0));
        Self((hash >> 32) as u32)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.text()).unwrap_or_default())
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The last event that a reader has seen: its number and, unless a person typed it, its tag.
///
/// Within one job the number is the event's `seq`, over several jobs its position in the log. The default is the place
/// before the first event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Hash)]
pub struct Cursor {
    number: u64,
    tag: Option<Tag>,
}

impl Cursor {
    /// The place before the first event.
    pub const START: Self = Self { number: 0, tag: None };

    /// The place after the event with this number and tag.
    #[must_use]
    pub const fn new(number: u64, tag: Tag) -> Self {
        Self { number, tag: Some(tag) }
    }

    /// A place whose history is not vouched for.
    #[must_use]
    pub const fn unchecked(number: u64) -> Self {
        Self { number, tag: None }
    }

    /// How many events lie up to this place: a `seq`, or a position.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.number
    }

    /// The tag of the event at this place, where the cursor names one.
    #[must_use]
    pub const fn tag(self) -> Option<Tag> {
        self.tag
    }

    /// Appends it as it is shown: what `write!` does as well, at a fraction of the cost.
    pub fn push_to(self, out: &mut Vec<u8>) {
        out.extend_from_slice(Decimal::of(self.number).as_bytes());
        if let Some(tag) = self.tag {
            out.push(b'-');
            out.extend_from_slice(&tag.text());
        }
    }

    /// Whether `tag`, which stands at this place in the log, may be what the cursor means.
    #[must_use]
    pub fn agrees_with(self, tag: Tag) -> bool {
        self.number == 0 || self.tag.is_none_or(|own| own == tag)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.tag {
            Some(tag) => write!(f, "{}-{tag}", self.number),
            None => write!(f, "{}", self.number),
        }
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let (number, tag) = match text.split_once('-') {
            Some((number, tag)) => (number, Some(parse_tag(tag)?)),
            None => (text, None),
        };
        if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
            return Err(InvalidCursor);
        }
        // Any number of leading zeros is allowed, so the length says nothing.
        let number = number.trim_start_matches('0');
        let number = if number.is_empty() { 0 } else { number.parse().map_err(|_| InvalidCursor)? };
        if number > MAX_NUMBER { Err(InvalidCursor) } else { Ok(Self { number, tag }) }
    }
}

/// The text is no cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a cursor is a number up to 9007199254740991, or such a number, a hyphen and eight hex digits")]
pub struct InvalidCursor;

fn parse_tag(text: &str) -> Result<Tag, InvalidCursor> {
    let digits = text.len() == 8 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if digits { u32::from_str_radix(text, 16).map(Tag).map_err(|_| InvalidCursor) } else { Err(InvalidCursor) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_shown_and_read() {
        for text in ["12-9f3c1a2b", "12", "0", "9007199254740991-00000000"] {
            assert_eq!(text.parse::<Cursor>().map(|c| c.to_string()), Ok(text.to_owned()));
            let mut written = Vec::new();
            text.parse::<Cursor>().expect("a cursor").push_to(&mut written);
            assert_eq!(written, text.as_bytes());
        }
        assert_eq!("0".parse(), Ok(Cursor::START));
        assert_eq!("00000000000000000000000012".parse(), Ok(Cursor::unchecked(12)));
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        for bad in [
            "",
            "-",
            "a",
            "12-",
            "12-9f3c1a2",
            "12-9F3C1A2B",
            "12-9f3c1a2b-",
            "+1",
            " 1",
            "1 ",
            "-1",
            "9007199254740992",
            "18446744073709551617",
            "12-+f3c1a2b",
        ] {
            assert_eq!(bad.parse::<Cursor>(), Err(InvalidCursor), "{bad:?}");
        }
    }

    #[test]
    fn a_tag_vouches_for_all_before_it() {
        let chain = |texts: [&str; 2]| texts.iter().fold(Tag::START, |tag, text| tag.next(text.as_bytes()));
        assert_ne!(chain(["a", "c"]), chain(["b", "c"]));
        assert_eq!(chain(["a", "c"]), chain(["a", "c"]));
        // Anybody can check it: xxh3-64 of nothing with seed 0 begins with these 32 bits.
        assert_eq!(Tag::START.next(b"").to_string(), "2d06800538d394c2"[..8]);
    }

    #[test]
    fn only_a_tag_that_is_named_can_disagree() {
        let (right, wrong) = (Tag(1), Tag(2));
        assert!(Cursor::new(3, right).agrees_with(right));
        assert!(!Cursor::new(3, wrong).agrees_with(right));
        assert!(Cursor::unchecked(3).agrees_with(right));
    }
}
