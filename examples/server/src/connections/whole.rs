//! Requests that have come whole, on connections that are taken over from hyper.

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header};
use httparse::{Header, ParserConfig, Status};

/// A head with more fields is left to hyper.
const FIELDS: usize = 32;

/// The first request of what has been read, and all its bytes: if it gets something, or posts a body of a known length, all
/// of it is there, and hyper would make the same of it. `None` for whatever is unusual, which is for hyper to judge.
///
/// The syntax is [`httparse`]'s, as hyper's is.
pub(super) fn first(unread: &[u8]) -> Option<(Request<Bytes>, Bytes)> {
    let mut fields = [MaybeUninit::uninit(); FIELDS];
    let mut head = httparse::Request::new(&mut []);
    let parsed = ParserConfig::default().parse_request_with_uninit_headers(&mut head, unread, &mut fields);
    let Ok(Status::Complete(begin)) = parsed else { return None };
    let target = head.path.filter(|path| path.starts_with('/'))?;
    if head.version != Some(1) {
        return None;
    }
    let (method, length) = match (head.method?, body_length(head.headers)?) {
        ("GET", None | Some(0)) => (Method::GET, 0),
        ("POST", Some(length)) => (Method::POST, length),
        _ => return None,
    };
    let end = begin.checked_add(length)?;
    // One copy for all its parts.
    let bytes = Bytes::copy_from_slice(unread.get(..end)?);
    let part = |part: &[u8]| {
        let start = part.as_ptr().addr() - unread.as_ptr().addr();
        bytes.slice(start..start + part.len())
    };
    let mut headers = HeaderMap::with_capacity(head.headers.len());
    for Header { name, value } in &*head.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        headers.append(name, HeaderValue::from_maybe_shared(part(value)).ok()?);
    }
    let mut request = Request::new(bytes.slice(begin..));
    *request.method_mut() = method;
    *request.uri_mut() = Uri::from_maybe_shared(part(target.as_bytes())).ok()?;
    *request.headers_mut() = headers;
    Some((request, bytes))
}

/// The length of a body (RFC 9112, 6.3), if the head says it once or not at all; `None` where there is more to how the
/// request is sent, or to what is to become of the connection.
fn body_length(fields: &[Header<'_>]) -> Option<Option<usize>> {
    let mut length = None;
    for Header { name, value } in fields {
        let is = |other: HeaderName| name.eq_ignore_ascii_case(other.as_str());
        match name.len() {
            6 if is(header::EXPECT) => return None,
            7 if is(header::UPGRADE) => return None,
            10 if is(header::CONNECTION) && !value.eq_ignore_ascii_case(b"keep-alive") => return None,
            14 if is(header::CONTENT_LENGTH) => {
                // A number that has a sign is one for Rust, but none here.
                let digits = std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()))?;
                if length.replace(digits.parse().ok()?).is_some() {
                    return None;
                }
            }
            17 if is(header::TRANSFER_ENCODING) => return None,
            _ => {}
        }
    }
    Some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "POST /jobs/1/events?a=b HTTP/1.1\r\nHost: a\r\nX-Twice: 1\r\nx-twice:  2 \r\n\
        CONNECTION: Keep-Alive\r\ncontent-length: 2\r\n\r\n{}";

    #[test]
    fn a_whole_request_is_what_it_says() {
        let (request, bytes) = first(format!("{REPORT}GET /next").as_bytes()).expect("it is whole");
        assert_eq!(bytes, REPORT);
        assert_eq!((request.method(), request.uri().to_string().as_str()), (&Method::POST, "/jobs/1/events?a=b"));
        assert_eq!(request.body(), "{}");
        assert_eq!(request.headers().len(), 5);
        assert_eq!(request.headers().get_all("x-twice").iter().collect::<Vec<_>>(), ["1", "2"]);
    }

    #[test]
    fn what_gets_something_has_no_body() {
        for (fields, is_whole) in [("", true), ("content-length: 0\r\n", true), ("content-length: 1\r\n", false)] {
            let whole = first(format!("GET /jobs HTTP/1.1\r\nhost: a\r\n{fields}\r\nGET").as_bytes());
            assert_eq!(whole.is_some(), is_whole, "{fields}");
            let Some((request, bytes)) = whole else { continue };
            assert_eq!((request.method(), request.uri().path(), &**request.body()), (&Method::GET, "/jobs", &b""[..]));
            assert!(bytes.ends_with(b"\r\n\r\n"), "{bytes:?}");
        }
    }

    #[test]
    fn what_has_come_in_part_is_none() {
        for length in 0..REPORT.len() {
            assert!(first(&REPORT.as_bytes()[..length]).is_none(), "{length}");
        }
    }

    #[test]
    fn what_is_unusual_is_left_to_hyper() {
        let changed = |from: &str, to: &str| {
            assert!(REPORT.contains(from), "{from}");
            first(REPORT.replacen(from, to, 1).as_bytes()).map(|(_, bytes)| bytes.len())
        };
        assert_eq!(changed("a=b", "a=c"), Some(REPORT.len()));
        for (from, to) in [
            ("POST", "PUT"),
            ("POST", "HEAD"),
            ("HTTP/1.1", "HTTP/1.0"),
            ("/jobs", "http://a/jobs"),
            ("/jobs", "jobs"),
            ("Keep-Alive", "close"),
            ("Keep-Alive", "keep-alive, upgrade"),
            ("X-Twice: 1", "Upgrade: h2c"),
            ("X-Twice: 1", "expect: 100-continue"),
            ("X-Twice: 1", "Transfer-Encoding: chunked"),
            ("X-Twice: 1", "Transfer-Encoding : chunked"),
            ("X-Twice: 1", "Content-Length: 2"),
            ("X-Twice: 1", " folded"),
            ("content-length: 2", "content-length: +2"),
            ("content-length: 2", "content-length: 2, 2"),
            ("content-length: 2", "content-length: "),
            ("content-length: 2", "content-length: 18446744073709551615"),
            ("content-length: 2", "content-length: 99999999999999999999"),
            ("content-length: 2", "x: 2"),
            ("X-Twice: 1", &"a: b\r\n".repeat(FIELDS)),
        ] {
            assert_eq!(changed(from, to), None, "{to}");
        }
    }
}
