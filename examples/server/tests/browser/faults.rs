//! Following through something in between that misbehaves: the browser's own `EventSource`, and the module.

use std::time::Duration;

use serde_json::{Value, json};
use tidings_testkit::proxy::{Mode, Proxy};
use tokio::time::{Instant, interval, sleep};

use crate::{external::External, session::Session, support::Server};

/// How many lines a job writes, and how long that takes. Two events come before them, and one after.
const LINES: usize = 5_000;
const WRITING: Duration = Duration::from_secs(20);
/// By when all of it has to be there, counted from the first.
const LIMIT: Duration = Duration::from_secs(120);
/// How long it may take to change to what works, which takes 5 s on an idle machine, and to go back to what is better.
const CHANGE: Duration = Duration::from_secs(45);
const CLIMB: Duration = Duration::from_secs(60);

/// Follows a job twice, over what the tabs of a page share and by itself, and keeps what comes in `seen`.
const FOLLOW: &str = "
    const { follow } = await import('/tidings.js');
    window.seen = {};
    for (const shared of [true, false]) {
        const of = (seen[shared ? 'shared' : 'alone'] = { seqs: [], over: {}, transports: [], ended: false, error: null });
        (async () => {
            for await (const update of follow(`/jobs/${args[0]}`, { shared })) {
                if (update.kind === 'transport') of.transports.push(update.transport);
                if (update.kind !== 'event') continue;
                of.seqs.push(update.event.seq);
                of.over[update.transport] = (of.over[update.transport] ?? 0) + 1;
            }
            of.ended = true;
        })().catch((error) => (of.error = String(error)));
    }";

/// A server, a proxy before it, a job, and a browser on the proxy's side that is about to follow it.
struct Scene {
    server: Server,
    proxy: Proxy,
    browser: Session,
}

impl Scene {
    async fn set() -> Self {
        // Through a proxy, the server is called by the proxy's name.
        let server = Server::start("hosts = [\"*\"]");
        let proxy = Proxy::start(server.address).await.expect("a port");
        let browser = Session::start().await;
        // A page that asks for nothing by itself.
        browser.open(&format!("http://{}/healthz", proxy.address())).await;
        Self { server, proxy, browser }
    }

    async fn misbehave(&self, mode: Mode) {
        self.proxy.set(mode).await.expect("its port is its own");
    }

    async fn follow(&self, job: &External<'_>) {
        self.browser.run_async(FOLLOW, json!([job.id])).await;
    }

    /// What holds of both followers, once it does.
    async fn both(&self, limit: Duration, condition: &str) {
        let expression = format!("Object.values(seen).every((of) => {condition}) || null");
        let error = "Object.values(seen).map((of) => of.error).find((error) => error)";
        let got = self.browser.wait_within(limit, &format!("{expression} || {error}")).await;
        assert_eq!(got, Value::Bool(true), "{}", self.seen().await);
    }

    /// All that came, but for the numbers.
    async fn seen(&self) -> Value {
        let script = "return Object.fromEntries(Object.entries(seen).map(([name, { seqs, ...of }]) => \
                      [name, { ...of, events: seqs.length }]))";
        self.browser.run(script, json!([])).await
    }

    /// Each event once and in order, up to the job's last one.
    async fn assert_complete(&self, begun: Instant, count: usize) {
        self.both(LIMIT.saturating_sub(begun.elapsed()), "of.ended").await;
        let wrong = "return Object.values(seen).flatMap(({ seqs }) => seqs.length === args[0] ? \
                     seqs.filter((seq, index) => seq !== index + 1) : [-seqs.length])";
        let wrong = wrong.replace("args", "arguments");
        assert_eq!(self.browser.run(&wrong, json!([count])).await, json!([]), "{}", self.seen().await);
    }
}

/// Writes all lines of a job, in as many pieces as there are tenths of a second.
async fn write(job: &External<'_>) {
    let pieces = WRITING.as_millis() as usize / 100;
    let mut tenths = interval(Duration::from_millis(100));
    for piece in 0..pieces {
        tenths.tick().await;
        job.count(piece * LINES / pieces + 1..=(piece + 1) * LINES / pieces);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[ignore = "needs a browser: cargo xtask test"]
async fn a_native_event_source_resumes_when_its_proxy_is_back() {
    let scene = Scene::set().await;
    let job = External::open(&scene.server);
    let listen = "window.seqs = [];
        window.source = new EventSource(`/jobs/${arguments[0]}/sse?as=message`);
        source.onmessage = ({ data }) => seqs.push(JSON.parse(data).seq)";
    scene.browser.run(listen, json!([job.id])).await;
    job.count(1..=100);
    scene.browser.wait_for("seqs.length === 102").await;
    scene.misbehave(Mode::Down).await;
    job.count(101..=200);
    scene.browser.wait_for("source.readyState === EventSource.CONNECTING").await;
    scene.misbehave(Mode::Pass).await;
    scene.browser.wait_for("seqs.length === 202").await;
    job.succeed();
    scene.browser.wait_for("seqs.length === 203").await;
    // The answer to its last attempt is 204, after which there is no other.
    scene.browser.wait_for("source.readyState === EventSource.CLOSED").await;
    let wrong = scene.browser.run("return seqs.filter((seq, index) => seq !== index + 1)", json!([])).await;
    assert_eq!(wrong, json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[ignore = "needs a browser: cargo xtask test"]
async fn a_proxy_that_buffers_is_worked_around_for_as_long_as_it_is_there() {
    let scene = Scene::set().await;
    let job = External::open(&scene.server);
    scene.misbehave(Mode::Buffer).await;
    let begun = Instant::now();
    scene.follow(&job).await;
    tokio::join!(write(&job), async {
        scene.both(CHANGE, "of.transports.at(-1) === 'long-poll' && of.seqs.length > 0").await;
    });
    scene.both(CHANGE, &format!("of.seqs.length === {}", LINES + 2)).await;
    let seen = scene.seen().await;
    assert_eq!(seen["alone"]["over"], json!({ "long-poll": LINES + 2 }), "{seen}");
    // What tabs share reads by short polls what had happened before it was there.
    let shared = &seen["shared"]["over"];
    let halfway = LINES as u64 / 2;
    assert!(shared["sse"].is_null() && shared["long-poll"].as_u64().is_some_and(|count| count > halfway), "{seen}");

    scene.misbehave(Mode::Pass).await;
    scene.both(CLIMB, "of.transports.at(-1) === 'sse'").await;
    // What happens just then may be read by a poll that is on its way. What happens later on is not.
    let mut more = 0;
    while !scene.seen().await.as_object().is_some_and(|seen| seen.values().all(|of| of["over"]["sse"].is_u64())) {
        more += 1;
        assert!(more < 50, "nothing comes over the stream: {}", scene.seen().await);
        job.report("log", json!({ "stream": "stdout", "line": "a line more" }));
        scene.both(CHANGE, &format!("of.seqs.length === {}", LINES + 2 + more)).await;
    }
    job.succeed();
    scene.assert_complete(begun, LINES + 3 + more).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[ignore = "needs a browser: cargo xtask test"]
async fn a_proxy_that_cuts_costs_no_event() {
    let scene = Scene::set().await;
    let job = External::open(&scene.server);
    scene.misbehave(Mode::Cut { seed: 7 }).await;
    let begun = Instant::now();
    scene.follow(&job).await;
    write(&job).await;
    job.succeed();
    scene.assert_complete(begun, LINES + 3).await;
    let seen = scene.seen().await;
    for name in ["shared", "alone"] {
        assert_eq!(seen[name]["transports"], json!(["sse"]), "{seen}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[ignore = "needs a browser: cargo xtask test"]
async fn ten_seconds_without_a_server_cost_no_event() {
    let scene = Scene::set().await;
    let job = External::open(&scene.server);
    let begun = Instant::now();
    scene.follow(&job).await;
    tokio::join!(write(&job), async {
        scene.both(CHANGE, "of.seqs.length > 500").await;
        scene.misbehave(Mode::Refuse).await;
        // The fault lasts for as long as it does: nothing is waited for here.
        sleep(Duration::from_secs(10)).await;
        scene.misbehave(Mode::Pass).await;
    });
    scene.both(CLIMB, &format!("of.seqs.length === {} && of.transports.at(-1) === 'sse'", LINES + 2)).await;
    job.succeed();
    scene.assert_complete(begun, LINES + 3).await;
}
