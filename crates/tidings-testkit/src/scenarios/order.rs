//! Order: every client sees 1, 2, 3, … of the same bytes.

use tidings_core::{Draft, Json, Progress, Retention};

use super::Subject;
use crate::{
    failure::{Failure, ensure},
    reader::Reader,
    server::Server,
};

pub(crate) async fn tells_the_log(adapter: &Subject) -> Result<(), Failure> {
    let server = Server::of(&**adapter, Retention::default()).await?;
    let job = server.open().await?;
    let mut live = Reader::new(adapter, &server, job.job());
    live.read_to(2).await?;
    let mut seq = 2;
    for batch in batches()? {
        seq += batch.len() as u64;
        job.write(batch).await?;
        live.read_to(seq).await?;
    }
    job.finish().await?;
    live.read_to_end().await?;
    let mut late = Reader::new(adapter, &server, job.job());
    late.read_to_end().await?;
    same_as_log(&live, &server).await?;
    same_as_log(&late, &server).await
}

/// Everything that an event can be made of without harm, and that a transport which reads and writes it anew would
/// change.
fn batches() -> Result<Vec<Vec<Draft>>, Failure> {
    let custom = |name: &str, data: &str| {
        let name = name.parse().map_err(|error| Failure::new(format!("{name}: {error}")))?;
        let data = Json::parse(data.as_bytes()).map_err(|error| Failure::new(error.to_string()))?;
        Ok(Draft::custom(name, data))
    };
    Ok(vec![
        vec![Draft::progress(&Progress::percent(40.0).with_message("building"))],
        vec![custom("build.cached", r#"{"b":1.50,"a":[1e2,-0,12345678901234567890],"a":"\u00e9"}"#)?],
        vec![Draft::log("stdout", "plain"), Draft::log("stderr", "grün ✓"), custom("x", "null")?],
        (0..300).map(|nth| Draft::log("stdout", &nth.to_string())).collect(),
        vec![Draft::log("stdout", &"long ".repeat(10_000)), custom("a-b_c.d9", "\"text\"")?],
    ])
}

/// Whether what a client has seen is what the log holds, byte for byte.
async fn same_as_log(reader: &Reader, server: &Server) -> Result<(), Failure> {
    let Some(first) = reader.events.first() else { return Err(Failure::new("no event was told at all")) };
    let log = server.log(first.job()).await?;
    for (seen, kept) in reader.events.iter().zip(&log) {
        ensure!(
            seen.json() == kept.json(),
            "event {} was told as {}, and is {}",
            kept.seq(),
            String::from_utf8_lossy(seen.json()),
            String::from_utf8_lossy(kept.json())
        );
    }
    ensure!(reader.events.len() == log.len(), "{} events were told of {}", reader.events.len(), log.len());
    Ok(())
}
