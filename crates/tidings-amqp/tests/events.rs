//! Events go to a real broker, each of them, in order.

mod support;

use std::{collections::HashMap, sync::Arc};

use lapin::types::{AMQPValue, FieldTable};
use support::{Client, Kept, Names, broker, header, logged, park, start, submit, text, until};
use tidings_core::{Cursor, CursorStore, Draft, Limits, MemoryCursors, Progress, Retention, Submission, Tag};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker: cargo xtask test"]
async fn an_event_is_what_the_wire_shows() {
    let (broker, names) = (broker().await, Names::new());
    let client = Client::connect(&broker.url()).await;
    client.bind_events(&names, FieldTable::default()).await;
    let rig = start(names.config(&broker.url()));
    let job = rig.submit("count", "2").await;
    rig.finished(job).await;
    let log = logged(&rig.host, job).await;
    let mut inbox = client.consume(&names.events).await;
    let types = ["queued", "started", "progress", "progress", "counted.up", "succeeded"];
    assert_eq!(log.len(), types.len());
    for (seq, (json, kind)) in (1..).zip(log.iter().zip(types)) {
        let message = inbox.message().await;
        let event = tidings_core::Event::parse(message.data.clone().into()).expect("an event");
        assert_eq!(String::from_utf8_lossy(&message.data), *json);
        assert_eq!(message.routing_key.as_str(), format!("count.{job}.{kind}"));
        let properties = &message.properties;
        assert_eq!(properties.content_type().as_ref().map(|t| t.as_str()), Some("application/json"));
        assert_eq!(properties.kind().as_ref().map(|t| t.as_str()), Some(kind));
        assert_eq!(properties.message_id().as_ref().map(ToString::to_string), Some(format!("{job}:{seq}")));
        assert_eq!(properties.app_id().as_ref().map(|t| t.as_str()), Some("tidings"));
        assert_eq!(*properties.delivery_mode(), Some(2));
        assert_eq!(*properties.timestamp(), Some(event.time().as_millis() / 1000));
        assert_eq!(header(&message, "seq"), Some(&AMQPValue::LongLongInt(seq)));
        assert_eq!(text(&message, "cursor"), Some(event.cursor().to_string()));
    }
    rig.caught_up().await;
    assert_eq!(rig.amqp.unroutable(), 0);
    rig.shut_down().await;
    client.clean_up(&names).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker: cargo xtask test"]
async fn what_no_queue_is_bound_for_counts_as_told() {
    let (broker, names) = (broker().await, Names::new());
    let client = Client::connect(&broker.url()).await;
    let rig = start(names.config(&broker.url()));
    let job = rig.submit("count", "1000").await;
    rig.finished(job).await;
    rig.caught_up().await;
    assert_eq!(rig.amqp.unroutable(), 1004);
    rig.shut_down().await;
    client.clean_up(&names).await;
}

/// A queue that is full refuses events, out of any order: the relay goes back to the first that was not taken.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker: cargo xtask test"]
async fn refused_events_are_sent_again_without_loss_or_swap() {
    let (broker, names) = (broker().await, Names::new());
    let client = Client::connect(&broker.url()).await;
    let mut short = FieldTable::default();
    short.insert("x-max-length".into(), AMQPValue::LongInt(20));
    short.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
    client.bind_events(&names, short).await;
    let rig = start(names.config(&broker.url()));
    rig.up().await;
    let jobs = [rig.submit("count", "60").await, rig.submit("count", "60").await];
    rig.down().await;
    let mut inbox = client.consume(&names.events).await;
    let taken = inbox.events_of(&jobs).await;
    for job in jobs {
        assert_eq!(taken[&job], logged(&rig.host, job).await);
    }
    rig.caught_up().await;
    rig.shut_down().await;
    client.clean_up(&names).await;
}

/// A queue that is full is its owner's trouble: to the others goes what it refuses, with each try, and nothing else
/// again and again.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker: cargo xtask test"]
async fn a_queue_that_is_full_does_not_flood_the_others() {
    let (broker, names) = (broker().await, Names::new());
    let client = Client::connect(&broker.url()).await;
    let mut full = FieldTable::default();
    full.insert("x-max-length".into(), AMQPValue::LongInt(1));
    full.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
    client.bind_events(&names, full).await;
    client.queue(&names.replies).await;
    client.bind(&names, &names.replies).await;
    let rig = start(names.config(&broker.url()).with_jobs_queue(""));
    rig.up().await;
    let job = rig.submit("count", "200").await;
    rig.finished(job).await;
    rig.down().await;
    let since = rig.status().since;
    let mut other = client.consume(&names.replies).await;
    let mut copies: HashMap<String, u32> = HashMap::new();
    let refused = loop {
        let id = other.message().await.properties.message_id().as_ref().map(ToString::to_string).expect("an id");
        let copies = copies.entry(id.clone()).or_default();
        *copies += 1;
        // The first time was in the window that was refused; the others are tries.
        if *copies == 6 {
            break id;
        }
    };
    copies.remove(&refused);
    assert!(copies.values().all(|copies| *copies == 1), "{copies:?}");
    // It has not been back in between.
    assert_eq!((rig.status().health.as_str(), rig.status().since), ("down", since));
    let log = logged(&rig.host, job).await;
    assert_eq!(client.consume(&names.events).await.events(job).await, log);
    rig.caught_up().await;
    rig.up().await;
    rig.shut_down().await;
    client.clean_up(&names).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker: cargo xtask test"]
async fn what_was_dropped_before_it_could_be_told_is_told_as_a_gap() {
    let (broker, names) = (broker().await, Names::new());
    let client = Client::connect(&broker.url()).await;
    client.bind_events(&names, FieldTable::default()).await;
    let mut retention = Retention::default();
    retention.events_per_job = 10;
    let parked = park(names.config(&broker.url()), Kept::new(retention), Limits::default());
    let mut jobs = Vec::new();
    for _ in 0..2 {
        let submission = Submission::new("outside".parse().expect("a kind"), tidings_core::Json::null());
        let accepted = parked.host.jobs().submit(submission.with_lease(support::DEADLINE)).await.expect("accepted");
        let drafts = (1..=18).map(|done| Draft::progress(&Progress::new(done.into()))).collect();
        parked.host.jobs().report(accepted.job.id, None, drafts).await.expect("reported");
        jobs.push(accepted.job.id);
    }
    let rig = parked.run();
    let mut inbox = client.consume(&names.events).await;
    let mut gaps = Vec::new();
    for _ in 0..2 {
        let gap = inbox.message().await;
        let job = *jobs.iter().find(|job| gap.routing_key.as_str() == format!("outside.{job}.gap")).expect("a gap");
        assert_eq!(gap.properties.message_id().as_ref().map(ToString::to_string), Some(format!("{job}:gap:11")));
        assert_eq!(gap.properties.kind().as_ref().map(|t| t.as_str()), Some("gap"));
        assert_eq!(header(&gap, "seq"), Some(&AMQPValue::LongLongInt(10)));
        let body: serde_json::Value = serde_json::from_slice(&gap.data).expect("JSON");
        assert_eq!((&body["requested"], &body["resumed_at"]), (&0.into(), &11.into()));
        assert_eq!((&body["job"]["seq"], &body["job"]["progress"]["done"]), (&10.into(), &8.into()));
        gaps.push(job);
    }
    gaps.sort_unstable();
    assert_eq!(gaps, jobs);
    for (job, seq) in jobs.iter().flat_map(|job| (11..=20).map(move |seq| (job, seq))) {
        let message = inbox.message().await;
        assert_eq!(message.properties.message_id().as_ref().map(ToString::to_string), Some(format!("{job}:{seq}")));
    }
    rig.caught_up().await;
    rig.shut_down().await;
    client.clean_up(&names).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker: cargo xtask test"]
async fn events_of_a_forgotten_job_are_nothing_to_catch_up_with() {
    let (broker, names) = (broker().await, Names::new());
    let client = Client::connect(&broker.url()).await;
    client.bind_events(&names, FieldTable::default()).await;
    let parked = park(names.config(&broker.url()), Kept::default(), Limits::default());
    let submission = Submission::new("outside".parse().expect("a kind"), tidings_core::Json::null());
    let submission = submission.with_lease(support::DEADLINE);
    // One that stays is before it, so that the gap is told there, and nothing at all at the end of the log.
    parked.host.jobs().submit(submission.clone()).await.expect("accepted");
    let accepted = parked.host.jobs().submit(submission).await.expect("accepted");
    let last = vec![Draft::succeeded(&tidings_core::Json::null())];
    parked.host.jobs().report(accepted.job.id, None, last).await.expect("reported");
    parked.host.jobs().delete(accepted.job.id).await.expect("deleted");
    let rig = parked.run();
    assert_eq!(rig.status().lag, 5);
    rig.caught_up().await;
    // How it ended is told all the same.
    let gap = client.consume(&names.events).await.message().await;
    assert_eq!(
        gap.properties.message_id().as_ref().map(ToString::to_string),
        Some(format!("{}:gap:4", accepted.job.id))
    );
    let body: serde_json::Value = serde_json::from_slice(&gap.data).expect("JSON");
    assert_eq!((&body["job"]["state"], &body["job"]["seq"]), (&"succeeded".into(), &3.into()));
    rig.shut_down().await;
    client.clean_up(&names).await;
}

/// However soon a job is forgotten, its end is told, or a gap with the job as it ended; and nothing twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a broker: cargo xtask test"]
async fn the_end_of_a_job_that_is_forgotten_at_once_is_told() {
    let (broker, names) = (broker().await, Names::new());
    let client = Client::connect(&broker.url()).await;
    client.bind_events(&names, FieldTable::default()).await;
    let rig = start(names.config(&broker.url()));
    rig.up().await;
    let mut inbox = client.consume(&names.events).await;
    let jobs = rig.host.jobs();
    for told in [true, false].repeat(25) {
        let submission = Submission::new("outside".parse().expect("a kind"), tidings_core::Json::null());
        let accepted = jobs.submit(submission.with_lease(support::DEADLINE)).await.expect("accepted");
        // Its first events are told by then, or are being told.
        if told {
            rig.caught_up().await;
        }
        let last = vec![Draft::succeeded(&tidings_core::Json::null())];
        jobs.report(accepted.job.id, None, last).await.expect("reported");
        jobs.delete(accepted.job.id).await.expect("deleted");
        let mut seq = 0;
        while seq < 3 {
            let message = inbox.message().await;
            let body: serde_json::Value = serde_json::from_slice(&message.data).expect("JSON");
            assert!(message.routing_key.as_str().contains(&accepted.job.id.to_string()), "{body}");
            let next = if type_of(&message) == "gap" {
                assert_eq!(body["job"]["state"], "succeeded");
                body["resumed_at"].as_u64().map(|at| at - 1)
            } else {
                assert_eq!(body["seq"].as_u64(), Some(seq + 1));
                body["seq"].as_u64()
            };
            seq = next.expect("a number");
        }
    }
    rig.caught_up().await;
    rig.shut_down().await;
    client.clean_up(&names).await;
}

fn type_of(message: &lapin::message::Delivery) -> &str {
    message.properties.kind().as_ref().map_or("", |kind| kind.as_str())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker: cargo xtask test"]
async fn the_next_relay_goes_on_where_the_last_one_ended() {
    let (broker, names) = (broker().await, Names::new());
    let client = Client::connect(&broker.url()).await;
    client.bind_events(&names, FieldTable::default()).await;
    let kept = Kept::new(Retention::default());
    let mut inbox = client.consume(&names.events).await;
    for _ in 0..2 {
        let rig = park(names.config(&broker.url()), kept.clone(), Limits::default()).run();
        let job = rig.submit("count", "5").await;
        // Its end is told before the relay ends, and nothing of the job before it.
        rig.finished(job).await;
        let log = logged(&rig.host, job).await;
        rig.shut_down().await;
        for json in log {
            assert_eq!(String::from_utf8_lossy(&inbox.message().await.data), json);
        }
    }
    client.clean_up(&names).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker: cargo xtask test"]
async fn a_place_in_another_log_is_none_in_this_one() {
    let (broker, names) = (broker().await, Names::new());
    let client = Client::connect(&broker.url()).await;
    client.bind_events(&names, FieldTable::default()).await;
    let cursors = Arc::new(MemoryCursors::default());
    cursors.save("amqp", Cursor::new(2, Tag::START)).await.expect("saved");
    let kept = Kept { cursors: Some(cursors), ..Kept::new(Retention::default()) };
    let parked = park(names.config(&broker.url()), kept, Limits::default());
    let job = submit(&parked.host, "count", "3").await;
    let rig = parked.run();
    rig.finished(job).await;
    let mut inbox = client.consume(&names.events).await;
    assert_eq!(inbox.events(job).await, logged(&rig.host, job).await);
    rig.caught_up().await;
    rig.shut_down().await;
    client.clean_up(&names).await;
}

/// A job that the shutdown cuts off has a last event, and that is told too.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker: cargo xtask test"]
async fn a_shutdown_waits_until_the_last_event_is_told() {
    let (broker, names) = (broker().await, Names::new());
    let client = Client::connect(&broker.url()).await;
    client.bind_events(&names, FieldTable::default()).await;
    let mut limits = Limits::default();
    limits.grace_seconds = 0;
    let rig = park(names.config(&broker.url()), Kept::default(), limits).run();
    rig.up().await;
    let job = rig.submit("wait", "null").await;
    let host = rig.host.clone();
    until("running", async || logged(&host, job).await.len() == 3).await;
    rig.shut_down().await;
    let log = logged(&host, job).await;
    assert!(log.last().is_some_and(|last| last.contains("shutting-down")), "{log:?}");
    assert_eq!(client.consume(&names.events).await.events(job).await, log);
    client.clean_up(&names).await;
}
