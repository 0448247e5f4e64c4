//! Entity tags: whether a client has seen this already (RFC 9110, 8.8.3 and 13.1.2).

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};

use crate::cursor::Cursor;

/// The tag of what a client has seen up to a cursor, as `ETag` shows it.
#[must_use]
pub fn of(cursor: Cursor) -> HeaderValue {
    let mut tag = Vec::with_capacity(32);
    tag.push(b'"');
    cursor.push_to(&mut tag);
    tag.push(b'"');
    // Digits, a hyphen and hex digits between quotes, so that this never is the other one.
    HeaderValue::from_maybe_shared(Bytes::from(tag)).unwrap_or(HeaderValue::from_static("\"\""))
}

/// Whether an `If-None-Match` names this tag, as [`of`] gives it.
#[must_use]
pub fn none_match_is(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    // Most requests have no such field, and most that do have it name the one tag as it was given.
    headers.get(header::IF_NONE_MATCH).is_some_and(|first| {
        first == tag || tag.to_str().is_ok_and(|tag| none_match_names(headers, tag.trim_matches('"')))
    })
}

/// Whether an `If-None-Match` names this tag, given without its quotes. Compares weakly, and takes lists and `*`.
#[must_use]
pub fn none_match_names(headers: &HeaderMap, tag: &str) -> bool {
    let values = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|candidate| {
        let candidate = candidate.trim();
        let opaque = candidate.strip_prefix("W/").unwrap_or(candidate);
        candidate == "*" || opaque.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) == Some(tag)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_compared_weakly_in_lists_and_by_star() {
        for (value, named) in [
            ("\"12-9f3c1a2b\"", true),
            ("W/\"12-9f3c1a2b\"", true),
            ("\"a\", W/\"12-9f3c1a2b\" ,\"b\"", true),
            ("*", true),
            ("12-9f3c1a2b", false),
            ("\"12-9f3c1a2\"", false),
            ("w/\"12-9f3c1a2b\"", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(header::IF_NONE_MATCH, value.parse().expect("a value"))]);
            assert_eq!(none_match_names(&headers, "12-9f3c1a2b"), named, "{value}");
            assert_eq!(none_match_is(&headers, &of("12-9f3c1a2b".parse().expect("a cursor"))), named, "{value}");
        }
        let two = HeaderMap::from_iter([(header::IF_NONE_MATCH, "\"a\"".parse().expect("a value"))]);
        assert!(!none_match_names(&two, "12-9f3c1a2b"));
        let none = HeaderMap::new();
        assert!(!none_match_is(&none, &of("12-9f3c1a2b".parse().expect("a cursor"))));
    }
}
