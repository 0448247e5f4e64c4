//! A job that is deleted while it is followed leaves nobody waiting, and who is in step sees its end.

use tidings_core::Retention;
use tokio::task::yield_now;

use super::Subject;
use crate::{
    adapter::{Capability, End, Refused},
    failure::{Failure, ensure},
    reader::{Reader, Step, due},
    server::Server,
};

pub(crate) async fn ends_with_a_deleted_job(adapter: &Subject) -> Result<(), Failure> {
    let server = Server::of(&**adapter, Retention::default()).await?;
    let job = server.open().await?;
    let mut parked = Reader::new(adapter, &server, job.job());
    parked.read_to(2).await?;
    // Who waits in an open exchange has seen all there was. Who asks now and then may come too late.
    let in_step = adapter.capabilities().lacks(Capability::Parks).is_none();
    let waiting = tokio::spawn(async move {
        if in_step { parked.read_to_end().await } else { until_over_or_unknown(&mut parked).await }
    });
    // So that it waits.
    for _ in 0..10 {
        yield_now().await;
    }
    let mut unread = Reader::new(adapter, &server, job.job());
    unread.connect().await?;
    // Both at once, so that nobody sees the job when it is over and still known.
    job.finish().await?;
    job.delete().await?;
    waiting.await.map_err(|error| Failure::new(error.to_string()))??;
    until_over_or_unknown(&mut unread).await
}

/// Reads on until the job's end, or until it is refused as unknown.
async fn until_over_or_unknown(reader: &mut Reader) -> Result<(), Failure> {
    due("the end of a deleted job", async {
        loop {
            match reader.step().await? {
                Step::Refused(Refused(problem)) => {
                    ensure!(problem == "unknown-job", "a deleted job was refused with {problem}");
                    return Ok(());
                }
                // Who has seen the end has no reason to come back.
                Step::Event if reader.is_over() => return Ok(()),
                Step::End(End::Over) => {
                    return Err(Failure::new("a client was told that a job is over whose end it had not seen"));
                }
                Step::Event | Step::Gap | Step::Nothing | Step::End(_) => {}
            }
        }
    })
    .await
}
