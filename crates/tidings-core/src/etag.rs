//! Entity tags: whether a client has seen this already (RFC 9110, 8.8.3 and 13.1.2).

use http::{HeaderMap, header};

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
        }
        let two = HeaderMap::from_iter([(header::IF_NONE_MATCH, "\"a\"".parse().expect("a value"))]);
        assert!(!none_match_names(&two, "12-9f3c1a2b"));
    }
}
