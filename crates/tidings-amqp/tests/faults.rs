//! A broker that is away, dies, or freezes: each test has a node of its own to do that to.

mod support;

use lapin::{BasicProperties, types::FieldTable};
use support::{Client, Names, logged, start, until};
use tidings_testkit::broker::{Error, Node};

const WAIT: &str = r#"{"kind":"wait"}"#;

/// A node, which is talked to on a thread where waiting harms nobody.
struct Broker {
    node: Option<Node>,
}

impl Broker {
    async fn start() -> Self {
        let node = tokio::task::spawn_blocking(Node::start).await.expect("no panic");
        Self { node: Some(node.expect("a broker")) }
    }

    fn url(&self) -> String {
        self.node.as_ref().expect("a node").url()
    }

    async fn with(&mut self, act: impl FnOnce(&mut Node) -> Result<(), Error> + Send + 'static) {
        let mut node = self.node.take().expect("a node");
        let acted = tokio::task::spawn_blocking(move || act(&mut node).map(|()| node)).await;
        self.node = Some(acted.expect("no panic").expect("done"));
    }

    async fn kill(&mut self) {
        self.with(Node::kill).await;
    }

    async fn stop(&mut self) {
        self.with(Node::stop).await;
    }

    /// Sees to it that what was declared outlives a kill: RabbitMQ may lose for good what it was told seconds before one.
    async fn settle(&mut self) {
        self.stop().await;
        self.restart().await;
    }

    async fn restart(&mut self) {
        self.with(Node::restart).await;
    }

    async fn suspend(&mut self) {
        self.with(|node| node.suspend()).await;
    }

    async fn resume(&mut self) {
        self.with(|node| node.resume()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker: cargo xtask test"]
async fn a_broker_that_is_away_at_the_start_is_caught_up_with() {
    let (mut broker, names) = (Broker::start().await, Names::new());
    Client::connect(&broker.url()).await.bind_events(&names, FieldTable::default()).await;
    broker.stop().await;
    let rig = start(names.config(&broker.url()).with_jobs_queue(""));
    let job = rig.submit("count", "100").await;
    rig.finished(job).await;
    assert_eq!((rig.status().health.as_str(), rig.status().lag), ("down", 104));
    broker.restart().await;
    rig.up().await;
    rig.caught_up().await;
    assert_eq!(rig.amqp.unroutable(), 0);
    let client = Client::connect(&broker.url()).await;
    let mut inbox = client.consume(&names.events).await;
    assert_eq!(inbox.events(job).await, logged(&rig.host, job).await);
    // Nobody has anything to say to the broker, and yet it is noticed that it is gone.
    broker.kill().await;
    rig.down().await;
    rig.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker: cargo xtask test"]
async fn every_event_is_in_the_queue_after_the_broker_was_killed_in_the_middle_of_a_job() {
    let (mut broker, names) = (Broker::start().await, Names::new());
    Client::connect(&broker.url()).await.bind_events(&names, FieldTable::default()).await;
    broker.settle().await;
    let rig = start(names.config(&broker.url()).with_jobs_queue(""));
    rig.up().await;
    let (counted, held) = (rig.submit("count", "8000").await, rig.submit("wait", "null").await);
    // In the middle of it, with a window full of events that are not confirmed.
    until("half", async || logged(&rig.host, counted).await.len() > 2000 && rig.status().lag > 0).await;
    broker.kill().await;
    rig.down().await;
    rig.finished(counted).await;
    broker.restart().await;
    rig.up().await;
    rig.gate.send_replace(true);
    rig.finished(held).await;
    rig.caught_up().await;
    assert_eq!(rig.amqp.unroutable(), 0);
    let client = Client::connect(&broker.url()).await;
    let mut inbox = client.consume(&names.events).await;
    let taken = inbox.events_of(&[counted, held]).await;
    for job in [counted, held] {
        assert_eq!(taken[&job], logged(&rig.host, job).await);
    }
    rig.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker: cargo xtask test"]
async fn a_frozen_broker_is_given_up_and_come_back_to() {
    let (mut broker, names) = (Broker::start().await, Names::new());
    Client::connect(&broker.url()).await.bind_events(&names, FieldTable::default()).await;
    let rig = start(names.config(&broker.url()));
    rig.up().await;
    broker.suspend().await;
    let job = rig.submit("count", "1000").await;
    rig.finished(job).await;
    rig.down().await;
    assert_eq!(rig.status().lag, 1004);
    broker.resume().await;
    rig.up().await;
    rig.caught_up().await;
    let client = Client::connect(&broker.url()).await;
    let mut inbox = client.consume(&names.events).await;
    assert_eq!(inbox.events(job).await, logged(&rig.host, job).await);
    rig.shut_down().await;
}

/// The message comes back over a new connection while its job still runs here: no other job is made of it, and it is
/// acknowledged when that one is over.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker: cargo xtask test"]
async fn a_job_that_outlives_its_broker_is_acknowledged_over_the_next_connection() {
    let (mut broker, names) = (Broker::start().await, Names::new());
    let rig = start(names.config(&broker.url()));
    rig.up().await;
    broker.settle().await;
    rig.up().await;
    let client = Client::connect(&broker.url()).await;
    client.publish(&names.jobs, WAIT, BasicProperties::default().with_message_id("m".into())).await;
    let job = rig.only_job().await;
    broker.kill().await;
    rig.down().await;
    broker.restart().await;
    rig.up().await;
    let client = Client::connect(&broker.url()).await;
    until("taken over", async || client.ready(&names.jobs).await == 0).await;
    rig.gate.send_replace(true);
    rig.finished(job).await;
    assert_eq!(rig.only_job().await, job);
    rig.shut_down().await;
    assert!(client.left_in(&names.jobs).await.is_empty());
}

/// A host whose broker never answers ends all the same.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker: cargo xtask test"]
async fn a_frozen_broker_does_not_keep_a_host_from_ending() {
    let (mut broker, names) = (Broker::start().await, Names::new());
    let rig = start(names.config(&broker.url()));
    rig.up().await;
    broker.suspend().await;
    let job = rig.submit("count", "10").await;
    rig.finished(job).await;
    rig.shut_down().await;
}
