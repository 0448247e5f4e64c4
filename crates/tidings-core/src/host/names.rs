//! Which hosts a request may be for, and which pages may send one.

use std::sync::Arc;

use http::{HeaderMap, Method, Request, Uri, Version, header, request::Parts};

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
    pub(super) fn check(&self, head: &Head<'_>) -> Result<(), Problem> {
        let host = match self.as_it_stands(head) {
            Some(name) => name,
            None => self.look_up(host(head)?)?,
        };
        if (*head.method == Method::POST || *head.method == Method::DELETE) && !is_same_site(head.headers, host) {
            return Err(ProblemKind::WrongOrigin.into());
        }
        Ok(())
    }

    /// The name that a request gives, where it is one of these as it stands: nearly always, and then nothing has to be
    /// taken apart.
    fn as_it_stands(&self, head: &Head<'_>) -> Option<&str> {
        let names = self.0.as_ref()?;
        let no_field_twice = head.headers.keys_len() == head.headers.len();
        if !no_field_twice || head.uri.authority().is_some() {
            return None;
        }
        let value = head.headers.get(header::HOST)?.as_bytes();
        names.iter().find(|name| name.as_bytes() == value).map(String::as_str)
    }

    fn look_up<'h>(&self, host: &'h str) -> Result<&'h str, Problem> {
        match &self.0 {
            Some(names) if !names.iter().any(|name| name.eq_ignore_ascii_case(host)) => {
                Err(Problem::new(ProblemKind::WrongHost, format!("this host is not known to go by the name {host:?}")))
            }
            _ => Ok(host),
        }
    }
}

/// What is looked at of a request before anything else.
pub(super) struct Head<'r> {
    pub(super) method: &'r Method,
    pub(super) uri: &'r Uri,
    pub(super) version: Version,
    pub(super) headers: &'r HeaderMap,
}

impl<'r> Head<'r> {
    pub(super) fn of<B>(request: &'r Request<B>) -> Self {
        Self { method: request.method(), uri: request.uri(), version: request.version(), headers: request.headers() }
    }
}

impl<'r> From<&'r Parts> for Head<'r> {
    fn from(parts: &'r Parts) -> Self {
        Self { method: &parts.method, uri: &parts.uri, version: parts.version, headers: &parts.headers }
    }
}

/// The host that a request is for: `Host` in HTTP/1.1 (RFC 9112, 3.2), `:authority` or `Host` in HTTP/2.
fn host<'r>(head: &Head<'r>) -> Result<&'r str, Problem> {
    let invalid = |detail: &'static str| Problem::new(ProblemKind::InvalidRequest, detail);
    let mut values = head.headers.get_all(header::HOST).iter();
    let named = match (values.next(), values.next()) {
        (Some(_), Some(_)) => return Err(invalid("Host is there twice")),
        (Some(value), None) => Some(value.to_str().map_err(|_| invalid("Host is malformed"))?),
        (None, _) => None,
    };
    let authority = head.uri.authority().map(http::uri::Authority::as_str);
    let host = match head.version {
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
