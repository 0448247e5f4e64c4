//! One ending: nothing after it, and nobody comes back for ever.

use std::time::Duration;

use tidings_core::Retention;
use tokio::time::Instant;

use super::Subject;
use crate::{
    adapter::End,
    failure::{Failure, ensure},
    reader::{Reader, Step, due},
    server::Server,
};

/// What "at once" means to a client.
const AT_ONCE: Duration = Duration::from_secs(1);

pub(crate) async fn ends_once(adapter: &Subject) -> Result<(), Failure> {
    let server = Server::of(&**adapter, Retention::default()).await?;
    let job = server.open().await?;
    let mut live = Reader::new(adapter, &server, job.job());
    live.read_to(2).await?;
    job.lines(2).await?;
    job.finish().await?;
    let late = Reader::new(adapter, &server, job.job());
    for mut reader in [live, late] {
        reader.read_to_end().await?;
        let told = reader.events.len();
        due("the end of the exchange", async {
            while !matches!(reader.leap().await?, Step::End(_)) {
                ensure!(reader.events.len() == told, "event {} came after the last one", reader.seq());
            }
            Ok(())
        })
        .await?;
        let began = Instant::now();
        let back = due("an answer to the last cursor", async {
            loop {
                match reader.leap().await? {
                    Step::Nothing => {}
                    step => return Ok(step),
                }
            }
        })
        .await?;
        ensure!(matches!(back, Step::End(End::Over)), "who came back with the last cursor was met with {back:?}");
        ensure!(began.elapsed() < AT_ONCE, "who came back with the last cursor waited {:?}", began.elapsed());
    }
    Ok(())
}
