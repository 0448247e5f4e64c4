//! Clients that do not wait for their answers, on connections that are taken over from hyper.

mod support;

#[path = "wire/client.rs"]
#[allow(dead_code, reason = "this test uses a part of it")]
mod client;
#[path = "wire/job.rs"]
#[allow(dead_code, reason = "this test uses a part of it")]
mod job;

use std::{io::Write as _, net::Shutdown, time::Instant};

use client::{Has, Live};
use job::Job;
use support::{HANGS, Server};

fn get(server: &Server, path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", server.address)
}

#[track_caller]
fn wait_until_held(server: &Server, polls: u64) {
    let begun = Instant::now();
    while server.get("/readyz").json()["taken_over"]["polls"] != polls {
        assert!(begun.elapsed() < HANGS, "{:?}", server.get("/readyz"));
    }
}

/// More than hyper reads at a time, with a request at its beginning that is taken over too.
#[test]
fn many_requests_behind_a_held_one_are_all_answered() {
    let server = Server::start("");
    let job = Job::open(&server);
    let held = |after: u64| get(&server, &job.path(&format!("/long-poll?after={after}&wait=50")));
    let healthy = get(&server, "/healthz");
    let many = 12 * 1024 / healthy.len();
    let mut live = Live::connect(&server);
    live.send(held(2));
    wait_until_held(&server, 1);
    live.send(held(3) + &healthy.repeat(many));
    for seq in [3, 4] {
        wait_until_held(&server, seq - 2);
        job.note();
        assert_eq!(live.answer(Has::Body).expect(200).json()["events"][0]["seq"], seq);
    }
    for _ in 0..many {
        assert_eq!(live.answer(Has::Body).expect(200).json()["status"], "alive");
    }
}

/// As by hyper, which looks whether a client is gone only where nothing more has come of it. What it has sent further is
/// not answered by either.
#[test]
fn who_closes_its_half_behind_a_further_request_still_has_its_answer() {
    let server = Server::start("");
    let job = Job::open(&server);
    let held = get(&server, &job.path("/long-poll?after=2&wait=50"));
    let mut client = server.connect();
    client.write_all((held + &get(&server, "/healthz")).as_bytes()).expect("it is taken");
    wait_until_held(&server, 1);
    client.shutdown(Shutdown::Write).expect("it is open");
    // Whoever asks after that is answered after the server has seen it.
    wait_until_held(&server, 1);
    job.note();
    let mut live = Live::over(client);
    assert_eq!(live.answer(Has::Body).expect(200).json()["events"][0]["seq"], 3);
}
