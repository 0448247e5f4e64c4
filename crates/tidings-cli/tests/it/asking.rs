//! `submit`, `cancel`, `list`, `completions` and `--help`.

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::support::{Server, Tidings, end, soon};

/// Nobody listens there.
const NOWHERE: &str = "http://127.0.0.1:9";

#[tokio::test]
async fn submit_prints_the_id_and_nothing_else() {
    let server = Server::start().await;
    let ended = Tidings::start(&server.url(), &["submit", "count", "--input", r#"{"a": 1}"#]).end().await;
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    assert_eq!(ended.stdout, format!("{}\n", server.job().await));
    let events = server.events(server.job().await).await;
    assert_eq!(events[0].data["input"], serde_json::json!({ "a": 1 }));
}

#[tokio::test]
async fn submit_reads_the_input_from_a_pipe_and_shows_the_job_as_json() {
    let server = Server::start().await;
    let mut program = Tidings::start(&server.url(), &["submit", "count", "--input", "-", "--json"]);
    let mut stdin = program.stdin.take().expect("a pipe");
    stdin.write_all(b"[1,\n2]").await.expect("it reads");
    drop(stdin);
    let job: Value = serde_json::from_str(&program.end().await.stdout).expect("JSON");
    assert_eq!((&job["kind"], &job["input"]), (&"count".into(), &serde_json::json!([1, 2])));
}

#[tokio::test]
async fn one_key_is_one_job() {
    let server = Server::start().await;
    let line = ["submit", "count", "--key", "once"];
    let first = Tidings::start(&server.url(), &line).end().await;
    let second = Tidings::start(&server.url(), &line).end().await;
    assert_eq!((first.code, &first.stdout), (0, &second.stdout));
    server.job().await;
}

#[tokio::test]
async fn what_the_server_refuses_ends_with_4() {
    let server = Server::start().await;
    let ended = Tidings::start(&server.url(), &["submit", "unknown"]).end().await;
    assert_eq!((ended.code, ended.stdout.as_str()), (4, ""));
    assert!(ended.stderr.starts_with("tidings: ") && ended.stderr.contains("unknown-kind"), "{}", ended.stderr);
}

#[tokio::test]
async fn what_makes_no_sense_ends_with_2() {
    for line in [&["submit"][..], &["submit", "count", "--input", "{"], &["follow", "x"], &["run", "--"], &["fly"]] {
        let ended = Tidings::start(NOWHERE, line).end().await;
        assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{line:?} {}", ended.stderr);
    }
}

#[tokio::test]
async fn cancel_ends_a_job_and_says_why() {
    let server = Server::start().await;
    Tidings::start(&server.url(), &["submit", "wait"]).end().await;
    let job = server.job().await;
    let ended = Tidings::start(&server.url(), &["cancel", &job.to_string(), "--reason", "enough"]).end().await;
    assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (0, "", ""));
    let events = server.events(job).await;
    assert_eq!(end(&events), ("cancelled", &serde_json::json!({ "reason": "enough" })));
}

#[tokio::test]
async fn a_job_that_is_over_can_not_be_cancelled() {
    let server = Server::start().await;
    Tidings::start(&server.url(), &["submit", "fail", "--follow"]).end().await;
    let job = server.job().await.to_string();
    let ended = Tidings::start(&server.url(), &["cancel", &job]).end().await;
    assert_eq!(ended.code, 4);
    assert!(ended.stderr.contains(&job) && ended.stderr.contains("already-finished"), "{}", ended.stderr);
}

#[tokio::test]
async fn list_shows_jobs_newest_first_and_those_that_were_asked_for() {
    let server = Server::start().await;
    let list = async |arguments: &[&str]| Tidings::start(&server.url(), &[&["list"], arguments].concat()).end().await;
    assert_eq!(list(&[]).await.stdout, "");
    for kind in ["count", "fail", "count"] {
        Tidings::start(&server.url(), &["submit", kind, "--follow"]).end().await;
    }
    let all = list(&[]).await.stdout;
    let rows: Vec<Vec<&str>> = all.lines().map(|row| row.split_whitespace().collect()).collect();
    assert_eq!(rows.len(), 3, "{all}");
    assert_eq!(rows[0][1..4], ["succeeded", "100", "%"], "{all}");
    assert_eq!((rows[1][1], rows[1].last()), ("failed", Some(&"fail")), "{all}");
    assert_eq!(
        list(&["--limit", "2"]).await.stdout.lines().collect::<Vec<_>>(),
        all.lines().take(2).collect::<Vec<_>>()
    );
    assert_eq!(list(&["--state", "failed"]).await.stdout.trim_end(), all.lines().nth(1).expect("a row"));
    let json = list(&["--json", "--kind", "count"]).await.stdout;
    let ids = json.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")["id"].clone());
    assert_eq!(ids.collect::<Vec<_>>(), [rows[0][0], rows[2][0]]);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_said_to_be_so() {
    let ended = Tidings::start(NOWHERE, &["list"]).end().await;
    assert_eq!((ended.code, ended.stdout.as_str()), (4, ""));
    assert!(ended.stderr.contains("no connection to the server"), "{}", ended.stderr);
}

#[tokio::test]
async fn help_tells_what_there_is_and_the_exit_codes() {
    let help = Tidings::start(NOWHERE, &["--help"]).end().await.stdout;
    for word in ["submit", "follow", "cancel", "list", "run", "TIDINGS_URL", "Exit codes:"] {
        assert!(help.contains(word), "{word}: {help}");
    }
    let run = Tidings::start(NOWHERE, &["run", "--help"]).end().await.stdout;
    assert!(run.contains("Ctrl-C") && run.contains("128 and the signal's number"), "{run}");
    assert!(!(help + &run).contains('\x1B'), "into a pipe go no colours");
}

#[tokio::test]
async fn completions_are_there_for_the_usual_shells() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ended = Tidings::start(NOWHERE, &["completions", shell]).end().await;
        assert!(ended.code == 0 && ended.stdout.contains("transport"), "{shell}");
    }
}

#[tokio::test]
async fn what_a_server_says_can_not_move_the_cursor() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let program = Tidings::start(&format!("http://{}", listener.local_addr().expect("its address")), &["list"]);
    let (mut stream, _) = soon(listener.accept()).await.expect("a connection");
    soon(stream.read(&mut [0; 1024])).await.expect("a request");
    let body = r#"{"type":"urn:tidings:problem:\u001b[2J\u009b31mbad"}"#;
    let length = body.len();
    let head = "HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\ncontent-length:";
    stream.write_all(format!("{head} {length}\r\n\r\n{body}").as_bytes()).await.expect("it is read");
    let ended = program.end().await;
    assert_eq!(ended.code, 4);
    assert!(ended.stderr.trim_end().chars().all(|c| !c.is_control()), "{:?}", ended.stderr);
}
