//! The private node, against a RabbitMQ that is installed.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tidings_testkit::broker::Node;

/// Under this name the test below runs as the process that is killed.
const VICTIM: &str = "TIDINGS_TESTKIT_VICTIM";

#[test]
#[ignore = "needs a broker: cargo xtask test"]
fn a_node_is_killed_and_comes_back_at_the_same_place() {
    let mut node = Node::start().unwrap();
    let (url, addr) = (node.url(), node.addr());
    assert!(greets(addr));

    node.kill().unwrap();
    assert!(TcpStream::connect(addr).is_err(), "nobody listens once kill has returned");
    node.kill().unwrap();

    node.restart().unwrap();
    assert!(greets(addr));
    assert_eq!(node.url(), url);

    drop(node);
    assert!(TcpStream::connect(addr).is_err());
}

#[test]
#[ignore = "needs a broker: cargo xtask test"]
fn a_suspended_node_takes_connections_and_answers_when_resumed() {
    let node = Node::start().unwrap();
    node.suspend().unwrap();
    node.suspend().unwrap();

    let mut stream = TcpStream::connect(node.addr()).unwrap();
    stream.write_all(b"AMQP\x00\x00\x09\x01").unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(stream.read(&mut [0; 1]).is_err(), "a frozen broker says nothing");

    node.resume().unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut first = [0; 1];
    stream.read_exact(&mut first).unwrap();
    assert_eq!(first, [1]);

    // The next time counts as well.
    node.suspend().unwrap();
    node.resume().unwrap();
    assert!(greets(node.addr()));
}

/// Starts this very test again as a process that holds a node, kills that process, and looks for what is left.
#[test]
#[ignore = "needs a broker: cargo xtask test"]
fn nothing_is_left_of_a_node_whose_owner_was_killed() {
    if std::env::var_os(VICTIM).is_some() {
        let node = Node::start().unwrap();
        println!("\n{VICTIM} {}", node.addr());
        // Ends by itself if the test that started it does.
        let _ = std::io::stdin().read(&mut [0; 1]);
        return;
    }

    let temp = tempfile::tempdir().unwrap();
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "nothing_is_left_of_a_node_whose_owner_was_killed"])
        .env(VICTIM, "1")
        .env("TMPDIR", temp.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let addr: SocketAddr = BufReader::new(victim.stdout.take().unwrap())
        .lines()
        .find_map(|line| line.unwrap().strip_prefix(VICTIM)?.trim().parse().ok())
        .expect("the process says where its node listens");
    assert!(greets(addr));
    assert!(!processes_in(temp.path()).is_empty(), "the processes of a node are told by their folder");

    victim.kill().unwrap();
    victim.wait().unwrap();
    wait_until("the processes are gone", || processes_in(temp.path()).is_empty());
    wait_until("the folder is gone", || temp.path().read_dir().unwrap().next().is_none());
    assert!(TcpStream::connect(addr).is_err());
}

fn greets(addr: SocketAddr) -> bool {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(b"AMQP\x00\x00\x09\x01").unwrap();
    let mut frame = [0; 11];
    stream.read_exact(&mut frame).is_ok() && frame.ends_with(&[0, 10, 0, 10])
}

/// The processes that work in the folder `temp`.
fn processes_in(temp: &Path) -> Vec<String> {
    Path::new("/proc")
        .read_dir()
        .unwrap()
        .filter_map(|entry| {
            let process = entry.ok()?.path();
            let works_in = process.join("cwd").read_link().ok()?;
            works_in.starts_with(temp).then(|| process.display().to_string())
        })
        .collect()
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < Duration::from_secs(30), "waited in vain until {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
