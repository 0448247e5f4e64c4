//! `follow`, and `submit --follow`.

use serde_json::Value;
use tidings_client::{Client, Kind, Submission};
use tidings_testkit::proxy::{Mode, Proxy};

use crate::support::{Server, Tidings};

/// What a job of kind `count` prints.
const LINES: &str = "line 1\nline 2\nline 3\nred\n";

async fn submit(client: &Client, kind: &str) -> String {
    let kind: Kind = kind.parse().expect("a kind");
    client.submit(&Submission::new(kind)).await.expect("it is taken").id().to_string()
}

#[tokio::test]
async fn into_a_pipe_go_the_lines_and_nothing_else() {
    let server = Server::start().await;
    let job = submit(&server.client(), "count").await;
    let ended = Tidings::start(&server.url(), &["follow", &job]).end().await;
    assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (0, LINES, ""));
    let ended = Tidings::start(&server.url(), &["submit", "count", "--follow"]).end().await;
    assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (0, LINES, ""));
}

#[tokio::test]
async fn json_is_each_event_as_the_server_sent_it() {
    let server = Server::start().await;
    let job = submit(&server.client(), "count").await;
    for transport in ["sse", "long-poll", "short-poll"] {
        let ended = Tidings::start(&server.url(), &["follow", &job, "--json", "--transport", transport]).end().await;
        let page = format!("{}/jobs/{job}/short-poll", server.url()).parse().expect("a URL");
        let page = http_get(&server, page).await;
        let events = page["events"].as_array().expect("events");
        let lines: Vec<Value> = ended.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!((ended.code, &lines), (0, events));
        // The bytes too: in this form nothing is added, and the order of the members is the server's.
        assert!(ended.stdout.starts_with(&format!(r#"{{"job":"{job}","seq":1,"cursor":"1-"#)), "{}", ended.stdout);
    }
}

async fn http_get(server: &Server, url: tidings_client::Uri) -> Value {
    let request = http::Request::get(url).body(Default::default()).expect("a request");
    let answer = server.client().http().send(request).await.expect("an answer");
    serde_json::from_slice(answer.body()).expect("JSON")
}

#[tokio::test]
async fn the_exit_code_tells_how_the_job_ended() {
    let server = Server::start().await;
    let client = server.client();
    let (fail, wait) = (submit(&client, "fail").await, submit(&client, "wait").await);
    client.cancel(wait.parse().expect("an id"), Some("enough")).await.expect("it is taken");
    let ended = Tidings::start(&server.url(), &["follow", &fail]).end().await;
    assert_eq!((ended.code, ended.stdout.as_str()), (1, ""));
    assert_eq!(ended.stderr, format!("tidings: {fail}: failed: it is broken\n"));
    let ended = Tidings::start(&server.url(), &["follow", &wait]).end().await;
    assert_eq!((ended.code, ended.stdout.as_str()), (3, "waiting\n"));
    assert_eq!(ended.stderr, format!("tidings: {wait}: cancelled: enough\n"));
}

#[tokio::test]
async fn a_job_that_nobody_knows_ends_with_4_and_does_not_keep_others_from_being_followed() {
    let server = Server::start().await;
    let (job, unknown) = (submit(&server.client(), "count").await, "01938f6e-7c1a-7b3e-9d52-8f3b2a6c4e10");
    let ended = Tidings::start(&server.url(), &["follow", unknown, &job]).end().await;
    assert_eq!(ended.code, 4);
    assert_eq!(ended.stderr, format!("tidings: {unknown}: the server knows no such job, or has forgotten it\n"));
    assert_eq!(ended.stdout.lines().count(), 4);
}

#[tokio::test]
async fn of_several_jobs_each_line_says_whose_it_is() {
    let server = Server::start().await;
    let jobs = [submit(&server.client(), "count").await, submit(&server.client(), "count").await];
    // Given twice, it is followed once.
    let ended = Tidings::start(&server.url(), &["follow", &jobs[0], &jobs[1], &jobs[0]]).end().await;
    assert_eq!(ended.code, 0);
    for job in jobs {
        let name = format!("{} | ", &job[job.len() - 8..]);
        let lines: String =
            ended.stdout.lines().filter_map(|line| line.strip_prefix(&name)).flat_map(|l| [l, "\n"]).collect();
        assert_eq!(lines, LINES, "{}", ended.stdout);
    }
}

#[tokio::test]
async fn a_transport_that_is_asked_for_is_the_only_one_used() {
    let server = Server::start().await;
    let proxy = Proxy::start(server.address).await.expect("a proxy");
    let job = submit(&server.client(), "count").await;
    let url = format!("http://{}", proxy.address());
    assert_eq!(Tidings::start(&url, &["follow", &job, "--transport", "long-poll"]).end().await.stdout, LINES);
    assert!(proxy.requests("/long-poll") > 0);
    assert_eq!((proxy.requests("/sse"), proxy.requests("/short-poll")), (0, 0));
}

#[tokio::test]
async fn a_server_that_goes_away_and_comes_back_is_followed_on() {
    let server = Server::start().await;
    let proxy = Proxy::start(server.address).await.expect("a proxy");
    let job = submit(&server.client(), "wait").await;
    let mut program = Tidings::start(&format!("http://{}", proxy.address()), &["follow", &job]);
    assert_eq!(program.line().await, "waiting");
    proxy.set(Mode::Down).await.expect("it closes");
    program.says("; asking again").await;
    server.client().cancel(job.parse().expect("an id"), None).await.expect("it is taken");
    proxy.set(Mode::Pass).await.expect("it opens");
    let ended = program.end().await;
    assert_eq!((ended.code, ended.stdout.as_str()), (3, ""));
    assert!(!ended.stderr.contains("asking again"), "it is said once: {}", ended.stderr);
}

#[tokio::test]
async fn an_output_that_nobody_reads_ends_it() {
    let server = Server::start().await;
    let mut program = Tidings::start(&server.url(), &["submit", "wait", "--follow", "--json"]);
    assert!(program.line().await.contains("queued"));
    let Tidings { child, stdout, stderr, .. } = &mut program;
    // A pipe without a reader.
    drop(std::mem::replace(stdout, empty_pipe()));
    server.client().cancel(server.job().await, None).await.expect("it is taken");
    let status = crate::support::soon(child.wait()).await.expect("its end is told");
    assert_eq!(status.code(), Some(141));
    assert_eq!(stderr.buffer(), b"");
}

/// Another program's output, in place of one that is to be closed.
fn empty_pipe() -> tokio::io::BufReader<tokio::process::ChildStdout> {
    let mut other =
        tokio::process::Command::new("true").stdout(std::process::Stdio::piped()).spawn().expect("it starts");
    tokio::io::BufReader::new(other.stdout.take().expect("a pipe"))
}

#[tokio::test]
async fn a_server_that_can_not_be_had_is_given_up() {
    let server = Server::start().await;
    let job = submit(&server.client(), "count").await;
    let proxy = Proxy::start(server.address).await.expect("a proxy");
    let url = format!("http://{}", proxy.address());
    for mode in [Mode::Down, Mode::Refuse] {
        proxy.set(mode).await.expect("it can be changed");
        let ended = Tidings::start(&url, &["follow", &job]).end().await;
        assert_eq!((ended.code, ended.stdout.as_str()), (4, ""));
        let said: Vec<_> = ended.stderr.lines().collect();
        assert!(said.len() == 2 && said[0].ends_with("does not answer yet"), "{said:?}");
    }
}

#[tokio::test]
async fn a_server_that_comes_late_is_waited_for() {
    let server = Server::start().await;
    let job = submit(&server.client(), "count").await;
    let proxy = Proxy::start(server.address).await.expect("a proxy");
    proxy.set(Mode::Down).await.expect("it closes");
    let mut program = Tidings::start(&format!("http://{}", proxy.address()), &["follow", &job]);
    program.says("does not answer yet").await;
    proxy.set(Mode::Pass).await.expect("it opens");
    let ended = program.end().await;
    assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (0, LINES, ""));
}
