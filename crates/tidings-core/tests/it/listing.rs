//! Lists of jobs, page by page.

use serde_json::Value;
use tidings_core::{JobId, Limits, ProblemKind, State};

use crate::support::Server;

fn ids(page: &Value) -> Vec<JobId> {
    let jobs = page["jobs"].as_array().expect("a list");
    jobs.iter().map(|job| job["id"].as_str().and_then(|id| id.parse().ok()).expect("an id")).collect()
}

#[tokio::test(start_paused = true)]
async fn the_newest_come_first_without_what_is_large() {
    let server = Server::start(|host| host);
    assert_eq!(server.get("/jobs").await.json(), serde_json::json!({"jobs": [], "cursor": "0-00000000", "next": null}));
    let (first, second) = (server.submit("echo").await, server.submit("fails").await);
    server.over(first).await;
    server.over(second).await;
    let reply = server.get("/jobs").await;
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let page = reply.json();
    assert_eq!((ids(&page), &page["next"]), (vec![second, first], &Value::Null));
    assert_eq!(page["cursor"], server.host.feed().end().to_string());
    assert_eq!(page["jobs"][0]["error"]["code"], "exit-status");
    assert!(page["jobs"][0].get("input").is_none() && page["jobs"][1].get("result").is_none(), "{page}");
    // Otherwise it is the job as it is shown alone.
    let mut alone = server.get(&format!("/jobs/{second}")).await.json();
    alone.as_object_mut().expect("an object").retain(|name, _| name != "input" && name != "result");
    assert_eq!(page["jobs"][0], alone);
}

#[tokio::test(start_paused = true)]
async fn a_list_goes_on_where_it_has_left_off() {
    let server = Server::start(|host| host);
    let mut jobs = Vec::new();
    for _ in 0..7 {
        jobs.push(server.submit("waits").await);
    }
    jobs.reverse();
    let first = server.get("/jobs?limit=3").await.json();
    assert_eq!(ids(&first), jobs[..3]);
    // What comes in between is newer, and moves nothing.
    server.submit("waits").await;
    let second = server.get(&format!("/jobs?limit=3&page={}", first["next"].as_str().expect("more"))).await.json();
    assert_eq!(ids(&second), jobs[3..6]);
    let third = server.get(&format!("/jobs?limit=3&page={}", second["next"].as_str().expect("more"))).await.json();
    assert_eq!((ids(&third), &third["next"]), (jobs[6..].to_vec(), &Value::Null));
    // A page that is just full is the last one.
    assert_eq!(server.get("/jobs?limit=8").await.json()["next"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn a_list_may_be_of_one_state_or_kind() {
    let server = Server::start(|host| host);
    let (done, failed, runs) =
        (server.submit("echo").await, server.submit("fails").await, server.submit("waits").await);
    server.over(done).await;
    server.over(failed).await;
    server.until(runs, State::Running).await;
    for (query, jobs) in [
        ("state=succeeded", vec![done]),
        ("state=failed", vec![failed]),
        ("state=running", vec![runs]),
        ("state=queued", vec![]),
        ("kind=waits", vec![runs]),
        ("kind=waits&state=failed", vec![]),
        ("kind=nobody", vec![]),
        ("unknown=1&unknown=2", vec![runs, failed, done]),
    ] {
        assert_eq!(ids(&server.get(&format!("/jobs?{query}")).await.json()), jobs, "{query}");
    }
    for query in ["state=over", "state=", "kind=A", "kind=a&kind=a", "limit=0", "limit=x", "limit=", "page=x", "page="]
    {
        server.get(&format!("/jobs?{query}")).await.is(ProblemKind::InvalidRequest);
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_has_its_limit() {
    let server = Server::start(|host| {
        let mut limits = Limits::default();
        (limits.listed, limits.listed_most) = (2, 4);
        host.with_limits(limits)
    });
    for _ in 0..6 {
        server.submit("waits").await;
    }
    assert_eq!(ids(&server.get("/jobs").await.json()).len(), 2);
    assert_eq!(ids(&server.get("/jobs?limit=1000").await.json()).len(), 4);
    assert_eq!(ids(&server.get("/jobs?limit=99999999999999999999999").await.json()).len(), 4);
}
