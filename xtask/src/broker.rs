//! Finds a RabbitMQ, and has one installed where it may.

use tidings_testkit::broker::{self, Broker};

use crate::Result;
use crate::install::{Install, Packaged};

const RABBITMQ: Packaged = Packaged { name: "RabbitMQ", packages: &["rabbitmq-server"] };

/// The broker that the environment names, or a private node of the installed RabbitMQ, or of one that is installed
/// first.
pub(crate) fn obtain(install: Install) -> Result<Broker> {
    match Broker::find_or_start() {
        Err(error) if error.is_not_installed() => {}
        found => return Ok(found?),
    }
    RABBITMQ
        .install(install)
        .map_err(|error| format!("there is no broker: {error}, or set {} to the URL of one", broker::URL_VARIABLE))?;
    Ok(Broker::find_or_start()?)
}
