//! Framing is safe: no text in an event, a name or an id can forge a line, a field or a header.

use tidings_core::{Draft, Json, Progress, Retention};

use super::{Subject, order::same_as_log};
use crate::{failure::Failure, reader::Reader, server::Server};

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
    let server = Server::start(&**adapter, Retention::default()).await?;
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
    same_as_log(&live, &server).await?;
    same_as_log(&late, &server).await
}

fn json<T: serde::Serialize + ?Sized>(value: &T) -> Result<Json, Failure> {
    Json::from_value(value).map_err(|error| Failure::new(error.to_string()))
}
