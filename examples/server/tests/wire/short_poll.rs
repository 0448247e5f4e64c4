//! "Short polling".

use serde_json::{Value, json};

use crate::{
    client::Reply,
    job::{Job, events_of},
    support::Server,
};

fn seqs(page: &Reply) -> Vec<u64> {
    let events = events_of(&page.body);
    events.iter().map(|e| serde_json::from_str::<Value>(e).expect("JSON")["seq"].as_u64().expect("a seq")).collect()
}

#[test]
fn a_page_is_the_job_and_the_events_of_one_moment() {
    let server = Server::start("");
    let job = Job::with_events(&server, 4);
    let page = job.get("/short-poll").expect(200);
    assert_eq!(page.field("content-type"), Some("application/json"));
    let json = page.json();
    assert_eq!(json.as_object().map(serde_json::Map::len), Some(6));
    assert_eq!(json["job"], job.snapshot());
    assert_eq!((&json["more"], &json["done"], &json["gap"]), (&json!(false), &json!(false), &Value::Null));
    assert_eq!((json["cursor"].as_str(), seqs(&page)), (Some(job.cursor().as_str()), vec![1, 2, 3, 4]));
    assert!(page.body.starts_with(&format!(r#"{{"job":{},"events":["#, job.get("").body)));
}

#[test]
fn pages_join_without_a_seam() {
    let server = Server::start("");
    let job = Job::with_events(&server, 7);
    let whole = job.events();
    let (mut seen, mut after) = (Vec::new(), String::new());
    for (more, retry_after) in [(true, "0"), (true, "0"), (false, "1")] {
        let page = job.get(&format!("/short-poll?limit=3{after}")).expect(200);
        assert_eq!((page.json()["more"].as_bool(), page.field("retry-after")), (Some(more), Some(retry_after)));
        assert_eq!(page.field("etag").is_some(), !more, "a page with more has no tag");
        assert_eq!(page.json()["cursor"] == page.json()["job"]["cursor"], !more);
        assert_eq!(page.json()["done"], false);
        seen.extend(events_of(&page.body));
        after = format!("&after={}", page.json()["cursor"].as_str().expect("a cursor"));
    }
    assert_eq!(seen, whole);
    let page = job.get(&format!("/short-poll?limit=3{after}")).expect(200);
    assert_eq!((seqs(&page), page.json()["cursor"] == job.cursor()), (vec![], true), "also when there are no events");
}

#[test]
fn a_page_that_is_just_full_has_no_more() {
    let server = Server::start("");
    let job = Job::with_events(&server, 3);
    let page = job.get("/short-poll?limit=3").expect(200);
    assert_eq!((seqs(&page).len(), &page.json()["more"]), (3, &json!(false)));
}

#[test]
fn a_page_with_more_is_never_not_modified() {
    let server = Server::start("");
    let job = Job::with_events(&server, 4);
    let ask = |rest: &str| crate::client::Ask::get(job.path(rest)).field("if-none-match", "*").to(&server);
    ask("/short-poll?limit=3").expect(200);
    let known = ask("/short-poll").expect(304);
    assert_eq!(
        (known.field("retry-after"), known.field("etag")),
        (Some("1"), Some(format!("\"{}\"", job.cursor()).as_str()))
    );
}

#[test]
fn a_limit_above_the_maximum_is_lowered() {
    let server = Server::start("");
    let job = Job::with_events(&server, 1002);
    for query in ["", "?limit=1000", "?limit=1001", "?limit=99999999999999999999999999"] {
        let page = job.get(&format!("/short-poll{query}")).expect(200);
        assert_eq!((seqs(&page).len(), &page.json()["more"]), (1000, &json!(true)), "{query}");
    }
    assert_eq!(seqs(&job.get("/short-poll?limit=1")), [1]);
}

#[test]
fn a_page_is_full_at_a_mebibyte() {
    let server = Server::start("");
    let job = Job::open(&server);
    let line = "x".repeat(60_000);
    let event = json!({ "type": "log", "data": { "stream": "stdout", "line": line } });
    job.report(&Value::from(vec![event.clone(); 12]).to_string());
    job.report(&Value::from(vec![event; 12]).to_string());
    let (first, whole) = (job.get("/short-poll").expect(200), 24 * line.len());
    assert!(first.body.len() < (1 << 20) + line.len() + 2000, "{}", first.body.len());
    assert!(first.body.len() > (1 << 20) - 2 * line.len() && first.body.len() < whole, "{}", first.body.len());
    assert_eq!(
        (&first.json()["more"], first.field("retry-after"), first.field("etag")),
        (&json!(true), Some("0"), None)
    );
    let cursor = first.json()["cursor"].as_str().expect("a cursor").to_owned();
    let second = job.get(&format!("/short-poll?after={cursor}")).expect(200);
    assert_eq!([seqs(&first), seqs(&second)].concat(), (1..=26).collect::<Vec<_>>());
    assert_eq!(second.json()["more"], false);
}

#[test]
fn done_is_said_with_the_last_event_and_ever_after() {
    let server = Server::start("");
    let job = Job::over(&server);
    for rest in
        ["/short-poll", "/short-poll?after=2", "/short-poll?after=3", &format!("/short-poll?after={}", job.cursor())]
    {
        let page = job.get(rest).expect(200);
        assert_eq!((&page.json()["done"], &page.json()["more"]), (&json!(true), &json!(false)), "{rest}");
        assert_eq!(page.field("retry-after"), None, "{rest}");
        assert!(page.field("etag").is_some());
    }
    let page = job.get("/short-poll?limit=2").expect(200);
    assert_eq!((&page.json()["done"], &page.json()["more"]), (&json!(false), &json!(true)));
    assert_eq!(page.json()["job"]["state"], "succeeded", "the job is as it is by now");
    assert_eq!(page.field("retry-after"), Some("0"));
}

#[test]
fn when_to_ask_again_is_configured() {
    let server = Server::start("[transports.short-poll]\ninterval_seconds = 7");
    let job = Job::open(&server);
    assert_eq!(job.get("/short-poll").field("retry-after"), Some("7"));
}

#[test]
fn a_gap_is_told_with_what_follows_it() {
    let server = Server::start("[retention]\nevents_per_job = 3");
    let job = Job::with_events(&server, 8);
    for (after, requested) in [("", 0), ("?after=0", 0), ("?after=4", 4)] {
        let page = job.get(&format!("/short-poll{after}")).expect(200);
        assert_eq!(page.json()["gap"], json!({ "requested": requested, "resumed_at": 6 }));
        assert_eq!(seqs(&page), [6, 7, 8]);
    }
    for (after, follow) in [(5, vec![6, 7, 8]), (6, vec![7, 8]), (8, vec![])] {
        let page = job.get(&format!("/short-poll?after={after}")).expect(200);
        assert_eq!((&page.json()["gap"], seqs(&page)), (&Value::Null, follow));
    }
}
