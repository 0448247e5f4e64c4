//! Following jobs over a queue.

use std::{fmt, pin::Pin};

use bytes::Bytes;
use futures_util::StreamExt;
use lapin::{
    Acker, BasicProperties, Channel, Connection, ExchangeKind,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions, BasicRejectOptions,
        ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable, LongString, ShortString},
};
use tidings_core::JobId;
use tokio::time::{sleep, timeout};

use super::{
    broker::{Broker, broken},
    places::{Places, Step, Verdict},
    publisher::short,
};
use crate::{
    backoff::Backoff,
    error::{Error, ErrorKind},
    update::{Gap, Update, parse_event},
};

/// A queue to follow jobs over: its kind, and the keys that it is bound with.
///
/// The routing key of an event is `<kind>.<job id>.<type>`; in a binding key `*` stands for one word and `#` for any
/// number: `pipeline.<job id>.#` is one job, `pipeline.#` all of a kind, `#` everything.
#[derive(Clone, Debug)]
pub struct Queue {
    /// Empty for one that the broker names.
    name: String,
    binding_keys: Vec<String>,
}

impl Queue {
    /// A queue that lasts: it holds what is published while nobody reads, and what was handed out and not acknowledged.
    /// Of several consumers one reads, and when that is gone another takes over. (A quorum queue with a single active
    /// consumer.)
    #[must_use]
    pub fn durable(name: impl Into<String>) -> Self {
        Self { name: name.into(), binding_keys: Vec::new() }
    }

    /// A queue that is the consumer's own and goes with its connection.
    #[must_use]
    pub fn temporary() -> Self {
        Self { name: String::new(), binding_keys: Vec::new() }
    }

    /// Events whose routing key matches go to it as well.
    #[must_use]
    pub fn bound_to(mut self, binding_key: impl Into<String>) -> Self {
        self.binding_keys.push(binding_key.into());
        self
    }

    fn is_temporary(&self) -> bool {
        self.name.is_empty()
    }
}

/// Reads updates of jobs from a queue, of each job every one once and in order.
///
/// It remembers one number a job and drops what is not the next of its job, so the repeats of a broker or server that
/// crashed don't show. The first of a job is `seq` 1 unless [`know`](Self::know) says otherwise: so a program that goes
/// on with a durable queue after a restart must say, before it reads, how far it was in the jobs that were not over.
///
/// Over a durable queue it connects again by itself after its connection broke, with growing, random pauses. With a
/// temporary queue that is an error: what was published meanwhile is lost, so open another, and read what is missing
/// over HTTP.
pub struct Consumer {
    broker: Broker,
    queue: Queue,
    state: State,
    places: Places,
    /// A delivery that was dropped without an answer. It is handed back before anything else.
    unanswered: Option<(Acker, JobId)>,
    backoff: Backoff,
}

enum State {
    Reading(Box<Link>),
    /// Kept here and not in the future that `next` returns, so that dropping that does not begin anew.
    Connecting(Pin<Box<dyn Future<Output = Result<Link, Error>> + Send>>),
    /// It has failed for good.
    Gone,
}

struct Link {
    /// Kept, as its last handle closes the connection.
    _connection: Connection,
    deliveries: lapin::Consumer,
}

/// An update that was read from a queue, to be answered by [`ack`](Self::ack), [`nack`](Self::nack) or
/// [`reject`](Self::reject). Dropping it is a `nack`.
#[derive(Debug)]
#[must_use = "dropping a delivery hands it back to the broker, which delivers it again"]
pub struct Delivery<'a> {
    consumer: &'a mut Consumer,
    update: Update,
    job: JobId,
    step: Step,
    /// `None` once it is answered.
    acker: Option<Acker>,
}

impl Consumer {
    /// Connects, declares the queue and its bindings, and begins to read: on `Ok`, what is published from now on will
    /// come.
    ///
    /// # Errors
    ///
    /// Where the broker is away or refuses.
    pub async fn open(broker: &Broker, queue: Queue) -> Result<Self, Error> {
        let link = Link::open(broker, &queue).await?;
        Ok(Self {
            broker: broker.clone(),
            queue,
            state: State::Reading(Box::new(link)),
            places: Places::default(),
            unanswered: None,
            backoff: Backoff::new(broker.config()),
        })
    }

    /// Says that this job is known up to `seq`, from wherever: what the queue holds of it up to there is dropped.
    pub fn know(&mut self, job: JobId, seq: u64) {
        self.places.know(job, seq);
    }

    /// Gives up the number that is kept for a job. Until then it is kept, as a job that is over may be repeated too.
    pub fn forget(&mut self, job: JobId) {
        self.places.forget(job);
    }

    /// The next update of any job.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Malformed`] for a message that is none of Tidings': it is rejected, and the next call goes on after
    /// it. All others are the end, and the next call errs as well: a temporary queue went with its connection, or the
    /// broker has been away for longer than configured.
    ///
    /// # Cancellation
    ///
    /// Safe: no update is lost, and a connection that is being made goes on being made with the next call.
    pub async fn next(&mut self) -> Result<Delivery<'_>, Error> {
        let (update, job, step, acker) = self.next_update().await?;
        Ok(Delivery { consumer: self, update, job, step, acker: Some(acker) })
    }

    async fn next_update(&mut self) -> Result<(Update, JobId, Step, Acker), Error> {
        loop {
            if let Some((acker, _)) = &self.unanswered {
                put_back(acker).await;
                if let Some((_, job)) = self.unanswered.take() {
                    self.places.put_back(job);
                }
            }
            let message = match &mut self.state {
                State::Reading(link) => match link.deliveries.next().await {
                    Some(Ok(message)) => message,
                    Some(Err(error)) => {
                        self.disconnected(broken(error))?;
                        continue;
                    }
                    None => {
                        self.disconnected(Error::new(ErrorKind::Disconnected, "the broker closed the queue"))?;
                        continue;
                    }
                },
                State::Connecting(connecting) => {
                    match connecting.await {
                        Ok(link) => self.connected(link),
                        Err(error) => self.disconnected(error)?,
                    }
                    continue;
                }
                State::Gone => return Err(Error::new(ErrorKind::Disconnected, "the queue was given up")),
            };
            self.backoff.succeeded();
            let acker = message.acker;
            let (update, job, step) = match parse(&message.properties, message.data) {
                Ok(parsed) => parsed,
                Err(error) => {
                    settle(acker.reject(BasicRejectOptions { requeue: false }).await);
                    return Err(error);
                }
            };
            match self.places.judge(job, step) {
                Verdict::Take => return Ok((update, job, step, acker)),
                Verdict::Drop => settle(acker.ack(BasicAckOptions::default()).await),
                Verdict::PutBack => put_back(&acker).await,
            }
        }
    }

    fn connected(&mut self, link: Link) {
        self.places.reconnected();
        self.state = State::Reading(Box::new(link));
    }

    fn disconnected(&mut self, error: Error) -> Result<(), Error> {
        self.unanswered = None;
        self.state = State::Gone;
        if self.queue.is_temporary() {
            return Err(error);
        }
        // What a broker refuses while it starts it grants a moment later: it has granted the same before.
        let error = match error.kind() {
            ErrorKind::Broker => Error::new(ErrorKind::Disconnected, "the broker refuses").with_source(error),
            _ => error,
        };
        let pause = self.backoff.failed(error)?;
        let (broker, queue) = (self.broker.clone(), self.queue.clone());
        self.state = State::Connecting(Box::pin(async move {
            sleep(pause).await;
            Link::open(&broker, &queue).await
        }));
        Ok(())
    }
}

impl Link {
    async fn open(broker: &Broker, queue: &Queue) -> Result<Self, Error> {
        let connection = broker.connect().await?;
        broker.counters().add_request();
        let consuming = async {
            let channel = connection.create_channel().await.map_err(broken)?;
            let name = declare(&channel, broker, queue).await?;
            channel.basic_qos(broker.config().prefetch, BasicQosOptions::default()).await.map_err(broken)?;
            let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
            channel.basic_consume(name, "".into(), options, arguments).await.map_err(broken)
        };
        match timeout(broker.config().answer_timeout, consuming).await {
            Ok(deliveries) => Ok(Self { deliveries: deliveries?, _connection: connection }),
            Err(_) => Err(Error::new(ErrorKind::Timeout, "the broker did not answer in time")),
        }
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").field("broker", &self.broker).field("queue", &self.queue).finish_non_exhaustive()
    }
}

impl Delivery<'_> {
    /// What was read.
    #[must_use]
    pub fn update(&self) -> &Update {
        &self.update
    }

    /// It is dealt with. If the connection breaks before the broker knows, it comes again and is dropped.
    pub async fn ack(mut self) {
        self.consumer.places.taken(self.job, self.step);
        if let Some(acker) = self.acker.take() {
            settle(acker.ack(BasicAckOptions::default()).await);
        }
    }

    /// It can't be dealt with now: it comes again, and nothing of its job before it.
    pub async fn nack(mut self) {
        self.consumer.places.put_back(self.job);
        if let Some(acker) = self.acker.take() {
            put_back(&acker).await;
        }
    }

    /// It can never be dealt with: the broker drops it, or moves it to the queue's dead-letter exchange, and what
    /// follows it comes.
    pub async fn reject(mut self) {
        self.consumer.places.taken(self.job, self.step);
        if let Some(acker) = self.acker.take() {
            settle(acker.reject(BasicRejectOptions { requeue: false }).await);
        }
    }
}

impl Drop for Delivery<'_> {
    fn drop(&mut self) {
        if let Some(acker) = self.acker.take() {
            self.consumer.unanswered = Some((acker, self.job));
        }
    }
}

/// Declares the queue with its bindings, and says its name. Declares the exchange too, as servers do, so that it does
/// not matter who is first.
async fn declare(channel: &Channel, broker: &Broker, queue: &Queue) -> Result<ShortString, Error> {
    let exchange = short(broker.exchange())?;
    let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    let declared = channel.exchange_declare(exchange.clone(), ExchangeKind::Topic, options, FieldTable::default());
    declared.await.map_err(broken)?;

    let temporary = queue.is_temporary();
    let options = QueueDeclareOptions {
        durable: !temporary,
        exclusive: temporary,
        auto_delete: temporary,
        ..QueueDeclareOptions::default()
    };
    let mut arguments = FieldTable::default();
    if !temporary {
        arguments.insert("x-queue-type".into(), AMQPValue::LongString(LongString::from("quorum")));
        // Until the broker has taken back what it sent over a connection that is broken or being closed, nobody else is
        // sent anything. Otherwise the later events of a job would come first, and be dropped.
        arguments.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
    }
    let declared = channel.queue_declare(short(&queue.name)?, options, arguments).await.map_err(broken)?;
    let name = declared.name().clone();
    for key in &queue.binding_keys {
        let (options, arguments) = (QueueBindOptions::default(), FieldTable::default());
        let bound = channel.queue_bind(name.clone(), exchange.clone(), short(key)?, options, arguments);
        bound.await.map_err(broken)?;
    }
    Ok(name)
}

async fn put_back(acker: &Acker) {
    settle(acker.nack(BasicNackOptions { requeue: true, ..BasicNackOptions::default() }).await);
}

/// An answer that does not reach the broker is no error: the message comes again over the next connection.
fn settle(answered: lapin::Result<bool>) {
    if let Err(error) = answered {
        tracing::debug!(%error, "a message could not be answered");
    }
}

fn parse(properties: &BasicProperties, body: Vec<u8>) -> Result<(Update, JobId, Step), Error> {
    let body = Bytes::from(body);
    if properties.kind().as_ref().is_some_and(|kind| kind.as_str() == "gap") {
        let gap = Gap::parse(&body)?;
        let id = properties.message_id().as_ref().and_then(|id| id.as_str().split(':').next()?.parse().ok());
        let job = id.ok_or_else(|| Error::malformed("a gap that does not name its job"))?;
        let step = Step::Over(gap.resumed_at);
        return Ok((Update::Gap(gap), job, step));
    }
    let event = parse_event(body)?;
    let (job, step) = (event.job(), Step::To(event.seq()));
    Ok((Update::Event(event), job, step))
}
