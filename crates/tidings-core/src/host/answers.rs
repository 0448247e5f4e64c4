//! Jobs over HTTP: submit, list, show, cancel, delete.

use std::{fmt::Write as _, sync::LazyLock};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header, request::Parts};
use serde::Deserialize;

use super::{Host, bodies};
use crate::{
    answer::Body,
    etag,
    json::Json,
    log::Query,
    names::JobId,
    problem::{Problem, ProblemKind},
    snapshot::Snapshot,
    submission::Submission,
    target::Params,
};

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

pub(super) async fn submit(host: &Host, parts: &Parts, body: Body) -> Result<Response<Body>, Problem> {
    bodies::expect_json(&parts.headers)?;
    let limits = host.jobs().limits();
    let body = bodies::read(body, limits.submission_bytes, limits).await?;
    let mut submission = Submission::parse(&body)?;
    if let Some(key) = idempotency_key(&parts.headers)? {
        submission = submission.with_key(key, &body);
    }
    let accepted = host.jobs().submit(submission).await?;
    let mut response = json_response(StatusCode::ACCEPTED, host.jobs().accepted_json(&accepted));
    let headers = response.headers_mut();
    let location = HeaderValue::try_from(host.jobs().links().job(accepted.job.id));
    headers.insert(header::LOCATION, location.map_err(|_| Problem::from(ProblemKind::Internal))?);
    headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    Ok(response)
}

/// The key that makes a submission one job however often it is sent.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let invalid = |detail: &'static str| Problem::new(ProblemKind::InvalidRequest, detail);
    let mut keys = headers.get_all("idempotency-key").iter();
    let Some(key) = keys.next() else { return Ok(None) };
    if keys.next().is_some() {
        return Err(invalid("Idempotency-Key is there twice"));
    }
    let key = key.to_str().unwrap_or_default();
    let key = key.strip_prefix('"').and_then(|key| key.strip_suffix('"')).unwrap_or(key);
    let printable = key.bytes().all(|b| (b' '..=b'~').contains(&b));
    if (1..=255).contains(&key.len()) && printable {
        Ok(Some(key.to_owned()))
    } else {
        Err(invalid("an Idempotency-Key is 1 to 255 printable ASCII characters"))
    }
}

pub(super) fn show(host: &Host, asked: &HeaderMap, job: &Snapshot) -> Response<Bytes> {
    let shown = host.jobs().shown(job);
    let (mut response, head) = if etag::none_match_is(asked, &shown.tag) {
        let mut unchanged = Response::new(Bytes::new());
        *unchanged.status_mut() = StatusCode::NOT_MODIFIED;
        (unchanged, &UNCHANGED)
    } else {
        (Response::new(shown.json.clone()), &SHOWN)
    };
    let headers = response.headers_mut();
    headers.clone_from(head);
    headers.insert(header::ETAG, shown.tag.clone());
    if job.state.is_terminal() {
        headers.remove(header::RETRY_AFTER);
    }
    response
}

/// The head of what is told once, and those of a job that is shown and of one that has not changed, as they are for most: to
/// copy one costs half of what it costs to put it together.
static TOLD: LazyLock<HeaderMap> = LazyLock::new(|| {
    HeaderMap::from_iter([
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, NO_STORE),
    ])
});
static SHOWN: LazyLock<HeaderMap> = LazyLock::new(|| {
    let mut head = UNCHANGED.clone();
    head.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    head
});
static UNCHANGED: LazyLock<HeaderMap> = LazyLock::new(|| {
    HeaderMap::from_iter([
        (header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache")),
        (header::ETAG, HeaderValue::from_static("\"\"")),
        (header::RETRY_AFTER, HeaderValue::from_static("1")),
    ])
});

pub(super) fn list(host: &Host, parts: &Parts) -> Result<Response<Body>, Problem> {
    let params = Params::parse(parts.uri.query());
    let limits = host.jobs().limits();
    let invalid =
        |name: &str| Problem::new(ProblemKind::InvalidRequest, format!("the parameter {name} is none of its values"));
    let limit = params.number("limit", 1, limits.listed_most as u64)?;
    let mut query =
        Query::new(limit.map_or(limits.listed, |limit| usize::try_from(limit).unwrap_or(limits.listed_most)));
    query.state = params.one("state")?.map(|state| state.parse().map_err(|_| invalid("state"))).transpose()?;
    query.kind = params.one("kind")?.map(|kind| kind.parse().map_err(|_| invalid("kind"))).transpose()?;
    query.before = params.one("page")?.map(|page| page.parse().map_err(|_| invalid("page"))).transpose()?;
    let listing = host.jobs().list(&query);
    let jobs: Vec<_> = listing.jobs.iter().map(|job| host.jobs().listed_json(job)).collect();
    let next = listing.next.map_or_else(|| "null".to_owned(), |next| format!("\"{next}\""));
    let json = format!(r#"{{"jobs":[{}],"cursor":"{}","next":{next}}}"#, jobs.join(","), listing.cursor);
    Ok(json_response(StatusCode::OK, json))
}

pub(super) async fn cancel(host: &Host, parts: &Parts, body: Body, job: JobId) -> Result<Response<Body>, Problem> {
    #[derive(Deserialize)]
    struct Wire {
        reason: Option<String>,
    }
    bodies::expect_json(&parts.headers)?;
    let limits = host.jobs().limits();
    let body = bodies::read(body, limits.event_bytes, limits).await?;
    let reason = if body.is_empty() {
        None
    } else {
        let json = Json::parse(&body).map_err(|e| Problem::new(ProblemKind::MalformedJson, e.to_string()))?;
        let invalid = |detail: String| Problem::new(ProblemKind::InvalidInput, detail);
        if !json.is_object() {
            return Err(invalid("an object with the member reason is expected, or no body".to_owned()));
        }
        json.to::<Wire>().map_err(|e| invalid(e.to_string()))?.reason
    };
    let job = host.jobs().cancel(job, reason.as_deref()).await?;
    Ok(snapshot(host, StatusCode::ACCEPTED, &job))
}

pub(super) async fn delete(host: &Host, job: JobId) -> Result<Response<Body>, Problem> {
    host.jobs().delete(job).await?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(header::CACHE_CONTROL, NO_STORE);
    Ok(response)
}

pub(super) fn transports(host: &Host) -> Response<Body> {
    let base = host.jobs().links().base();
    let mut all = Vec::new();
    for mounted in &host.0.mounts {
        let name = mounted.name;
        let mut json = format!(r#"{{"name":"{name}""#);
        // Writing to a `String` can't fail.
        if mounted.mount.endpoint.is_some() {
            let _ = write!(json, r#","job":"{base}/jobs/{{id}}/{name}""#);
            if mounted.mount.reach == crate::transport::Reach::ManyJobs {
                let _ = write!(json, r#","events":"{base}/events/{name}""#);
            }
        }
        if let Some(members) = mounted.mount.info.as_str().strip_prefix('{').and_then(|rest| rest.strip_suffix('}'))
            && !members.is_empty()
        {
            let _ = write!(json, ",{members}");
        }
        if let Some(status) = &mounted.mount.status {
            let status = status();
            let _ = write!(
                json,
                r#","status":"{}","since":"{}","lag":{}"#,
                status.health.as_str(),
                status.since,
                status.lag
            );
        }
        json.push('}');
        all.push(json);
    }
    json_response(StatusCode::OK, format!(r#"{{"transports":[{}]}}"#, all.join(",")))
}

fn snapshot(host: &Host, status: StatusCode, job: &Snapshot) -> Response<Body> {
    json_response(status, host.jobs().snapshot_json(job))
}

pub(super) fn json_response(status: StatusCode, json: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::from(json));
    *response.status_mut() = status;
    response.headers_mut().clone_from(&TOLD);
    response
}
