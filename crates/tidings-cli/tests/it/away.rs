//! `run`, with a server that is away for a while.

use rustix::process::Signal;
use tidings_testkit::proxy::{Mode, Proxy};
use tokio::io::AsyncWriteExt;

use crate::support::{Ended, Server, Tidings, end, lines};

/// Prints a line for every line that it reads, and ends with 3.
const ECHO: &str = "while read line; do echo $line; done; exit 3";

async fn proxied(server: &Server, mode: Mode) -> (Proxy, String) {
    let proxy = Proxy::start(server.address).await.expect("a proxy");
    proxy.set(mode).await.expect("it can be changed");
    let url = format!("http://{}", proxy.address());
    (proxy, url)
}

/// Has the command print a line, and waits for it.
async fn print(program: &mut Tidings, line: &str) {
    let stdin = program.stdin.as_mut().expect("a pipe");
    stdin.write_all(format!("{line}\n").as_bytes()).await.expect("it is read");
    assert_eq!(program.line().await, line);
}

#[tokio::test]
async fn a_server_that_comes_late_is_told_everything() {
    let server = Server::start().await;
    let (proxy, url) = proxied(&server, Mode::Down).await;
    let mut program = Tidings::sh(&url, ECHO);
    print(&mut program, "one").await;
    program.says("does not answer; the command runs").await;
    print(&mut program, "two").await;
    proxy.set(Mode::Pass).await.expect("it opens");
    program.says("watch at").await;
    print(&mut program, "three").await;
    let Ended { code, stderr, .. } = program.end().await;
    assert_eq!((code, stderr.as_str()), (3, ""), "it was said once that the server is away");
    let events = server.events(server.job().await).await;
    assert_eq!(lines(&events), ["one", "two", "three"]);
    assert_eq!(end(&events).0, "failed");
}

#[tokio::test]
async fn a_server_that_is_away_in_the_middle_misses_nothing() {
    for mode in [Mode::Down, Mode::Refuse] {
        let server = Server::start().await;
        let (proxy, url) = proxied(&server, Mode::Pass).await;
        let mut program = Tidings::sh(&url, ECHO);
        print(&mut program, "0").await;
        server.line("0").await;
        proxy.set(mode).await.expect("it can be changed");
        for number in 1..500 {
            print(&mut program, &number.to_string()).await;
        }
        proxy.set(Mode::Pass).await.expect("it opens");
        print(&mut program, "500").await;
        assert_eq!(program.end().await.code, 3);
        let expected: Vec<_> = (0..=500).map(|number| number.to_string()).collect();
        assert_eq!(lines(&server.events(server.job().await).await), expected);
    }
}

#[tokio::test]
async fn what_is_too_much_to_be_kept_is_counted() {
    let server = Server::start().await;
    let (proxy, url) = proxied(&server, Mode::Down).await;
    let arguments = ["run", "--buffer", "2K", "--", "sh", "-c", ECHO];
    let mut program = Tidings::start(&url, &arguments);
    for number in 1..=1000 {
        print(&mut program, &number.to_string()).await;
    }
    proxy.set(Mode::Pass).await.expect("it opens");
    program.says("watch at").await;
    let Ended { code, stderr, .. } = program.end().await;
    assert_eq!(code, 3);
    let events = server.events(server.job().await).await;
    let lines = lines(&events);
    let (notice, kept) = lines.split_first().expect("there are lines");
    let left_out = 1000 - kept.len();
    assert!(notice.contains(&format!("{left_out} lines are left out here")), "{notice}");
    assert_eq!(*kept, (left_out + 1..=1000).map(|number| number.to_string()).collect::<Vec<_>>());
    assert!(left_out > 900 && stderr.contains(&format!("{left_out} lines were left out")), "{stderr}");
}

#[tokio::test]
async fn the_exit_code_stands_though_the_server_never_comes() {
    let server = Server::start().await;
    let (_proxy, url) = proxied(&server, Mode::Down).await;
    let ended = Tidings::start(&url, &["run", "--linger", "1", "--", "sh", "-c", "echo one; exit 3"]).end().await;
    assert_eq!((ended.code, ended.stdout.as_str()), (3, "one\n"));
    assert!(ended.stderr.ends_with("was not told of the command\n"), "{}", ended.stderr);
}

#[tokio::test]
async fn what_a_server_that_went_away_was_not_told_is_said() {
    let server = Server::start().await;
    let (proxy, url) = proxied(&server, Mode::Pass).await;
    let mut program = Tidings::start(&url, &["run", "--linger", "1", "--", "sh", "-c", ECHO]);
    print(&mut program, "one").await;
    server.line("one").await;
    proxy.set(Mode::Down).await.expect("it closes");
    print(&mut program, "two").await;
    let Ended { code, stderr, .. } = program.end().await;
    assert_eq!(code, 3);
    assert!(stderr.ends_with("was not told the last 2 events, the command's end among them\n"), "{stderr}");
}

#[tokio::test]
async fn a_server_that_refuses_the_job_does_not_keep_the_command_from_running() {
    let server = Server::start().await;
    let url = format!("{}/nothing/here", server.url());
    let ended = Tidings::sh(&url, "echo one; exit 3").end().await;
    assert_eq!((ended.code, ended.stdout.as_str()), (3, "one\n"));
    assert!(ended.stderr.contains("the command runs on untold"), "{}", ended.stderr);
}

#[tokio::test]
async fn who_does_not_want_to_wait_for_the_server_interrupts_once_more() {
    let server = Server::start().await;
    let (_proxy, url) = proxied(&server, Mode::Down).await;
    let mut program = Tidings::start(&url, &["run", "--linger", "3600", "--", "true"]);
    program.says("does not answer").await;
    program.signal(Signal::INT);
    assert_eq!(program.end().await.code, 0);
}
