//! Times after which nobody waits any longer.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The time that lies so far after `begun`. None where that is further than a clock goes: such a time never comes.
pub(crate) fn after(begun: Instant, timeout: Duration) -> Option<Instant> {
    begun.checked_add(timeout)
}

/// Ready once that time has come; where there is none, never. Cancel-safe.
pub(crate) async fn reached(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
