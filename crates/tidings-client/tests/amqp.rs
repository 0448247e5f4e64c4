//! The publisher and the consumer against a real broker.

use std::{env, io, time::Duration};

use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind,
    options::{
        BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions, ExchangeDeleteOptions,
        QueueDeclareOptions, QueueDeleteOptions,
    },
    types::FieldTable,
};
use tidings_client::{
    Config, ErrorKind, Event, JobId, Update,
    amqp::{Broker, Consumer, Publisher, Queue, Submission},
};
use tidings_core::{Draft, Tag, Timestamp};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// What ends a test that hangs.
const DEADLINE: Duration = Duration::from_secs(60);

fn broker_url() -> String {
    env::var("TIDINGS_AMQP_URL").expect("TIDINGS_AMQP_URL names a broker")
}

fn broker(server: &Server) -> Broker {
    broker_at(&broker_url(), server)
}

fn broker_at(url: &str, server: &Server) -> Broker {
    let config = serde_json::from_str(r#"{"first_pause": 0.01, "longest_pause": 0.1}"#).expect("a configuration");
    Broker::new(url, config).expect("a URL").with_exchange(&server.name).with_jobs_queue(&server.name)
}

/// The server's side of a test: an exchange and a queue under a name of its own, and the events of one job.
struct Server {
    _connection: Connection,
    channel: Channel,
    name: String,
    job: JobId,
    events: Vec<Event>,
}

impl Server {
    async fn new() -> Self {
        let runtime = async_rs::Runtime::tokio_current();
        let url = broker_url();
        let connecting = Connection::connect_with_runtime(&url, ConnectionProperties::default(), runtime);
        let connection = connecting.await.expect("the broker is there");
        let channel = connection.create_channel().await.expect("a channel");
        channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms");
        let job = JobId::new();
        let name = format!("tidings-client-test.{job}");
        let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        let declared =
            channel.exchange_declare(name.as_str().into(), ExchangeKind::Topic, options, FieldTable::default());
        declared.await.expect("an exchange");
        Self { _connection: connection, channel, events: history(job, 10), name, job }
    }

    /// Tells the events with these seqs.
    async fn tell(&self, seqs: impl IntoIterator<Item = usize>) {
        for seq in seqs {
            let event = &self.events[seq - 1];
            self.publish(event.kind().as_str(), &format!("{}:{seq}", self.job), event.json()).await;
        }
    }

    async fn publish(&self, kind: &str, id: &str, body: &[u8]) {
        let key = format!("pipeline.{}.{kind}", self.job);
        let properties =
            BasicProperties::default().with_delivery_mode(2).with_type(kind.into()).with_message_id(id.into());
        let (exchange, options) = (self.name.as_str().into(), BasicPublishOptions::default());
        let published = self.channel.basic_publish(exchange, key.into(), options, body, properties).await;
        let confirm = published.expect("the connection stands").await.expect("the broker confirms");
        assert!(confirm.is_ack());
    }

    fn queue(&self) -> Queue {
        Queue::temporary().bound_to(format!("*.{}.#", self.job))
    }

    fn durable_queue(&self) -> Queue {
        Queue::durable(&self.name).bound_to("pipeline.#")
    }

    async fn clean(self) {
        let _ = self.channel.queue_delete(self.name.as_str().into(), QueueDeleteOptions::default()).await;
        let _ = self.channel.exchange_delete(self.name.as_str().into(), ExchangeDeleteOptions::default()).await;
    }
}

fn history(job: JobId, events: u64) -> Vec<Event> {
    let mut sealed: Vec<Event> = Vec::new();
    let draft = |seq| if seq == events { Draft::cancelled(None) } else { Draft::log("stdout", &format!("line {seq}")) };
    for seq in 1..=events {
        let before = sealed.last().map_or((0, Tag::START), |event| (event.seq(), event.tag()));
        sealed.push(Event::seal(job, before, Timestamp::from_millis(1_795_255_203_123), &draft(seq)));
    }
    sealed
}

/// Takes and acknowledges updates up to the event with this seq; a gap counts as 0.
async fn take_until(consumer: &mut Consumer, events: &[Event], last: u64) -> Vec<u64> {
    let mut seqs = Vec::new();
    while seqs.last() != Some(&last) {
        let next = tokio::time::timeout(DEADLINE, consumer.next()).await;
        let delivery = next.expect("it comes in time").expect("the queue can be read");
        match delivery.update() {
            Update::Event(event) => {
                assert_eq!(event.json(), events[event.seq() as usize - 1].json());
                seqs.push(event.seq());
            }
            Update::Gap(_) => seqs.push(0),
            other => panic!("{other:?}"),
        }
        delivery.ack().await;
    }
    seqs
}

#[tokio::test]
#[ignore = "needs a broker: cargo xtask test"]
async fn repeats_and_what_comes_too_early_are_dropped() {
    let server = Server::new().await;
    let broker = broker(&server);
    let mut consumer = Consumer::open(&broker, server.queue()).await.expect("it opens");
    server.tell([1, 2, 3, 2, 3, 6, 7, 4, 5, 6, 7, 8, 8, 9, 10]).await;
    assert_eq!(take_until(&mut consumer, &server.events, 10).await, Vec::from_iter(1..=10));
    let traffic = broker.traffic();
    let bodies: usize = server.events.iter().map(|event| event.json().len()).sum();
    assert_eq!(traffic.requests, 1);
    assert!(traffic.received > bodies as u64 && traffic.sent > 0, "{traffic:?}");
    server.clean().await;
}

#[tokio::test]
#[ignore = "needs a broker: cargo xtask test"]
async fn who_joins_late_goes_on_after_the_history() {
    let server = Server::new().await;
    server.tell(1..=3).await;
    let mut consumer = Consumer::open(&broker(&server), server.queue()).await.expect("it opens");
    server.tell(4..=6).await;
    // The history is read only now, and reaches into what the queue holds.
    consumer.know(server.job, 5);
    server.tell(7..=10).await;
    assert_eq!(take_until(&mut consumer, &server.events, 10).await, [6, 7, 8, 9, 10]);
    server.clean().await;
}

#[tokio::test]
#[ignore = "needs a broker: cargo xtask test"]
async fn what_is_handed_back_comes_again_and_in_order() {
    for queue in [Server::queue, Server::durable_queue] {
        let server = Server::new().await;
        let mut consumer = Consumer::open(&broker(&server), queue(&server)).await.expect("it opens");
        server.tell(1..=10).await;
        assert_eq!(take_until(&mut consumer, &server.events, 2).await, [1, 2]);
        consumer.next().await.expect("the queue can be read").nack().await;
        assert_eq!(take_until(&mut consumer, &server.events, 5).await, [3, 4, 5]);
        drop(consumer.next().await.expect("the queue can be read"));
        assert_eq!(take_until(&mut consumer, &server.events, 7).await, [6, 7]);
        consumer.next().await.expect("the queue can be read").reject().await;
        assert_eq!(take_until(&mut consumer, &server.events, 10).await, [9, 10]);
        server.clean().await;
    }
}

#[tokio::test]
#[ignore = "needs a broker: cargo xtask test"]
async fn a_durable_queue_hands_over_what_was_not_acknowledged() {
    let server = Server::new().await;
    let mut first = Consumer::open(&broker(&server), server.durable_queue()).await.expect("it opens");
    server.tell(1..=5).await;
    assert_eq!(take_until(&mut first, &server.events, 3).await, [1, 2, 3]);
    // The first still holds 4 and 5 when the second joins and 6 is told: that must not overtake them.
    let mut second = Consumer::open(&broker(&server), server.durable_queue()).await.expect("it opens");
    server.tell(6..=10).await;
    drop(first);
    second.know(server.job, 3);
    assert_eq!(take_until(&mut second, &server.events, 10).await, Vec::from_iter(4..=10));
    server.clean().await;
}

#[tokio::test]
#[ignore = "needs a broker: cargo xtask test"]
async fn a_gap_is_told_and_what_is_no_event_is_an_error_once() {
    let server = Server::new().await;
    let mut consumer = Consumer::open(&broker(&server), server.queue()).await.expect("it opens");
    server.tell([1]).await;
    server.publish("log", "x", b"hello").await;
    server.publish("gap", &format!("{}:gap:8", server.job), br#"{"requested":1,"resumed_at":8,"job":{}}"#).await;
    server.tell([7, 8, 9, 10]).await;
    assert_eq!(take_until(&mut consumer, &server.events, 1).await, [1]);
    assert_eq!(consumer.next().await.expect_err("it is no event").kind(), ErrorKind::Malformed);
    assert_eq!(take_until(&mut consumer, &server.events, 10).await, [0, 8, 9, 10]);
    server.clean().await;
}

#[tokio::test]
#[ignore = "needs a broker: cargo xtask test"]
async fn a_durable_queue_survives_its_connection_and_a_temporary_one_says_so() {
    let server = Server::new().await;
    let cable = Cable::new().await;
    let broker = broker_at(&cable.url, &server);
    let mut lasting = Consumer::open(&broker, server.durable_queue()).await.expect("it opens");
    let mut passing = Consumer::open(&broker, server.queue()).await.expect("it opens");
    server.tell(1..=4).await;
    assert_eq!(take_until(&mut lasting, &server.events, 3).await, [1, 2, 3]);
    assert_eq!(take_until(&mut passing, &server.events, 4).await, [1, 2, 3, 4]);

    cable.cut();
    server.tell(5..=10).await;
    assert_eq!(take_until(&mut lasting, &server.events, 10).await, Vec::from_iter(4..=10));
    for _ in 0..2 {
        let error = passing.next().await.expect_err("it went with its connection");
        assert_eq!(error.kind(), ErrorKind::Disconnected);
        assert!(error.is_temporary());
    }
    server.clean().await;
}

#[tokio::test]
#[ignore = "needs a broker: cargo xtask test"]
async fn a_submission_arrives_with_its_properties() {
    let server = Server::new().await;
    let cable = Cable::new().await;
    let publisher = Publisher::new(&broker_at(&cable.url, &server));
    let submission = Submission::new(r#"{"kind":"pipeline"}"#).with_message_id("key").with_reply_to("replies", "7");
    let error = publisher.submit(&submission).await.expect_err("no server has made the queue");
    assert_eq!(error.kind(), ErrorKind::Broker);

    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    let name = server.name.as_str();
    let declared = server.channel.queue_declare(name.into(), options, FieldTable::default()).await;
    declared.expect("a queue");
    publisher.submit(&submission).await.expect("the broker takes it");
    cable.cut();
    // Whether the cut is noticed before or by the next submission, the one after it goes through.
    while let Err(error) = publisher.submit(&submission).await {
        assert!(error.is_temporary(), "{error:?}");
    }

    for _ in 0..2 {
        let got = server.channel.basic_get(name.into(), BasicGetOptions { no_ack: true }).await;
        let message = got.expect("the queue can be read").expect("there is a message").delivery;
        assert_eq!(message.data, br#"{"kind":"pipeline"}"#);
        let text = |value: &Option<lapin::types::ShortString>| value.as_ref().map(ToString::to_string);
        let properties = &message.properties;
        assert_eq!(text(properties.message_id()).as_deref(), Some("key"));
        assert_eq!(text(properties.reply_to()).as_deref(), Some("replies"));
        assert_eq!(text(properties.correlation_id()).as_deref(), Some("7"));
        assert_eq!(text(properties.content_type()).as_deref(), Some("application/json"));
        assert_eq!(*properties.delivery_mode(), Some(2));
    }
    server.clean().await;
}

#[tokio::test]
#[ignore = "needs a broker: cargo xtask test"]
async fn a_refused_login_is_no_reason_to_try_again() {
    let url = broker_url();
    let host = url.rsplit('@').next().and_then(|rest| rest.split("//").last()).expect("a URL has a host");
    let broker = Broker::new(&format!("amqp://nobody:hunter2@{host}"), Config::default()).expect("a URL");
    let error = Consumer::open(&broker, Queue::temporary()).await.expect_err("nobody can log in");
    assert_eq!(error.kind(), ErrorKind::Broker, "{error:?}");
    assert!(!format!("{error:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_broker_that_is_away_is_a_temporary_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("amqp://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let broker = Broker::new(&url, Config::default()).expect("a URL");
    let error = Consumer::open(&broker, Queue::temporary()).await.expect_err("nobody listens");
    assert_eq!(error.kind(), ErrorKind::Connect, "{error:?}");
    let error = Publisher::new(&broker).submit(&Submission::new("{}")).await.expect_err("nobody listens");
    assert!(error.is_temporary(), "{error:?}");
}

/// A way to the broker that can be cut; what connects after the cut gets through again.
struct Cable {
    url: String,
    cuts: watch::Sender<u32>,
}

impl Cable {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let here = listener.local_addr().expect("an address");
        let url = broker_url();
        let (_, after_scheme) = url.split_once("//").expect("a URL");
        let (login, rest) = after_scheme.split_once('@').unwrap_or(("guest:guest", after_scheme));
        let (there, vhost) =
            rest.split_once('/').map_or((rest, String::new()), |(host, vhost)| (host, format!("/{vhost}")));
        let there = if there.contains(':') { there.to_owned() } else { format!("{there}:5672") };
        let (cuts, cut) = watch::channel(0);
        let tunnel = async move {
            loop {
                let (mut ours, _) = listener.accept().await?;
                let mut theirs = TcpStream::connect(&there).await?;
                let mut cut = cut.clone();
                cut.mark_unchanged();
                tokio::spawn(async move {
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut ours, &mut theirs) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        };
        tokio::spawn(async {
            let tunnel: io::Result<()> = tunnel.await;
            tunnel
        });
        Self { url: format!("amqp://{login}@{here}{vhost}"), cuts }
    }

    fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}
