//! AMQP's part: a broker, and a queue on it that is bound before there is a job.

use std::net::SocketAddr;

use tidings_client::amqp::{self, Consumer};
use tidings_client::{Config, JobId, Update};
use tidings_testkit::broker::{Broker, URL_VARIABLE};
use tokio::task::spawn_blocking;

use super::follow::{SharedResult, reasons};
use super::spoil::{self, Road};
use crate::Result;
use crate::broker;
use crate::install::Install;

/// The port of AMQP without TLS, where a URL names none.
const PORT: &str = "5672";

/// A queue of the demo's own, to which the events of all pipelines go.
pub(super) struct Subscription {
    pub(super) broker: amqp::Broker,
    consumer: Consumer,
}

/// Gets a broker, and binds a queue: from then on no event of a pipeline is missed.
pub(super) async fn open(install: Install, road: Road) -> Result<(Broker, Subscription)> {
    println!("looking for a RabbitMQ: a private node takes some seconds to start");
    // What goes wrong there can't be sent between threads, but its text can.
    let obtaining = spawn_blocking(move || broker::obtain(install).map_err(|error| error.to_string()));
    let broker = obtaining.await??;
    let url = match road {
        Road::Straight => broker.url(),
        Road::Spoilt => {
            let whole = broker.url();
            let (head, target, tail) = split(&whole).ok_or("the broker's URL names no host")?;
            let proxy: SocketAddr = spoil::proxy(target).await?;
            format!("{head}{proxy}{tail}")
        }
    };
    let which =
        if broker.is_private() { "the private node".to_owned() } else { format!("the broker of {URL_VARIABLE}") };
    let unreachable = |error| format!("{which} can't be used: {}", reasons(&error));
    let client = amqp::Broker::new(&url, Config::default()).map_err(unreachable)?;
    let queue = amqp::Queue::temporary().bound_to("pipeline.#");
    let consumer = Consumer::open(&client, queue).await.map_err(unreachable)?;
    Ok((broker, Subscription { broker: client, consumer }))
}

impl Subscription {
    /// The next update of this job. Others may use the same broker, and what they do goes by.
    pub(super) async fn next(&mut self, job: JobId) -> SharedResult<Update> {
        loop {
            let delivery = self.consumer.next().await?;
            let update = delivery.update().clone();
            delivery.ack().await;
            let is_ours = match &update {
                Update::Event(event) => event.job() == job,
                Update::Gap(gap) => gap.job.as_str().contains(&job.to_string()),
                _ => false,
            };
            if is_ours {
                return Ok(update);
            }
        }
    }
}

/// The URL's text up to the host, the host with its port, and the rest.
fn split(url: &str) -> Option<(&str, String, &str)> {
    let start = url.find("://")? + "://".len();
    let end = url[start..].find(['/', '?']).map_or(url.len(), |length| start + length);
    let start = url[start..end].rfind('@').map_or(start, |at| start + at + 1);
    let host = &url[start..end];
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    let target = if has_port { host.to_owned() } else { format!("{host}:{PORT}") };
    (!host.is_empty()).then(|| (&url[..start], target, &url[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_host_fits_into_the_url_of_a_broker() {
        let parts = |url| split(url).map(|(head, target, tail)| format!("{head} {target} {tail}"));
        let whole = "amqp://me:p@ss@host:5673/%2f?heartbeat=5";
        assert_eq!(parts(whole).as_deref(), Some("amqp://me:p@ss@ host:5673 /%2f?heartbeat=5"));
        assert_eq!(parts("amqp://host").as_deref(), Some("amqp:// host:5672 "));
        assert_eq!(parts("amqp://[::1]:7/").as_deref(), Some("amqp:// [::1]:7 /"));
        assert_eq!(parts("amqp://[::1]?x=y").as_deref(), Some("amqp:// [::1]:5672 ?x=y"));
        assert_eq!(parts("amqp:///"), None);
        assert_eq!(parts("host"), None);
    }
}
