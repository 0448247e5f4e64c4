//! A job that is deleted while it is followed leaves nobody waiting.

use tidings_core::Retention;
use tokio::task::yield_now;

use super::Subject;
use crate::{
    adapter::{End, Refused},
    failure::{Failure, ensure},
    reader::{Reader, Step, due},
    server::Server,
};

pub(crate) async fn ends_with_a_deleted_job(adapter: &Subject) -> Result<(), Failure> {
    let server = Server::of(&**adapter, Retention::default()).await?;
    let job = server.open().await?;
    let mut parked = Reader::new(adapter, &server, job.job());
    parked.read_to(2).await?;
    let waiting = tokio::spawn(async move { until_unknown(&mut parked).await });
    // So that it waits.
    for _ in 0..10 {
        yield_now().await;
    }
    let mut unread = Reader::new(adapter, &server, job.job());
    unread.connect().await?;
    // Both at once, so that a client may never see the end.
    job.finish().await?;
    job.delete().await?;
    waiting.await.map_err(|error| Failure::new(error.to_string()))??;
    until_unknown(&mut unread).await
}

/// Reads on until the job is refused as unknown.
async fn until_unknown(reader: &mut Reader) -> Result<(), Failure> {
    due("the end of a deleted job", async {
        loop {
            match reader.step().await? {
                Step::Refused(Refused(problem)) => {
                    ensure!(problem == "unknown-job", "a deleted job was refused with {problem}");
                    return Ok(());
                }
                // Who had seen the end in time has no reason to come back.
                Step::End(End::Over) if reader.is_over() => return Ok(()),
                Step::End(End::Over) => {
                    return Err(Failure::new("a client was told that a job is over whose end it had not seen"));
                }
                Step::Event | Step::Gap | Step::Nothing | Step::End(_) => {}
            }
        }
    })
    .await
}
