//! The broker's URL, which holds a password and so is never shown.

use std::fmt;

use lapin::uri::{AMQPScheme, AMQPUri};
use serde::Deserialize;

/// Where the broker is: `amqp://user:password@host:port/vhost`, where a `/` in the virtual host is spelled `%2f`.
///
/// What is left out is `guest`, `guest`, `localhost`, 5672 and `/`. It is checked where the transport is mounted, and
/// not where it is read: readers of configurations quote what they refuse, and this may hold a password. `Debug` hides
/// all of it but the host and the port.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct BrokerUrl(String);

impl BrokerUrl {
    /// The URL as lapin takes it.
    pub(crate) fn parse(&self) -> Result<AMQPUri, InvalidUrl> {
        // Their own words for what is wrong may quote the whole URL.
        let mut uri: AMQPUri = self.0.parse().map_err(|_| InvalidUrl::Malformed)?;
        if uri.scheme == AMQPScheme::AMQPS {
            return Err(InvalidUrl::Tls);
        }
        // lapin takes an IPv6 address for no host at all, and would go to localhost with the password instead.
        let authority =
            self.0.split_once("://").and_then(|(_, rest)| rest.split(['/', '?']).next()).unwrap_or_default();
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        if let Some((address, _)) = host.strip_prefix('[').and_then(|host| host.split_once(']')) {
            uri.authority.host = address.to_owned();
        }
        Ok(uri)
    }
}

impl Default for BrokerUrl {
    fn default() -> Self {
        Self("amqp://localhost:5672/%2f".to_owned())
    }
}

impl<T: Into<String>> From<T> for BrokerUrl {
    fn from(url: T) -> Self {
        Self(url.into())
    }
}

impl fmt::Debug for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.parse() {
            Ok(uri) => write!(f, "amqp://…@{}:{}/…", uri.authority.host, uri.authority.port),
            Err(_) => f.write_str("amqp://…"),
        }
    }
}

/// Why a URL can't be used. Says nothing of what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidUrl {
    #[error("the broker's URL is none of the form amqp://user:password@host:port/vhost")]
    Malformed,
    /// lapin without a TLS library goes on in plain text here, password first.
    #[error("the broker's URL asks for TLS (amqps), which is not built in")]
    Tls,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_shows_the_password() {
        for url in [
            "amqp://user:s3cret@broker:5672/%2f",
            "amqps://user:s3cret@broker/",
            "amqp:s3cret",
            "s3cret",
            "amqp://user:s3cret@broker:port/",
            "amqp://user:s3cret@[::1]:5672/",
        ] {
            let url = BrokerUrl::from(url);
            let shown = format!("{url:?} {:#?} {:?}", url, url.parse().map(drop).map_err(|e| e.to_string()));
            assert!(!shown.contains("s3cret"), "{shown}");
        }
    }

    #[test]
    fn what_lapin_would_misread_is_read_or_refused() {
        let host = |url: &str| BrokerUrl::from(url).parse().map(|uri| (uri.authority.host, uri.authority.port));
        assert_eq!(host("amqp://a:b@[2001:db8::1]:5673/"), Ok(("2001:db8::1".to_owned(), 5673)));
        assert_eq!(host("amqp://a:b@10.0.0.1/"), Ok(("10.0.0.1".to_owned(), 5672)));
        assert_eq!(host("amqps://a:b@broker/"), Err(InvalidUrl::Tls));
        assert_eq!(host("http://a:b@broker/"), Err(InvalidUrl::Malformed));
    }
}
