//! One job, written while many clients join at random moments over every transport.

mod support;

use std::time::Duration;

use http::{Request, Uri};
use serde_json::{Value, json};
use support::Server;
use tidings_client::{
    Config, Cursor, Event, Follower, HttpClient, JobId, Update,
    amqp::{Broker, Consumer, Queue},
    long_poll, short_poll, sse,
};
use tokio::{sync::watch, task::JoinSet};

/// The events of the job, the first two and the last one included.
const EVENTS: u64 = 10_000;

/// Clients of each transport.
const CLIENTS: usize = 25;

/// Until where clients of the broker join. The writer waits for them there, so that less than half of the events are
/// history to them.
const QUEUES_JOIN_UNTIL: u64 = EVENTS * 2 / 5;

/// Ends a test that hangs.
const HANGS: Duration = Duration::from_secs(300);

/// What a client has seen.
struct Seen {
    client: String,
    events: Vec<Event>,
    /// How many of them came from the client's own queue.
    queued: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a broker: cargo xtask test"]
async fn whoever_joins_sees_every_event_once_over_every_transport() {
    let broker = tokio::task::spawn_blocking(tidings_testkit::broker::Broker::find_or_start);
    let broker = broker.await.expect("it does not panic").expect("a broker");
    let crowd = tokio::time::timeout(HANGS, crowd(&broker.url())).await;
    crowd.expect("it does not hang");
}

async fn crowd(broker_url: &str) {
    let exchange = format!("tidings-crowd.{}", JobId::new());
    let config = format!("url = {broker_url:?}\nexchange = \"{exchange}\"\njobs_queue = \"\"\n");
    let server = Server::start(&format!("[transports.amqp]\n{config}"));
    let broker = Broker::new(broker_url, Config::default()).expect("a URL").with_exchange(&exchange);

    let job = server.post("/jobs", &json!({ "kind": "crowd", "worker": "external", "lease_seconds": 600 })).json();
    let text = |value: &Value| value.as_str().expect("a string").to_owned();
    let (id, token) = (text(&job["id"]), text(&job["report"]["token"]));
    let url =
        |transport: &str| -> Uri { format!("http://{}/jobs/{id}/{transport}", server.address).parse().expect("a URL") };

    let (written, progress) = watch::channel(2);
    let (joined, mut queues) = watch::channel(0);
    let mut clients = JoinSet::new();
    for nth in 0..CLIENTS {
        for transport in ["short-poll", "long-poll", "sse"] {
            let (url, joins_at, progress) = (url(transport), fastrand::u64(0..EVENTS), progress.clone());
            clients.spawn(async move {
                reached(progress, joins_at).await;
                let client = HttpClient::default();
                let follower = match transport {
                    "short-poll" => short_poll::follow(&client, url, None),
                    "long-poll" => long_poll::follow(&client, url, None),
                    _ => sse::follow(&client, url, None),
                };
                let client = format!("{transport} {nth}, which joined at {joins_at}");
                Seen { client, events: all(follower).await, queued: 0 }
            });
        }
        let (url, broker, progress, joined) = (url("short-poll"), broker.clone(), progress.clone(), joined.clone());
        let (job, joins_at) = (id.parse().expect("an id"), fastrand::u64(0..QUEUES_JOIN_UNTIL));
        clients.spawn(async move {
            reached(progress, joins_at).await;
            let client = format!("amqp {nth}, which joined at {joins_at}");
            let (events, queued) = by_queue(&broker, job, &url, &joined).await;
            Seen { client, events, queued }
        });
    }

    let reporter = HttpClient::default();
    let reports: Uri = format!("http://{}/jobs/{id}/events", server.address).parse().expect("a URL");
    let mut next = 3;
    while next <= EVENTS {
        let last = (next + 19).min(EVENTS);
        let body: Vec<_> = (next..=last).map(event).collect();
        let request = Request::post(&reports).header("authorization", format!("Bearer {token}"));
        let request = request.body(Value::from(body).to_string().into()).expect("a request");
        let answer = reporter.send(request).await.expect("an answer");
        assert_eq!(answer.status(), 200, "{answer:?}");
        written.send_replace(last);
        if last >= QUEUES_JOIN_UNTIL {
            queues.wait_for(|joined| *joined == CLIENTS).await.expect("they are joining");
        }
        next = last + 1;
    }

    let first = clients.join_next().await.expect("clients").expect("no panic");
    assert_complete(&first);
    while let Some(seen) = clients.join_next().await {
        let seen = seen.expect("no panic");
        assert_complete(&seen);
        let same = seen.events.iter().zip(&first.events).all(|(one, other)| one.json() == other.json());
        assert!(same, "{} and {} saw other bytes", seen.client, first.client);
    }
}

/// The report of the event that is to have this seq.
fn event(seq: u64) -> Value {
    if seq == EVENTS {
        return json!({ "type": "succeeded" });
    }
    json!({ "type": "tick", "data": { "n": seq } })
}

/// Comes back once so many events are written.
async fn reached(mut progress: watch::Receiver<u64>, events: u64) {
    progress.wait_for(|written| *written >= events).await.expect("they are being written");
}

async fn all(mut follower: Follower) -> Vec<Event> {
    let mut events = Vec::new();
    while let Some(update) = follower.next().await {
        match update.expect("it goes on") {
            Update::Event(event) => events.push(event),
            other => panic!("{other:?}"),
        }
    }
    events
}

/// Binds a queue, reads the history over short polling, then goes on with what the queue holds.
async fn by_queue(broker: &Broker, job: JobId, url: &Uri, joined: &watch::Sender<usize>) -> (Vec<Event>, usize) {
    let queue = Queue::temporary().bound_to(format!("crowd.{job}.#"));
    let mut consumer = Consumer::open(broker, queue).await.expect("the broker is there");
    let client = HttpClient::default();
    let (mut events, mut cursor) = (Vec::new(), Cursor::START);
    loop {
        let request = Request::get(format!("{url}?after={cursor}")).body(Default::default()).expect("a request");
        let answer = client.send(request).await.expect("an answer");
        let page = tidings_client::Page::parse(answer.body()).expect("a page");
        events.extend(page.events);
        cursor = page.cursor;
        if !page.more {
            break;
        }
    }
    consumer.know(job, cursor.number());
    joined.send_modify(|joined| *joined += 1);
    let history = events.len();
    while events.last().is_none_or(|event: &Event| !event.is_terminal()) {
        let delivery = consumer.next().await.expect("the queue can be read");
        match delivery.update() {
            Update::Event(event) => events.push(event.clone()),
            other => panic!("{other:?}"),
        }
        delivery.ack().await;
    }
    let queued = events.len() - history;
    (events, queued)
}

fn assert_complete(seen: &Seen) {
    let seqs = seen.events.iter().map(Event::seq);
    assert!(seqs.eq(1..=EVENTS), "{} saw {} events", seen.client, seen.events.len());
    if seen.client.starts_with("amqp") {
        assert!(seen.queued > EVENTS as usize / 2, "{} took {} from its queue", seen.client, seen.queued);
    }
}
