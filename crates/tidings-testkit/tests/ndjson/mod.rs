//! The client of a transport that sends newline-delimited JSON.

use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use serde::Deserialize;
use serde_json::value::RawValue;
use tidings_testkit::{Connection, Cut, End, Failure, Response, Seen};

/// Between two streams.
const PAUSE: Duration = Duration::from_secs(1);

/// A stream of lines.
#[derive(Debug)]
pub(crate) struct Lines {
    response: Response,
    rest: BytesMut,
    cursor: Option<String>,
    over: bool,
}

impl Lines {
    pub(crate) fn new(response: Response, after: Option<&str>) -> Self {
        Self { response, rest: BytesMut::new(), cursor: after.map(str::to_owned), over: false }
    }

    fn line(&mut self, line: Bytes) -> Result<Seen, Failure> {
        #[derive(Deserialize)]
        struct Event {
            cursor: String,
            r#type: String,
        }
        #[derive(Deserialize)]
        struct Gap<'a> {
            requested: u64,
            resumed_at: u64,
            #[serde(borrow)]
            job: &'a RawValue,
        }
        if line.is_empty() {
            return Ok(Seen::Nothing);
        }
        // A line that is just a cursor tells where the stream is.
        if let Some(cursor) = line.strip_prefix(b"@") {
            self.cursor = Some(String::from_utf8_lossy(cursor).into_owned());
            return Ok(Seen::Nothing);
        }
        let broken = |error| Failure::new(format!("{error}: {}", String::from_utf8_lossy(&line)));
        if line.starts_with(br#"{"requested""#) {
            let gap: Gap<'_> = serde_json::from_slice(&line).map_err(broken)?;
            let job = line.slice_ref(gap.job.get().as_bytes());
            return Ok(Seen::Gap { requested: gap.requested, resumed_at: gap.resumed_at, job });
        }
        let event: Event = serde_json::from_slice(&line).map_err(broken)?;
        self.over = ["succeeded", "failed", "cancelled"].contains(&event.r#type.as_str());
        self.cursor = Some(event.cursor);
        Ok(Seen::Event(line))
    }

    /// Without the job's last event, the end of a stream is a pause.
    fn end(&self) -> End {
        let over = self.over || self.response.status() == 204;
        if over { End::Over } else { End::Again(PAUSE) }
    }
}

#[async_trait]
impl Connection for Lines {
    async fn next(&mut self) -> Result<Seen, Failure> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line = self.rest.split_to(end + 1).freeze();
                return self.line(line.slice(..end));
            }
            match self.response.chunk().await {
                Ok(Some(chunk)) => self.rest.extend_from_slice(&chunk),
                Ok(None) => return Ok(Seen::End(self.end())),
                Err(Cut) => return Ok(Seen::End(End::Again(PAUSE))),
            }
        }
    }

    fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }
}
