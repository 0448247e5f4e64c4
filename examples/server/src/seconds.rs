//! Times in the config: numbers of seconds, which need not be whole.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error};

/// The longest time: tokio's timers are safe with it, and it is as good as for ever.
const YEAR: Duration = Duration::from_secs(60 * 60 * 24 * 365);

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let seconds = f64::deserialize(from)?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(time) if !time.is_zero() && time <= YEAR => Ok(time),
        _ => Err(D::Error::custom("expected a number of seconds, more than 0 and at most a year")),
    }
}

/// The same for a time that may be left out.
pub(crate) fn optional<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    deserialize(from).map(Some)
}
