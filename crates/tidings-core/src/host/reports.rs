//! Reporting from outside: `POST /jobs/{id}/events`.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, Response, StatusCode, header, request::Parts};
use http_body::Body as HttpBody;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::{
    Host,
    answers::json_response,
    bodies::{self, MediaType},
};
use crate::{
    answer::{Body, Held},
    cursor::MAX_NUMBER,
    draft::Draft,
    json::Json,
    log::Appended,
    names::JobId,
    problem::{Problem, ProblemKind},
    text::Object,
};

const TOKEN: HeaderName = HeaderName::from_static("tidings-report-token");
const REPORT_SEQ: HeaderName = HeaderName::from_static("report-seq");

pub(super) async fn report(host: &Host, parts: &Parts, body: Body, job: JobId) -> Result<Response<Body>, Problem> {
    let media_type = admit(host, &parts.headers, job)?;
    let first = report_seq(&parts.headers);
    let appended = match media_type {
        MediaType::Json => whole(host, body, job, first).await?,
        MediaType::NdJson => lines(host, body, job, first?).await?,
    };
    Ok(answer(&appended))
}

/// A report of which all but the body has been looked at, and found to be as it should be.
#[derive(Debug)]
pub struct Reporting {
    host: Host,
    job: JobId,
    first: Option<u64>,
}

impl Reporting {
    pub(super) fn of(host: &Host, headers: &HeaderMap, job: JobId) -> Option<Self> {
        let json = admit(host, headers, job).is_ok_and(|media_type| media_type == MediaType::Json);
        let first = report_seq(headers).ok().filter(|_| json)?;
        Some(Self { host: host.clone(), job, first })
    }

    /// Takes what the body reports, and answers. Dropping the future undoes nothing.
    pub async fn answer<B>(self, body: B) -> Response<Body>
    where
        B: HttpBody<Data = Bytes> + Unpin,
    {
        let appended = whole(&self.host, body, self.job, Ok(self.first)).await;
        appended.map_or_else(Problem::into_response, |appended| answer(&appended))
    }

    /// The same, as what servers hold: for those that have let go of everything else that the request came by.
    pub fn held<B>(self, body: B) -> Held
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    {
        Held::new(async move {
            let (head, body) = self.answer(body).await.into_parts();
            // It is there as a whole.
            Response::from_parts(head, body.as_bytes().cloned().unwrap_or_default())
        })
    }
}

/// Looks at whether the sender may report this job, and at what the body is.
fn admit(host: &Host, headers: &HeaderMap, job: JobId) -> Result<MediaType, Problem> {
    let missing = "no token has come: the report.token of the job's submission belongs into Authorization: Bearer";
    let token = token(headers).ok_or_else(|| Problem::new(ProblemKind::Unauthorized, missing))?;
    host.jobs().authorize(job, token)?;
    bodies::media_type(headers)
}

/// Appends what a body holds, once all of it is there. Where its first event belongs matters only then.
async fn whole<B>(host: &Host, body: B, job: JobId, first: Result<Option<u64>, Problem>) -> Result<Appended, Problem>
where
    B: HttpBody<Data = Bytes> + Unpin,
{
    let limits = host.jobs().limits();
    let body = bodies::read(body, limits.submission_bytes, limits).await?;
    let first = first?;
    host.jobs().report(job, first, drafts(&body, limits.event_bytes)?).await
}

fn answer(appended: &Appended) -> Response<Body> {
    let Appended { job, received } = appended;
    let mut json = Object::with_capacity(128);
    json.number("seq", job.seq);
    json.cursor("cursor", job.cursor());
    json.number("received", *received);
    json.bool("cancel_requested", job.cancel_requested);
    json_response(StatusCode::OK, json.end())
}

/// The token that a reporter shows: in a field of our own, where something on the way takes `Authorization`.
fn token(headers: &HeaderMap) -> Option<&str> {
    if let Some(token) = headers.get(TOKEN) {
        return token.to_str().ok();
    }
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.as_bytes().split_at_checked("bearer ".len())?;
    let token = scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii());
    std::str::from_utf8(token?).ok()
}

fn report_seq(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let invalid = || Problem::new(ProblemKind::InvalidRequest, "Report-Seq is one whole number from 1");
    let mut values = headers.get_all(REPORT_SEQ).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().map_err(|_| invalid())?;
    let number = text.parse().ok().filter(|number| (1..=MAX_NUMBER).contains(number) && !text.starts_with('+'));
    if values.next().is_some() { Err(invalid()) } else { number.map(Some).ok_or_else(invalid) }
}

/// The events of a body: one, or an array of them.
fn drafts(body: &[u8], event_bytes: usize) -> Result<Vec<Draft>, Problem> {
    let taken = match body.trim_ascii_start().first() {
        Some(b'[') => serde_json::from_slice(body).ok().and_then(|all: Vec<&RawValue>| {
            all.iter().map(|event| taken(event.get().as_bytes(), 1, event_bytes)).collect::<Option<Vec<_>>>()
        }),
        _ => taken(body, 0, event_bytes).map(|draft| vec![draft]),
    };
    match taken {
        Some(drafts) if are_in_order(&drafts) => Ok(drafts),
        _ => explained(body, event_bytes),
    }
}

fn are_in_order(drafts: &[Draft]) -> bool {
    !drafts.iter().rev().skip(1).any(|draft| draft.kind().is_terminal())
}

/// An event as it should be, which stands within so many arrays of a text. It is read in one go; what is not as it
/// should be is looked at once more, for what is wrong with it.
fn taken(event: &[u8], depth: usize, event_bytes: usize) -> Option<Draft> {
    // An array would do for serde.
    if event.trim_ascii_start().first() != Some(&b'{') {
        return None;
    }
    let Wire { kind, data } = serde_json::from_slice(event).ok()?;
    let data = data.map(|data| Json::within(data, depth + 1)).transpose().ok()?;
    Draft::reported(&kind, data).ok().filter(|draft| draft.size() <= event_bytes)
}

/// An event as it is sent.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// The events of a body step by step, so that the first thing that is wrong can be named.
fn explained(body: &[u8], event_bytes: usize) -> Result<Vec<Draft>, Problem> {
    let json = Json::parse(body).map_err(|e| Problem::new(ProblemKind::MalformedJson, e.to_string()))?;
    if json.is_object() {
        return Ok(vec![draft(&json, event_bytes)?]);
    }
    let invalid = |detail: String| Problem::new(ProblemKind::InvalidInput, detail);
    let all: Vec<&RawValue> = serde_json::from_str(json.as_str())
        .map_err(|_| invalid("an event or an array of events is expected".to_owned()))?;
    let drafts: Vec<_> = all.iter().map(|event| draft(&json.part(event), event_bytes)).collect::<Result<_, _>>()?;
    if are_in_order(&drafts) { Ok(drafts) } else { Err(invalid("nothing may follow a terminal event".to_owned())) }
}

fn draft(json: &Json, event_bytes: usize) -> Result<Draft, Problem> {
    let invalid = |detail: String| Problem::new(ProblemKind::InvalidInput, detail);
    if !json.is_object() {
        return Err(invalid("an event is an object with the members type and data".to_owned()));
    }
    let wire: Wire<'_> = serde_json::from_str(json.as_str()).map_err(|e| invalid(e.to_string()))?;
    let data = wire.data.map(|data| json.part(data));
    let draft = Draft::reported(&wire.kind, data).map_err(|e| invalid(e.to_string()))?;
    if draft.size() > event_bytes { Err(bodies::too_large(event_bytes)) } else { Ok(draft) }
}

/// Appends line by line, as they come.
async fn lines(host: &Host, mut body: Body, job: JobId, first: Option<u64>) -> Result<Appended, Problem> {
    let event_bytes = host.jobs().limits().event_bytes;
    // A line holds its event in some more characters than the event is counted with.
    let line_bytes = 2 * event_bytes + 1024;
    let lease = host.jobs().lease(job).ok_or_else(|| Problem::from(ProblemKind::Unauthorized))?;
    let mut lines = Lines { host, job, next: first, number: 0, last: None };
    let (mut rest, mut searched) = (BytesMut::new(), 0);
    // A reporter that sends no whole line for the length of its lease is taken for dead, however steadily it drips.
    let mut deadline = Instant::now() + lease;
    loop {
        let chunk = tokio::select! {
            chunk = bodies::chunk(&mut body) => chunk.transpose().map_err(|problem| lines.at(problem))?,
            () = tokio::time::sleep_until(deadline) => return Err(lines.at(ProblemKind::RequestTimeout.into())),
            () = host.shutdown().jobs_over() => return Err(lines.at(ProblemKind::ShuttingDown.into())),
        };
        let ended = chunk.is_none();
        rest.extend_from_slice(&chunk.unwrap_or_default());
        while let Some(end) = rest.iter().skip(searched).position(|byte| *byte == b'\n') {
            let line = rest.split_to(searched + end + 1);
            searched = 0;
            lines.append(line.trim_ascii()).await?;
            deadline = Instant::now() + lease;
        }
        searched = rest.len();
        if rest.len() > line_bytes {
            lines.number += 1;
            return Err(lines.at(bodies::too_large(event_bytes)));
        }
        if ended {
            return lines.finish(rest.trim_ascii()).await;
        }
    }
}

struct Lines<'a> {
    host: &'a Host,
    job: JobId,
    /// The number of the next event among this reporter's, where the reporter counts.
    next: Option<u64>,
    /// The line that was looked at last, counted from 1.
    number: u64,
    /// What came of the last line that was taken.
    last: Option<Appended>,
}

impl Lines<'_> {
    /// Appends a line's event. An empty line renews the lease, where there still is one.
    async fn append(&mut self, line: &[u8]) -> Result<(), Problem> {
        self.number += 1;
        let ended = self.last.as_ref().is_some_and(|last| last.job.state.is_terminal());
        if line.is_empty() && ended {
            return Ok(());
        }
        let event_bytes = self.host.jobs().limits().event_bytes;
        let drafts = if line.is_empty() {
            Vec::new()
        } else {
            let explained = || {
                let json = Json::parse(line).map_err(|e| Problem::new(ProblemKind::MalformedJson, e.to_string()))?;
                draft(&json, event_bytes)
            };
            vec![taken(line, 0, event_bytes).map_or_else(explained, Ok).map_err(|problem| self.at(problem))?]
        };
        let count = drafts.len() as u64;
        let appended =
            self.host.jobs().report(self.job, self.next, drafts).await.map_err(|problem| self.at(problem))?;
        self.next = self.next.map(|next| next + count);
        self.last = Some(appended);
        Ok(())
    }

    /// Takes what came after the last line break, and says what came of all lines.
    async fn finish(mut self, rest: &[u8]) -> Result<Appended, Problem> {
        if self.last.is_none() || !rest.is_empty() {
            self.append(rest).await?;
        }
        self.last.ok_or_else(|| ProblemKind::Internal.into())
    }

    fn at(&self, problem: Problem) -> Problem {
        problem.with_number("line", self.number)
    }
}
