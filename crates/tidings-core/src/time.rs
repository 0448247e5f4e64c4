//! Points in time as events show them, and where they come from.

use std::{
    cell::Cell,
    fmt,
    str::FromStr,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::text::padded;

/// A point in time: whole milliseconds since 1970, shown as RFC 3339 in UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// From milliseconds since 1970.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// As it is shown, in ASCII.
    pub(crate) fn text(self) -> [u8; Self::LENGTH] {
        thread_local! {
            // Where events come fast, very many of them are of one millisecond.
            static LAST: Cell<(Timestamp, [u8; Timestamp::LENGTH])> = const { Cell::new((Timestamp(0), EPOCH)) };
        }
        const EPOCH: [u8; Timestamp::LENGTH] = *b"1970-01-01T00:00:00.000Z";
        let (last, text) = LAST.get();
        if last == self {
            return text;
        }
        let text = self.written();
        LAST.set((self, text));
        text
    }

    fn written(self) -> [u8; Self::LENGTH] {
        // RFC 3339 ends with the year 9999, and so does what can be shown.
        const LAST: u64 = 253_402_300_799_999;
        let millis = self.0.min(LAST);
        let (days, rest) = (millis / 86_400_000, millis % 86_400_000);
        let (year, month, day) = date(days);
        let mut text = *b"0000-00-00T00:00:00.000Z";
        let mut put = |at: usize, digits: &[u8]| {
            text.iter_mut().skip(at).zip(digits).for_each(|(place, digit)| *place = *digit);
        };
        put(0, &padded::<4>(year));
        put(5, &padded::<2>(month));
        put(8, &padded::<2>(day));
        put(11, &padded::<2>(rest / 3_600_000));
        put(14, &padded::<2>(rest / 60_000 % 60));
        put(17, &padded::<2>(rest / 1000 % 60));
        put(20, &padded::<3>(rest % 1000));
        text
    }

    /// How many characters it is shown with.
    pub(crate) const LENGTH: usize = 24;

    /// How long ago `earlier` was; nothing where it was not before this.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// Year, month and day of the Gregorian calendar, given the days since 1970.
fn date(days: u64) -> (u64, u64, u64) {
    // In years that begin with March a leap day comes last; 719,468 days lie between the 1st of March of the year 0 and
    // 1970, and every 400 years are alike.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // From March on, five months have 153 days in turn.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (400 * era + year + next, month, day)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.text()).unwrap_or_default())
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = humantime::TimestampError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        humantime::parse_rfc3339(text).map(Self::from)
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let millis = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        Self(u64::try_from(millis).unwrap_or(u64::MAX))
    }
}

/// Where the time of events comes from. Waiting is tokio's business and not its own.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn system() -> Self {
        Self(Arc::new(|| SystemTime::now().into()))
    }

    /// A clock that starts at the present time and goes on with tokio's, so that it stands still and leaps with
    /// `tokio::time::pause` and `advance`. For tests.
    ///
    /// # Panics
    ///
    /// Nowhere; outside a runtime it goes like the machine's clock.
    #[must_use]
    pub fn tokio() -> Self {
        let (base, start) = (Timestamp::from(SystemTime::now()), tokio::time::Instant::now());
        Self(Arc::new(move || {
            let passed = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
            Timestamp(base.0.saturating_add(passed))
        }))
    }

    /// The present time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&self.now()).finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_time_is_shown_as_humantime_shows_it(millis in 0..253_402_300_800_000_u64) {
            let shown = humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(millis));
            prop_assert_eq!(Timestamp::from_millis(millis).to_string(), shown.to_string());
        }
    }

    #[test]
    fn every_day_is_shown_as_humantime_shows_it() {
        for day in (0..1_100_000_u64).filter(|day| day % 17 == 0 || day % 365 < 3 || day % 36_524 < 70) {
            let shown = humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_secs(day * 86_400));
            assert_eq!(Timestamp::from_millis(day * 86_400_000).to_string(), shown.to_string());
        }
    }

    #[test]
    fn milliseconds_are_shown_and_read() {
        let time = Timestamp::from_millis(1_795_255_203_123);
        assert_eq!(time.to_string(), "2026-11-21T10:00:03.123Z");
        assert_eq!("2026-11-21T10:00:03.123Z".parse::<Timestamp>().ok(), Some(time));
        assert_eq!(Timestamp::from_millis(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Timestamp::from_millis(u64::MAX).to_string(), "9999-12-31T23:59:59.999Z");
    }
}
