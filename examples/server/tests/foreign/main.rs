//! Clients that nobody here wrote, each following a job to its end: what they print is what was logged, byte for byte.
//!
//! They are in this folder, and what they need is installed from its lock files: `cargo xtask test foreign` does that,
//! and says by an environment variable where.

#[path = "../support/mod.rs"]
mod support;

use std::{
    env,
    path::PathBuf,
    process::{Command, Stdio},
    sync::LazyLock,
    thread,
    time::Instant,
};

use serde_json::json;
use support::Server;
use tidings_client::{Event, JobId, Page};
use tidings_testkit::broker::Broker;

/// Names the folder that the clients and what they need were installed into.
const INSTALLED: &str = "TIDINGS_FOREIGN_CLIENTS";

/// A job that is on its way for some time, so that a part of it is live to whoever follows.
const PIPELINE: &str = r#"
[[pipelines.count.steps]]
name = "count"
command = ["sh", "-c", "for i in $(seq 40); do echo line $i; sleep 0.05; done"]
"#;

static BROKER: LazyLock<Broker> = LazyLock::new(|| Broker::find_or_start().expect("a broker"));

#[test]
#[ignore = "needs clients from elsewhere: cargo xtask test"]
fn npms_eventsource_follows_to_the_end() {
    let server = Server::start(PIPELINE);
    let job = server.submit("count");
    assert_prints(&server, node("eventsource.mjs").arg(url(&server, &job)));
}

#[test]
#[ignore = "needs clients from elsewhere: cargo xtask test"]
fn pypis_httpx_sse_follows_to_the_end() {
    let server = Server::start(PIPELINE);
    let job = server.submit("count");
    assert_prints(&server, python("httpx_sse_client.py").arg(url(&server, &job)));
}

#[test]
#[ignore = "needs clients from elsewhere: cargo xtask test"]
fn curl_follows_to_the_end() {
    let server = Server::start(PIPELINE);
    let job = server.submit("count");
    let stream = printed(Command::new("curl").args(["--silent", "--show-error", "--no-buffer", &url(&server, &job)]));
    let data: Vec<&str> = stream.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    assert_eq!(data, logged(&server, &job));
}

#[test]
#[ignore = "needs clients from elsewhere: cargo xtask test"]
fn npms_amqplib_submits_and_follows_to_the_end() {
    submits_and_follows(node("amqplib.mjs"));
}

#[test]
#[ignore = "needs clients from elsewhere: cargo xtask test"]
fn pypis_pika_submits_and_follows_to_the_end() {
    submits_and_follows(python("pika_client.py"));
}

/// By a client that submits through a queue, and follows over the broker.
fn submits_and_follows(mut client: Command) {
    let names = JobId::new();
    let (exchange, jobs) = (format!("tidings-foreign.{names}"), format!("tidings-foreign-jobs.{names}"));
    let amqp = format!("[transports.amqp]\nurl = {:?}\nexchange = {exchange:?}\njobs_queue = {jobs:?}\n", BROKER.url());
    let server = Server::start(&format!("{PIPELINE}{amqp}"));
    until_ready(&server);
    let submission = json!({ "kind": "pipeline", "input": { "pipeline": "count" } }).to_string();
    assert_prints(&server, client.args([&BROKER.url(), &exchange, &jobs, &submission]));
}

/// Runs a client that prints the events of the only job there is.
fn assert_prints(server: &Server, client: &mut Command) {
    let printed = printed(client);
    let jobs = server.get("/jobs").json()["jobs"].as_array().expect("a list").clone();
    let [job] = jobs.as_slice() else { panic!("one job: {jobs:?}") };
    assert_eq!(printed.lines().collect::<Vec<_>>(), logged(server, job["id"].as_str().expect("an id")));
}

/// The JSON of each event of a job that is over.
fn logged(server: &Server, job: &str) -> Vec<String> {
    let page = server.get(&format!("/jobs/{job}/short-poll")).body;
    let page = Page::parse(&page.into()).expect("a page");
    assert!(page.done && page.events.len() >= 40, "{page:?}");
    let text = |event: &Event| String::from_utf8(event.json().to_vec()).expect("JSON is text");
    page.events.iter().map(text).collect()
}

/// Waits until the broker is there, and with it the queue to submit to.
fn until_ready(server: &Server) {
    let begun = Instant::now();
    while server.get("/readyz").json()["status"] != "ready" {
        assert!(begun.elapsed() < support::HANGS, "the broker stays away");
        thread::sleep(support::LOOK);
    }
}

fn url(server: &Server, job: &str) -> String {
    format!("http://{}/jobs/{job}/sse", server.address)
}

fn node(script: &str) -> Command {
    let mut command = Command::new("node");
    command.arg(installed().join(script));
    command
}

fn python(script: &str) -> Command {
    let mut command = Command::new(installed().join("python/bin/python"));
    command.arg(installed().join(script));
    command
}

fn installed() -> PathBuf {
    env::var_os(INSTALLED).map(PathBuf::from).unwrap_or_else(|| panic!("{INSTALLED} is set by cargo xtask test"))
}

/// What a client prints until it ends, which it must do in good order, and in time.
fn printed(client: &mut Command) -> String {
    let mut bounded = Command::new("timeout");
    bounded.arg(support::HANGS.as_secs().to_string()).arg(client.get_program()).args(client.get_args());
    let output = bounded.stdin(Stdio::null()).output().expect("timeout is a program of every Linux");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{client:?}: {}\n{stdout}\n{stderr}", output.status);
    stdout.into_owned()
}
