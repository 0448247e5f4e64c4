//! `GET /events` and `/events/sse`: the events of many jobs over one connection.

use serde_json::{Value, json};

use crate::{
    client::{Ask, Live},
    job::Job,
    support::Server,
};

/// The blocks of a stream: id, type, data.
fn blocks(text: &str) -> Vec<(String, String, String)> {
    let (_, text) = text.split_once('\n').expect("it begins with its retry");
    let block = |block: &str| {
        let lines: Vec<_> = block.lines().filter(|line| *line != ":").collect();
        let [id, kind, data] = lines[..] else { panic!("{block:?}") };
        let value = |line: &str, name: &str| line.strip_prefix(name).expect("its field").to_owned();
        (value(id, "id: "), value(kind, "event: "), value(data, "data: "))
    };
    text.split_terminator("\n\n").map(block).collect()
}

fn numbers(text: &str) -> Vec<u64> {
    blocks(text).iter().map(|(id, ..)| id.split('-').next().and_then(|n| n.parse().ok()).expect("a position")).collect()
}

/// The events of a stream once there are so many.
fn first(live: &mut Live, count: usize) -> String {
    live.until(|text| text.matches("\n\n").count() >= count).to_owned()
}

#[test]
fn all_jobs_come_in_the_order_of_the_log() {
    let server = Server::start("");
    let (a, b) = (Job::open(&server), Job::open(&server));
    a.note();
    b.note();
    for path in ["/events/sse", "/events"] {
        let mut live = Ask::get(path).open(&server);
        assert_eq!(live.field("content-type"), Some("text/event-stream; charset=utf-8"));
        let text = first(&mut live, 6);
        let events: Vec<_> = blocks(&text).into_iter().map(|(_, _, data)| data).collect();
        let [of_a, of_b] = [a.events(), b.events()];
        // The JSON of an event is unchanged: its cursor is still the one within its job.
        assert_eq!(events, [&of_a[0], &of_a[1], &of_b[0], &of_b[1], &of_a[2], &of_b[2]].map(String::clone));
        assert_eq!(numbers(&text), (1..=6).collect::<Vec<_>>());
        for (id, _, data) in blocks(&text) {
            let event: Value = serde_json::from_str(&data).expect("JSON");
            let tag = |cursor: &str| cursor.split_once('-').map(|(_, tag)| tag.to_owned());
            assert_eq!(tag(&id), tag(event["cursor"].as_str().expect("a cursor")), "with the same tag");
        }
    }
}

#[test]
fn named_jobs_come_alone_and_end_the_stream() {
    let server = Server::start("");
    let [a, b, c] = [Job::open(&server), Job::open(&server), Job::open(&server)];
    let path = format!("/events/sse?job={}&job={}", a.id, c.id);
    let mut live = Ask::get(&path).open(&server);
    first(&mut live, 4);
    b.note();
    a.succeed();
    c.note();
    c.succeed();
    let text = live.rest();
    let (numbers, events): (Vec<_>, Vec<_>) =
        (numbers(&text), blocks(&text).into_iter().map(|block| block.2).collect());
    assert_eq!(numbers, [1, 2, 5, 6, 8, 9, 10], "positions rise, and have holes");
    let (of_a, of_c) = (a.events(), c.events());
    assert_eq!(events, [&of_a[..2], &of_c[..2], &of_a[2..], &of_c[2..]].concat());
    let last = blocks(&text).pop().expect("a block").0;
    Ask::get(&path).field("last-event-id", &last).to(&server).expect(204);
    Ask::get(format!("{path}&after={last}")).to(&server).expect(204);
}

#[test]
fn a_kind_can_be_picked() {
    let server = Server::start("");
    let (build, test) = (Job::of_kind(&server, "build"), Job::of_kind(&server, "test"));
    let mut live = Ask::get("/events/sse?kind=test").open(&server);
    build.succeed();
    test.succeed();
    // It never ends by itself: what begins later belongs to it as well.
    let later = Job::of_kind(&server, "test");
    let text = first(&mut live, 5);
    let events: Vec<_> = blocks(&text).into_iter().map(|block| block.2).collect();
    assert_eq!(events, [test.events(), later.events()].concat());
    assert_eq!(numbers(&text), [3, 4, 6, 7, 8]);
    let both = Ask::get(format!("/events?kind=test&job={}&job={}", build.id, test.id)).to(&server).expect(200);
    assert_eq!(blocks(&both.body).into_iter().map(|block| block.2).collect::<Vec<_>>(), test.events());
}

#[test]
fn now_is_after_all_that_has_happened() {
    let server = Server::start("");
    let job = Job::with_events(&server, 5);
    let mut live = Ask::get("/events?after=now").open(&server);
    live.until(|text| !text.is_empty());
    job.note();
    assert_eq!(numbers(&first(&mut live, 1)), [6]);
    Ask::get("/events?after=now&after=now").to(&server).problem(400, "invalid-request");
    job.get("/sse?after=now").problem(400, "invalid-cursor");
}

#[test]
fn a_stream_of_many_jobs_resumes() {
    let server = Server::start("");
    let (a, b) = (Job::open(&server), Job::open(&server));
    let whole = blocks(&first(&mut Ask::get("/events").open(&server), 4));
    for (n, (id, ..)) in whole.iter().enumerate() {
        let mut live = Ask::get("/events?after=4").field("last-event-id", id).open(&server);
        if n < 3 {
            assert_eq!(blocks(&first(&mut live, 3 - n)), whole[n + 1..]);
        }
    }
    let bare = first(&mut Ask::get("/events?after=3").open(&server), 1);
    assert_eq!(blocks(&bare), whole[3..]);
    // The cursor of a job is none of the whole log, where its number stands for another event.
    for cursor in [b.cursor(), "3-00000000".to_owned(), "5".to_owned()] {
        Ask::get(format!("/events?after={cursor}")).to(&server).problem(410, "cursor-mismatch");
        Ask::get("/events").field("last-event-id", &cursor).to(&server).problem(410, "cursor-mismatch");
    }
    for cursor in ["x", "9007199254740992"] {
        Ask::get(format!("/events?after={cursor}")).to(&server).problem(400, "invalid-cursor");
    }
    drop(a);
}

#[test]
fn unknown_jobs_are_skipped() {
    let server = Server::start("");
    let job = Job::over(&server);
    let unknown = "01938f6e-7c1a-7b3e-9d52-8f3b2a6c4e10";
    for query in [format!("job={}&job={unknown}", job.id), format!("job=x&job={}&job={}", job.id, job.id)] {
        let text = Ask::get(format!("/events?{query}")).to(&server).expect(200).body;
        assert_eq!(blocks(&text).into_iter().map(|block| block.2).collect::<Vec<_>>(), job.events());
    }
    for query in [format!("job={unknown}"), format!("job={unknown}&job=x"), "job=x".to_owned()] {
        Ask::get(format!("/events/sse?{query}")).to(&server).problem(404, "unknown-job");
    }
}

#[test]
fn a_hundred_jobs_may_be_named() {
    // A hundred ids are longer than a request target is by default.
    let server = Server::start("[connections]\nrequest_target_bytes = 8192");
    let jobs: Vec<_> = (0..101).map(|_| Job::over(&server)).collect();
    let query = |count: usize| jobs[..count].iter().map(|job| format!("job={}&", job.id)).collect::<String>();
    let text = Ask::get(format!("/events?{}", query(100))).to(&server).expect(200).body;
    assert_eq!(numbers(&text), (1..=300).collect::<Vec<_>>());
    Ask::get(format!("/events?{}", query(101))).to(&server).problem(400, "invalid-request");
}

#[test]
fn a_gap_is_told_only_to_whom_it_concerns() {
    let server = Server::start("[retention]\nevents_per_job = 3");
    let (short, long) = (Job::of_kind(&server, "short"), Job::of_kind(&server, "long"));
    let third = long.note();
    (0..3).for_each(|_| drop(long.note()));
    // Positions 1 and 2 are of the one; 3 to 8 of the other, of which 6 to 8 are kept.
    for (query, requested, resumed_at) in [
        ("kind=long".to_owned(), 0, 6),
        (format!("job={}", long.id), 0, 6),
        (format!("job={}&after=4", long.id), 4, 6),
        ("after=0".to_owned(), 0, 1),
        ("after=2".to_owned(), 2, 6),
    ] {
        let text = first(&mut Ask::get(format!("/events?{query}")).open(&server), 1);
        let (id, kind, data) = blocks(&text).swap_remove(0);
        let data: Value = serde_json::from_str(&data).expect("JSON");
        assert_eq!(kind, "gap", "{query}");
        assert_eq!((&data["requested"], &data["resumed_at"]), (&json!(requested), &json!(resumed_at)), "{query}");
        let jobs: Vec<_> = data["jobs"].as_array().expect("a list").iter().map(|job| job["id"].clone()).collect();
        assert_eq!((jobs, data.as_object().map(serde_json::Map::len)), (vec![json!(long.id)], Some(3)), "{query}");
        assert_eq!(id.split('-').next(), Some((resumed_at - 1).to_string().as_str()), "{query}");
        if resumed_at == 6 {
            // The last event dropped is vouched for, and so is where it was.
            let dropped = third["cursor"].as_str().and_then(|cursor| cursor.strip_prefix("3-")).expect("a cursor");
            assert_eq!(id, format!("5-{dropped}"));
            assert_eq!(
                numbers(&first(&mut Ask::get("/events").field("last-event-id", &id).open(&server), 3)),
                [6, 7, 8]
            );
            Ask::get("/events?after=5-00000000").to(&server).problem(410, "cursor-mismatch");
        }
    }
    for query in ["kind=short".to_owned(), format!("job={}", short.id), "after=5".to_owned(), "after=6".to_owned()] {
        let text = first(&mut Ask::get(format!("/events?{query}")).open(&server), 2);
        assert!(blocks(&text).iter().all(|(_, kind, _)| kind != "gap"), "{query}: {text}");
    }
}

#[test]
fn types_may_be_left_out_here_as_well() {
    let server = Server::start("");
    let job = Job::over(&server);
    let text = Ask::get(format!("/events?as=message&job={}", job.id)).to(&server).expect(200).body;
    assert_eq!((text.matches("event: ").count(), text.matches("data: ").count()), (0, 3));
}
