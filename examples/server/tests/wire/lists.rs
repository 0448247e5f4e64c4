//! `GET /jobs`: filters, limits, pages.

use serde_json::{Value, json};

use crate::{
    client::Ask,
    job::{Job, WAITS, start, wait_for},
    support::Server,
};

fn list(server: &Server, query: &str) -> Value {
    Ask::get(format!("/jobs{query}")).to(server).expect(200).json()
}

fn ids(list: &Value) -> Vec<&str> {
    list["jobs"].as_array().expect("a list").iter().map(|job| job["id"].as_str().expect("an id")).collect()
}

#[test]
fn jobs_are_listed_newest_first_without_input_and_result() {
    let server = Server::start("");
    assert_eq!(list(&server, "")["jobs"], json!([]));
    let jobs = [Job::over(&server), Job::open(&server), Job::open(&server)];
    let listed = list(&server, "");
    assert_eq!(ids(&listed), [&jobs[2].id, &jobs[1].id, &jobs[0].id]);
    assert_eq!(listed["next"], Value::Null);
    for (shown, job) in listed["jobs"].as_array().expect("a list").iter().zip(jobs.iter().rev()) {
        let mut whole = job.snapshot();
        let members = whole.as_object_mut().expect("an object");
        assert!(members.remove("input").is_some() && members.remove("result").is_some());
        assert_eq!(*shown, whole);
    }
}

#[test]
fn a_list_can_be_picked_from() {
    let server = Server::start(WAITS);
    let running = start(&server);
    wait_for(&server, &format!("/jobs/{running}"), |reply| reply.json()["state"] == "running");
    let queued = start(&server);
    let [build, test, failed, cancelled] = ["build", "test", "build", "build"].map(|kind| Job::of_kind(&server, kind));
    build.succeed();
    failed.report(r#"{"type":"failed","data":{"error":{"code":"a","message":"b"}}}"#);
    cancelled.report(r#"{"type":"cancelled"}"#);
    for (query, expected) in [
        ("?kind=build", vec![&cancelled.id, &failed.id, &build.id]),
        ("?kind=test", vec![&test.id]),
        ("?kind=nothing", vec![]),
        ("?state=queued", vec![&queued]),
        ("?state=running", vec![&test.id, &running]),
        ("?state=succeeded", vec![&build.id]),
        ("?state=failed", vec![&failed.id]),
        ("?state=cancelled", vec![&cancelled.id]),
        ("?state=running&kind=pipeline", vec![&running]),
        ("?kind=build&limit=2", vec![&cancelled.id, &failed.id]),
    ] {
        assert_eq!(ids(&list(&server, query)), expected, "{query}");
    }
}

#[test]
fn pages_follow_one_another() {
    let server = Server::start("");
    let mut all: Vec<_> = (0..7).map(|_| Job::of_kind(&server, "build").id).collect();
    all.reverse();
    let (mut seen, mut query) = (Vec::new(), "?limit=3&kind=build".to_owned());
    let mut sizes = Vec::new();
    loop {
        let page = list(&server, &query);
        sizes.push(ids(&page).len());
        seen.extend(ids(&page).into_iter().map(str::to_owned));
        // What is submitted meanwhile is newer, and changes nothing about the pages that follow.
        Job::of_kind(&server, "build");
        match page["next"].as_str() {
            Some(next) => query = format!("?limit=3&kind=build&page={next}"),
            None => break,
        }
    }
    assert_eq!((seen, sizes), (all, vec![3, 3, 1]));
}

#[test]
fn a_list_is_as_long_as_it_may_be() {
    let server = Server::start("[limits]\nlisted = 2\nlisted_most = 3");
    (0..5).for_each(|_| drop(Job::open(&server)));
    for (query, count) in
        [("", 2), ("?limit=1", 1), ("?limit=3", 3), ("?limit=4", 3), ("?limit=99999999999999999999", 3)]
    {
        let listed = list(&server, query);
        assert_eq!(ids(&listed).len(), count, "{query}");
        assert!(listed["next"].is_string(), "{query}");
    }
}

#[test]
fn by_default_50_jobs_are_listed_and_at_most_500() {
    let server = Server::start("");
    (0..501).for_each(|_| drop(Job::open(&server)));
    assert_eq!(ids(&list(&server, "")).len(), 50);
    assert_eq!(ids(&list(&server, "?limit=501")).len(), 500);
}

#[test]
fn a_list_names_the_place_in_the_log_that_it_was_made_at() {
    let server = Server::start("");
    let job = Job::open(&server);
    let listed = list(&server, "");
    let cursor = listed["cursor"].as_str().expect("a cursor").to_owned();
    assert!(cursor.starts_with("2-"), "{cursor}");
    // A page that has loaded the list follows from there, and neither misses nor repeats anything.
    let noted = job.note();
    let mut stream = Ask::get(format!("/events?after={cursor}")).open(&server);
    let text = stream.until(|text| text.ends_with("\n\n"));
    let data = text.lines().find_map(|line| line.strip_prefix("data: ")).expect("an event");
    let event: Value = serde_json::from_str(data).expect("JSON");
    assert_eq!((&event["job"], &event["seq"]), (&json!(job.id), &noted["seq"]));
}
