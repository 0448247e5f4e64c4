//! Where a broker is, and how to connect to it.

use std::{fmt, sync::Arc};

use lapin::{
    Connection, ConnectionProperties,
    protocol::{AMQPErrorKind, AMQPHardError},
    uri::AMQPUri,
};
use tokio::time::timeout;

use super::runtime::counting_runtime;
use crate::{
    config::Config,
    error::{Error, ErrorKind},
    traffic::{Counters, Traffic},
};

/// Sooner than RabbitMQ's own minute, as a broker that is frozen is noticed after two of them.
const HEARTBEAT_SECONDS: u16 = 10;

/// A RabbitMQ broker, and the names that Tidings uses on it. Opens no connection by itself.
///
/// Clones share the count of what went over the wire.
#[derive(Clone)]
pub struct Broker {
    /// Holds the password: never shown.
    uri: AMQPUri,
    config: Arc<Config>,
    counters: Arc<Counters>,
    exchange: Arc<str>,
    jobs_queue: Arc<str>,
}

impl Broker {
    /// A broker by its URL, such as `amqp://user:password@host:5672/vhost`.
    ///
    /// # Errors
    ///
    /// Where the text is no such URL. The error does not show it, for it may hold a password.
    pub fn new(url: &str, config: Config) -> Result<Self, Error> {
        let invalid = || Error::new(ErrorKind::InvalidInput, "the broker's address is not a valid amqp URL");
        let mut uri: AMQPUri = url.parse().map_err(|_| invalid())?;
        if uri.scheme != lapin::uri::AMQPScheme::AMQP {
            return Err(invalid());
        }
        uri.query.heartbeat.get_or_insert(HEARTBEAT_SECONDS);
        Ok(Self {
            uri,
            config: Arc::new(config),
            counters: Arc::default(),
            exchange: "tidings.events".into(),
            jobs_queue: "tidings.jobs".into(),
        })
    }

    /// Events come from this exchange and not from `tidings.events`.
    #[must_use]
    pub fn with_exchange(self, name: &str) -> Self {
        Self { exchange: name.into(), ..self }
    }

    /// Jobs are submitted to this queue and not to `tidings.jobs`.
    #[must_use]
    pub fn with_jobs_queue(self, name: &str) -> Self {
        Self { jobs_queue: name.into(), ..self }
    }

    /// What went over all connections that were made with this and its clones. A request is a submission, or the begin
    /// of reading a queue.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.counters.read()
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(super) fn exchange(&self) -> &str {
        &self.exchange
    }

    pub(super) fn jobs_queue(&self) -> &str {
        &self.jobs_queue
    }

    pub(super) async fn connect(&self) -> Result<Connection, Error> {
        let properties = ConnectionProperties::default().with_connection_name("tidings-client".into());
        let runtime = counting_runtime(Arc::clone(&self.counters));
        let connecting = Connection::connect_uri_with_runtime(self.uri.clone(), properties, runtime);
        match timeout(self.config.connect_timeout, connecting).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => {
                let kind = match broken(error.clone()).kind() {
                    ErrorKind::Broker => ErrorKind::Broker,
                    _ => ErrorKind::Connect,
                };
                Err(Error::new(kind, "no connection to the broker").with_source(error))
            }
            Err(_) => Err(Error::new(ErrorKind::Connect, "the broker did not answer in time")),
        }
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker")
            .field("host", &self.uri.authority.host)
            .field("port", &self.uri.authority.port)
            .field("vhost", &self.uri.vhost)
            .field("exchange", &self.exchange)
            .field("jobs_queue", &self.jobs_queue)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// What an error of lapin's means to a caller: that the broker said no, or that it is not there.
pub(super) fn broken(error: lapin::Error) -> Error {
    let said_no = match error.kind() {
        // A broker that shuts down, or that an operator told to, closes its connections so.
        lapin::ErrorKind::ProtocolError(told) => *told.kind() != AMQPErrorKind::Hard(AMQPHardError::CONNECTIONFORCED),
        lapin::ErrorKind::AuthProviderError(_) | lapin::ErrorKind::InvalidProtocolVersion(_) => true,
        _ => false,
    };
    if said_no {
        Error::new(ErrorKind::Broker, "the broker refused").with_source(error)
    } else {
        Error::new(ErrorKind::Disconnected, "the connection to the broker broke").with_source(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_never_shows() {
        let broker = Broker::new("amqp://me:hunter2@host:1/v", Config::default()).expect("a URL");
        let shown = format!("{broker:?}");
        assert!(shown.contains("host") && !shown.contains("hunter2"), "{shown}");
        for bad in ["amqp://me:hunter2@host:port/v", "hunter2", "http://me:hunter2@host", "amqps://me:hunter2@host"] {
            let error = Broker::new(bad, Config::default()).expect_err("no URL of a broker");
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(!format!("{error:?} {error}").contains("hunter2"));
        }
    }
}
