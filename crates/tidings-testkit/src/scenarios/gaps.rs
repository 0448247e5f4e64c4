//! Gaps are told, with the snapshot and where it goes on. Never a silent jump.

use tidings_core::Draft;

use super::Subject;
use crate::{
    failure::{Failure, ensure},
    reader::Reader,
    server::{Server, keeping},
};

pub(crate) async fn tells_of_gaps(adapter: &Subject) -> Result<(), Failure> {
    let server = Server::of(&**adapter, keeping(20)).await?;
    let job = server.open().await?;
    let mut cursors = vec![("0".to_owned(), 0)];
    for _ in 0..10 {
        job.lines(10).await?;
        let last = server.log(job.job()).await?.last().map(|event| (event.cursor().to_string(), event.seq()));
        cursors.extend(last);
    }
    // Written are 1 to 102, kept are 83 to 102. One event alone may be missing too.
    cursors.push(("81".to_owned(), 81));
    for (cursor, seq) in &cursors {
        let mut reader = Reader::after(adapter, &server, job.job(), Some((cursor, *seq)));
        reader.read_to(102).await?;
        let (gaps, first) = if *seq < 82 { (vec![(*seq, 83)], 83) } else { (vec![], seq + 1) };
        ensure!(reader.gaps == gaps, "after {seq} the gaps {:?} were told, and should be {gaps:?}", reader.gaps);
        ensure!(reader.seqs() == (first..=102).collect::<Vec<_>>(), "after {seq} came {:?}", reader.seqs());
    }
    job.finish().await?;
    let mut late = Reader::new(adapter, &server, job.job());
    late.read_to_end().await?;
    ensure!(late.gaps == [(0, 84)], "of a job that is over the gaps {:?} were told", late.gaps);
    Ok(())
}

pub(crate) async fn tells_who_is_overtaken(adapter: &Subject) -> Result<(), Failure> {
    let server = Server::of(&**adapter, keeping(50)).await?;
    let job = server.open().await?;
    let mut reader = Reader::new(adapter, &server, job.job());
    reader.read_to(2).await?;
    for _ in 0..60 {
        job.write((0..50).map(|_| Draft::log("stdout", &"x".repeat(1000))).collect()).await?;
    }
    job.finish().await?;
    // What was underway may still come; where it leads to what is no longer kept, that is told. The reader looks at
    // each step.
    reader.read_to_end().await?;
    let (seen, told): (u64, u64) = (
        reader.events.len() as u64,
        reader.gaps.iter().map(|(requested, resumed_at)| resumed_at - requested - 1).sum(),
    );
    ensure!(seen + told == 3003, "{seen} events were seen and {told} were told to be gone, of 3003");
    Ok(())
}
