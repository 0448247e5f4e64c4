//! Names that travel: job ids, kinds, event types. Each is valid by construction.

use std::{
    array,
    collections::HashMap,
    fmt,
    hash::{BuildHasherDefault, Hash, Hasher},
    str::FromStr,
    sync::Arc,
};

use uuid::{Uuid, fmt::Hyphenated};

use crate::text::hex;

/// A job's id: a UUID of version 7 (RFC 9562), written in lower case with hyphens.
///
/// Ids that are made later compare greater (to the millisecond, and within one process beyond it), so
/// that "newest first" is their order reversed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct JobId(Uuid);

impl JobId {
    /// Makes a new id out of the present time and randomness.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "each call gives another id, which `Default` would hide")]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }

    /// As it is shown, in ASCII.
    pub(crate) fn text(self) -> [u8; Self::LENGTH] {
        let mut text = [b'-'; Self::LENGTH];
        let (words, _) = self.0.as_bytes().as_chunks::<4>();
        let digits: [[u8; 8]; 4] =
            array::from_fn(|nth| hex(words.get(nth).map_or(0, |word| u32::from_be_bytes(*word))));
        let digits = digits.as_flattened();
        // The hyphens stay where they are.
        for (to, from) in [(0..8, 0..8), (9..13, 8..12), (14..18, 12..16), (19..23, 16..20), (24..36, 20..32)] {
            if let (Some(place), Some(part)) = (text.get_mut(to), digits.get(from)) {
                place.copy_from_slice(part);
            }
        }
        text
    }

    /// How many characters it is shown with.
    pub(crate) const LENGTH: usize = Hyphenated::LENGTH;
}

impl Hash for JobId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(self.0.as_u128());
    }
}

/// Jobs by their ids.
pub(crate) type JobMap<T> = HashMap<JobId, T, BuildHasherDefault<IdHasher>>;

/// Hashes ids of jobs, and nothing else. They are made by hosts, out of randomness, so that nobody can choose ids that
/// fall together: what guards against that would cost more than the rest of the look.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u128(u128::from(*byte)));
    }

    #[expect(clippy::cast_possible_truncation, reason = "both halves are taken")]
    fn write_u128(&mut self, id: u128) {
        // Two odd numbers without a pattern: the fractions of the roots of 2 and 3. The upper half of a product depends
        // on all bits of both.
        let high = (id >> 64) as u64 ^ self.0 ^ 0x6a09_e667_f3bc_c909;
        let product = u128::from(high) * u128::from(id as u64 ^ 0xbb67_ae85_84ca_a73b);
        self.0 = (product >> 64) as u64 ^ product as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl FromStr for JobId {
    type Err = InvalidName;

    /// Takes the one spelling that the wire knows; upper case, braces and other versions are refused.
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let id = Uuid::try_parse(text).map_err(|_| InvalidName)?;
        // All of it is looked at whatever comes first, which takes a few instructions instead of one for each.
        let upper_case = text.bytes().fold(false, |found, byte| found | byte.is_ascii_uppercase());
        let spelled = text.len() == 36 && !upper_case;
        if spelled && id.get_version_num() == 7 { Ok(Self(id)) } else { Err(InvalidName) }
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What sort of job it is, such as `pipeline`: `[a-z][a-z0-9_-]{0,63}`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kind(Arc<str>);

impl Kind {
    /// The kind as it is spelled.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Kind {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        if is_name(text, b"_-") { Ok(Self(text.into())) } else { Err(InvalidName) }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an event says: one of the built-in types, or a host's own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventType {
    /// The job is known and waits.
    Queued,
    /// An attempt at it has begun.
    Started,
    /// How far it is.
    Progress,
    /// A line that it has printed.
    Log,
    /// Somebody asked for it to be cancelled.
    Cancelling,
    /// It is over and has a result.
    Succeeded,
    /// It is over and has an error.
    Failed,
    /// It is over because somebody asked for that.
    Cancelled,
    /// A type of the host's own.
    Custom(CustomType),
}

impl EventType {
    /// The type as it is spelled.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Queued => "queued",
            Self::Started => "started",
            Self::Progress => "progress",
            Self::Log => "log",
            Self::Cancelling => "cancelling",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Custom(custom) => &custom.0,
        }
    }

    /// Whether a job is over with an event of this type.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

impl FromStr for EventType {
    type Err = InvalidName;

    /// Takes built-in types and a host's own; refuses the names that mean something to `EventSource`.
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        Ok(match text {
            "queued" => Self::Queued,
            "started" => Self::Started,
            "progress" => Self::Progress,
            "log" => Self::Log,
            "cancelling" => Self::Cancelling,
            "succeeded" => Self::Succeeded,
            "failed" => Self::Failed,
            "cancelled" => Self::Cancelled,
            custom => Self::Custom(custom.parse()?),
        })
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An event type of the host's own: `[a-z][a-z0-9._-]{0,63}`, and neither a built-in one nor `open`,
/// `error`, `message` or `gap`, which mean something to `EventSource` or to Tidings.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CustomType(Arc<str>);

const BUILT_IN: [&str; 8] = ["queued", "started", "progress", "log", "cancelling", "succeeded", "failed", "cancelled"];
const RESERVED: [&str; 4] = ["open", "error", "message", "gap"];

impl FromStr for CustomType {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let taken = BUILT_IN.contains(&text) || RESERVED.contains(&text);
        if !taken && is_name(text, b"._-") { Ok(Self(text.into())) } else { Err(InvalidName) }
    }
}

impl fmt::Debug for CustomType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is not a valid name of the sort that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a valid name")]
pub struct InvalidName;

fn is_name(text: &str, also: &[u8]) -> bool {
    let mut bytes = text.bytes();
    text.len() <= 64
        && bytes.next().is_some_and(|b| b.is_ascii_lowercase())
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || also.contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn job_ids_have_one_spelling() {
        let id = JobId::new();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.text(), *id.to_string().as_bytes());
        let v4 = "7f2c1f0e-4a55-4f0e-8a5e-0a4b5e1c2d3f";
        for other in [
            id.to_string().to_uppercase(),
            id.to_string().replace('-', ""),
            format!("{{{id}}}"),
            v4.to_owned(),
            String::new(),
        ] {
            assert_eq!(other.parse::<JobId>(), Err(InvalidName), "{other}");
        }
    }

    #[test]
    fn later_ids_are_greater() {
        let ids: Vec<_> = (0..1000).map(|_| JobId::new()).collect();
        assert!(ids.is_sorted());
    }

    #[test]
    fn ids_spread_over_a_map() {
        use std::hash::BuildHasher as _;

        let hash = |id: &JobId| BuildHasherDefault::<IdHasher>::default().hash_one(id);
        let hashes: Vec<_> = (0..4096).map(|_| hash(&JobId::new())).collect();
        // A map looks at the lowest bits for the place and at the highest for the first comparison.
        for shift in [0, 57] {
            let mut counts = [0; 128];
            hashes.iter().for_each(|hash| counts[usize::try_from(hash >> shift & 127).expect("small")] += 1);
            // 32 are expected in each; twice as many by chance once in millions of times.
            assert!(counts.iter().all(|count| *count < 80), "{counts:?}");
        }
    }

    #[test]
    fn kinds_and_types_keep_to_their_alphabet() {
        let long = "a".repeat(65);
        for bad in ["", "A", "1a", "a b", "a\n", "ä", "-a", long.as_str()] {
            assert!(bad.parse::<Kind>().is_err(), "{bad:?}");
            assert!(bad.parse::<EventType>().is_err(), "{bad:?}");
        }
        assert!("a.b".parse::<Kind>().is_err());
        assert!("a.b-c_d9".parse::<CustomType>().is_ok());
        assert!("a".repeat(64).parse::<Kind>().is_ok());
    }

    #[test]
    fn a_host_cannot_take_a_built_in_or_reserved_type() {
        for name in BUILT_IN.iter().chain(&RESERVED) {
            assert!(name.parse::<CustomType>().is_err(), "{name}");
        }
        for name in BUILT_IN {
            assert_eq!(name.parse::<EventType>().map(|t| t.to_string()), Ok(name.to_owned()));
        }
        for name in RESERVED {
            assert!(name.parse::<EventType>().is_err(), "{name}");
        }
    }
}
