//! A transport as somebody outside would write one, newline-delimited JSON, and the suite over it.

mod ndjson;

use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderValue, Request, Response, StatusCode, header};
use tidings_core::{
    Answer, Answering, Body, Context, Cursor, Endpoint, Entry, Error, Feed, Framing, HostBuilder, JobId, Mount,
    Notifier, Problem, ProblemKind, Pulse, Shutdown, Streaming, Target,
};
use tidings_testkit::{Adapter, Capabilities, Failure, Followed, Server};

use ndjson::Lines;

/// How long a stream is silent at most.
const HEARTBEAT: Duration = Duration::from_secs(20);

/// An event is a line, a gap is a line that begins with `{"requested"`, an empty line is a sign of life.
static LINES: Framing = Framing { event: line, gap, heartbeat: b"\n" };

fn line(entry: &Entry, _: Cursor, out: &mut Vec<u8>) {
    out.extend_from_slice(entry.event.json());
    out.push(b'\n');
}

fn gap(_: Cursor, data: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(data.as_bytes());
    out.push(b'\n');
}

#[derive(Debug)]
struct NdJson;

impl Notifier for NdJson {
    fn name(&self) -> &'static str {
        "ndjson"
    }

    fn mount(&self, cx: &Context) -> Result<Mount, Error> {
        let (feed, shutdown) = (cx.feed.clone(), cx.shutdown.clone());
        Ok(Mount::endpoint(Handler { feed, shutdown, pulse: cx.pulse(HEARTBEAT / 2) }))
    }
}

#[derive(Debug)]
struct Handler {
    feed: Feed,
    shutdown: Shutdown,
    pulse: Pulse,
}

impl Endpoint for Handler {
    fn answer<'a>(&'a self, target: Target, _: Request<Body>) -> Answering<'a> {
        Answering::later(async move {
            let after = target.after().unwrap_or_default();
            match self.feed.follow(target.scope().clone(), after).await {
                Err(error) => Problem::from(error).into(),
                Ok(follow) if follow.is_over() => Answer::empty(StatusCode::NO_CONTENT),
                Ok(_) if self.shutdown.has_begun() => Problem::from(ProblemKind::ShuttingDown).into(),
                Ok(follow) => {
                    let mut head = Response::new(());
                    let media_type = HeaderValue::from_static("application/x-ndjson");
                    head.headers_mut().insert(header::CONTENT_TYPE, media_type);
                    let streaming = Streaming::new(follow, &LINES, "".into(), self.pulse.clone());
                    Answer::Follow(head, Box::new(streaming))
                }
            }
        })
    }
}

#[derive(Debug)]
struct Stranger;

#[async_trait]
impl Adapter for Stranger {
    fn mount(&self, host: HostBuilder) -> HostBuilder {
        host.mount(NdJson)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::all().with_quiet(HEARTBEAT)
    }

    async fn follow(&self, server: &Server, job: JobId, after: Option<&str>) -> Result<Followed, Failure> {
        let query = after.map(|cursor| format!("?after={cursor}")).unwrap_or_default();
        let response = server.get(&format!("/jobs/{job}/ndjson{query}"), &[]).await?;
        match response.status().as_u16() {
            200 | 204 => Ok(Followed::open(Lines::new(response, after))),
            _ => Ok(Followed::Refused(response.problem().await?)),
        }
    }
}

tidings_testkit::conformance!(Stranger);
