//! A cursor of another job or another history is refused, and never answered with nothing or with all.

use tidings_core::{JobId, Retention};

use super::Subject;
use crate::{
    adapter::Refused,
    failure::{Failure, ensure},
    reader::Reader,
    server::Server,
};

pub(crate) async fn refuses_foreign_cursors(adapter: &Subject) -> Result<(), Failure> {
    let server = Server::of(&**adapter, Retention::default()).await?;
    let (job, other) = (server.open().await?, server.open().await?);
    job.lines(3).await?;
    other.lines(3).await?;
    let of_other = server.log(other.job()).await?;
    let third = of_other.get(2).map(|event| event.cursor().to_string()).unwrap_or_default();
    let cases = [
        (job.job(), third.as_str(), "cursor-mismatch"),
        // A history that was lost: the number is there, the tag is another one.
        (other.job(), "5-00000000", "cursor-mismatch"),
        // A place that is not there yet.
        (job.job(), "6", "cursor-mismatch"),
        (job.job(), "9007199254740991", "cursor-mismatch"),
        (job.job(), "9007199254740992", "invalid-cursor"),
        (job.job(), "nonsense", "invalid-cursor"),
        (job.job(), "3-123", "invalid-cursor"),
        (JobId::new(), "0", "unknown-job"),
    ];
    for (job, cursor, problem) in cases {
        let refused = Reader::after(adapter, &server, job, Some((cursor, 0))).connect().await?;
        let expected = Some(Refused(problem.to_owned()));
        ensure!(refused == expected, "the cursor {cursor} was met with {refused:?}, and should be with {problem}");
    }
    // A bare number is taken at its word, for people who type it; leading zeros are no harm.
    for cursor in ["3", "0003"] {
        let mut reader = Reader::after(adapter, &server, job.job(), Some((cursor, 3)));
        reader.read_to(5).await?;
        ensure!(reader.seqs() == [4, 5], "after the cursor {cursor} came {:?}", reader.seqs());
    }
    Ok(())
}
