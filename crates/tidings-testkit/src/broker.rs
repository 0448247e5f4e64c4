//! A real RabbitMQ to test against: the one that is named, or a private node of one's own.
//!
//! [`Broker::find_or_start`] is for tests that only need *a* broker. Tests that kill, restart or freeze it take a
//! [`Node`], which is theirs alone:
//!
//! ```no_run
//! # fn main() -> Result<(), tidings_testkit::broker::Error> {
//! use tidings_testkit::broker::Node;
//!
//! let mut node = Node::start()?;
//! println!("listening on {}", node.url());
//! node.kill()?;
//! node.restart()?; // with the same ports, queues and messages
//! # Ok(())
//! # }
//! ```
//!
//! A node listens on 127.0.0.1 only, on ports that it picks, and keeps everything it writes in one temporary folder. It
//! shares nothing with a RabbitMQ that the machine runs as a service. Nothing of it is left once its [`Node`] is
//! dropped, or the process that holds it has ended in whichever way.
//!
//! All calls block. In asynchronous code they belong into `tokio::task::spawn_blocking`, where anything else is to
//! go on meanwhile. RabbitMQ has to be installed: see [`find`].

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};

mod error;
mod layout;
mod node;
mod watchdog;

pub use error::Error;
pub use node::Node;

/// The environment variable that names the broker to test against: an AMQP URL.
pub const URL_VARIABLE: &str = "TIDINGS_AMQP_URL";

/// Where the packages of Debian, Ubuntu and RabbitMQ itself put the programs. Those of the same name in `/usr/sbin`
/// change user and folder, which a private node must not.
const PROGRAMS: &str = "/usr/lib/rabbitmq/bin";

/// The installed `rabbitmq-server`, where there is one.
#[must_use]
pub fn find() -> Option<PathBuf> {
    let program = Path::new(PROGRAMS).join("rabbitmq-server");
    program.is_file().then_some(program)
}

/// A broker to test against, for tests that leave it as it is.
///
/// Others may be using it at the same time: a test takes names of its own for its exchanges and queues.
pub struct Broker(Source);

enum Source {
    Named(String),
    Private(Node),
}

impl Broker {
    /// The broker that [`URL_VARIABLE`] names, or else a private [`Node`].
    ///
    /// The one that is named is not contacted.
    ///
    /// # Errors
    ///
    /// Those of [`Node::start`], where no broker is named.
    pub fn find_or_start() -> Result<Self, Error> {
        match env::var(URL_VARIABLE) {
            Ok(url) if !url.is_empty() => Ok(Self(Source::Named(url))),
            _ => Ok(Self(Source::Private(Node::start()?))),
        }
    }

    /// The AMQP URL to connect to. It may contain a password.
    #[must_use]
    pub fn url(&self) -> String {
        match &self.0 {
            Source::Named(url) => url.clone(),
            Source::Private(node) => node.url(),
        }
    }

    /// Whether it was started here, and ends when this is dropped.
    #[must_use]
    pub fn is_private(&self) -> bool {
        matches!(self.0, Source::Private(_))
    }
}

/// Shows no URL, since that may contain a password.
impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Named(_) => f.write_str("Broker(named)"),
            Source::Private(node) => f.debug_tuple("Broker").field(node).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_hides_the_password() {
        let broker = Broker(Source::Named("amqp://tidings:s3cret@broker.example/".into()));
        assert!(!format!("{broker:?}").contains("s3cret"));
        assert!(!broker.is_private());
    }
}
