//! Isolation: a job that panics, a client that hangs up: nobody else notices.

use tidings_core::{EventType, Retention};
use tokio::task::yield_now;

use super::Subject;
use crate::{
    failure::{Failure, ensure},
    reader::Reader,
    server::{Cue, Server},
};

/// How many clients there are; every second one hangs up.
const CLIENTS: usize = 24;

pub(crate) async fn survives_hang_ups(adapter: &Subject) -> Result<(), Failure> {
    let server = Server::of(&**adapter, Retention::default()).await?;
    let job = server.open().await?;
    let (mut gone, mut stay) = (Vec::new(), Vec::new());
    for nth in 0..CLIENTS {
        let mut reader = Reader::new(adapter, &server, job.job());
        reader.read_to(2).await?;
        match nth % 2 {
            0 => stay.push(reader),
            // These wait for what comes next.
            _ => gone.push(tokio::spawn(async move {
                reader.read_to(7).await?;
                Ok::<_, Failure>(reader)
            })),
        }
    }
    turns().await;
    // One in three hangs up while it waits, one when what it waits for is there, and one in the middle of it.
    let mut third = gone.split_off(CLIENTS / 6);
    let second = third.split_off(CLIENTS / 6);
    gone.iter().for_each(tokio::task::JoinHandle::abort);
    turns().await;
    job.lines(10).await?;
    second.iter().for_each(tokio::task::JoinHandle::abort);
    for reader in third {
        drop(reader.await.map_err(|error| Failure::new(error.to_string()))??);
    }
    turns().await;
    job.lines(10).await?;
    job.finish().await?;
    stay.push(Reader::new(adapter, &server, job.job()));
    for mut reader in stay {
        reader.read_to_end().await?;
        ensure!(reader.seqs() == (1..=23).collect::<Vec<_>>(), "after others hung up came {:?}", reader.seqs());
    }
    Ok(())
}

/// Lets all that can run have its turn.
async fn turns() {
    for _ in 0..10 {
        yield_now().await;
    }
}

pub(crate) async fn survives_a_panic(adapter: &Subject) -> Result<(), Failure> {
    let server = Server::of(&**adapter, Retention::default()).await?;
    let (panics, other) = (server.open_running().await?, server.open().await?);
    let mut witness = Reader::new(adapter, &server, panics.job());
    let mut bystander = Reader::new(adapter, &server, other.job());
    witness.read_to(3).await?;
    bystander.read_to(2).await?;
    server.cue(Cue::Panic);
    witness.read_to_end().await?;
    let last = witness.events.last().map(|event| (event.kind().clone(), event.data().to_string()));
    let failed =
        last.as_ref().is_some_and(|(kind, data)| *kind == EventType::Failed && data.contains(r#""code":"panic""#));
    ensure!(failed && witness.seqs() == [1, 2, 3, 4], "of a job that panicked {last:?} was told last");
    other.lines(3).await?;
    other.finish().await?;
    bystander.read_to_end().await?;
    ensure!(bystander.seqs() == [1, 2, 3, 4, 5, 6], "beside a job that panicked came {:?}", bystander.seqs());
    Ok(())
}
