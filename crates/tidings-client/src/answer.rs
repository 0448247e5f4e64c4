//! What the head of an answer says, and what becomes of an answer that is not the one asked for.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, Response, header};
use serde::Deserialize;

use crate::{
    error::{Error, Problem},
    http_client::Body,
};

/// A problem's text is for people; nobody needs more of it than this.
const MAX_PROBLEM_BYTES: usize = 64 * 1024;

/// Of what a server says about a problem, so much stands in the message of an error.
const MAX_DETAIL_CHARACTERS: usize = 500;

const PROBLEM: &str = "application/problem+json";

/// How long `Retry-After` asks to wait: seconds, or until a date (RFC 9110, 10.2.3). What is neither is ignored.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    // A date that has passed means now.
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}

/// Whether the content is of this type, whatever its parameters.
pub(crate) fn is_content_type(headers: &HeaderMap, expected: &str) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(expected)
}

/// The error that an answer with an unexpected status is, with the name of the problem that its body tells.
pub(crate) async fn refused(response: Response<Body>) -> Error {
    let (head, body) = response.into_parts();
    let body = if is_content_type(&head.headers, PROBLEM) {
        // Where the body can't be had, the status is all there is to tell.
        body.collect(MAX_PROBLEM_BYTES).await.unwrap_or_default()
    } else {
        Bytes::new()
    };
    refused_whole(&Response::from_parts(head, body))
}

/// The same of an answer that has been read already.
pub(crate) fn refused_whole(response: &Response<Bytes>) -> Error {
    let is_problem = is_content_type(response.headers(), PROBLEM);
    let problem = if is_problem { problem(response.body()) } else { None };
    Error::refused(response.status(), problem, retry_after(response.headers()))
}

fn problem(body: &[u8]) -> Option<Problem> {
    #[derive(Deserialize)]
    struct Told {
        r#type: String,
        #[serde(default)]
        detail: String,
    }
    let told: Told = serde_json::from_slice(body).ok()?;
    let name = told.r#type.strip_prefix("urn:tidings:problem:")?;
    // Both end up in messages, and from there on terminals, which obey what is in a text.
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() || !name.bytes().all(is_name) {
        return None;
    }
    let plain = |character: char| if character.is_control() { ' ' } else { character };
    let detail = told.detail.chars().take(MAX_DETAIL_CHARACTERS).map(plain).collect();
    Some(Problem { name: name.to_owned(), detail })
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, StatusCode};

    use super::*;

    fn named(body: &[u8]) -> Option<String> {
        problem(body).map(|problem| problem.name)
    }

    fn after(value: &str) -> Option<Duration> {
        retry_after(&HeaderMap::from_iter([(header::RETRY_AFTER, HeaderValue::from_str(value).expect("a value"))]))
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(after("0"), Some(Duration::ZERO));
        assert_eq!(after(" 120 "), Some(Duration::from_secs(120)));
        assert_eq!(after("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        let in_a_minute = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(60));
        assert!(after(&in_a_minute).is_some_and(|wait| wait.as_secs().abs_diff(60) <= 2));
        for bad in ["", "-1", "1.5", "soon", "99999999999999999999"] {
            assert_eq!(after(bad), None, "{bad:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }

    #[test]
    fn a_content_type_has_parameters_and_any_case() {
        let is = |value| {
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(value))]);
            is_content_type(&headers, "text/event-stream")
        };
        assert!(is("text/event-stream") && is("Text/Event-Stream ;charset=utf-8") && is("text/event-stream;x=y"));
        assert!(!is("text/event-streams") && !is("text/plain; text/event-stream") && !is(""));
    }

    #[test]
    fn a_problem_is_known_by_its_name() {
        assert_eq!(named(br#"{"type":"urn:tidings:problem:unknown-job","x":1}"#).as_deref(), Some("unknown-job"));
        for other in [&b"{}"[..], b"", br#"{"type":"about:blank"}"#, br#"{"type":7}"#] {
            assert_eq!(named(other), None);
        }
    }

    #[test]
    fn a_name_that_is_none_is_not_repeated() {
        for name in ["", "Unknown-Job", "unknown job", r"\u001b[2Junknown-job", r"\u009b31m", r"\u202ebob", "caf\u{e9}"]
        {
            let body = format!(r#"{{"type":"urn:tidings:problem:{name}"}}"#);
            assert_eq!(named(body.as_bytes()), None, "{name}");
        }
        assert_eq!(named(br#"{"type":"urn:tidings:problem:http-2-only"}"#).as_deref(), Some("http-2-only"));
    }
    #[test]
    fn what_the_server_says_is_told_and_moves_no_cursor() {
        let told = problem(br#"{"type":"urn:tidings:problem:invalid-input","detail":"no \u001b[2J\u009bpipeline"}"#);
        let error = Error::refused(StatusCode::UNPROCESSABLE_ENTITY, told, None);
        let said = "the server answered 422 Unprocessable Entity: invalid-input: no  [2J pipeline";
        assert_eq!((error.to_string().as_str(), error.problem()), (said, Some("invalid-input")));
        let long = format!(r#"{{"type":"urn:tidings:problem:internal","detail":"{}"}}"#, "x".repeat(1_000));
        assert_eq!(problem(long.as_bytes()).map(|problem| problem.detail.len()), Some(MAX_DETAIL_CHARACTERS));
    }
}
