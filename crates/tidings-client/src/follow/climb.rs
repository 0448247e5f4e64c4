//! Trying better transports again, beside the one in use.

use std::{pin::Pin, time::Duration};

use tokio::time::Instant;

use super::reader::Reader;
use crate::{deadline, update::Turn};

/// When better transports are tried again, and the try that is under way.
pub(super) struct Climb {
    interval: Duration,
    /// When the next one is due, if ever.
    at: Option<Instant>,
    probe: Option<Probe>,
}

type Probe = Pin<Box<dyn Future<Output = Option<(Reader, Turn)>> + Send>>;

impl Climb {
    /// The first try is due after one interval.
    pub(super) fn new(interval: Duration) -> Self {
        Self { interval, at: deadline::after(Instant::now(), interval), probe: None }
    }

    /// Comes back with a reader that has shown that it works, and what it brought. `readers` are those to try, the best
    /// first, as of the moment when it is called. The next try is due one interval after the beginning of this one.
    /// Cancel-safe.
    pub(super) async fn arrive(&mut self, readers: impl Fn() -> Vec<Reader>) -> (Reader, Turn) {
        loop {
            let probe = match &mut self.probe {
                Some(probe) => probe,
                None => {
                    deadline::reached(self.at).await;
                    self.at = deadline::after(Instant::now(), self.interval);
                    self.probe.insert(Box::pin(first_of(readers())))
                }
            };
            let found = probe.await;
            self.probe = None;
            if let Some(found) = found {
                return found;
            }
        }
    }
}

async fn first_of(readers: Vec<Reader>) -> Option<(Reader, Turn)> {
    for mut reader in readers {
        match reader.prove().await {
            Ok(turn) => return Some((reader, turn)),
            Err(trouble) => tracing::debug!(transport = %reader.transport, error = %trouble.error, "not better yet"),
        }
    }
    None
}
