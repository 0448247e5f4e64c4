//! Commands as real processes: what they write arrives, and nothing of them stays.

mod support;

use std::{fs, time::Duration};

use support::{launcher, sh, soon};
use tidings_process::{Command, Ending, Running, Stream};

/// Reads to the end, and gives the lines of both outputs and how the command ended.
async fn finish(mut running: Running) -> (Vec<String>, Vec<String>, Ending) {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let all = async {
        while let Some((stream, line)) = running.next_line().await {
            match stream {
                Stream::Stdout => stdout.push(line),
                Stream::Stderr => stderr.push(line),
            }
        }
        running.wait().await.expect("its end is told")
    };
    let ending = soon(all).await;
    (stdout, stderr, ending)
}

async fn line(running: &mut Running) -> String {
    soon(running.next_line()).await.expect("the output is open").1
}

fn lives(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    // A zombie has ended; only its parent has not looked yet.
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

#[tokio::test]
async fn lines_of_both_outputs_arrive_whole_and_in_order() {
    let script = "echo one; echo two >&2; echo three; printf four; printf 'bad \\377' >&2";
    let (stdout, stderr, ending) = finish(sh(&launcher(), script)).await;
    assert_eq!(stdout, ["one", "three", "four"]);
    assert_eq!(stderr, ["two", "bad \u{FFFD}"]);
    assert!(ending.is_success());
}

#[tokio::test]
async fn a_status_other_than_zero_is_told() {
    let (_, _, ending) = finish(sh(&launcher(), "exit 7")).await;
    assert!(!ending.is_success());
    assert_eq!(ending.to_string(), "exit status 7");
    let (_, _, ending) = finish(sh(&launcher(), "kill -9 $$")).await;
    assert_eq!(ending.to_string(), "exit status 137 (signal 9)");
}

#[tokio::test]
async fn a_command_that_does_not_exist_is_a_line_and_a_status() {
    let running = launcher().start(Command::new("no-such-command-anywhere")).expect("the supervisor");
    let (_, stderr, ending) = finish(running).await;
    assert_eq!(ending.to_string(), "exit status 127");
    assert!(stderr[0].starts_with("cannot start no-such-command-anywhere: "), "{stderr:?}");
}

#[tokio::test]
async fn standard_input_is_empty_and_environment_and_folder_are_as_asked_for() {
    let command = Command::new("sh")
        .with_arguments(["-c", "cat; echo $ADDED ${HOME-gone}; pwd"])
        .with_variable("ADDED", "yes")
        .without_variable("HOME")
        .with_folder("/");
    let running = launcher().start(command).expect("the supervisor");
    let (stdout, _, _) = finish(running).await;
    assert_eq!(stdout, ["yes gone", "/"]);
}

#[tokio::test]
async fn stop_ends_a_descendant_in_a_session_of_its_own() {
    let mut running = sh(&launcher(), "setsid sleep 300 & echo $!; wait");
    let pid = line(&mut running).await;
    assert!(lives(&pid));
    running.stop();
    let (_, _, ending) = finish(running).await;
    assert!(!lives(&pid));
    assert!(!ending.is_success());
}

#[tokio::test]
async fn stop_ends_a_daemon_that_forked_twice_and_cleared_its_environment() {
    let script = "env -i setsid sh -c '(sleep 300 & echo $!)'; echo orphaned; sleep 300";
    let mut running = sh(&launcher(), script);
    let pid = line(&mut running).await;
    assert_eq!(line(&mut running).await, "orphaned");
    assert!(lives(&pid));
    running.stop();
    finish(running).await;
    assert!(!lives(&pid));
}

#[tokio::test]
async fn who_ignores_sigterm_is_killed_after_the_grace() {
    let launcher = launcher().with_grace(Duration::from_millis(300));
    let mut running = sh(&launcher, "trap '' TERM; echo $$; while :; do sleep 1; done");
    let pid = line(&mut running).await;
    running.stop();
    let (_, _, ending) = finish(running).await;
    assert!(!lives(&pid));
    assert_eq!(ending.to_string(), "exit status 137 (signal 9)");
}

#[tokio::test]
async fn who_heeds_sigterm_has_time_to_say_goodbye() {
    let mut running = sh(&launcher(), "trap 'echo bye; exit 3' TERM; echo ready; sleep 300 & wait");
    assert_eq!(line(&mut running).await, "ready");
    running.stop();
    let (stdout, _, ending) = finish(running).await;
    assert_eq!(stdout, ["bye"]);
    assert_eq!(ending.to_string(), "exit status 3");
}

#[tokio::test]
async fn who_is_suspended_is_woken_to_end() {
    let mut running = sh(&launcher(), "echo ready; kill -STOP $$");
    assert_eq!(line(&mut running).await, "ready");
    running.stop();
    let (_, _, ending) = finish(running).await;
    assert_eq!(ending.to_string(), "exit status 143 (signal 15)");
}

#[tokio::test]
async fn kill_waits_for_nobody_even_after_stop() {
    let launcher = launcher().with_grace(Duration::from_secs(3600));
    let mut running =
        sh(&launcher, "exec 2>/dev/null; trap 'echo asked' TERM; echo ready; while :; do sleep 0.01; done");
    assert_eq!(line(&mut running).await, "ready");
    running.stop();
    assert_eq!(line(&mut running).await, "asked");
    running.kill();
    let (_, _, ending) = finish(running).await;
    assert_eq!(ending.code(), Some(137));
}

#[tokio::test]
async fn what_a_command_leaves_in_the_background_ends_with_it_and_hangs_nothing() {
    let (stdout, _, ending) = finish(sh(&launcher(), "setsid sleep 300 & echo $!; exit 0")).await;
    assert!(ending.is_success());
    assert!(!lives(&stdout[0]));
}

#[tokio::test]
async fn nobody_escapes_by_forking_while_the_tree_is_ended() {
    let launcher = launcher().with_grace(Duration::from_millis(100));
    // Each process replaces itself by a new one, ignores SIGTERM, and says its number.
    let script = "trap '' TERM; f() { echo $(exec sh -c 'echo $PPID'); (f) & wait; }; f";
    let mut running = sh(&launcher, script);
    let mut pids = vec![line(&mut running).await, line(&mut running).await];
    running.stop();
    let (rest, _, _) = finish(running).await;
    pids.extend(rest);
    assert!(pids.iter().all(|pid| !lives(pid)));
}

#[tokio::test]
async fn dropping_a_command_ends_it() {
    let mut running = sh(&launcher(), "setsid sleep 300 & echo $!; wait");
    let pid = line(&mut running).await;
    drop(running);
    let gone = async {
        while lives(&pid) {
            tokio::task::yield_now().await;
        }
    };
    soon(gone).await;
}

#[tokio::test]
async fn a_killed_supervisor_does_not_hang_its_command() {
    let mut running = sh(&launcher(), "echo $PPID; echo $$; exec sleep 300");
    let supervisor = line(&mut running).await;
    let command = line(&mut running).await;
    kill(&supervisor);
    let (_, _, ending) = finish(running).await;
    assert!(ending.to_string().starts_with("its supervisor was killed"), "{ending}");
    kill(&command);
}

fn kill(pid: &str) {
    let pid = pid.parse().ok().and_then(rustix::process::Pid::from_raw).expect("a process's number");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it lives");
}
