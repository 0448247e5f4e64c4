//! Pauses between tries to reach the broker.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(250);

/// Pauses that double from 250 ms up to the longest, each shortened at random by up to half, so that the nodes that
/// lost a broker together don't come back to it together.
#[derive(Debug)]
pub(crate) struct Pauses {
    next: Duration,
    longest: Duration,
}

impl Pauses {
    pub(crate) fn up_to(longest: Duration) -> Self {
        let longest = longest.max(FIRST);
        Self { next: FIRST, longest }
    }

    /// Begins anew with the shortest.
    pub(crate) fn reset(&mut self) {
        self.next = FIRST;
    }

    /// The pause after a try that has lasted for so long. One that has lasted for the longest pause has been a success,
    /// so they begin anew.
    pub(crate) fn after(&mut self, lasted: Duration) -> Duration {
        if lasted >= self.longest {
            self.reset();
        }
        let pause = self.next;
        self.next = (pause * 2).min(self.longest);
        pause.mul_f64(0.5 + fastrand::f64() / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_limit_and_begin_anew() {
        let longest = Duration::from_secs(10);
        let mut pauses = Pauses::up_to(longest);
        for most in [250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000] {
            let (pause, most) = (pauses.after(Duration::ZERO), Duration::from_millis(most));
            assert!(pause <= most && pause >= most / 2, "{pause:?} of {most:?}");
        }
        assert!(pauses.after(longest) <= FIRST);
        assert!(pauses.after(Duration::ZERO) >= FIRST);
    }
}
