//! Shutdown: holds and streams that wait for nobody end at once, those on jobs in their grace after the job's end.

use std::time::Duration;

use tidings_core::Retention;
use tokio::time::Instant;

use super::Subject;
use crate::{
    adapter::{Capability, End},
    failure::{Failure, ensure},
    reader::{Reader, Step, due},
    server::{Cue, Server},
};

/// What "at once" means to somebody who waits for a process to end.
const AT_ONCE: Duration = Duration::from_secs(1);

pub(crate) async fn lets_parked_readers_go(adapter: &Subject) -> Result<(), Failure> {
    let server = Server::of(&**adapter, Retention::default()).await?;
    // One job is in its grace meanwhile, and keeps the server up. The other is reported from outside, and so is not waited for.
    server.open_running().await?;
    let job = server.open().await?;
    let mut parked = Reader::new(adapter, &server, job.job());
    parked.read_to(2).await?;
    let ending = tokio::spawn({
        let server = server.clone();
        async move {
            // At no time at which a transport would have looked up anyway.
            tokio::time::sleep(Duration::from_millis(1300)).await;
            server.shut_down();
            Instant::now()
        }
    });
    // Who is let go before may come back; who comes back after that is not kept.
    let let_go = due("the end of a parked exchange", async {
        loop {
            let step = parked.leap().await?;
            if server.host().shutdown().has_begun() && matches!(step, Step::End(End::Again(_))) {
                return Ok(parked.left_at());
            }
            ensure!(
                !matches!(step, Step::Event | Step::End(End::Over) | Step::Refused(_)),
                "a parked client saw {step:?}"
            );
        }
    })
    .await?;
    let began = ending.await.map_err(|error| Failure::new(error.to_string()))?;
    let waited = let_go.saturating_duration_since(began);
    ensure!(waited < AT_ONCE, "a parked client was let go {waited:?} after the shutdown had begun");
    // Nothing is lost to it: it finds the job as it was, or is asked to come back later.
    parked.hang_up();
    let came = Instant::now();
    due("an answer during the shutdown", async {
        while !matches!(parked.leap().await?, Step::End(_) | Step::Refused(_)) {}
        Ok(())
    })
    .await?;
    let waited = parked.left_at().saturating_duration_since(came);
    ensure!(waited < AT_ONCE, "a client that came during the shutdown was kept for {waited:?}");
    Ok(())
}

pub(crate) async fn follows_running_jobs(adapter: &Subject) -> Result<(), Failure> {
    let server = Server::of(&**adapter, Retention::default()).await?;
    let job = server.open_running().await?;
    let mut reader = Reader::new(adapter, &server, job.job());
    reader.read_to(3).await?;
    let exchanges = reader.exchanges;
    server.shut_down();
    tokio::spawn(async move {
        // Well within the grace of 20 s.
        tokio::time::sleep(Duration::from_secs(5)).await;
        server.cue(Cue::Succeed);
    });
    reader.read_to_end().await?;
    ensure!(reader.seqs() == [1, 2, 3, 4], "over a shutdown came {:?}", reader.seqs());
    let streams = adapter.capabilities().lacks(Capability::Streams).is_none();
    ensure!(!streams || reader.exchanges == exchanges, "a stream was cut before its job was over");
    Ok(())
}
