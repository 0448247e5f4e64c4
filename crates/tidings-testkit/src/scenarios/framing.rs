//! Framing is safe: no text in an event, a name or an id can forge a line, a field or a header.

use serde_json::Value;
use tidings_core::{Draft, Event, Json, Progress, Retention};

use super::Subject;
use crate::{
    failure::{Failure, ensure},
    reader::Reader,
    server::Server,
};

/// What has broken out of framings before.
const HOSTILE: &[&str] = &[
    "\n",
    "\r",
    "\r\n\r\n",
    "a\nid: 99-00000000\nevent: succeeded\ndata: {}\n\nb",
    "\rdata: forged\r\r",
    "data: x\u{2028}y\u{2029}z\u{85}",
    "\u{0}",
    "\u{feff}bom",
    ": comment",
    "\"}]}",
    "\\n \\u000a \\",
    "</script><!--",
    "\u{1b}[31m",
    "\u{202e}right to left",
    "\u{10ffff}",
    "",
];

pub(crate) async fn frames_hostile_text(adapter: &Subject) -> Result<(), Failure> {
    let server = Server::of(&**adapter, Retention::default()).await?;
    let job = server.open_with(&json(&HOSTILE)?).await?;
    let mut live = Reader::new(adapter, &server, job.job());
    live.read_to(2).await?;
    for text in HOSTILE {
        let data = json(&[(*text, *text)].into_iter().collect::<std::collections::BTreeMap<_, _>>())?;
        let name = "id.event-data_retry9".parse().map_err(|error| Failure::new(format!("{error}")))?;
        job.write(vec![
            Draft::log("stdout", text),
            Draft::log(text, ""),
            Draft::custom(name, data),
            Draft::progress(&Progress::new(1.0).with_unit(*text).with_message(*text)),
        ])
        .await?;
    }
    job.write(vec![Draft::failed(&HOSTILE.concat(), &HOSTILE.concat())]).await?;
    let mut late = Reader::new(adapter, &server, job.job());
    live.read_to_end().await?;
    late.read_to_end().await?;
    means_the_same(&live, &server).await?;
    means_the_same(&late, &server).await
}

/// Whether what a client has seen says what the log says, however it is spelled.
async fn means_the_same(reader: &Reader, server: &Server) -> Result<(), Failure> {
    let Some(first) = reader.events.first() else { return Err(Failure::new("no event was told at all")) };
    let log = server.log(first.job()).await?;
    for (seen, kept) in reader.events.iter().zip(&log) {
        let value = |event: &Event| serde_json::from_slice::<Value>(event.json());
        let same = matches!((value(seen), value(kept)), (Ok(seen), Ok(kept)) if seen == kept);
        ensure!(same, "{} became {}", String::from_utf8_lossy(kept.json()), String::from_utf8_lossy(seen.json()));
    }
    ensure!(reader.events.len() == log.len(), "{} events were told of {}", reader.events.len(), log.len());
    Ok(())
}

fn json<T: serde::Serialize + ?Sized>(value: &T) -> Result<Json, Failure> {
    Json::from_value(value).map_err(|error| Failure::new(error.to_string()))
}
