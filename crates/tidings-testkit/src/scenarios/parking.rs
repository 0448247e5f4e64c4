//! Cost: a parked reader is woken by what happens, and by no timer of its own.

use std::time::Duration;

use tidings_core::Retention;
use tokio::{runtime::Handle, task::yield_now, time::Instant};

use super::Subject;
use crate::{
    failure::{Failure, ensure},
    reader::{Reader, Step},
    server::Server,
};

/// For how long nothing happens.
const HOUR: Duration = Duration::from_secs(3600);

/// How often anything may be looked at for each time that the client hears or asks something, when nothing else
/// happens: to begin an exchange, to end it, and twice for what comes in between.
const LOOKS: u64 = 6;

/// What begins and ends once.
const SPARE: u64 = 20;

pub(crate) async fn wakes_parked_readers(adapter: &Subject) -> Result<(), Failure> {
    let server = Server::of(&**adapter, Retention::default()).await?;
    let job = server.open().await?;
    // What goes on without any client, such as a tick that all streams share.
    let before = parks();
    tokio::time::sleep(HOUR).await;
    let without = parks() - before;
    let mut reader = Reader::new(adapter, &server, job.job());
    reader.read_to(2).await?;
    // Woken: each event is there in no time, at whatever moment it comes.
    for (nth, millis) in [1_237, 613, 20_011, 3, 7_919].into_iter().enumerate() {
        let author = job.clone();
        let written = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            author.lines(1).await.map(|()| Instant::now())
        });
        reader.read_to(3 + nth as u64).await?;
        let seen = Instant::now();
        let written = written.await.map_err(|error| Failure::new(error.to_string()))??;
        let late = seen.saturating_duration_since(written);
        ensure!(late.is_zero(), "an event reached a parked client {late:?} after it was written");
    }
    // And not polled: for an hour nothing happens but what was declared.
    let (polls, parks) = (server.wire().polls(), parks());
    let until = Instant::now() + HOUR;
    while let Ok(step) = tokio::time::timeout_at(until, reader.leap()).await {
        let step = step?;
        ensure!(matches!(step, Step::Nothing | Step::End(_)), "a parked client saw {step:?}");
        yield_now().await;
    }
    let (polls, parks) = (server.wire().polls() - polls, (self::parks() - parks).saturating_sub(without));
    let quiet = adapter.capabilities().quiet().as_secs().max(1);
    let most = SPARE + LOOKS * (HOUR.as_secs() / quiet);
    ensure!(polls <= most, "a parked client was polled {polls} times in an hour, and {most} times at most may be");
    ensure!(parks <= most, "something woke up {parks} times in an hour for a parked client, {most} at most may be");
    Ok(())
}

/// How often the runtime has gone to sleep, which it does after whatever woke it up.
fn parks() -> u64 {
    Handle::current().metrics().worker_park_count(0)
}
