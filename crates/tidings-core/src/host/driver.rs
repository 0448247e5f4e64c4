//! What goes on in the background of a host, from its start to its end.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use tokio::{runtime::Handle, task::JoinSet, time::Instant};

use super::Host;
use crate::{runner, transport::Relay};

/// How long relays may take to pass the rest on once every job is over.
const RELAY_GRACE: Duration = Duration::from_secs(5);

/// Between two starts of a relay that fails: at first, and at most.
const RELAY_PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));

/// A relay that has run for so long starts again with the shortest pause.
const RELAY_HEALTHY: Duration = Duration::from_secs(60);

/// Runs jobs, relays, leases and heartbeats of a host. Without it a host answers requests, and nothing ever happens.
#[must_use = "nothing happens unless it is run"]
#[derive(Debug)]
pub struct Driver {
    host: Host,
}

impl Driver {
    pub(super) fn new(host: Host) -> Self {
        Self { host }
    }

    /// Runs until `signal` comes back, and then ends in good order: no new jobs; holds and streams that wait for nobody
    /// end at once; jobs that run here have their grace, and fail with `shutting-down` after it; relays have five
    /// seconds to pass the rest on.
    ///
    /// Go on serving requests until it has come back. Dropping it stops everything at once: jobs stay as they are.
    pub async fn run(self, signal: impl Future<Output = ()>) {
        let host = &self.host;
        let (cx, jobs) = (&host.0.cx, host.jobs());
        let _crowds = cx.feed.wake_on(Handle::current());
        let mut relays = JoinSet::new();
        for mounted in &host.0.mounts {
            if let Some(relay) = mounted.mount.relay.clone() {
                relays.spawn(keep_running(host.clone(), mounted.name, relay));
            }
        }
        runner::take_up(jobs);
        let shut_down = async {
            signal.await;
            cx.shutdown.begin();
            cx.pulses.tick_all();
            std::future::pending::<()>().await;
        };
        let run_jobs = async {
            runner::run(jobs).await;
            cx.shutdown.end_jobs();
            cx.pulses.tick_all();
            let drained = async { while relays.join_next().await.is_some() {} };
            if tokio::time::timeout(RELAY_GRACE, drained).await.is_err() {
                tracing::warn!("events that were not passed on in time are left behind");
            }
        };
        tokio::select! {
            () = run_jobs => {}
            () = shut_down => {}
            () = runner::end_lost(jobs) => {}
            () = cx.pulses.run() => {}
        }
    }
}

/// Runs a relay until it ends by itself, as it does at shutdown.
async fn keep_running(host: Host, name: &'static str, relay: Relay) {
    let (first, most) = RELAY_PAUSE;
    let mut pause = first;
    loop {
        let begun = Instant::now();
        let mut task = JoinSet::new();
        let relay = AssertUnwindSafe(Arc::clone(&relay));
        task.spawn(async move { (relay.0)().await });
        match task.join_next().await {
            Some(Ok(Ok(()))) | None => return,
            Some(Ok(Err(error))) => tracing::warn!(transport = name, %error, "a relay has failed and is started again"),
            Some(Err(error)) => tracing::error!(transport = name, %error, "a relay has panicked and is started again"),
        }
        if host.0.cx.shutdown.are_jobs_over() {
            return;
        }
        pause = if begun.elapsed() >= RELAY_HEALTHY { first } else { pause };
        // Whoever pauses while the host comes to its end has one more try.
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = host.0.cx.shutdown.jobs_over() => {}
        }
        pause = (pause * 2).min(most);
    }
}
