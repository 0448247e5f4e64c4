//! Bounds: a reader that never reads costs a bounded number of bytes and slows nobody.

use tidings_core::Draft;

use super::Subject;
use crate::{
    failure::{Failure, ensure},
    reader::{Reader, Step, due},
    server::{Server, keeping},
};

/// What may be underway to a reader: some chunks, and never what it has missed.
const UNDERWAY: usize = 1 << 20;

/// How many events of which size are written: several times as much as may be underway.
const WRITTEN: (usize, usize) = (1500, 2000);

/// How many events the log keeps.
const KEPT: usize = 100;

/// Where a reader doesn't read, its events must wait in the log or be gone: so once the log keeps just a few, no more
/// than these few and what was underway can still reach it.
pub(crate) async fn queues_nothing(adapter: &Subject) -> Result<(), Failure> {
    let server = Server::of(&**adapter, keeping(KEPT)).await?;
    let job = server.open().await?;
    let mut idle = Reader::new(adapter, &server, job.job());
    let refused = idle.connect().await?;
    ensure!(refused.is_none(), "a client was refused with {refused:?}");
    let mut busy = Reader::new(adapter, &server, job.job());
    let (count, size) = WRITTEN;
    for batch in 1..=count / 20 {
        job.write((0..20).map(|_| Draft::log("stdout", &"x".repeat(size))).collect()).await?;
        // It is beside the one that does not read, and misses nothing.
        busy.read_to(2 + 20 * batch as u64).await?;
    }
    job.finish().await?;
    busy.read_to_end().await?;
    ensure!(busy.gaps.is_empty(), "a client that reads was told of the gaps {:?}", busy.gaps);
    due("the end of what was not read", async {
        while !idle.is_over() {
            if let Step::Refused(refused) = idle.leap().await? {
                return Err(Failure::new(format!("a client was refused with {refused:?}")));
            }
        }
        Ok(())
    })
    .await?;
    let reached: usize = idle.events.iter().map(|event| event.json().len()).sum();
    let most = UNDERWAY + KEPT * (size + 200);
    ensure!(reached <= most, "{reached} bytes had been kept for a client that did not read, and {most} at most may be");
    Ok(())
}
