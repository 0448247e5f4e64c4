//! The program on a terminal, as people use it.

use std::os::fd::OwnedFd;

use rustix::{
    pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt},
    termios::{Winsize, tcsetwinsize},
};
use serde_json::json;
use tidings_process::{Command, Launcher, Outputs, Running, Terminal};

use crate::support::{Server, end, lines, lives, soon};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidings");

/// A terminal with somebody at it, and a command on it.
struct Seat {
    running: Running,
    seen: String,
}

impl Seat {
    /// Runs a shell script on a terminal, with the program as `$T`.
    fn sh(server: &Server, script: &str) -> Self {
        Self::start(server, Command::new("sh").with_arguments(["-c", script]))
    }

    fn start(server: &Server, command: Command) -> Self {
        let (_master, original) = original(80);
        let terminal = Terminal::like(&original).expect("a terminal");
        let command = command
            .with_variable("TIDINGS_URL", server.url())
            .with_variable("T", PROGRAM)
            .with_variable("TERM", "xterm")
            .without_variable("NO_COLOR")
            .with_terminal(terminal, Outputs::Both);
        // The program is a supervisor of itself: this is the supervisor of the whole test.
        let running = Launcher::with_program(PROGRAM).start(command).expect("it starts");
        Self { running, seen: String::new() }
    }

    async fn type_in(&self, keys: &str) {
        self.running.master().expect("a terminal").write_all(keys.as_bytes()).await.expect("somebody is there");
    }

    /// Waits until these words have been shown.
    async fn shows(&mut self, words: &str) {
        while !self.seen.contains(words) {
            let Some((_, chunk)) = soon(self.running.next_chunk()).await else {
                panic!("{words:?} was never shown: {:?}", self.seen)
            };
            self.seen.push_str(&String::from_utf8_lossy(&chunk));
        }
    }

    /// What was shown until the end, and the exit code.
    async fn end(mut self) -> (String, u8) {
        while let Some((_, chunk)) = soon(self.running.next_chunk()).await {
            self.seen.push_str(&String::from_utf8_lossy(&chunk));
        }
        let ending = soon(self.running.wait()).await.expect("its end is told");
        (self.seen, ending.code().expect("a code"))
    }
}

/// Both ends of a terminal of this width.
fn original(columns: u16) -> (OwnedFd, OwnedFd) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags).expect("a terminal");
    grantpt(&master).expect("it is ours");
    unlockpt(&master).expect("it is ours");
    let user = ioctl_tiocgptpeer(&master, flags).expect("its other end");
    let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&user, size).expect("a terminal has a size");
    (master, user)
}

/// The number between `pid` and `ready`.
fn pid_in(seen: &str) -> String {
    let pid = seen.split("pid ").nth(1).and_then(|rest| rest.split(' ').next());
    pid.expect("a pid").to_owned()
}

/// What is shown but for what the program itself says.
fn without_notes(seen: &str) -> String {
    seen.split_inclusive('\n').filter(|line| !line.starts_with("tidings: ")).collect()
}

#[tokio::test]
async fn a_command_looks_as_if_it_had_been_run_without() {
    let server = Server::start().await;
    let script = "test -t 0 && test -t 1 && test -t 2 && stty size && printf '\\033[32mgreen\\tx\\033[0m\\n'; exit 5";
    let plain = Seat::sh(&server, script).end().await;
    let (seen, code) = Seat::sh(&server, &format!("exec $T run -- sh -c \"{script}\"")).end().await;
    assert_eq!((without_notes(&seen), code), plain);
    let events = server.events(server.job().await).await;
    assert_eq!(lines(&events), ["24 80", "green\tx"]);
}

#[tokio::test]
async fn what_is_typed_is_echoed_once_and_read() {
    let server = Server::start().await;
    let mut seat = Seat::sh(&server, "exec $T run -- sh -c 'echo ready; read line; echo got $line'");
    seat.shows("ready\r\n").await;
    seat.type_in("hello\n").await;
    let (seen, code) = seat.end().await;
    assert_eq!((without_notes(&seen).as_str(), code), ("ready\r\nhello\r\ngot hello\r\n", 0));
}

#[tokio::test]
async fn ctrl_c_cancels_the_job() {
    let server = Server::start().await;
    let mut seat = Seat::sh(&server, "exec $T run -- sh -c 'setsid sleep 300 & echo pid $! ready; wait'");
    seat.shows(" ready").await;
    seat.shows("watch at").await;
    let pid = pid_in(&seat.seen);
    assert!(lives(&pid));
    seat.type_in("\x03").await;
    let (seen, code) = seat.end().await;
    assert_eq!(code, 143, "{seen}");
    assert!(!lives(&pid));
    let events = server.events(server.job().await).await;
    assert_eq!(end(&events), ("cancelled", &json!({ "reason": "interrupted" })));
}

#[tokio::test]
async fn a_second_ctrl_c_kills_and_ctrl_z_does_nothing() {
    let server = Server::start().await;
    let mut seat =
        Seat::sh(&server, "exec $T run -- sh -c 'trap \"echo asked\" TERM; echo ready; while :; do sleep 0.01; done'");
    seat.shows("ready").await;
    seat.type_in("\x1A\x03").await;
    seat.shows("asked").await;
    seat.type_in("\x03").await;
    assert_eq!(seat.end().await.1, 137);
}

#[tokio::test]
async fn the_terminals_modes_are_put_back() {
    let server = Server::start().await;
    let script = "stty -g; $T run -- sh -c 'stty raw -echo; exit 1'; stty -g; $T run -- no-such-command; stty -g";
    let (seen, _) = Seat::sh(&server, script).end().await;
    let modes: Vec<_> = seen.lines().filter(|line| line.split(':').count() > 10).collect();
    assert_eq!(modes.len(), 3, "{seen}");
    assert!(modes.iter().all(|mode| *mode == modes[0]), "{modes:#?}");
}

#[tokio::test]
async fn a_terminal_that_changes_its_size_passes_it_on() {
    let server = Server::start().await;
    let script = "exec $T run -- sh -c 'trap \"stty size; exit\" WINCH; echo ready; while :; do sleep 0.01; done'";
    let mut seat = Seat::sh(&server, script);
    seat.shows("ready").await;
    let (_master, wider) = original(99);
    seat.running.master().expect("a terminal").resize_like(&wider).expect("both are terminals");
    seat.shows("24 99").await;
    assert_eq!(seat.end().await.1, 0);
}

#[tokio::test]
async fn in_the_background_the_terminal_is_left_alone() {
    let server = Server::start().await;
    // With `set -m` the shell gives each job a process group of its own, as for people.
    let (seen, code) = Seat::sh(&server, "set -m; $T run -- sh -c 'test -t 1 && echo shown' & wait $!").end().await;
    assert!(seen.contains("shown") && code == 0, "{seen}");
}

#[tokio::test]
async fn a_terminal_that_is_closed_cancels_the_job() {
    let server = Server::start().await;
    let script = "trap \"\" HUP; setsid sleep 300 & echo pid $! ready; wait";
    let mut seat = Seat::sh(&server, &format!("exec $T run -- sh -c '{script}'"));
    seat.shows(" ready").await;
    seat.shows("watch at").await;
    let pid = pid_in(&seat.seen);
    assert!(lives(&pid));
    // Nobody is at the terminal any more.
    soon(seat.running.wait()).await.expect("its end is told");
    assert!(!lives(&pid));
    let events = server.events(server.job().await).await;
    assert_eq!(end(&events), ("cancelled", &json!({ "reason": "the terminal was closed" })));
}

#[tokio::test]
async fn people_see_bars_and_the_lines_above_them() {
    let server = Server::start().await;
    let (seen, code) = Seat::sh(&server, "exec $T submit count --follow").end().await;
    let job = server.job().await.to_string();
    assert_eq!(code, 0);
    assert!(seen.contains(&job) && seen.contains("100 %") && seen.contains("succeeded"), "{seen:?}");
    assert!(seen.contains("line 2\r\n") && seen.contains("red\r\n"), "{seen:?}");
    assert!(seen.contains("\x1B[36m") && !seen.contains("\x1B[31m"), "colours are ours and not the job's: {seen:?}");
}

#[tokio::test]
async fn colours_can_be_switched_off_and_several_jobs_have_a_bar_each() {
    let server = Server::start().await;
    let script = "a=$($T submit count); b=$($T submit fail); NO_COLOR=1 exec $T follow $a $b";
    let (seen, code) = Seat::sh(&server, script).end().await;
    assert_eq!(code, 1);
    assert!(seen.contains(" | line 1") && seen.contains("failed: it is broken"), "{seen:?}");
    assert!(!seen.contains("\x1B[36m"), "{seen:?}");
}

#[tokio::test]
async fn json_and_pipes_have_no_bars_on_a_terminal_either() {
    let server = Server::start().await;
    let (seen, code) = Seat::sh(&server, "$T submit count --follow --json; $T submit count --follow | cat").end().await;
    assert_eq!(code, 0);
    assert!(!seen.contains(['\x1B', '\u{9B}', '\u{202E}']), "{seen:?}");
    assert!(seen.contains("red\\u009b0m\\u202e"), "it is the same JSON: {seen}");
    assert_eq!(seen.matches("\r\n").count(), 10 + 4, "{seen}");
}
