//! What there is on the broker, by which names.

use lapin::{
    Channel, ExchangeKind,
    options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable, LongString, ShortString},
};
use tidings_core::{Error, ErrorKind, JobId, Kind};

use crate::{Config, fault::Fault};

/// The type of the message that tells of events that are no longer kept. No event has it.
pub(crate) const GAP: &str = "gap";

/// What there is on the broker.
#[derive(Clone, Debug)]
pub(crate) struct Topology {
    /// The topic exchange for events.
    pub(crate) exchange: ShortString,
    /// The queue of submissions, where any are taken.
    pub(crate) jobs: Option<ShortString>,
    /// The exchange for submissions that can't be taken, and the queue that keeps them.
    pub(crate) dead: ShortString,
    delivery_limit: u16,
}

impl Topology {
    /// The names that are configured.
    pub(crate) fn new(config: &Config) -> Result<Self, Error> {
        let name = |knob: &str, name: &str| {
            // 255 bytes are what AMQP 0-9-1 has room for (4.2.5.3), and names with this prefix are the broker's own
            // (3.1.3.1).
            let usable = !name.is_empty() && !name.starts_with("amq.") && !name.chars().any(char::is_control);
            let name = if usable { ShortString::try_new(name).ok() } else { None };
            name.ok_or_else(|| {
                let message = format!("amqp: {knob} has to be 1 to 255 bytes long, and not to begin with amq.");
                Error::new(ErrorKind::Configuration, message)
            })
        };
        let taken = Some(config.jobs_queue.as_str()).filter(|queue| !queue.is_empty());
        let topology = Self {
            exchange: name("exchange", &config.exchange)?,
            jobs: taken.map(|queue| name("jobs_queue", queue)).transpose()?,
            dead: name("dead_letters", &config.dead_letters)?,
            delivery_limit: config.delivery_limit,
        };
        if topology.dead == topology.exchange || topology.jobs.as_ref() == Some(&topology.dead) {
            let message = "amqp: dead_letters needs a name of its own";
            return Err(Error::new(ErrorKind::Configuration, message));
        }
        Ok(topology)
    }

    /// Declares what events are published to. Changes nothing where it is there already.
    pub(crate) async fn declare_events(&self, channel: &Channel) -> Result<(), Fault> {
        let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        channel.exchange_declare(self.exchange.clone(), ExchangeKind::Topic, options, FieldTable::default()).await?;
        Ok(())
    }

    /// Declares what submissions are taken from, and where those go that can't be taken. Changes nothing where it is
    /// there already, and fails where it is there with other arguments.
    pub(crate) async fn declare_jobs(&self, channel: &Channel, jobs: &ShortString) -> Result<(), Fault> {
        let exchange = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        let (none, queue) = (FieldTable::default(), QueueDeclareOptions::durable());
        channel.exchange_declare(self.dead.clone(), ExchangeKind::Fanout, exchange, none.clone()).await?;
        channel.queue_declare(self.dead.clone(), queue, dead_arguments()).await?;
        let (key, bind) = (ShortString::default(), QueueBindOptions::default());
        channel.queue_bind(self.dead.clone(), self.dead.clone(), key, bind, none).await?;
        channel.queue_declare(jobs.clone(), queue, self.jobs_arguments()).await?;
        Ok(())
    }

    /// Says itself what brokers have come to differ in: the delivery limit is none before RabbitMQ 4.0.
    fn jobs_arguments(&self) -> FieldTable {
        let mut arguments = dead_arguments();
        arguments.insert("x-delivery-limit".into(), AMQPValue::LongInt(self.delivery_limit.into()));
        arguments.insert("x-dead-letter-exchange".into(), text(self.dead.as_str()));
        // Otherwise a dead letter that its queue did not take would be lost without a word; asks for the other way of
        // overflowing.
        arguments.insert("x-dead-letter-strategy".into(), text("at-least-once"));
        arguments.insert("x-overflow".into(), text("reject-publish"));
        arguments
    }
}

fn dead_arguments() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), text("quorum"));
    arguments
}

/// A header or an argument that is text.
pub(crate) fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(LongString::from(value))
}

/// Where a message about a job goes: a type may hold dots, the others can't.
pub(crate) fn routing_key(kind: &Kind, job: JobId, message_type: &str) -> String {
    format!("{kind}.{job}.{message_type}")
}

/// What a queue is bound with for all messages about a job.
pub(crate) fn binding_key(kind: &Kind, job: JobId) -> String {
    format!("{kind}.{job}.#")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_what_the_wire_shows() {
        let (kind, job) = ("pipeline".parse().expect("a kind"), JobId::new());
        assert_eq!(routing_key(&kind, job, "build.cached"), format!("pipeline.{job}.build.cached"));
        assert_eq!(binding_key(&kind, job), format!("pipeline.{job}.#"));
        let longest = "k".repeat(64).parse().expect("a kind");
        assert!(ShortString::try_new(routing_key(&longest, job, &"t".repeat(64))).is_ok());
    }

    #[test]
    fn submissions_have_a_quorum_queue_with_a_limit_and_dead_letters() {
        let topology = Topology::new(&Config::default()).expect("the default");
        let arguments = topology.jobs_arguments();
        let get = |name: &str| arguments.inner().get(name).cloned();
        assert_eq!(get("x-queue-type"), Some(text("quorum")));
        assert_eq!(get("x-delivery-limit"), Some(AMQPValue::LongInt(20)));
        assert_eq!(get("x-dead-letter-exchange"), Some(text("tidings.jobs.dead")));
    }

    #[test]
    fn names_that_no_broker_takes_are_refused() {
        let refused = |config: Config| Topology::new(&config).err().map(|error| error.kind());
        let long = "x".repeat(256);
        for name in ["", "amq.topic", "a\nb", long.as_str()] {
            assert_eq!(refused(Config::default().with_exchange(name)), Some(ErrorKind::Configuration), "{name}");
            assert_eq!(refused(Config::default().with_dead_letters(name)), Some(ErrorKind::Configuration), "{name}");
        }
        assert_eq!(refused(Config::default().with_dead_letters("tidings.jobs")), Some(ErrorKind::Configuration));
        let none = Topology::new(&Config::default().with_jobs_queue("")).expect("no submissions");
        assert_eq!(none.jobs, None);
    }
}
