//! The relay shows what every transport must show, as far as that can be asked of a queue.

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use lapin::{
    BasicProperties, Channel, Connection as Link, ConnectionProperties, ExchangeKind,
    options::{BasicConsumeOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::{FieldTable, ShortString},
};
use tidings_amqp::{Amqp, Config};
use tidings_core::{Event, HostBuilder, JobId};
use tidings_testkit::{
    Adapter, Capabilities, Capability, Connection, End, Failure, Followed, Seen, Server, broker::Broker,
};
use tokio::sync::watch;

/// Shared by all tests, so that nothing else is left on a broker that others use too: the queues go with their
/// connections.
const EXCHANGE: &str = "tidings.test.conformance";

/// A queue that is bound to all events before the first job is there, and read into memory.
#[derive(Debug)]
struct Queue {
    broker: Broker,
    taken: watch::Sender<Vec<Message>>,
}

/// What came: the job, the cursor that is told with it, and the event's JSON.
#[derive(Clone, Debug)]
struct Message {
    job: String,
    cursor: String,
    json: Bytes,
}

impl Queue {
    fn new() -> Self {
        Self { broker: Broker::find_or_start().expect("a broker"), taken: watch::Sender::default() }
    }
}

#[async_trait]
impl Adapter for Queue {
    fn mount(&self, host: HostBuilder) -> HostBuilder {
        let config = Config::default().with_url(self.broker.url()).with_exchange(EXCHANGE).with_jobs_queue("");
        host.mount(Amqp::new(config))
    }

    fn capabilities(&self) -> Capabilities {
        let queue = "a queue is bound once, and holds what comes from then on";
        let broker = "a real broker is between, and keeps its own time";
        Capabilities::all()
            .without(Capability::Resumes, queue)
            .without(Capability::Refuses, queue)
            .without(Capability::TellsGaps, "a gap is told where the relay is overtaken, which tests/events.rs has")
            .without(Capability::Parks, broker)
            .without(Capability::VirtualTime, broker)
    }

    async fn prepare(&self, _: &Server) -> Result<(), Failure> {
        let failed = |error: lapin::Error| Failure::new(error.to_string());
        let connection = Link::connect(&self.broker.url(), ConnectionProperties::default()).await.map_err(failed)?;
        let channel = connection.create_channel().await.map_err(failed)?;
        let queue = bind(&channel).await.map_err(failed)?;
        let (options, arguments) =
            (BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() }, FieldTable::default());
        let mut consumer = channel.basic_consume(queue, "".into(), options, arguments).await.map_err(failed)?;
        let taken = self.taken.clone();
        tokio::spawn(async move {
            // Ends with its runtime, and the connection with it.
            while let Some(Ok(delivery)) = consumer.next().await {
                let message = read(&delivery.properties, delivery.data.into());
                taken.send_modify(|taken| taken.push(message));
            }
            drop(connection);
        });
        Ok(())
    }

    async fn follow(&self, _: &Server, job: JobId, _: Option<&str>) -> Result<Followed, Failure> {
        Ok(Followed::open(Reading {
            job: job.to_string(),
            taken: self.taken.subscribe(),
            next: 0,
            last: None,
            over: false,
        }))
    }
}

async fn bind(channel: &Channel) -> lapin::Result<ShortString> {
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    channel.exchange_declare(EXCHANGE.into(), ExchangeKind::Topic, durable, FieldTable::default()).await?;
    let own = QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
    let queue = channel.queue_declare("".into(), own, FieldTable::default()).await?.name().clone();
    let (options, arguments) = (QueueBindOptions::default(), FieldTable::default());
    channel.queue_bind(queue.clone(), EXCHANGE.into(), "#".into(), options, arguments).await?;
    Ok(queue)
}

fn read(properties: &BasicProperties, json: Bytes) -> Message {
    let id = properties.message_id().as_ref().map(ToString::to_string).unwrap_or_default();
    let headers = properties.headers().as_ref().map(FieldTable::inner);
    let cursor = headers.and_then(|headers| headers.get("cursor")?.as_long_string().map(ToString::to_string));
    Message { job: id.split(':').next().unwrap_or_default().to_owned(), cursor: cursor.unwrap_or_default(), json }
}

/// Reads the messages of one job, from the first.
#[derive(Debug)]
struct Reading {
    job: String,
    taken: watch::Receiver<Vec<Message>>,
    next: usize,
    last: Option<String>,
    over: bool,
}

#[async_trait]
impl Connection for Reading {
    async fn next(&mut self) -> Result<Seen, Failure> {
        if self.over {
            return Ok(Seen::End(End::Over));
        }
        loop {
            let message = {
                let next = self.next;
                let more = self.taken.wait_for(|taken| taken.len() > next).await;
                more.map_err(|_| Failure::new("the queue is gone"))?.get(next).cloned()
            };
            self.next += 1;
            let Some(message) = message.filter(|message| message.job == self.job) else { continue };
            self.over = Event::parse(message.json.clone()).is_ok_and(|event| event.is_terminal());
            self.last = Some(message.cursor);
            return Ok(Seen::Event(message.json));
        }
    }

    fn cursor(&self) -> Option<&str> {
        self.last.as_deref()
    }
}

tidings_testkit::conformance!(Queue::new(), #[ignore = "needs a broker: cargo xtask test"]);
