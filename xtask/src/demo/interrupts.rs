//! Ctrl-C, and the signals that mean the same.

use std::io;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// How often somebody has asked for the end: by SIGINT, SIGTERM or SIGHUP.
#[derive(Clone)]
pub(super) struct Interrupts(watch::Receiver<u32>);

impl Interrupts {
    /// From now on these signals do not end the process by themselves.
    pub(super) fn listen() -> io::Result<Self> {
        let (count, interrupts) = watch::channel(0);
        let count = Arc::new(count);
        for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
            let (mut signal, count) = (signal(kind)?, Arc::clone(&count));
            tokio::spawn(async move {
                while signal.recv().await.is_some() {
                    count.send_modify(|count| *count += 1);
                }
            });
        }
        Ok(Self(interrupts))
    }

    /// Ready once there was one.
    pub(super) async fn first(&self) {
        // The tasks that count live as long as the runtime, so this can't fail.
        let _ = self.0.clone().wait_for(|count| *count > 0).await;
    }

    /// Whether there was a second one: from somebody who does not want to wait for an orderly end.
    pub(super) fn are_urgent(&self) -> bool {
        *self.0.borrow() > 1
    }
}
