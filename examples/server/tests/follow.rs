//! One job, followed through a proxy that holds back, cuts or refuses: the client finds its way and never loses its
//! place.

mod support;

use std::{future::Future, time::Duration};

use serde_json::json;
use support::Server;
use tidings_client::{
    Client, Config, CustomType, Draft, Follow, HttpClient, Job, Json, Reporter, Submission,
    Transport::{self, LongPoll, Sse},
    Update,
};
use tidings_testkit::proxy::{Mode, Proxy};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

/// The events of the job, the first two and the last one included.
const EVENTS: u64 = 5000;

/// How long it takes to write them.
const WRITING: Duration = Duration::from_secs(20);

/// How many are reported at a time.
const BATCH: u64 = 25;

/// How long following may take.
const LIMIT: Duration = Duration::from_secs(120);

/// A server, a proxy before it, and a job that is to be reported.
struct Setting {
    _server: Server,
    proxy: Proxy,
    job: Job,
    reporter: Reporter,
}

/// What came of following.
#[derive(Debug)]
struct Followed {
    seqs: Vec<u64>,
    transports: Vec<Transport>,
}

impl Followed {
    fn assert_whole(&self) {
        let Self { seqs, transports } = self;
        let wrong = seqs.iter().zip(1..).find(|(seq, expected)| *seq != expected);
        assert_eq!((wrong, seqs.len() as u64), (None, EVENTS), "over {transports:?}");
    }
}

impl Setting {
    async fn new(mode: Mode) -> Self {
        Self::with_heartbeat(mode, 15).await
    }

    async fn with_heartbeat(mode: Mode, seconds: u32) -> Self {
        // The proxy passes on the name that it is asked under.
        let server = Server::start(&format!("hosts = [\"*\"]\n[transports.sse]\nheartbeat_seconds = {seconds}"));
        let proxy = Proxy::start(server.address).await.expect("a free port");
        proxy.set(mode).await.expect("its own port");
        let client = client(server.address, Config::default());
        let kind = "tick".parse().expect("a kind");
        let opened = client.open(&Submission::new(kind), Duration::from_secs(60)).await;
        let (job, reporter) = opened.expect("it is accepted");
        Self { _server: server, proxy, job, reporter }
    }

    fn follow(&self, config: Config) -> Follow {
        client(self.proxy.address(), config).follow(self.job.id()).with_timeout(LIMIT)
    }
}

fn client(address: std::net::SocketAddr, config: Config) -> Client {
    let base = format!("http://{address}").parse().expect("a URL");
    Client::with_http(base, HttpClient::new(config)).expect("an http server")
}

/// Writes the job, from its third event to the last, in about that time.
async fn write(reporter: &mut Reporter, time: Duration) {
    let mut pace = interval(time.div_f64(EVENTS as f64 / BATCH as f64));
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut next = 3;
    while next <= EVENTS {
        pace.tick().await;
        let last = (next + BATCH - 1).min(EVENTS);
        reporter.report((next..=last).map(draft)).await.expect("it is taken");
        next = last + 1;
    }
}

/// The report of the event that is to have this seq.
fn draft(seq: u64) -> Draft {
    if seq == EVENTS {
        return Draft::succeeded(&Json::null());
    }
    let kind: CustomType = "tick".parse().expect("a type");
    Draft::custom(kind, Json::from_value(&json!({ "n": seq, "text": "about as long as a line" })).expect("JSON"))
}

async fn read(mut follow: Follow) -> Followed {
    let mut followed = Followed { seqs: Vec::new(), transports: Vec::new() };
    while let Some(update) = follow.next().await {
        match update.expect("it goes on") {
            Update::Event(event) => followed.seqs.push(event.seq()),
            Update::Transport(transport) => followed.transports.push(transport),
            Update::Gap(gap) => panic!("{gap:?}"),
            _ => {}
        }
    }
    followed
}

/// Follows the job while it is written and `meanwhile` goes on: all of its events come once, over transports that may be.
async fn comes_whole(setting: &mut Setting, may_be: &[&[Transport]], meanwhile: impl AsyncFn(&Proxy)) {
    let reading = read(setting.follow(Config::default()));
    let Setting { proxy, reporter, .. } = setting;
    let (followed, (), ()) = tokio::join!(reading, write(reporter, WRITING), meanwhile(proxy));
    followed.assert_whole();
    assert!(may_be.contains(&followed.transports.as_slice()), "{:?}", followed.transports);
}

#[tokio::test]
async fn every_event_comes_once_over_the_transport_that_one_expects() {
    // Side by side, as each takes as long as its job.
    tokio::join!(without_trouble(), held_back(), cut(), refused_for_a_while());
}

async fn without_trouble() {
    let mut setting = Setting::new(Mode::Pass).await;
    comes_whole(&mut setting, &[&[Sse]], async |_| {}).await;
    let proxy = &setting.proxy;
    assert_eq!((proxy.requests("/sse"), proxy.requests("-poll"), proxy.most_streams()), (1, 0, 1));
}

async fn held_back() {
    let mut setting = Setting::new(Mode::Buffer).await;
    // Once the job is over, a stream that was tried just then is whole, and may come first.
    comes_whole(&mut setting, &[&[LongPoll], &[LongPoll, Sse]], async |_| {}).await;
    assert_eq!(setting.proxy.requests("/short-poll"), 0);
}

async fn cut() {
    let mut setting = Setting::new(Mode::Cut { seed: 3 }).await;
    comes_whole(&mut setting, &[&[Sse]], async |_| {}).await;
    // At most 256 KiB each, of what is a megabyte in all.
    assert!(setting.proxy.requests("/sse") >= 4, "it was cut {} times", setting.proxy.requests("/sse") - 1);
}

async fn refused_for_a_while() {
    let mut setting = Setting::new(Mode::Pass).await;
    let refuse_for_a_while = async |proxy: &Proxy| {
        sleep(Duration::from_secs(4)).await;
        proxy.set(Mode::Refuse).await.expect("its own port");
        sleep(Duration::from_secs(10)).await;
        proxy.set(Mode::Pass).await.expect("its own port");
    };
    comes_whole(&mut setting, &[&[Sse]], refuse_for_a_while).await;
}

#[tokio::test]
async fn once_nothing_is_held_back_any_more_it_comes_by_a_stream_again() {
    let setting = Setting::with_heartbeat(Mode::Buffer, 1).await;
    let mut follow = setting.follow(in_a_hurry());
    until(&mut follow, LongPoll).await;
    setting.proxy.set(Mode::Pass).await.expect("its own port");
    let lifted = Instant::now();
    until(&mut follow, Sse).await;
    // A try that had just begun, the pause after it, the first heartbeat, and what asking takes.
    assert!(lifted.elapsed() < Duration::from_secs(2 + 2 + 1 + 5), "{:?}", lifted.elapsed());
}

#[tokio::test]
async fn a_stream_of_which_only_the_beginning_gets_through_is_not_come_back_to() {
    let setting = Setting::with_heartbeat(Mode::BufferAfterHead, 1).await;
    let mut follow = setting.follow(in_a_hurry());
    until(&mut follow, LongPoll).await;
    within(async {
        // By the fourth request the second and the third have failed.
        while setting.proxy.requests("/sse") < 4 {
            if let Ok(update) = timeout(Duration::from_millis(100), follow.next()).await {
                update.expect("the job goes on").expect("no error");
            }
            assert_eq!(follow.transport(), Some(LongPoll));
        }
    })
    .await;
}

/// Soon done with what does not work, and soon back at what may work again.
fn in_a_hurry() -> Config {
    let mut config = Config::default();
    config.climb_interval = Duration::from_secs(2);
    config.first_byte_timeout = Duration::from_secs(2);
    config
}

/// Follows until this transport is in use.
async fn until(follow: &mut Follow, transport: Transport) {
    within(async {
        while follow.transport() != Some(transport) {
            follow.next().await.expect("the job goes on").expect("no error");
        }
    })
    .await;
}

#[tokio::test]
async fn pages_that_are_cut_are_asked_for_in_smaller_pieces() {
    let mut setting = Setting::new(Mode::Pass).await;
    within(write(&mut setting.reporter, Duration::from_millis(200))).await;
    setting.proxy.set(Mode::Cut { seed: 5 }).await.expect("its own port");
    let followed = within(read(setting.follow(Config::default()).with_transports([LongPoll]))).await;
    followed.assert_whole();
    // Five whole pages hold them all.
    assert!(setting.proxy.requests("/long-poll") > 6, "{} requests", setting.proxy.requests("/long-poll"));
    let targets = setting.proxy.targets();
    assert!(targets.iter().any(|target| target.contains("limit=500")), "{targets:?}");
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(LIMIT, future).await.expect("it does not hang")
}
