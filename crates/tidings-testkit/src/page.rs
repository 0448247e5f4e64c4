//! Pages, as polls are answered with: `{"job", "events", "cursor", "more", "done", "gap"}`.

use std::{collections::VecDeque, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    adapter::{Connection, End, Seen},
    failure::Failure,
    wire::{Cut, Response},
};

/// How long a client waits after a connection that was cut.
const AFTER_CUT: Duration = Duration::from_secs(1);

/// One page, seen step by step: its gap, its events, its end.
#[derive(Debug)]
pub struct Page {
    steps: VecDeque<(Seen, Option<String>)>,
    cursor: Option<String>,
    end: End,
}

impl Page {
    /// Reads the page that a response holds, for a client that had asked with `after`. Where `Retry-After` is not
    /// there, it asks again at once; where the connection is cut, it has seen nothing.
    ///
    /// # Errors
    ///
    /// Where the response is no page, or says things that don't fit together.
    pub async fn read(mut response: Response, after: Option<&str>) -> Result<Self, Failure> {
        let retry = response.header("retry-after").map(str::to_owned);
        let body = match response.bytes().await {
            Ok(body) => body,
            Err(Cut) => {
                let cursor = after.map(str::to_owned);
                return Ok(Self { steps: VecDeque::new(), cursor, end: End::Again(AFTER_CUT) });
            }
        };
        let again = match retry.map(|seconds| (seconds.parse(), seconds)) {
            None => Duration::ZERO,
            Some((Ok(seconds), _)) => Duration::from_secs(seconds),
            Some((Err(_), seconds)) => return Err(Failure::new(format!("Retry-After: {seconds}"))),
        };
        Self::parse(&body, after, again)
    }

    fn parse(body: &Bytes, after: Option<&str>, again: Duration) -> Result<Self, Failure> {
        #[derive(Deserialize)]
        struct Wire<'a> {
            #[serde(borrow)]
            job: &'a RawValue,
            #[serde(borrow)]
            events: Vec<&'a RawValue>,
            cursor: String,
            more: bool,
            done: bool,
            gap: Option<Gap>,
        }
        #[derive(Deserialize)]
        struct Gap {
            requested: u64,
            resumed_at: u64,
        }
        #[derive(Deserialize)]
        struct Place {
            cursor: String,
        }
        let broken = |what: &str| Failure::new(format!("{what}: {}", String::from_utf8_lossy(body)));
        let page: Wire<'_> = serde_json::from_slice(body).map_err(|error| broken(&error.to_string()))?;
        let place = |raw: &RawValue| serde_json::from_str(raw.get()).map_err(|error| broken(&error.to_string()));
        let job: Place = place(page.job)?;
        if page.more && page.done {
            return Err(broken("a page that is the last one has more after it"));
        }
        if !page.more && page.cursor != job.cursor {
            return Err(broken("a whole page has another cursor than its job"));
        }
        let part = |raw: &RawValue| body.slice_ref(raw.get().as_bytes());
        let mut steps = VecDeque::with_capacity(page.events.len() + 1);
        if let Some(Gap { requested, resumed_at }) = page.gap {
            let gap = Seen::Gap { requested, resumed_at, job: part(page.job) };
            steps.push_back((gap, None));
        }
        let mut cursor = page.cursor.clone();
        for event in &page.events {
            Place { cursor } = place(event)?;
            steps.push_back((Seen::Event(part(event)), Some(cursor.clone())));
        }
        if cursor != page.cursor {
            return Err(broken("a page has another cursor than its last event"));
        }
        let cursor = if page.events.is_empty() { Some(cursor) } else { after.map(str::to_owned) };
        Ok(Self { steps, cursor, end: if page.done { End::Over } else { End::Again(again) } })
    }
}

#[async_trait]
impl Connection for Page {
    async fn next(&mut self) -> Result<Seen, Failure> {
        let Some((seen, cursor)) = self.steps.pop_front() else { return Ok(Seen::End(self.end)) };
        self.cursor = cursor.or(self.cursor.take());
        Ok(seen)
    }

    fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }
}
