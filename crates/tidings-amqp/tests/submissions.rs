//! Submissions come from a real queue, and are acknowledged when their jobs are over.

mod support;

use std::sync::Arc;

use async_trait::async_trait;
use lapin::{
    BasicProperties,
    message::Delivery,
    options::BasicRejectOptions,
    types::{AMQPValue, FieldTable},
};
use serde_json::Value;
use support::{Client, Kept, Names, broker, header, park, park_with, start, text, until};
use tidings_core::{Draft, JobContext, JobError, JobId, Json, Limits, Retention, Worker};

const COUNT: &str = r#"{"kind":"count","input":2}"#;
const WAIT: &str = r#"{"kind":"wait"}"#;

fn keyed(id: &str) -> BasicProperties {
    BasicProperties::default().with_message_id(id.into())
}

fn asking(names: &Names, correlation: &str) -> BasicProperties {
    BasicProperties::default().with_reply_to(names.replies.as_str().into()).with_correlation_id(correlation.into())
}

fn json(delivery: &Delivery) -> Value {
    serde_json::from_slice(&delivery.data).expect("JSON")
}

fn correlation(delivery: &Delivery) -> Option<&str> {
    delivery.properties.correlation_id().as_ref().map(|id| id.as_str())
}

fn id(snapshot: &Value) -> JobId {
    snapshot["id"].as_str().and_then(|id| id.parse().ok()).expect("a job's id")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker: cargo xtask test"]
async fn a_message_becomes_a_job_and_its_sender_is_answered() {
    let (broker, names) = (broker().await, Names::new());
    let client = Client::connect(&broker.url()).await;
    client.bind_events(&names, FieldTable::default()).await;
    client.queue(&names.replies).await;
    let rig = start(names.config(&broker.url()));
    rig.up().await;
    client.publish(&names.jobs, COUNT, asking(&names, "c-1")).await;
    let reply = client.consume(&names.replies).await.message().await;
    assert_eq!(correlation(&reply), Some("c-1"));
    assert_eq!(reply.properties.content_type().as_ref().map(|t| t.as_str()), Some("application/json"));
    let snapshot = json(&reply);
    let job = id(&snapshot);
    assert_eq!(snapshot["links"]["amqp"]["exchange"], names.exchange.as_str());
    assert_eq!(snapshot["links"]["amqp"]["binding_key"], format!("count.{job}.#"));
    assert!(snapshot.get("report").is_none());
    assert_eq!(client.consume(&names.events).await.events(job).await, support::logged(&rig.host, job).await);
    rig.shut_down().await;
    assert!(client.left_in(&names.jobs).await.is_empty());
    assert_eq!(client.ready(&names.dead).await, 0);
    client.clean_up(&names).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker: cargo xtask test"]
async fn one_message_id_is_one_job() {
    let (broker, names) = (broker().await, Names::new());
    let client = Client::connect(&broker.url()).await;
    client.queue(&names.replies).await;
    let rig = start(names.config(&broker.url()));
    rig.up().await;
    let mut replies = client.consume(&names.replies).await;
    let mut jobs = Vec::new();
    for correlation in ["running", "running again"] {
        client.publish(&names.jobs, WAIT, asking(&names, correlation).with_message_id("m".into())).await;
        jobs.push(id(&json(&replies.message().await)));
    }
    rig.gate.send_replace(true);
    rig.finished(jobs[0]).await;
    client.publish(&names.jobs, WAIT, asking(&names, "over").with_message_id("m".into())).await;
    jobs.push(id(&json(&replies.message().await)));
    assert!(jobs.iter().all(|job| *job == jobs[0]), "{jobs:?}");
    assert_eq!(rig.jobs(), 1);
    client.publish(&names.jobs, COUNT, asking(&names, "another body").with_message_id("m".into())).await;
    assert_eq!(json(&replies.message().await)["type"], "urn:tidings:problem:idempotency-key-reused");
    until("dead", async || client.ready(&names.dead).await == 1).await;
    rig.shut_down().await;
    assert!(client.left_in(&names.jobs).await.is_empty());
    client.clean_up(&names).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker: cargo xtask test"]
async fn what_can_never_be_accepted_goes_to_the_dead_letters() {
    let (broker, names) = (broker().await, Names::new());
    let client = Client::connect(&broker.url()).await;
    client.queue(&names.replies).await;
    let mut limits = Limits::default();
    limits.submission_bytes = 1000;
    let rig = park(names.config(&broker.url()), Kept::default(), limits).run();
    rig.up().await;
    let (mut dead, mut replies) = (client.consume(&names.dead).await, client.consume(&names.replies).await);
    let large = format!(r#"{{"kind":"count","input":"{}"}}"#, "x".repeat(1000));
    for (body, problem) in [
        ("{", "malformed-json"),
        ("[]", "invalid-input"),
        (r#"{"kind":"nobody-runs-this"}"#, "unknown-kind"),
        (large.as_str(), "payload-too-large"),
    ] {
        let mut theirs = FieldTable::default();
        theirs.insert("theirs".into(), AMQPValue::LongInt(7));
        client.publish(&names.jobs, body, asking(&names, problem).with_headers(theirs)).await;
        let letter = dead.message().await;
        assert_eq!(String::from_utf8_lossy(&letter.data), body);
        assert_eq!(text(&letter, "problem").as_deref(), Some(problem));
        assert!(text(&letter, "detail").is_some_and(|detail| !detail.is_empty()));
        assert_eq!(header(&letter, "theirs"), Some(&AMQPValue::LongInt(7)));
        let reply = replies.message().await;
        assert_eq!(
            (correlation(&reply), reply.properties.content_type().as_ref().map(|t| t.as_str())),
            (Some(problem), Some("application/problem+json"))
        );
        assert_eq!(json(&reply)["type"], format!("urn:tidings:problem:{problem}"));
    }
    // Its token would go nowhere.
    client.publish(&names.jobs, r#"{"kind":"x","worker":"external"}"#, BasicProperties::default()).await;
    assert_eq!(text(&dead.message().await, "problem").as_deref(), Some("invalid-input"));
    rig.shut_down().await;
    assert!(client.left_in(&names.jobs).await.is_empty());
    client.clean_up(&names).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker: cargo xtask test"]
async fn whoever_opens_an_external_job_gets_its_token() {
    let (broker, names) = (broker().await, Names::new());
    let client = Client::connect(&broker.url()).await;
    client.queue(&names.replies).await;
    let rig = start(names.config(&broker.url()));
    rig.up().await;
    let body = r#"{"kind":"backup","worker":"external","lease_seconds":60}"#;
    client.publish(&names.jobs, body, asking(&names, "c")).await;
    let reply = json(&client.consume(&names.replies).await.message().await);
    let (job, report) = (id(&reply), &reply["report"]);
    assert_eq!((&report["lease_seconds"], &report["href"]), (&60.into(), &format!("/jobs/{job}/events").into()));
    let jobs = rig.host.jobs();
    jobs.authorize(job, report["token"].as_str().expect("a token")).expect("authorized");
    jobs.report(job, None, vec![Draft::succeeded(&Json::null())]).await.expect("reported");
    rig.shut_down().await;
    assert!(client.left_in(&names.jobs).await.is_empty());
    client.clean_up(&names).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker: cargo xtask test"]
async fn what_is_handed_back_too_often_goes_to_the_dead_letters() {
    let (broker, names) = (broker().await, Names::new());
    let client = Client::connect(&broker.url()).await;
    let mut config = names.config(&broker.url());
    config.delivery_limit = 3;
    // The queue stays as the host has declared it.
    let rig = start(config);
    rig.up().await;
    rig.shut_down().await;
    client.publish(&names.jobs, WAIT, BasicProperties::default()).await;
    let mut inbox = client.consume(&names.jobs).await;
    for _ in 0..4 {
        let options = BasicRejectOptions { requeue: true };
        inbox.delivery().await.reject(options).await.expect("rejected");
    }
    let letter = client.consume(&names.dead).await.message().await;
    assert_eq!(String::from_utf8_lossy(&letter.data), WAIT);
    assert!(header(&letter, "x-death").is_some());
    client.clean_up(&names).await;
}

/// The first host is gone before its jobs are over; the second one gets what the first had not acknowledged, and just
/// that.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker: cargo xtask test"]
async fn a_crash_hands_unfinished_jobs_to_the_next_host() {
    let (broker, names) = (broker().await, Names::new());
    let client = Client::connect(&broker.url()).await;
    let first = start(names.config(&broker.url()));
    first.up().await;
    client.publish(&names.jobs, WAIT, keyed("unfinished")).await;
    first.only_job().await;
    client.publish(&names.jobs, COUNT, keyed("finished")).await;
    until("both", async || first.jobs() == 2).await;
    first.crash().await;
    let second = start(names.config(&broker.url()));
    // Both may be, as an acknowledgement that was on its way goes down with its host.
    until("handed over", async || second.jobs() > 0 && client.ready(&names.jobs).await == 0).await;
    second.gate.send_replace(true);
    let taken = second.host.jobs().list(&tidings_core::Query::new(2)).jobs;
    assert!(taken.iter().any(|job| job.kind.as_str() == "wait"), "{taken:?}");
    for job in &taken {
        second.finished(job.id).await;
    }
    second.shut_down().await;
    assert_eq!(client.left_in(&names.jobs).await, [""; 0]);
    client.clean_up(&names).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker: cargo xtask test"]
async fn what_a_shutdown_cuts_off_or_leaves_waiting_goes_to_the_next_host() {
    let (broker, names) = (broker().await, Names::new());
    let client = Client::connect(&broker.url()).await;
    let mut limits = Limits::default();
    (limits.grace_seconds, limits.running) = (0, 1);
    let first = park(names.config(&broker.url()), Kept::default(), limits).run();
    first.up().await;
    for nth in ["running", "waiting", "waiting too"] {
        client.publish(&names.jobs, WAIT, keyed(nth)).await;
    }
    until("taken", async || first.jobs() == 3).await;
    first.shut_down().await;
    until("handed back", async || client.ready(&names.jobs).await == 3).await;
    let second = start(names.config(&broker.url()));
    second.gate.send_replace(true);
    until("taken again", async || second.jobs() == 3).await;
    for job in second.host.jobs().list(&tidings_core::Query::new(3)).jobs {
        second.finished(job.id).await;
    }
    second.shut_down().await;
    assert!(client.left_in(&names.jobs).await.is_empty());
    assert_eq!(client.ready(&names.dead).await, 0);
    client.clean_up(&names).await;
}

/// More than the host has room for waits in the queue, and is not handed back and forth.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker: cargo xtask test"]
async fn what_there_is_no_room_for_waits() {
    let (broker, names) = (broker().await, Names::new());
    let client = Client::connect(&broker.url()).await;
    let mut retention = Retention::default();
    retention.waiting = 1;
    let mut limits = Limits::default();
    limits.running = 1;
    let mut config = names.config(&broker.url());
    config.delivery_limit = 0;
    config.prefetch = 3;
    let rig = park(config, Kept::new(retention), limits).run();
    rig.up().await;
    for _ in 0..6 {
        client.publish(&names.jobs, WAIT, BasicProperties::default()).await;
    }
    until("full", async || rig.jobs() == 2).await;
    // Three are held here, of which there is no room for one; the others are not taken.
    until("held", async || client.ready(&names.jobs).await == 3).await;
    rig.gate.send_replace(true);
    until("all", async || rig.jobs() == 6).await;
    for job in rig.host.jobs().list(&tidings_core::Query::new(6)).jobs {
        rig.finished(job.id).await;
    }
    rig.shut_down().await;
    assert!(client.left_in(&names.jobs).await.is_empty());
    assert_eq!(client.ready(&names.dead).await, 0);
    client.clean_up(&names).await;
}

/// The broker takes a delivery back that is held for too long, and closes the channel: it is handed back before that.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker: cargo xtask test"]
async fn what_there_is_no_room_for_for_too_long_is_handed_back() {
    let (broker, names) = (broker().await, Names::new());
    let client = Client::connect(&broker.url()).await;
    let mut retention = Retention::default();
    retention.waiting = 1;
    let mut limits = Limits::default();
    limits.running = 1;
    let mut config = names.config(&broker.url());
    config.acknowledge_after_seconds = 1;
    let rig = park(config, Kept::new(retention), limits).run();
    rig.up().await;
    for nth in ["runs", "waits", "has no room"] {
        client.publish(&names.jobs, WAIT, keyed(nth)).await;
    }
    until("taken", async || rig.jobs() == 2 && client.ready(&names.jobs).await == 0).await;
    // It comes back to the host as well, but not for ever.
    let back = client.consume(&names.jobs).await.message().await;
    assert_eq!(back.properties.message_id().as_ref().map(|id| id.as_str()), Some("has no room"));
    rig.gate.send_replace(true);
    rig.shut_down().await;
    assert!(client.left_in(&names.jobs).await.is_empty());
    client.clean_up(&names).await;
}

/// A worker with a mistake in its look at the input.
#[derive(Debug)]
struct Mistaken;

#[async_trait]
impl Worker for Mistaken {
    fn check(&self, _: &Json) -> Result<(), String> {
        panic!("as it must")
    }

    async fn run(&self, _: JobContext) -> Result<Json, JobError> {
        Ok(Json::null())
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker: cargo xtask test"]
async fn a_submission_that_panics_is_in_nobodys_way() {
    let (broker, names) = (broker().await, Names::new());
    let client = Client::connect(&broker.url()).await;
    let (kind, worker) = ("mistaken".parse().expect("a kind"), Arc::new(Mistaken));
    let rig =
        park_with(names.config(&broker.url()), Kept::default(), |host| host.with_worker(kind, worker, None)).run();
    rig.up().await;
    client.publish(&names.jobs, r#"{"kind":"mistaken"}"#, BasicProperties::default()).await;
    client.publish(&names.jobs, COUNT, BasicProperties::default()).await;
    let letter = client.consume(&names.dead).await.message().await;
    assert_eq!(text(&letter, "problem").as_deref(), Some("internal"));
    assert_eq!(String::from_utf8_lossy(&letter.data), r#"{"kind":"mistaken"}"#);
    let job = rig.only_job().await;
    rig.finished(job).await;
    rig.shut_down().await;
    assert!(client.left_in(&names.jobs).await.is_empty());
    client.clean_up(&names).await;
}

/// The broker takes a delivery back that is held for too long: it is acknowledged before that, which makes room for the
/// next.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker: cargo xtask test"]
async fn a_job_that_runs_for_too_long_is_acknowledged_all_the_same() {
    let (broker, names) = (broker().await, Names::new());
    let client = Client::connect(&broker.url()).await;
    let mut config = names.config(&broker.url());
    (config.prefetch, config.acknowledge_after_seconds) = (1, 2);
    let rig = start(config);
    rig.up().await;
    client.publish(&names.jobs, WAIT, keyed("long")).await;
    client.publish(&names.jobs, WAIT, keyed("next")).await;
    until("the next is taken", async || rig.jobs() == 2).await;
    rig.crash().await;
    until("the next is handed back", async || client.ready(&names.jobs).await == 1).await;
    let next = client.consume(&names.jobs).await.message().await;
    assert_eq!(next.properties.message_id().as_ref().map(|id| id.as_str()), Some("next"));
    client.clean_up(&names).await;
}

/// A host that takes no submissions leaves the broker's queues alone.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker: cargo xtask test"]
async fn a_host_without_a_queue_takes_nothing() {
    let (broker, names) = (broker().await, Names::new());
    let client = Client::connect(&broker.url()).await;
    let rig = start(names.config(&broker.url()).with_jobs_queue(""));
    rig.up().await;
    let job = rig.submit("count", "1").await;
    rig.finished(job).await;
    rig.shut_down().await;
    let passive = lapin::options::QueueDeclareOptions { passive: true, ..Default::default() };
    let declared = client.channel.queue_declare(names.dead.as_str().into(), passive, FieldTable::default()).await;
    assert!(declared.is_err());
    Client::connect(&broker.url()).await.clean_up(&names).await;
}
