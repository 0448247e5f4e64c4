//! Hand-over: no seam between history and live.

use std::time::Duration;

use tidings_core::Retention;
use tokio::{
    sync::watch,
    task::{JoinSet, yield_now},
};

use super::Subject;
use crate::{
    failure::{Failure, ensure},
    reader::Reader,
    server::Server,
};

/// How many clients join.
const CLIENTS: usize = 15;

/// How many batches are written, and how many events are in each.
const BATCHES: (usize, usize) = (60, 5);

pub(crate) async fn joins_without_a_seam(adapter: &Subject) -> Result<(), Failure> {
    let server = Server::of(&**adapter, Retention::default()).await?;
    let job = server.open().await?;
    let (written, seq) = watch::channel(2);
    let mut clients = JoinSet::new();
    for nth in 0..CLIENTS {
        let mut reader = Reader::new(adapter, &server, job.job());
        let mut seq = seq.clone();
        clients.spawn(async move {
            // Each joins when another number of events is there. The sender outlives all clients.
            let _ = seq.wait_for(|seq| *seq >= 2 + 20 * nth).await;
            reader.read_to_end().await.map(|()| reader)
        });
    }
    let (batches, size) = BATCHES;
    for batch in 0..batches {
        job.lines(size).await?;
        written.send_modify(|seq| *seq += size);
        // All that can run has its turn in between, in ever other numbers of steps; at times there is a pause as well.
        for _ in 0..batch % 7 {
            yield_now().await;
        }
        if batch % 20 == 19 {
            tokio::time::sleep(Duration::from_millis(700)).await;
        }
    }
    job.finish().await?;
    let last = 3 + (batches * size) as u64;
    while let Some(joined) = clients.join_next().await {
        let reader = joined.map_err(|error| Failure::new(error.to_string()))??;
        ensure!(reader.seqs() == (1..=last).collect::<Vec<_>>(), "a client that joined saw {:?}", reader.seqs());
    }
    Ok(())
}
