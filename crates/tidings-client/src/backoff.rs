//! Pauses that grow from failure to failure, and are never the same for two clients.

use std::time::Duration;

use tokio::time::Instant;

use crate::{config::Config, error::Error};

/// Counts failures in a row and says how long to wait after each.
#[derive(Debug)]
pub(crate) struct Backoff {
    jitter: Jitter,
    first: Duration,
    longest: Duration,
    give_up_after: Option<Duration>,
    failures: u32,
    failing_since: Option<Instant>,
    last: Option<Error>,
}

/// How random a pause is.
#[derive(Clone, Copy, Debug)]
enum Jitter {
    /// From its half to itself.
    Half,
    /// From nothing to itself.
    Full,
}

impl Backoff {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            jitter: Jitter::Half,
            first: config.first_pause,
            longest: config.longest_pause,
            give_up_after: config.give_up_after,
            failures: 0,
            failing_since: None,
            last: None,
        }
    }

    /// The same with full jitter: a pause is anything from nothing to what it would be at most, so that the first of
    /// many clients is back at once.
    pub(crate) fn with_full_jitter(self) -> Self {
        Self { jitter: Jitter::Full, ..self }
    }

    /// The same, giving up after so long, whatever is configured.
    pub(crate) fn giving_up_after(self, limit: Duration) -> Self {
        Self { give_up_after: Some(limit), ..self }
    }

    /// Something went well: the next failure is a first one.
    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
        self.failing_since = None;
        self.last = None;
    }

    /// Something went wrong after which there is no need to wait.
    pub(crate) fn note(&mut self, error: Error) {
        self.last = Some(error);
    }

    /// What went wrong last, if it has not gone well since.
    pub(crate) fn last(&self) -> Option<&Error> {
        self.last.as_ref()
    }

    /// The same, for the caller to keep.
    pub(crate) fn take_last(&mut self) -> Option<Error> {
        self.last.take()
    }

    /// Whether the last thing that happened was a failure.
    pub(crate) fn is_failing(&self) -> bool {
        self.failing_since.is_some()
    }

    /// Says how long to wait after this failure, and gives the error back where there is nothing to wait for: because
    /// it is not temporary, or has gone on for too long.
    pub(crate) fn failed(&mut self, error: Error) -> Result<Duration, Error> {
        let since = *self.failing_since.get_or_insert_with(Instant::now);
        if !error.is_temporary() || self.give_up_after.is_some_and(|limit| since.elapsed() >= limit) {
            return Err(error);
        }
        // A server that fails and asks to come back at once is not obeyed to the letter.
        let pause = match error.retry_after() {
            Some(pause) => pause.max(self.first),
            None => self.pause(),
        };
        tracing::debug!(%error, ?pause, "asking again after a pause");
        self.last = Some(error);
        Ok(pause)
    }

    /// A random time between `first · 2ⁿ` and twice that, where n failures came before; once the longest pause is
    /// reached, between its half and itself. With full jitter between nothing and the same. So clients that failed
    /// together don't come back together.
    pub(crate) fn pause(&mut self) -> Duration {
        let growth = 1_u32.checked_shl(self.failures + 1).unwrap_or(u32::MAX);
        self.failures = (self.failures + 1).min(u32::BITS);
        let part = match self.jitter {
            Jitter::Half => 0.5 + fastrand::f64() / 2.0,
            Jitter::Full => fastrand::f64(),
        };
        self.first.saturating_mul(growth).min(self.longest).mul_f64(part)
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::*;
    use crate::error::ErrorKind;

    const SECOND: Duration = Duration::from_secs(1);

    fn away() -> Error {
        Error::new(ErrorKind::Connect, "away")
    }

    #[test]
    fn pauses_grow_from_one_second_to_thirty_and_are_jittered() {
        let mut seen = Vec::new();
        for _ in 0..100 {
            let mut backoff = Backoff::new(&Config::default());
            let expected: [Range<u64>; 7] = [1..2, 2..4, 4..8, 8..16, 15..30, 15..30, 15..30];
            for range in expected {
                let pause = backoff.failed(away()).expect("it may come back");
                assert!(
                    pause >= SECOND * range.start as u32 && pause <= SECOND * range.end as u32,
                    "{pause:?} {range:?}"
                );
                seen.push(pause);
            }
        }
        seen.sort_unstable();
        seen.dedup();
        assert!(seen.len() > 600, "hardly two are the same");
    }

    #[test]
    fn full_jitter_goes_from_nothing_to_the_longest_pause() {
        let pauses = (0..300).map(|_| {
            let mut backoff = Backoff::new(&Config::default()).with_full_jitter();
            (0..6).map(|_| backoff.pause()).collect::<Vec<_>>()
        });
        let pauses: Vec<_> = pauses.collect();
        for (nth, most) in [2, 4, 8, 16, 30, 30].into_iter().enumerate() {
            let most = SECOND * most;
            assert!(pauses.iter().all(|pauses| pauses[nth] <= most));
            assert!(pauses.iter().any(|pauses| pauses[nth] < most / 10));
            assert!(pauses.iter().any(|pauses| pauses[nth] > most / 10 * 9));
        }
    }

    #[test]
    fn many_failures_do_not_overflow() {
        let mut backoff = Backoff::new(&Config::default());
        for _ in 0..100 {
            assert!(backoff.pause() <= 30 * SECOND);
        }
        backoff.succeeded();
        assert!(backoff.pause() <= 2 * SECOND);
    }

    #[test]
    fn the_server_is_obeyed() {
        let mut backoff = Backoff::new(&Config::default());
        let error = Error::refused(http::StatusCode::SERVICE_UNAVAILABLE, None, Some(100 * SECOND));
        assert_eq!(backoff.failed(error).expect("it may come back"), 100 * SECOND);
        let error = Error::refused(http::StatusCode::SERVICE_UNAVAILABLE, None, Some(Duration::ZERO));
        assert_eq!(backoff.failed(error).expect("it may come back"), SECOND);
        let error = Error::refused(http::StatusCode::GONE, None, Some(SECOND));
        assert!(backoff.failed(error).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn it_gives_up_where_that_is_asked_for() {
        let config = Config { give_up_after: Some(60 * SECOND), ..Config::default() };
        let mut backoff = Backoff::new(&config);
        for _ in 0..3 {
            assert!(backoff.failed(away()).is_ok());
            tokio::time::advance(59 * SECOND).await;
            backoff.succeeded();
        }
        assert!(backoff.failed(away()).is_ok());
        tokio::time::advance(60 * SECOND).await;
        assert!(backoff.failed(away()).is_err());
    }
}
