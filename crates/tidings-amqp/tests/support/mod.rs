//! What the tests against a real broker share: hosts, and a plain client on the other side.

#![allow(dead_code, reason = "each test file takes what it needs")]

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::StreamExt as _;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind,
    message::Delivery,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions,
        ExchangeDeleteOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions,
    },
    types::{AMQPValue, FieldTable},
};
use tidings_amqp::{Amqp, Config};
use tidings_core::{
    Context, CursorStore, Driver, Error, EventLog, Host, HostBuilder, JobError, JobId, Json, Limits, MemoryCursors,
    MemoryLog, Mount, Notifier, Progress, Retention, Status, Submission,
};
use tidings_testkit::broker::Broker;
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
};

/// Ends what hangs; nothing waits for so long that goes well.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Waits until a condition holds.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(DEADLINE, waiting).await.is_ok(), "never: {what}");
}

/// The broker that is named, or a node of this test's own.
pub(crate) async fn broker() -> Broker {
    let found = tokio::task::spawn_blocking(Broker::find_or_start).await.expect("no panic");
    found.expect("a broker")
}

/// Names on the broker that no other test has.
pub(crate) struct Names {
    pub(crate) exchange: String,
    pub(crate) jobs: String,
    pub(crate) dead: String,
    pub(crate) events: String,
    pub(crate) replies: String,
}

impl Names {
    pub(crate) fn new() -> Self {
        let id = JobId::new();
        let name = |what: &str| format!("test.{id}.{what}");
        Self {
            exchange: name("events"),
            jobs: name("jobs"),
            dead: name("dead"),
            events: name("queue"),
            replies: name("replies"),
        }
    }

    /// Everything under these names, with deadlines that suit a test.
    pub(crate) fn config(&self, url: &str) -> Config {
        let mut config = Config::default()
            .with_url(url)
            .with_exchange(&self.exchange)
            .with_jobs_queue(&self.jobs)
            .with_dead_letters(&self.dead);
        config.heartbeat_seconds = 2;
        config.connect_seconds = 2;
        config.answer_seconds = 5;
        config.pause_seconds = 1;
        config
    }
}

/// Holds jobs of kind `wait` until it is opened.
pub(crate) type Gate = Arc<watch::Sender<bool>>;

/// A host with the relay, running.
pub(crate) struct Rig {
    pub(crate) host: Host,
    pub(crate) amqp: Amqp,
    pub(crate) gate: Gate,
    stop: Option<oneshot::Sender<()>>,
    driver: JoinHandle<()>,
}

/// A host that is put together and does not run yet.
pub(crate) struct Parked {
    pub(crate) host: Host,
    pub(crate) amqp: Amqp,
    pub(crate) gate: Gate,
    driver: Driver,
}

/// What a host keeps, for another one to take up.
#[derive(Clone, Default)]
pub(crate) struct Kept {
    pub(crate) log: Option<Arc<dyn EventLog>>,
    pub(crate) cursors: Option<Arc<dyn CursorStore>>,
}

impl Kept {
    pub(crate) fn new(retention: Retention) -> Self {
        Self { log: Some(Arc::new(MemoryLog::new(retention))), cursors: Some(Arc::new(MemoryCursors::default())) }
    }
}

/// Lends a transport to a host, so that a test can go on asking it.
#[derive(Debug)]
struct Lent(Amqp);

impl Notifier for Lent {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn mount(&self, cx: &Context) -> Result<Mount, Error> {
        self.0.mount(cx)
    }
}

pub(crate) fn park(config: Config, kept: Kept, limits: Limits) -> Parked {
    park_with(config, kept, |host| host.with_limits(limits))
}

/// The same of a host that has more to it.
pub(crate) fn park_with(config: Config, kept: Kept, more: impl FnOnce(HostBuilder) -> HostBuilder) -> Parked {
    let gate: Gate = Arc::new(watch::channel(false).0);
    let amqp = Amqp::new(config);
    let host = with_kinds(Host::builder(), &gate)
        .with_log(kept.log.unwrap_or_else(|| Arc::new(MemoryLog::new(Retention::default()))))
        .with_cursors(kept.cursors.unwrap_or_else(|| Arc::new(MemoryCursors::default())))
        .mount(Lent(amqp.clone()));
    let (host, driver) = more(host).build().expect("a host");
    Parked { host, amqp, gate, driver }
}

pub(crate) fn start(config: Config) -> Rig {
    park(config, Kept::default(), Limits::default()).run()
}

/// `count` tells as many progress events as its input says; `wait` ends when the gate is opened.
fn with_kinds(builder: HostBuilder, gate: &Gate) -> HostBuilder {
    let gate = gate.clone();
    builder
        .with_job("count".parse().expect("a kind"), async |job| {
            let count: u32 = job.input().to().unwrap_or_default();
            for done in 1..=count {
                job.progress(Progress::new(done.into()).with_total(count.into())).await?;
            }
            job.emit("counted.up".parse().expect("a type"), Json::null()).await?;
            Ok(Json::null())
        })
        .with_job("wait".parse().expect("a kind"), move |job| {
            let mut gate = gate.subscribe();
            async move {
                job.log("stdout", "waiting").await?;
                tokio::select! {
                    opened = gate.wait_for(|open| *open) => drop(opened.expect("the gate outlives the host")),
                    () = job.cancelled().cancelled() => return Err(JobError::cancelled()),
                }
                Ok(Json::null())
            }
        })
}

impl Parked {
    pub(crate) fn run(self) -> Rig {
        let (stop, stopped) = oneshot::channel::<()>();
        let driver = tokio::spawn(self.driver.run(async { drop(stopped.await) }));
        Rig { host: self.host, amqp: self.amqp, gate: self.gate, stop: Some(stop), driver }
    }
}

impl Rig {
    pub(crate) fn status(&self) -> Status {
        self.host.statuses().next().expect("one transport").1
    }

    pub(crate) async fn up(&self) {
        until("up", async || self.status().health.as_str() == "up").await;
    }

    pub(crate) async fn down(&self) {
        until("down", async || self.status().health.as_str() == "down").await;
    }

    pub(crate) async fn caught_up(&self) {
        until("caught up", async || self.status().lag == 0).await;
    }

    /// A job of this kind, which is submitted within the process.
    pub(crate) async fn submit(&self, kind: &str, input: &str) -> JobId {
        submit(&self.host, kind, input).await
    }

    pub(crate) async fn finished(&self, job: JobId) {
        let finished = tokio::time::timeout(DEADLINE, self.host.feed().finished(job)).await;
        finished.expect("it ends").expect("it is known");
    }

    /// How many jobs there are.
    pub(crate) fn jobs(&self) -> usize {
        self.host.jobs().list(&tidings_core::Query::new(usize::MAX)).jobs.len()
    }

    /// The one job that there is.
    pub(crate) async fn only_job(&self) -> JobId {
        until("a job", async || self.jobs() > 0).await;
        let jobs = self.host.jobs().list(&tidings_core::Query::new(2)).jobs;
        assert_eq!(jobs.len(), 1);
        jobs[0].id
    }

    /// Ends it in good order.
    pub(crate) async fn shut_down(mut self) {
        drop(self.stop.take());
        tokio::time::timeout(DEADLINE, &mut self.driver).await.expect("it ends").expect("no panic");
    }

    /// Ends it as a crash would: nothing is told to anybody any more.
    pub(crate) async fn crash(self) {
        self.driver.abort();
        assert!(self.driver.await.is_err());
    }
}

pub(crate) async fn submit(host: &Host, kind: &str, input: &str) -> JobId {
    let input = Json::parse(input.as_bytes()).expect("JSON");
    let submission = Submission::new(kind.parse().expect("a kind"), input);
    host.jobs().submit(submission).await.expect("accepted").job.id
}

/// The JSON of all events of a job, as the log has them.
pub(crate) async fn logged(host: &Host, job: JobId) -> Vec<String> {
    let limit = tidings_core::Limit { events: usize::MAX, bytes: usize::MAX };
    let page = host.feed().read(job, tidings_core::Cursor::START, limit).await.expect("known");
    page.events().map(|entry| String::from_utf8_lossy(entry.event.json()).into_owned()).collect()
}

/// A plain client, on a connection of its own.
pub(crate) struct Client {
    connection: Connection,
    pub(crate) channel: Channel,
}

impl Client {
    pub(crate) async fn connect(url: &str) -> Self {
        let connection = Connection::connect(url, ConnectionProperties::default()).await.expect("a connection");
        let channel = connection.create_channel().await.expect("a channel");
        channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms");
        Self { connection, channel }
    }

    /// A queue that gets all events.
    pub(crate) async fn bind_events(&self, names: &Names, arguments: FieldTable) {
        let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        let exchange = names.exchange.as_str();
        let declared =
            self.channel.exchange_declare(exchange.into(), ExchangeKind::Topic, durable, FieldTable::default());
        declared.await.expect("an exchange");
        let queue = names.events.as_str();
        let declared = self.channel.queue_declare(queue.into(), QueueDeclareOptions::durable(), arguments);
        declared.await.expect("a queue");
        self.bind(names, queue).await;
    }

    /// Has a queue get all events as well.
    pub(crate) async fn bind(&self, names: &Names, queue: &str) {
        let (options, none) = (QueueBindOptions::default(), FieldTable::default());
        let bound = self.channel.queue_bind(queue.into(), names.exchange.as_str().into(), "#".into(), options, none);
        bound.await.expect("bound");
    }

    pub(crate) async fn queue(&self, name: &str) {
        let options = QueueDeclareOptions { auto_delete: true, ..QueueDeclareOptions::default() };
        self.channel.queue_declare(name.into(), options, FieldTable::default()).await.expect("a queue");
    }

    pub(crate) async fn publish(&self, queue: &str, body: &str, properties: BasicProperties) {
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let confirm = self.channel.basic_publish("".into(), queue.into(), options, body.as_bytes(), properties).await;
        let confirmed = confirm.expect("sent").await.expect("confirmed");
        assert!(confirmed.is_ack() && confirmed.take_message().is_none(), "{queue}");
    }

    pub(crate) async fn consume(&self, queue: &str) -> Inbox {
        let options = BasicConsumeOptions::default();
        let consumer = self.channel.basic_consume(queue.into(), "".into(), options, FieldTable::default()).await;
        Inbox(consumer.expect("a consumer"))
    }

    /// How many messages of a queue are delivered to nobody.
    pub(crate) async fn ready(&self, queue: &str) -> u32 {
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let declared = self.channel.queue_declare(queue.into(), passive, FieldTable::default()).await;
        declared.expect("a queue").message_count()
    }

    /// The bodies of all messages that a queue still has for somebody else.
    pub(crate) async fn left_in(&self, queue: &str) -> Vec<String> {
        const MARK: &str = "nothing is behind this";
        self.publish(queue, MARK, BasicProperties::default()).await;
        let mut inbox = self.consume(queue).await;
        let mut left = Vec::new();
        loop {
            match String::from_utf8_lossy(&inbox.message().await.data).into_owned() {
                body if body == MARK => return left,
                body => left.push(body),
            }
        }
    }

    /// Leaves nothing behind.
    pub(crate) async fn clean_up(self, names: &Names) {
        for queue in [&names.jobs, &names.dead, &names.events, &names.replies] {
            let _ = self.channel.queue_delete(queue.as_str().into(), QueueDeleteOptions::default()).await;
        }
        for exchange in [&names.exchange, &names.dead] {
            let _ = self.channel.exchange_delete(exchange.as_str().into(), ExchangeDeleteOptions::default()).await;
        }
        let _ = self.connection.close(200, "OK".into()).await;
    }
}

/// What comes from one queue.
pub(crate) struct Inbox(lapin::Consumer);

impl Inbox {
    /// The next message, which is not acknowledged yet.
    pub(crate) async fn delivery(&mut self) -> Delivery {
        let delivery = tokio::time::timeout(DEADLINE, self.0.next()).await.expect("a message in time");
        delivery.expect("the queue is there").expect("the connection is there")
    }

    /// The next message, acknowledged.
    pub(crate) async fn message(&mut self) -> Delivery {
        let delivery = self.delivery().await;
        delivery.ack(BasicAckOptions::default()).await.expect("acknowledged");
        delivery
    }

    /// All events of a job up to its end, as a consumer takes them that drops what is not next.
    pub(crate) async fn events(&mut self, job: JobId) -> Vec<String> {
        self.events_of(&[job]).await.remove(&job).unwrap_or_default()
    }

    /// The same of several jobs.
    pub(crate) async fn events_of(&mut self, jobs: &[JobId]) -> HashMap<JobId, Vec<String>> {
        let mut taken: HashMap<JobId, Vec<String>> = HashMap::new();
        let (mut ended, mut seen) = (0, Vec::new());
        while ended < jobs.len() {
            let Ok(message) = tokio::time::timeout(DEADLINE / 2, self.message()).await else {
                let next: Vec<_> = taken.values().map(|events| events.len() + 1).collect();
                panic!("no event is left, and each job waits for one of {next:?}; the last that came are {seen:?}");
            };
            seen.push(message.properties.message_id().as_ref().map(ToString::to_string));
            seen.drain(..seen.len().saturating_sub(600));
            let event = tidings_core::Event::parse(message.data.clone().into()).expect("an event");
            let events = taken.entry(event.job()).or_default();
            if event.seq() == events.len() as u64 + 1 {
                events.push(String::from_utf8_lossy(event.json()).into_owned());
                ended += usize::from(event.is_terminal() && jobs.contains(&event.job()));
            }
        }
        taken
    }
}

pub(crate) fn header<'a>(delivery: &'a Delivery, name: &str) -> Option<&'a AMQPValue> {
    delivery.properties.headers().as_ref()?.inner().get(name)
}

/// A header that is text.
pub(crate) fn text(delivery: &Delivery, name: &str) -> Option<String> {
    header(delivery, name)?.as_long_string().map(ToString::to_string)
}
