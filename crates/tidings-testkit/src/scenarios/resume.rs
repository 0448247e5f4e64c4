//! Resume: what a client has seen, over all its exchanges, is one run without a gap, a repeat or a swap.

use tidings_core::Retention;

use super::Subject;
use crate::{
    failure::{Failure, ensure},
    reader::Reader,
    server::Server,
};

pub(crate) async fn from_every_cursor(adapter: &Subject) -> Result<(), Failure> {
    let server = Server::of(&**adapter, Retention::default()).await?;
    let job = server.open().await?;
    job.lines(8).await?;
    // While the job runs, from every cursor in it to its present end, and on from there.
    let mut waiting = Vec::new();
    for event in server.log(job.job()).await? {
        let cursor = event.cursor().to_string();
        let mut reader = Reader::after(adapter, &server, job.job(), Some((&cursor, event.seq())));
        reader.read_to(10).await?;
        waiting.push((reader, event.seq()));
    }
    job.lines(3).await?;
    job.finish().await?;
    for (mut reader, from) in waiting {
        reader.read_to_end().await?;
        ensure!(reader.seqs() == (from + 1..=14).collect::<Vec<_>>(), "after {from} came {:?}", reader.seqs());
    }
    // Once it is over, by clients that hang up after each so many events.
    for each in 1..=13 {
        let mut reader = Reader::new(adapter, &server, job.job());
        while !reader.is_over() {
            let next = (reader.seq() + each).min(14);
            reader.read_to(next).await?;
            reader.hang_up();
        }
        ensure!(reader.seqs() == (1..=14).collect::<Vec<_>>(), "in steps of {each} came {:?}", reader.seqs());
    }
    Ok(())
}

pub(crate) async fn after_every_cut(adapter: &Subject) -> Result<(), Failure> {
    /// Prime, so that the cuts fall on all sorts of places.
    const STRIDE: usize = 17;
    let server = Server::of(&**adapter, Retention::default()).await?;
    let job = server.open().await?;
    job.lines(5).await?;
    job.finish().await?;
    let whole: usize = server.log(job.job()).await?.iter().map(|event| event.json().len()).sum();
    // What stands around the events is smaller than they are.
    for cut in (0..2 * whole).step_by(STRIDE) {
        let mut reader = Reader::new(adapter, &server, job.job());
        server.wire().cut_next(cut as u64);
        reader.read_to(1).await?;
        // Cut once more, at another place, while it catches up.
        server.wire().cut_next((cut / 2) as u64);
        reader.read_to_end().await?;
        ensure!(reader.seqs() == (1..=8).collect::<Vec<_>>(), "cut after {cut} bytes came {:?}", reader.seqs());
    }
    Ok(())
}
