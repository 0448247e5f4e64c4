//! Commands on a terminal of their own, and what else they are given.

mod support;

use std::{
    io::{Read, Write},
    os::fd::OwnedFd,
};

use rustix::{
    pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt},
    termios::{Winsize, tcsetwinsize},
};
use support::{launcher, sh, soon};
use tidings_process::{Command, Outputs, Running, Stream, Terminal};

/// A terminal as somebody might sit at: both of its ends.
fn original(columns: u16) -> (OwnedFd, OwnedFd) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags).expect("a terminal");
    grantpt(&master).expect("it is ours");
    unlockpt(&master).expect("it is ours");
    let user = ioctl_tiocgptpeer(&master, flags).expect("its other end");
    resize(&user, columns);
    (master, user)
}

fn resize(terminal: &OwnedFd, columns: u16) {
    let size = Winsize { ws_row: 50, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(terminal, size).expect("a terminal has a size");
}

fn on_a_terminal(script: &str, outputs: Outputs) -> Running {
    let (_master, user) = original(123);
    let terminal = Terminal::like(&user).expect("a terminal");
    let command = Command::new("sh").with_arguments(["-c", script]).with_terminal(terminal, outputs);
    launcher().start(command).expect("the supervisor starts")
}

/// All bytes of one output.
async fn all_of(running: &mut Running, wanted: Stream) -> String {
    let mut all = Vec::new();
    while let Some((stream, chunk)) = soon(running.next_chunk()).await {
        if stream == wanted {
            all.extend_from_slice(&chunk);
        }
    }
    String::from_utf8(all).expect("text")
}

/// Reads until these words have come.
async fn until(running: &mut Running, words: &str) {
    let mut seen = String::new();
    while !seen.contains(words) {
        let (_, chunk) = soon(running.next_chunk()).await.unwrap_or_else(|| panic!("no {words:?} in {seen:?}"));
        seen.push_str(&String::from_utf8_lossy(&chunk));
    }
}

#[tokio::test]
async fn a_command_on_a_terminal_finds_one_of_the_same_size_that_it_controls() {
    let script = "test -t 0 && test -t 1 && test -t 2 && stty size && echo controlled > /dev/tty";
    let mut running = on_a_terminal(script, Outputs::Both);
    assert_eq!(all_of(&mut running, Stream::Stdout).await, "50 123\r\ncontrolled\r\n");
    assert!(running.wait().await.expect("its end").is_success());
}

#[tokio::test]
async fn standard_error_can_stay_out_of_the_terminal() {
    let mut running = on_a_terminal("test -t 1 && ! test -t 2 && echo out && echo err >&2", Outputs::StdoutOnly);
    assert_eq!(all_of(&mut running, Stream::Stderr).await, "err\n");
    assert!(running.wait().await.expect("its end").is_success());
}

#[tokio::test]
async fn what_is_typed_is_read_and_echoed() {
    let mut running = on_a_terminal("echo ready; read line; echo got $line", Outputs::Both);
    until(&mut running, "ready").await;
    running.master().expect("it has a terminal").write_all(b"hello\n").await.expect("it is open");
    assert_eq!(all_of(&mut running, Stream::Stdout).await.trim_start(), "hello\r\ngot hello\r\n");
}

#[tokio::test]
async fn a_terminal_that_changes_its_size_says_so() {
    let script = "trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.01; done";
    let mut running = on_a_terminal(script, Outputs::Both);
    until(&mut running, "ready").await;
    let (_master, user) = original(77);
    running.master().expect("it has a terminal").resize_like(&user).expect("both are terminals");
    assert_eq!(all_of(&mut running, Stream::Stdout).await.trim_start(), "50 77\r\n");
}

#[tokio::test]
async fn a_terminal_ends_with_the_last_that_uses_it() {
    let mut running = on_a_terminal("setsid sleep 300 & exit 4", Outputs::Both);
    assert_eq!(all_of(&mut running, Stream::Stdout).await, "");
    assert_eq!(running.wait().await.expect("its end").code(), Some(4));
}

#[tokio::test]
async fn standard_input_may_be_any_open_file() {
    let (mut input, user) = std::io::pipe().map(|(read, write)| (write, OwnedFd::from(read))).expect("a pipe");
    let command = Command::new("cat").with_input(user);
    let mut running = launcher().start(command).expect("the supervisor starts");
    input.write_all(b"a\xFF\r\nb").expect("a pipe takes it");
    drop(input);
    let mut all = Vec::new();
    while let Some((_, chunk)) = soon(running.next_chunk()).await {
        all.extend_from_slice(&chunk);
    }
    assert_eq!(all, b"a\xFF\r\nb");
}

#[tokio::test]
async fn an_output_that_is_closed_breaks_its_pipe() {
    let mut running = sh(&launcher(), "yes");
    until(&mut running, "y\n").await;
    running.close(Stream::Stdout);
    assert!(soon(running.next_chunk()).await.is_none());
    assert_eq!(running.wait().await.expect("its end").code(), Some(128 + 13));
}

#[tokio::test]
async fn no_key_reaches_a_command_from_the_terminal_of_who_started_it() {
    let mut running = sh(&launcher(), "ps -o sid= -p $$ | tr -d ' '; echo $$");
    let lines = all_of(&mut running, Stream::Stdout).await;
    let (session, pid) = lines.trim_end().split_once('\n').expect("two lines");
    assert_eq!(session, pid);
}

#[test]
fn the_program_is_of_no_use_to_people() {
    let mut told = String::new();
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_tidings-supervisor"))
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("it starts");
    child.stderr.take().expect("a pipe").read_to_string(&mut told).expect("text");
    assert!(!child.wait().expect("its end").success());
    assert!(told.contains("started by programs that run commands"), "{told}");
}
