//! Which hosts a request may be for, and which pages may send one.

use std::sync::Arc;

use http::{HeaderMap, Method, Version, header, request::Parts};

use crate::problem::{Problem, ProblemKind};

/// The names that a host goes by: what may stand in `Host`.
///
/// Where they are known, a page can't reach a server on somebody's own machine through a name of its own that leads
/// there (DNS rebinding).
#[derive(Clone, Debug)]
pub struct HostNames(Option<Arc<[String]>>);

impl HostNames {
    /// Any name.
    #[must_use]
    pub fn any() -> Self {
        Self(None)
    }

    /// These alone, such as `127.0.0.1:7330` or `jobs.example.org`: with the port where it is not the scheme's own.
    #[must_use]
    pub fn only(names: impl IntoIterator<Item = String>) -> Self {
        Self(Some(names.into_iter().map(|name| name.to_ascii_lowercase()).collect()))
    }

    /// Checks that a request names one host, which is one of these, and that no page of another site has sent it.
    pub(super) fn check(&self, parts: &Parts) -> Result<(), Problem> {
        // What nearly every request says, and nothing has to be taken apart for.
        let plain = self.0.as_ref().filter(|_| parts.uri.authority().is_none());
        let known = plain.and_then(|names| {
            let mut values = parts.headers.get_all(header::HOST).iter();
            let value = values.next().filter(|_| values.next().is_none())?;
            names.iter().find(|name| name.as_bytes() == value.as_bytes())
        });
        let host = match known {
            Some(name) => name,
            None => host(parts)?,
        };
        if let Some(names) = &self.0
            && !names.iter().any(|name| name.eq_ignore_ascii_case(host))
        {
            return Err(Problem::new(ProblemKind::WrongHost, format!("no requests for {host:?} are answered here")));
        }
        if (parts.method == Method::POST || parts.method == Method::DELETE) && !is_same_site(&parts.headers, host) {
            return Err(ProblemKind::WrongOrigin.into());
        }
        Ok(())
    }
}

/// The host that a request is for: `Host` in HTTP/1.1 (RFC 9112, 3.2), `:authority` or `Host` in HTTP/2.
fn host(parts: &Parts) -> Result<&str, Problem> {
    let invalid = |detail: &'static str| Problem::new(ProblemKind::InvalidRequest, detail);
    let mut values = parts.headers.get_all(header::HOST).iter();
    let named = match (values.next(), values.next()) {
        (Some(_), Some(_)) => return Err(invalid("Host is there twice")),
        (Some(value), None) => Some(value.to_str().map_err(|_| invalid("Host is malformed"))?),
        (None, _) => None,
    };
    let authority = parts.uri.authority().map(http::uri::Authority::as_str);
    let host = match parts.version {
        Version::HTTP_2 => authority.or(named),
        // In absolute form the target counts (RFC 9112, 3.2.2), and Host must be there all the same.
        _ => named.map(|named| authority.unwrap_or(named)),
    };
    let host = host.ok_or_else(|| invalid("Host is missing"))?;
    let valid = |text: &str| {
        if is_plain(text) {
            return true;
        }
        let parsed = text.parse::<http::uri::Authority>().ok().filter(|_| !text.contains('@'));
        // The parser takes any text for a port.
        parsed.and_then(|parsed| text.strip_prefix(parsed.host()).map(is_port)).unwrap_or(false)
    };
    if valid(host) && named.is_none_or(|named| named == host || valid(named)) {
        Ok(host)
    } else {
        Err(invalid("Host is malformed"))
    }
}

/// Whether this is a name or an IPv4 address, with or without a port: what nearly all hosts are, and needs no parser.
fn is_plain(text: &str) -> bool {
    let (name, port) = text.split_once(':').unwrap_or((text, ""));
    (1..=255).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-')
        && port.bytes().all(|b| b.is_ascii_digit())
}

/// Whether this can follow a host: nothing, or a colon and digits (RFC 3986, 3.2.3).
fn is_port(rest: &str) -> bool {
    rest.is_empty() || rest.strip_prefix(':').is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()))
}

/// Whether a request comes from a page of this very site, or from no page at all (RFC 6454, 7).
fn is_same_site(headers: &HeaderMap, host: &str) -> bool {
    headers.get_all(header::ORIGIN).iter().all(|origin| {
        let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
        origin.is_some_and(|(scheme, site)| {
            let own = match scheme {
                "http" => host.strip_suffix(":80").unwrap_or(host),
                "https" => host.strip_suffix(":443").unwrap_or(host),
                _ => return false,
            };
            site.eq_ignore_ascii_case(own) || site.eq_ignore_ascii_case(host)
        })
    })
}
