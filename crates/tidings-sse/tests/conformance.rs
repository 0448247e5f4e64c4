//! Server-Sent Events show what every transport must show.

mod blocks;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use tidings_core::{HostBuilder, JobId};
use tidings_sse::Sse;
use tidings_testkit::{Adapter, Capabilities, Connection, Cut, End, Failure, Followed, Response, Seen, Server};

use blocks::{Block, Blocks};

#[derive(Debug)]
struct Streams;

#[async_trait]
impl Adapter for Streams {
    fn mount(&self, host: HostBuilder) -> HostBuilder {
        host.mount(Sse::default())
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::all().with_quiet(Duration::from_secs(15))
    }

    async fn follow(&self, server: &Server, job: JobId, after: Option<&str>) -> Result<Followed, Failure> {
        let last = after.map(|cursor| ("last-event-id", cursor));
        let response = server.get(&format!("/jobs/{job}/sse"), last.as_slice()).await?;
        match response.status().as_u16() {
            200 | 204 => Ok(Followed::open(Stream::new(response, after))),
            _ => Ok(Followed::Refused(response.problem().await?)),
        }
    }
}

/// A stream as `EventSource` reads it, but for what it would forgive.
#[derive(Debug)]
struct Stream {
    response: Response,
    blocks: Blocks,
    last: Option<String>,
    retry: Duration,
}

impl Stream {
    fn new(response: Response, after: Option<&str>) -> Self {
        let last = after.map(str::to_owned);
        Self { response, blocks: Blocks::default(), last, retry: Duration::from_secs(3) }
    }

    fn seen(block: &Block) -> Result<Seen, Failure> {
        #[derive(Deserialize)]
        struct Gap<'a> {
            requested: u64,
            resumed_at: u64,
            #[serde(borrow)]
            job: &'a RawValue,
        }
        if block.event.as_deref() != Some("gap") {
            return Ok(Seen::Event(Bytes::from(block.data.clone())));
        }
        let gap: Gap<'_> = serde_json::from_str(&block.data).map_err(|error| Failure::new(error.to_string()))?;
        let job = Bytes::copy_from_slice(gap.job.get().as_bytes());
        Ok(Seen::Gap { requested: gap.requested, resumed_at: gap.resumed_at, job })
    }
}

#[async_trait]
impl Connection for Stream {
    async fn next(&mut self) -> Result<Seen, Failure> {
        loop {
            if let Some(block) = self.blocks.next().map_err(Failure::new)? {
                self.last = Some(block.id.clone());
                return Self::seen(&block);
            }
            if let Some(millis) = self.blocks.retry.take() {
                self.retry = Duration::from_millis(millis);
            }
            if std::mem::take(&mut self.blocks.comments) > 0 {
                return Ok(Seen::Nothing);
            }
            match self.response.chunk().await {
                Ok(Some(chunk)) => self.blocks.push(&chunk),
                Ok(None) if self.response.status() == 204 => return Ok(Seen::End(End::Over)),
                Ok(None) | Err(Cut) => return Ok(Seen::End(End::Again(self.retry))),
            }
        }
    }

    fn cursor(&self) -> Option<&str> {
        self.last.as_deref()
    }
}

tidings_testkit::conformance!(Streams);
