//! JSON as it is kept: one line, as sent but for the white space between tokens.

use std::fmt;

use bytes::Bytes;
use memchr::memchr2;
use serde::{Deserialize, Serialize, Serializer, de::DeserializeOwned};
use serde_json::value::RawValue;

/// How many arrays and objects may stand within one another.
pub const MAX_DEPTH: usize = 64;

/// A JSON value (RFC 8259) on one line.
///
/// White space between tokens is gone; the order of members, the spelling of strings and the digits of numbers are as
/// they were sent. A control character can't stand in it, so neither a line break nor a field of any framing can.
#[derive(Clone, PartialEq, Eq)]
pub struct Json(Bytes);

impl Json {
    /// Checks and compacts a text.
    ///
    /// # Errors
    ///
    /// Where the text is no JSON, is nested more than [`MAX_DEPTH`] deep, or holds an escaped lone surrogate, which is
    /// no character and which half of the world's parsers refuse.
    pub fn parse(text: &[u8]) -> Result<Self, InvalidJson> {
        let raw: &RawValue = serde_json::from_slice(text).map_err(InvalidJson::syntax)?;
        compact(raw.get(), 0).map(Self)
    }

    /// Takes a value that was found within so many arrays and objects of a text, the rest of which holds nothing that
    /// would be refused.
    pub(crate) fn within(value: &RawValue, depth: usize) -> Result<Self, InvalidJson> {
        compact(value.get(), depth).map(Self)
    }

    /// Writes a value as JSON.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse), and where the value can't be written as JSON.
    pub fn from_value<T: Serialize + ?Sized>(value: &T) -> Result<Self, InvalidJson> {
        Self::parse(&serde_json::to_vec(value).map_err(InvalidJson::syntax)?)
    }

    /// The value `null`.
    #[must_use]
    pub fn null() -> Self {
        Self(Bytes::from_static(b"null"))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Made from a `str` and cut at ASCII alone, so this never takes the other arm.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The text as bytes, shared and not copied.
    #[must_use]
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// Whether this is an object, and not an array, a string or another scalar.
    #[must_use]
    pub fn is_object(&self) -> bool {
        self.0.first() == Some(&b'{')
    }

    /// Whether this is `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.0.as_ref() == b"null"
    }

    /// Reads the value as a type of the caller's. Objects only for structs: serde alone takes an array in the place of
    /// a struct, so call [`is_object`](Self::is_object) where it matters.
    ///
    /// # Errors
    ///
    /// Where the value does not have that shape.
    pub fn to<T: DeserializeOwned>(&self) -> Result<T, InvalidJson> {
        serde_json::from_str(self.as_str()).map_err(InvalidJson::syntax)
    }

    /// A value within this one, read from this very text. It shares its memory where it is most of it: a small part
    /// must not keep a large whole alive.
    pub(crate) fn part(&self, value: &RawValue) -> Self {
        let part = value.get().as_bytes();
        Self(if 2 * part.len() < self.0.len() { Bytes::copy_from_slice(part) } else { self.0.slice_ref(part) })
    }

    /// A part of bytes that are known to hold a compact value there.
    pub(crate) fn trusted(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<&str> for Json {
    /// The text as a JSON string.
    fn from(text: &str) -> Self {
        // Text can always be written, so this is never the other one.
        serde_json::to_vec(text).map_or_else(|_| Self::null(), |json| Self(json.into()))
    }
}

impl From<String> for Json {
    /// The text as a JSON string.
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_slice(&self.0).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    /// Works with `serde_json` alone, as everything that keeps raw JSON does.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        compact(raw.get(), 0).map(Self).map_err(serde::de::Error::custom)
    }
}

/// A text that is no JSON of ours, and why.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InvalidJson(String);

impl InvalidJson {
    #[expect(clippy::needless_pass_by_value, reason = "it is the argument of `map_err`")]
    fn syntax(error: serde_json::Error) -> Self {
        Self(error.to_string())
    }
}

/// Takes the white space out of a text whose grammar has been checked, and checks what the grammar does not say; it
/// stands within so many arrays and objects.
fn compact(text: &str, within: usize) -> Result<Bytes, InvalidJson> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut depth = within;
    // Up to `at` it has been looked at, and from `kept` on it is still to be copied.
    let (mut at, mut kept) = (0, 0);
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => {
                out.extend_from_slice(bytes.get(kept..at).unwrap_or_default());
                kept = at + 1;
            }
            b'"' => {
                at = string_end(bytes, at)?;
                continue;
            }
            b'{' | b'[' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(InvalidJson(format!("nested more than {MAX_DEPTH} deep")));
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    out.extend_from_slice(bytes.get(kept..).unwrap_or_default());
    Ok(out.into())
}

/// The place after the string that begins at `start`.
fn string_end(bytes: &[u8], start: usize) -> Result<usize, InvalidJson> {
    let mut at = start + 1;
    let mut high_surrogate = false;
    loop {
        // Most of a string is neither an escape nor its end.
        let rest = bytes.get(at..).unwrap_or_default();
        let plain = memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
        at += plain;
        let escape = match bytes.get(at..) {
            Some([b'\\', b'u', digits @ ..]) => digits.get(..4).and_then(hex).map(Escape::Unit),
            Some([b'\\', _, ..]) => Some(Escape::Other),
            Some([b'"', ..]) => None,
            // The grammar has been checked: a string ends.
            Some(_) | None => return Ok(bytes.len()),
        };
        let low = matches!(escape, Some(Escape::Unit(0xDC00..=0xDFFF)));
        if high_surrogate != low || (high_surrogate && plain > 0) {
            return Err(InvalidJson("a string holds half a surrogate pair".to_owned()));
        }
        high_surrogate = matches!(escape, Some(Escape::Unit(0xD800..=0xDBFF)));
        at += match escape {
            Some(Escape::Unit(_)) => 6,
            Some(Escape::Other) => 2,
            None => return Ok(at + 1),
        };
    }
}

enum Escape {
    /// `\uXXXX`.
    Unit(u16),
    /// A backslash and one character.
    Other,
}

fn hex(digits: &[u8]) -> Option<u16> {
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kept(text: &str) -> Option<String> {
        Json::parse(text.as_bytes()).ok().map(|json| json.to_string())
    }

    #[test]
    fn white_space_goes_and_all_else_stays() {
        assert_eq!(kept(" { \"b\" : 1.50e+1 ,\r\n\t\"a\":[ ] } ").as_deref(), Some(r#"{"b":1.50e+1,"a":[]}"#));
        assert_eq!(kept(r#""a \" b\\""#).as_deref(), Some(r#""a \" b\\""#));
        assert_eq!(kept("1e999").as_deref(), Some("1e999"));
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for bad in ["", "{", "{}{}", "[1,]", "nul", "'a'", "\"\n\"", "01", "\u{feff}{}"] {
            assert_eq!(kept(bad), None, "{bad:?}");
        }
        assert!(Json::parse(b"\"\xff\"").is_err());
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |n| "[".repeat(n) + &"]".repeat(n);
        assert!(kept(&nested(64)).is_some());
        assert!(kept(&nested(65)).is_none());
        assert!(kept(&nested(100_000)).is_none());
        assert!(kept(&format!("[{}]", vec!["[]"; 100].join(","))).is_some());
    }

    #[test]
    fn half_a_surrogate_pair_is_refused() {
        for bad in [r#""\ud800""#, r#""\udc00""#, r#""\ud800\ud800\udc00""#, r#"{"\ud800x":1}"#] {
            assert_eq!(kept(bad), None, "{bad}");
        }
        let far = format!(r#"{{"{0}\ud83d{0}\udce8":1}}"#, "x".repeat(20));
        assert_eq!(kept(&far), None);
        for good in [r#""\ud83d\udce8""#, r#""\\ud800""#, r#""\u0000""#] {
            assert_eq!(kept(good).as_deref(), Some(good));
        }
    }

    proptest! {
        #[test]
        fn values_survive(text in "[ \\t\\n{}\\[\\]:,\"\\\\a0-9eunltrfas.-]{0,24}") {
            match (serde_json::from_str::<serde_json::Value>(&text), kept(&text)) {
                (Ok(value), Some(kept)) => {
                    prop_assert_eq!(&value, &serde_json::from_str::<serde_json::Value>(&kept).expect("still JSON"));
                    prop_assert!(!kept.contains('\n'));
                }
                (Ok(_), None) => prop_assert!(false, "refused {:?}", text),
                // Numbers beyond f64 are JSON all the same.
                (Err(error), Some(_)) => prop_assert!(error.to_string().contains("out of range"), "{}", error),
                (Err(_), None) => {}
            }
        }
    }
}
