//! How long and how often things are measured.

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::load::Measured;
use crate::Result;

/// What a server keeps free of its limit on open files, and what this process needs besides streams.
const OTHER_FILES: u64 = 600;

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// How often each thing is measured; the median counts.
    pub(super) turns: usize,
    /// Before anything is measured in a turn.
    pub(super) warm_up: Duration,
    /// How long a turn measures.
    pub(super) time: Duration,
    /// How often a run is taken again in which others took too much of the server's core.
    retries: usize,
    /// The most streams that the limit on open files leaves room for.
    pub(super) most_streams: usize,
}

impl Plan {
    /// A plan for minutes.
    pub(super) fn quick() -> Self {
        let (warm_up, time) = (Duration::from_secs(1), Duration::from_secs(3));
        Self { turns: 3, warm_up, time, retries: 0, most_streams: most_streams() }
    }

    /// A plan for a machine that has nothing else to do.
    pub(super) fn full() -> Self {
        Self { turns: 5, time: Duration::from_secs(5), retries: 2, ..Self::quick() }
    }

    /// Measures, and again where others took too much of the server's core. The run in which they took the least
    /// counts.
    pub(super) fn least_disturbed(&self, mut measure: impl FnMut() -> Result<Measured>) -> Result<Measured> {
        let mut best = measure()?;
        for _ in 0..self.retries {
            if !best.is_disturbed() {
                break;
            }
            let again = measure()?;
            if again.others_share < best.others_share {
                best = again;
            }
        }
        Ok(best)
    }

    /// So many streams, or as many as there can be.
    pub(super) fn streams(&self, wanted: usize) -> usize {
        if wanted > self.most_streams {
            println!(
                "   {wanted} streams need a higher limit on open files (ulimit -n): {} instead",
                self.most_streams
            );
        }
        wanted.min(self.most_streams)
    }
}

/// Raises the limit on open files as far as it goes, and says how many streams it leaves room for.
fn most_streams() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // Where it can't be raised, the limit stays as it is.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let limit = getrlimit(Resource::Nofile).current.or(current).unwrap_or(u64::MAX);
    usize::try_from(limit.saturating_sub(OTHER_FILES)).unwrap_or(usize::MAX)
}
