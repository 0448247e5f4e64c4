//! The real program on a free port, and a client that speaks HTTP/1.1 by hand.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

/// Ends a test that hangs; nothing waits for it.
pub(crate) const HANGS: Duration = Duration::from_secs(60);

/// The time between two looks at what is waited for: whoever looks all the time takes it from what it waits for.
pub(crate) const LOOK: Duration = Duration::from_millis(5);

/// Whether servers take connections over from their HTTP library, as they do unless their config says otherwise. Just in
/// `wire_plain` it does: there the tests of `wire` go the other way.
pub(crate) const TAKES_OVER: bool = !matches!(env!("CARGO_CRATE_NAME").as_bytes(), b"wire_plain");

/// A running `tidings-server`; killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    child: Child,
    _folder: TempDir,
}

impl Server {
    /// Starts it with this config, in TOML.
    pub(crate) fn start(config: &str) -> Self {
        Self::start_with(Command::new(env!("CARGO_BIN_EXE_tidings-server")), config)
    }

    /// Starts it by a command that ends in the program.
    pub(crate) fn start_with(mut command: Command, config: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("config.toml");
        fs::write(&path, if TAKES_OVER { config.to_owned() } else { without_take_over(config) })
            .expect("the folder can be written to");
        let mut child = command
            .arg("--config")
            .arg(path)
            .args(["--listen", "127.0.0.1:0"])
            // Whoever runs the tests may have a broker, and these are not about it.
            .env_remove("TIDINGS_AMQP_URL")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut line = String::new();
        let stdout = child.stdout.as_mut().expect("its output is a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("its output is text");
        let address = line.trim_end().strip_prefix("listening on http://").expect("it says where it listens");
        Self { address: address.parse().expect("an address"), child, _folder: folder }
    }

    /// The URL of a path, or of a part of the page.
    pub(crate) fn page(&self, path: &str) -> String {
        format!("http://{}/{}", self.address, path.trim_start_matches('/'))
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let client = TcpStream::connect(self.address).expect("the listener is open");
        client.set_read_timeout(Some(HANGS)).expect("a time");
        client
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.address))
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        let (address, body) = (self.address, body.to_string());
        let head = format!("POST {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length:");
        self.ask(&format!("{head} {}\r\ncontent-type: application/json\r\n\r\n{body}", body.len()))
    }

    /// Sends a request on a connection of its own.
    pub(crate) fn ask(&self, request: &str) -> Answer {
        let mut client = self.connect();
        client.write_all(request.as_bytes()).expect("it is taken");
        Answer::read(&mut client)
    }

    /// Submits a job of kind `pipeline`, and gives its id.
    pub(crate) fn submit(&self, pipeline: &str) -> String {
        let answer = self.post("/jobs", &json!({ "kind": "pipeline", "input": { "pipeline": pipeline } }));
        assert_eq!(answer.status, 202, "{answer:?}");
        answer.json()["id"].as_str().expect("an id").to_owned()
    }

    pub(crate) fn job(&self, id: &str) -> Value {
        self.get(&format!("/jobs/{id}")).json()
    }

    /// All that a job's events are once `is_enough` says so.
    pub(crate) fn events_until(&self, id: &str, is_enough: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let (mut events, mut after) = (Vec::new(), "0".to_owned());
        let begun = Instant::now();
        while !is_enough(&events) {
            assert!(begun.elapsed() < HANGS * 2, "{events:#?}");
            let page = self.get(&format!("/jobs/{id}/long-poll?after={after}&wait=5")).json();
            events.extend(page["events"].as_array().expect("a page").clone());
            page["cursor"].as_str().expect("a cursor").clone_into(&mut after);
        }
        events
    }

    /// All events of a job that ends.
    pub(crate) fn events(&self, id: &str) -> Vec<Value> {
        self.events_until(id, |events| events.last().is_some_and(is_terminal))
    }

    /// The first line that a job's command writes.
    pub(crate) fn first_line(&self, id: &str) -> String {
        let events = self.events_until(id, |events| !lines(events).is_empty());
        lines(&events)[0].clone()
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).expect("it lives");
    }

    /// Waits for the process to end.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        self.ended_while(|_| ())
    }

    /// Waits for the process to end, and does this over and over meanwhile.
    pub(crate) fn ended_while(&mut self, meanwhile: impl Fn(&Self)) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                return status;
            }
            assert!(begun.elapsed() < HANGS, "it does not end");
            meanwhile(self);
            std::thread::sleep(LOOK);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// Reads an answer that ends with its connection, or whose length is told.
    pub(crate) fn read(client: &mut TcpStream) -> Self {
        let mut client = BufReader::new(client);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(client.read_line(&mut head).expect("an answer comes") > 0, "it ends in {head:?}");
        }
        let head = head.to_lowercase();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let mut body = Vec::new();
        match head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()) {
            Some(length) => {
                body.resize(length.parse().expect("a length"), 0);
                client.read_exact(&mut body).expect("a body");
            }
            None => drop(client.read_to_end(&mut body).expect("a body")),
        }
        Self { status, head, body: String::from_utf8(body).expect("text") }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn assert_problem(&self, status: u16, name: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert!(self.head.contains("content-type: application/problem+json"), "{self:?}");
        assert_eq!(self.json()["type"], format!("urn:tidings:problem:{name}"), "{self:?}");
    }
}

/// Whatever comes until the server closes, one way or the other.
pub(crate) fn rest(client: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    match client.read_to_end(&mut bytes) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("the server does not close"),
        _ => bytes,
    }
}

fn without_take_over(config: &str) -> String {
    let (table, key) = ("[connections]\n", "take_over = false\n");
    match config.split_once(table) {
        Some((before, rest)) => format!("{before}{table}{key}{rest}"),
        None => format!("{config}\n{table}{key}"),
    }
}

pub(crate) fn is_terminal(event: &Value) -> bool {
    ["succeeded", "failed", "cancelled"].iter().any(|kind| event["type"] == **kind)
}

/// What the commands of these events wrote, to whichever output.
pub(crate) fn lines(events: &[Value]) -> Vec<String> {
    let logs = events.iter().filter(|event| event["type"] == "log");
    logs.map(|event| event["data"]["line"].as_str().expect("a line").to_owned()).collect()
}

/// Whether the process lives. One that has ended and that nobody has looked at yet does not.
pub(crate) fn lives(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// Waits until the process has ended.
pub(crate) fn ends(pid: &str) {
    let begun = Instant::now();
    while lives(pid) {
        assert!(begun.elapsed() < HANGS, "{pid} lives on");
        std::thread::sleep(LOOK);
    }
}

/// Waits until the server has given up its side of the connection.
pub(crate) fn wait_until_cut(client: &TcpStream) {
    let port = format!(":{:04X}", client.local_addr().expect("it is bound").port());
    let begun = Instant::now();
    // proc(5): the third field is the remote address, the fourth the state, of which 01 is ESTABLISHED.
    let is_open = |line: &str| {
        let mut fields = line.split_ascii_whitespace().skip(2);
        fields.next().is_some_and(|remote| remote.ends_with(&port)) && fields.next() == Some("01")
    };
    while fs::read_to_string("/proc/net/tcp").expect("Linux has it").lines().any(is_open) {
        assert!(begun.elapsed() < HANGS, "it is not cut");
        std::thread::sleep(LOOK);
    }
}
