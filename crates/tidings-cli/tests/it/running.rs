//! `run`, with pipes and a server that is there.

use rustix::process::Signal;
use serde_json::json;
use tidings::Limits;
use tidings_client::{EventType, JobId};
use tidings_testkit::proxy::Proxy;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Server, Tidings, end, ends, lines, lives, soon};

#[tokio::test]
async fn lines_arrive_as_they_come_and_the_exit_code_is_the_commands() {
    let server = Server::start().await;
    let mut program = Tidings::sh(&server.url(), "for i in 1 2 3; do echo $i; read go; done; exit 3");
    for line in ["1", "2", "3"] {
        server.line(line).await;
        // Only now does the command go on.
        program.stdin.as_mut().expect("a pipe").write_all(b"\n").await.expect("it is read");
    }
    let events = server.events(server.job().await).await;
    assert_eq!(lines(&events), ["1", "2", "3"]);
    assert_eq!(end(&events), ("failed", &json!({ "error": { "code": "exit-status", "message": "exit status 3" } })));
    assert_eq!(events[0].data["kind"], "command");
    assert_eq!(events[0].data["input"]["command"][0], "sh");
    let ended = program.end().await;
    assert_eq!((ended.code, ended.stdout.as_str()), (3, "1\n2\n3\n"));
    assert_eq!(ended.stderr, format!("tidings: watch at {}/#/jobs/{}\n", server.url(), server.job().await));
}

#[tokio::test]
async fn every_end_of_a_command_has_its_code() {
    for (command, code, state) in [
        (&["true"][..], 0, "succeeded"),
        (&["sh", "-c", "kill -9 $$"], 137, "failed"),
        (&["no-such-command-anywhere"], 127, "failed"),
        (&["/etc/passwd"], 126, "failed"),
    ] {
        let server = Server::start().await;
        let ended = Tidings::start(&server.url(), &[&["run", "--"], command].concat()).end().await;
        assert_eq!(ended.code, code, "{ended:?}");
        assert_eq!(end(&server.events(server.job().await).await).0, state);
    }
}

#[tokio::test]
async fn bytes_are_passed_on_as_they_are_and_at_once() {
    let server = Server::start().await;
    let mut program = Tidings::sh(&server.url(), "printf 'a\\377\\000b\\r\\n\\033[1mno end'; cat");
    let expected = b"a\xFF\0b\r\n\x1B[1mno end";
    let mut seen = vec![0; expected.len()];
    soon(program.stdout.read_exact(&mut seen)).await.expect("it comes before there is a whole line");
    assert_eq!(seen, expected);
    program.stdin.as_mut().expect("a pipe").write_all(b" of\x04 it").await.expect("it is read");
    assert_eq!(program.end().await.stdout, " of\x04 it");
    assert_eq!(lines(&server.events(server.job().await).await), ["a\u{FFFD}b", "no end of it"]);
}

#[tokio::test]
async fn outputs_stay_apart_and_keep_their_names() {
    let server = Server::start().await;
    let ended = Tidings::sh(&server.url(), "echo out; echo err >&2; test -t 1 || test -t 2 || echo pipes").end().await;
    assert_eq!(ended.stdout, "out\npipes\n");
    assert!(ended.stderr.lines().any(|line| line == "err"), "{}", ended.stderr);
    let events = server.events(server.job().await).await;
    let streams = events.iter().filter(|event| event.data["line"] == "err").map(|event| &event.data["stream"]);
    assert_eq!(streams.collect::<Vec<_>>(), ["stderr"]);
}

#[tokio::test]
async fn percentages_become_progress() {
    let server = Server::start().await;
    Tidings::sh(&server.url(), "printf 'get 10%%\\rget 100%%\\n'; echo done").end().await;
    let events = server.events(server.job().await).await;
    let progress = events.iter().rfind(|event| event.kind == EventType::Progress).expect("progress");
    assert_eq!(progress.data, json!({ "done": 100, "total": 100, "unit": "%", "message": null }));
    assert_eq!(lines(&events), ["get 100%", "done"]);
}

#[tokio::test]
async fn who_cancels_stops_the_command_and_all_that_it_has_started() {
    let server = Server::start().await;
    let mut program = Tidings::sh(&server.url(), "setsid sleep 300 & echo $!; wait");
    let pid = program.line().await;
    assert!(lives(&pid));
    server.client().cancel(server.job().await, Some("enough")).await.expect("it is taken");
    program.says("the job was cancelled (enough)").await;
    assert_eq!(program.end().await.code, 143);
    assert!(!lives(&pid));
    let events = server.events(server.job().await).await;
    assert_eq!(end(&events), ("cancelled", &json!({ "reason": "enough" })));
}

#[tokio::test]
async fn an_interrupt_cancels_the_job_and_a_second_kills() {
    let server = Server::start().await;
    let script = "trap 'echo asked' TERM; setsid sleep 300 & echo $!; while :; do sleep 0.01; done";
    let mut program = Tidings::sh(&server.url(), script);
    let pid = program.line().await;
    // The job has to be there: it is the cancelling of it that is looked for.
    server.job().await;
    program.says("watch at").await;
    program.signal(Signal::INT);
    assert_eq!(program.line().await, "asked");
    let told = server.events_until(server.job().await, |event| event.kind == EventType::Cancelling).await;
    assert_eq!(end(&told), ("cancelling", &json!({ "reason": "interrupted" })));
    program.signal(Signal::INT);
    assert_eq!(program.end().await.code, 137);
    assert!(!lives(&pid));
    let events = server.events(server.job().await).await;
    assert_eq!(end(&events), ("cancelled", &json!({ "reason": "interrupted" })));
}

#[tokio::test]
async fn a_command_whose_program_is_killed_does_not_stay() {
    let server = Server::start().await;
    let mut program = Tidings::sh(&server.url(), "setsid sleep 300 & echo $!; wait");
    let pid = program.line().await;
    assert!(lives(&pid));
    program.signal(Signal::KILL);
    ends(&pid).await;
}

#[tokio::test]
async fn a_silent_command_is_not_taken_for_lost() {
    let server = Server::start().await;
    let proxy = Proxy::start(server.address).await.expect("a proxy");
    let url = format!("http://{}", proxy.address());
    let mut program = Tidings::start(&url, &["run", "--lease", "5", "--", "sh", "-c", "echo only; read end"]);
    assert_eq!(program.line().await, "only");
    soon(async {
        while proxy.requests("/events") < 4 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    program.stdin.as_mut().expect("a pipe").write_all(b"\n").await.expect("it is read");
    assert_eq!(program.end().await.code, 0);
    assert_eq!(end(&server.events(server.job().await).await).0, "succeeded");
}

#[tokio::test]
async fn a_command_whose_output_nobody_reads_has_a_broken_pipe() {
    let server = Server::start().await;
    let mut shell = tokio::process::Command::new("sh");
    shell.arg("-c").arg(format!("{} run -- yes | head -1", env!("CARGO_BIN_EXE_tidings")));
    let output = soon(shell.env("TIDINGS_URL", server.url()).kill_on_drop(true).output()).await.expect("it ends");
    assert_eq!(output.stdout, b"y\n");
    let events = server.events(server.job().await).await;
    assert_eq!(end(&events).1["error"]["message"], "exit status 141 (signal 13)");
}

#[tokio::test]
async fn an_output_that_nobody_reads_does_not_hold_up_the_other() {
    let server = Server::start().await;
    // More than fits into all pipes on the way.
    let mut program = Tidings::sh(&server.url(), "(yes | head -c 1000000) & read line; echo $line >&2; wait");
    assert_eq!(program.line().await, "y");
    program.stdin.as_mut().expect("a pipe").write_all(b"heard\n").await.expect("it is read");
    program.says("heard").await;
    let ended = program.end().await;
    assert_eq!(ended.code, 0);
}

/// Starts a command that, when it is stopped, still prints more than all pipes on the way hold. Nobody reads it.
async fn start_unread(server: &Server, redirection: &str) -> (Tidings, JobId) {
    let stop = "stop() { trap \"\" TERM; yes $(printf %01000d 0) | head -c 1000000; exit 7; }";
    let command = format!("{stop}; trap stop TERM; echo ready; while :; do sleep 0.01; done");
    let program = Tidings::from_shell(&server.url(), &format!("exec $T run -- sh -c '{command}' {redirection}"));
    server.line("ready").await;
    (program, server.job().await)
}

#[tokio::test]
async fn a_cancel_ends_the_job_though_nobody_reads_its_output() {
    for redirection in ["", "2>&1"] {
        let server = Server::start().await;
        let (mut program, job) = start_unread(&server, redirection).await;
        server.client().cancel(job, Some("enough")).await.expect("it is taken");
        assert_eq!(end(&server.events(job).await), ("cancelled", &json!({ "reason": "enough" })));
        assert!(!soon(program.child.wait()).await.expect("its end is told").success());
    }
}

#[tokio::test]
async fn a_signal_ends_the_program_though_nobody_reads_its_output() {
    let server = Server::start().await;
    let (mut program, job) = start_unread(&server, "").await;
    program.signal(Signal::TERM);
    assert!(!soon(program.child.wait()).await.expect("its end is told").success());
    assert_eq!(end(&server.events(job).await), ("cancelled", &json!({ "reason": "terminated" })));
    program.says("nobody reads the command's output").await;
}

#[tokio::test]
async fn a_line_that_is_too_long_for_the_server_is_counted_and_its_place_is_marked() {
    let mut limits = Limits::default();
    limits.event_bytes = 4096;
    let server = Server::start_with(limits).await;
    let script = "echo 1; printf '%06000d\\n' 2; echo 3; printf '%05000d\\n' 4; exit 3";
    let ended = Tidings::sh(&server.url(), script).end().await;
    let events = server.events(server.job().await).await;
    let notice = "tidings: a line is left out here: the server takes none as long";
    assert_eq!(lines(&events), ["1", notice, "3", notice]);
    assert_eq!((end(&events).0, ended.code), ("failed", 3));
    assert!(ended.stderr.contains("2 lines were left out of the job's log: the server takes"), "{}", ended.stderr);
}
