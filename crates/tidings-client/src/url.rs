//! The little that clients have to know about URLs.

use std::fmt::Write as _;

use http::{Uri, uri::Scheme};

use crate::error::{Error, ErrorKind};

/// What a link in an answer means, such as `links.sse` or `Location`: a URL as it is, a path on the server that `base`
/// names.
///
/// # Errors
///
/// Where it is neither: what is relative to a path, or has no host, is nothing that Tidings sends.
///
/// # Examples
///
/// ```
/// let base = "http://127.0.0.1:7330/jobs".parse().unwrap();
/// let link = tidings_client::resolve(&base, "/jobs/01938f6e-7c1a-7b3e-9d52-8f3b2a6c4e10/sse").unwrap();
/// assert_eq!(link, "http://127.0.0.1:7330/jobs/01938f6e-7c1a-7b3e-9d52-8f3b2a6c4e10/sse");
/// ```
pub fn resolve(base: &Uri, link: &str) -> Result<Uri, Error> {
    let invalid = || Error::malformed(format!("{link:?} is no link to an http server"));
    // A fragment is for the client that follows a link, and no part of what it asks for.
    let link = link.split('#').next().unwrap_or(link);
    let mut parts = link.parse::<Uri>().map_err(|error| invalid().with_source(error))?.into_parts();
    if parts.scheme.is_none() && link.starts_with('/') && !link.starts_with("//") {
        parts.scheme = base.scheme().cloned();
        parts.authority = base.authority().cloned();
    }
    let uri = Uri::from_parts(parts).map_err(|error| invalid().with_source(error))?;
    check(&uri).map_err(|_| invalid())?;
    Ok(uri)
}

/// What lies at `path` below `base`, which is a server's root or a prefix that it is mounted under.
pub(crate) fn below(base: &Uri, path: &str) -> Result<Uri, Error> {
    let mut parts = base.clone().into_parts();
    let target = format!("{}{path}", base.path().trim_end_matches('/'));
    let invalid = || Error::new(ErrorKind::InvalidInput, format!("{base} has no {path}"));
    parts.path_and_query = Some(target.try_into().map_err(|error| invalid().with_source(error))?);
    Uri::from_parts(parts).map_err(|error| invalid().with_source(error))
}

/// Refuses what can't be asked: a URL without a host, or of another scheme than `http`.
pub(crate) fn check(uri: &Uri) -> Result<(), Error> {
    if uri.scheme() == Some(&Scheme::HTTP) && uri.host().is_some_and(|host| !host.is_empty()) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidInput,
        format!("{uri} is not the URL of an http server, such as http://127.0.0.1:7330"),
    ))
}

/// The value that a URL has for a parameter, as it is spelled there.
pub(crate) fn parameter<'a>(uri: &'a Uri, name: &str) -> Option<&'a str> {
    pairs(uri).find_map(|pair| pair.split_once('=').filter(|(known, _)| *known == name).map(|(_, value)| value))
}

fn pairs(uri: &Uri) -> impl Iterator<Item = &str> {
    uri.query().into_iter().flat_map(|query| query.split('&'))
}

/// The URL with these parameters after those of other names that it has.
pub(crate) fn with_query(uri: &Uri, parameters: &[(&str, &str)]) -> Result<Uri, Error> {
    let mut target = uri.path().to_owned();
    let mut separator = '?';
    let is_set = |pair: &&str| parameters.iter().any(|(name, _)| pair.split('=').next() == Some(*name));
    for pair in pairs(uri).filter(|pair| !is_set(pair)) {
        target.push(separator);
        target.push_str(pair);
        separator = '&';
    }
    for (name, value) in parameters {
        target.push(separator);
        target.push_str(name);
        target.push('=');
        escape(&mut target, value);
        separator = '&';
    }
    let mut parts = uri.clone().into_parts();
    let invalid = |error| Error::new(ErrorKind::InvalidInput, "a URL that is too long").with_source(error);
    parts.path_and_query = Some(target.try_into().map_err(|error: http::uri::InvalidUri| invalid(error.to_string()))?);
    Uri::from_parts(parts).map_err(|error| invalid(error.to_string()))
}

/// Percent-encodes all but what RFC 3986 calls unreserved.
fn escape(out: &mut String, value: &str) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a `String` can't fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri {
        text.parse().expect("a URL")
    }

    #[test]
    fn links_are_paths_or_whole_urls() {
        let base = uri("http://host:1/a/b?c");
        for (link, expected) in
            [("/jobs/1/sse?x=1#there", "http://host:1/jobs/1/sse?x=1"), ("http://other/jobs", "http://other/jobs")]
        {
            assert_eq!(resolve(&base, link).expect("a link"), expected);
        }
        for bad in ["", "b", "?b", "//other/b", "https://other/", "/a b", "ftp://x/", "other:80"] {
            assert!(resolve(&base, bad).is_err(), "{bad:?} {:?}", resolve(&base, bad));
        }
    }

    #[test]
    fn a_base_may_be_a_prefix() {
        for (base, expected) in [
            ("http://host:1", "http://host:1/jobs"),
            ("http://host:1/", "http://host:1/jobs"),
            ("http://host:1/a/b/?c", "http://host:1/a/b/jobs"),
        ] {
            assert_eq!(below(&uri(base), "/jobs").expect("a URL"), expected);
        }
    }

    #[test]
    fn parameters_come_after_those_of_other_names() {
        for (base, expected) in [
            ("http://host", "http://host/?after=12-ab&n=a%26%25%20%C3%A4"),
            ("http://host/p?q=1", "http://host/p?q=1&after=12-ab&n=a%26%25%20%C3%A4"),
            ("http://host/p?n=1&q&after=3&an=1", "http://host/p?q&an=1&after=12-ab&n=a%26%25%20%C3%A4"),
        ] {
            assert_eq!(with_query(&uri(base), &[("after", "12-ab"), ("n", "a&% ä")]).expect("a URL"), expected);
        }
        assert_eq!(with_query(&uri("http://host/p"), &[]).expect("a URL"), "http://host/p");
        let limited = uri("http://host/p?xlimit=1&limit=2");
        assert_eq!((parameter(&limited, "limit"), parameter(&limited, "after")), (Some("2"), None));
    }
}
