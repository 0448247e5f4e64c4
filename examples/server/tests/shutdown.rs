//! The program's start and end: what it says, and what it does at SIGTERM.

mod support;

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    process::Command,
};

use rustix::process::Signal;
use serde_json::json;
use support::{Answer, Server, ends, lives, rest};

const WAITS: &str =
    "[[pipelines.mine.steps]]\nname = \"wait\"\ncommand = [\"sh\", \"-c\", \"setsid sleep 300 & echo $!; wait\"]\n";

#[test]
fn a_server_that_lives_says_so() {
    let server = Server::start("");
    assert_eq!(server.get("/healthz").status, 200);
    let ready = server.get("/readyz");
    let taken_over = json!({ "streams": 0, "polls": 0, "answers": 0 });
    assert_eq!(ready.status, 200);
    assert_eq!(ready.json(), json!({ "status": "ready", "transports": {}, "taken_over": taken_over }));
    let head = server.ask(&format!("HEAD /readyz HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", server.address));
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    server.post("/healthz", &json!({})).assert_problem(405, "method-not-allowed");
}

#[test]
fn only_the_names_that_the_server_goes_by_are_answered() {
    let server = Server::start("hosts = [\"jobs.example.org\"]");
    let ask = |host: &str| server.ask(&format!("GET /jobs HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"));
    let port = server.address.port();
    assert_eq!(ask(&format!("127.0.0.1:{port}")).status, 200);
    assert_eq!(ask(&format!("localhost:{port}")).status, 200);
    assert_eq!(ask("jobs.example.org").status, 200);
    assert_eq!(ask(&format!("jobs.example.org:{port}")).status, 200);
    ask("jobs.example.org:1").assert_problem(421, "wrong-host");
    ask("elsewhere.example.org").assert_problem(421, "wrong-host");
}

#[test]
fn at_sigterm_jobs_have_their_grace_and_the_server_answers_until_it_ends() {
    let mut server = Server::start(&format!("[limits]\ngrace_seconds = 1\n{WAITS}"));
    let id = server.submit("mine");
    let pid = server.first_line(&id);
    let mut stream = server.connect();
    let request = format!("GET /jobs/{id}/long-poll?wait=0 HTTP/1.1\r\nhost: {}\r\n\r\n", server.address);
    stream.write_all(request.as_bytes()).expect("it is taken");
    assert_eq!(Answer::read(&mut stream).status, 200);

    server.signal(Signal::TERM);
    while server.get("/readyz").status == 200 {}
    server.get("/readyz").assert_problem(503, "shutting-down");
    assert_eq!(server.get("/healthz").status, 200);
    server
        .post("/jobs", &json!({ "kind": "pipeline", "input": { "pipeline": "mine" } }))
        .assert_problem(503, "shutting-down");
    // The job's last event is told before the connections end.
    let events = server.events(&id);
    let last = events.last().expect("there are events");
    assert_eq!(last["data"]["error"]["code"], "shutting-down", "{last}");

    assert_eq!(server.ended().code(), Some(0));
    assert_eq!(rest(&mut stream), b"", "the idle connection is closed without a word");
    assert!(!lives(&pid));
    assert!(TcpStream::connect(server.address).is_err());
}

#[test]
fn a_second_signal_cuts_off_what_the_first_has_given_grace() {
    let mut server = Server::start(&format!("[limits]\ngrace_seconds = 3600\n{WAITS}"));
    let id = server.submit("mine");
    let pid = server.first_line(&id);
    server.signal(Signal::INT);
    while server.get("/readyz").status == 200 {}
    assert!(lives(&pid));
    // One that comes at once may be the same, passed on by somebody.
    let status = server.ended_while(|server| server.signal(Signal::TERM));
    assert_eq!(status.code(), Some(1));
    ends(&pid);
}

#[test]
fn a_server_with_nothing_to_do_ends_at_once() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = Server::start("");
        server.signal(signal);
        assert_eq!(server.ended().code(), Some(0));
    }
}

#[test]
fn a_job_that_ends_within_its_grace_ends_well() {
    let step = "command = [\"sh\", \"-c\", \"echo $$; sleep 1; echo done\"]";
    let mut server = Server::start(&format!("[[pipelines.mine.steps]]\nname = \"short\"\n{step}\n"));
    let id = server.submit("mine");
    let pid = server.first_line(&id);
    let mut held = server.connect();
    let request = format!("GET /jobs/{id}/sse HTTP/1.1\r\nhost: {}\r\n\r\n", server.address);
    held.write_all(request.as_bytes()).expect("it is taken");
    // The stream is open once its head is there; one that is asked for later is refused.
    let mut head = [0; 1];
    held.read_exact(&mut head).expect("an answer comes");
    server.signal(Signal::TERM);
    let text = String::from_utf8(rest(&mut held)).expect("text");
    assert!(text.contains("event: succeeded"), "{text}");
    assert_eq!(server.ended().code(), Some(0));
    ends(&pid);
}

#[test]
fn a_config_that_is_wrong_is_told_by_file_line_and_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wrong.toml");
    let run = |text: &str| {
        fs::write(&path, text).expect("the folder can be written to");
        let program = Command::new(env!("CARGO_BIN_EXE_tidings-server")).arg("--config").arg(&path).output();
        let output = program.expect("the program starts");
        assert_eq!(output.status.code(), Some(1));
        assert!(output.stdout.is_empty());
        String::from_utf8(output.stderr).expect("text")
    };
    let shown = path.display();
    let error = run("[connections]\nheder_seconds = 5\n");
    let told = format!("tidings-server: {shown}, line 2, `heder_seconds`: unknown field `heder_seconds`");
    assert!(error.starts_with(&told), "{error}");
    let error = run("[limits]\nrunning = \"many\"\n");
    assert!(error.starts_with(&format!("tidings-server: {shown}, line 2, `running`: invalid type")), "{error}");
    let error = run("listen = \"256.0.0.1:1\"\n");
    assert!(error.starts_with(&format!("tidings-server: {shown}, line 1, `listen`:")), "{error}");
}

#[test]
fn an_address_that_is_taken_is_told() {
    let server = Server::start("");
    let program = Command::new(env!("CARGO_BIN_EXE_tidings-server"))
        .args(["--listen", &server.address.to_string()])
        .output()
        .expect("the program starts");
    assert_eq!(program.status.code(), Some(1));
    let error = String::from_utf8(program.stderr).expect("text");
    assert!(error.contains(&format!("tidings-server: cannot listen on {}: ", server.address)), "{error}");
}
