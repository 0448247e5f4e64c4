//! The process that stands between a program and a command that it runs.
//!
//! A command may leave its process group, fork twice, clear its environment: none of that shows who started it. What it
//! can't leave is its place below the nearest subreaper (prctl(2), `PR_SET_CHILD_SUBREAPER`): whoever loses its parent
//! is handed to that one. So each command gets a subreaper of its own, this program started a second time, and then two
//! things are certain: all descendants are found by walking down from it, and once `wait` says `ECHILD` nobody is left.
//!
//! Its standard input is a socket whose other end the program holds. When that closes (the command's `Running` was
//! dropped, or the program killed), everything below is ended. Standard output and error are the command's own; they
//! close when the supervisor exits, after the last descendant: that is how the program knows that nobody writes any more.

use std::{
    collections::HashMap,
    env::ArgsOs,
    ffi::OsStr,
    fs, io,
    iter::Skip,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};

use crate::{
    control::{self, Order},
    session,
};

/// The first argument by which this program knows that it is to be a supervisor. Not part of the command line that
/// people use.
pub(crate) const ARGUMENT: &str = "__supervise";

/// Where the command is to run, as the third argument says.
pub(crate) const ON_A_TERMINAL: &str = "on-a-terminal";
pub(crate) const ON_PIPES: &str = "on-pipes";

/// Runs this process as a supervisor if its arguments say so. A program that runs commands calls this first thing in
/// `main`, before it starts any thread, and returns the code if there is one.
#[must_use]
pub fn supervise_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    let role = arguments.next()?;
    let code = if role == ARGUMENT {
        let grace = arguments.next()?.to_str()?.parse().ok()?;
        let (place, program) = (arguments.next()?, arguments.next()?);
        supervise(Duration::from_millis(grace), &place, &program, arguments)
    } else if role == session::ARGUMENT {
        session::begin(arguments)?
    } else {
        return None;
    };
    Some(ExitCode::from(code))
}

/// Runs the command until neither it nor any of its descendants lives, and gives its exit status as a shell would: that
/// of a signal is 128 and its number.
fn supervise(grace: Duration, place: &OsStr, program: &OsStr, arguments: Skip<ArgsOs>) -> u8 {
    let me = rustix::process::getpid();
    if let Err(error) = rustix::process::set_child_subreaper(Some(me)) {
        eprintln!("cannot keep hold of the command's descendants: {error}");
        return session::NOT_EXECUTABLE;
    }
    let command = control::receive_input(io::stdin())
        .and_then(|input| session::command(place, input, program, arguments))
        .and_then(|mut command| command.spawn());
    let child = match command {
        Ok(child) => Pid::from_child(&child),
        Err(error) => {
            eprintln!("cannot start {}: {error}", program.display());
            return session::NOT_EXECUTABLE;
        }
    };
    thread::spawn(move || obey(me, grace));

    let mut code = None;
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            // Only once: the number may be given to a descendant later.
            Ok(Some((pid, status))) if code.is_none() && pid == child => {
                code = Some(exit_code(status));
                // What the command left running in the background ends with it.
                thread::spawn(move || end_descendants(me, grace));
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            // ECHILD: nobody is left.
            Err(_) => return code.unwrap_or(u8::MAX),
        }
    }
}

/// Does what the program says, until there is nobody to say anything. Whatever comes first begins the end of all; a
/// later order may only hasten it.
fn obey(me: Pid, grace: Duration) {
    loop {
        let order = control::receive_order(io::stdin());
        let grace = if order == Some(Order::Kill) { Duration::ZERO } else { grace };
        thread::spawn(move || end_descendants(me, grace));
        if order.is_none() {
            return;
        }
    }
}

fn exit_code(status: WaitStatus) -> u8 {
    let code = status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

/// Asks every descendant to end, and after the grace makes them. Goes on until the process exits, which it does when
/// the last of them is gone: whoever was forked between a look at the tree and its signals is met in the next round.
fn end_descendants(root: Pid, grace: Duration) {
    let deadline = Instant::now() + grace;
    let mut asked = Vec::new();
    loop {
        let late = Instant::now() >= deadline;
        for pid in descendants(root) {
            // A process may have ended since the look at the tree, and that is all that can go wrong.
            if late {
                let _ = rustix::process::kill_process(pid, Signal::KILL);
            } else if !asked.contains(&pid) {
                let _ = rustix::process::kill_process(pid, Signal::TERM);
                // Who was stopped, by Ctrl-Z say, could not do as asked.
                let _ = rustix::process::kill_process(pid, Signal::CONT);
                asked.push(pid);
            }
        }
        thread::sleep(Duration::from_millis(if late { 5 } else { 20 }));
    }
}

/// All processes below `root`, parents before their children, so that a parent is signalled before it can replace a
/// child that has just died.
fn descendants(root: Pid) -> Vec<Pid> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for (pid, parent) in processes() {
        children.entry(parent).or_default().push(pid);
    }
    let mut found = children.remove(&root.as_raw_nonzero().get()).unwrap_or_default();
    let mut next = 0;
    while let Some(pid) = found.get(next) {
        let below = children.remove(pid).unwrap_or_default();
        found.extend(below);
        next += 1;
    }
    found.into_iter().filter_map(Pid::from_raw).collect()
}

/// Every process that /proc shows, with its parent.
fn processes() -> impl Iterator<Item = (i32, i32)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read(entry.path().join("stat")).ok()?;
        Some((pid, parent(&stat)?))
    })
}

/// The parent in a line of /proc/PID/stat (proc(5)): the second field after the command's name, which stands in
/// parentheses and may itself hold any byte, parentheses and spaces among them.
fn parent(stat: &[u8]) -> Option<i32> {
    let name_end = stat.iter().rposition(|byte| *byte == b')')?;
    let after = std::str::from_utf8(stat.get(name_end + 1..)?).ok()?;
    after.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_is_found_behind_any_name() {
        assert_eq!(parent(b"7 (cat) S 3 7 7 0"), Some(3));
        assert_eq!(parent(b"7 (a) S 9 (b) R 4 7 7 0"), Some(4));
        assert_eq!(parent(b"7 (\xFF) S 5 7"), Some(5));
        assert_eq!(parent(b"7 (cat"), None);
    }

    #[test]
    fn this_process_is_below_its_parent() {
        let me = rustix::process::getpid();
        let parent = rustix::process::getppid().expect("a test has a parent");
        assert!(descendants(parent).contains(&me));
        assert!(!descendants(me).contains(&parent));
    }
}
