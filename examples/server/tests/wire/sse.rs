//! "Server-Sent Events" of one job, byte for byte.

use serde_json::{Value, json};

use crate::{
    client::Ask,
    job::{Job, WAITS, start, wait_for},
    support::Server,
};

/// What a stream begins with, taken off it.
#[track_caller]
fn without_retry(text: &str) -> &str {
    let (line, rest) = text.split_once('\n').expect("a line");
    let millis = line.strip_prefix("retry: ").and_then(|millis| millis.parse::<u32>().ok());
    assert!(millis.is_some_and(|millis| (1000..=3000).contains(&millis)), "{line:?}");
    rest
}

/// The blocks of these events as they must come.
fn blocks(events: &[String]) -> String {
    let member = |event: &str, name: &str| -> String {
        serde_json::from_str::<Value>(event).expect("JSON")[name].as_str().expect("a text").to_owned()
    };
    let block = |event: &String| {
        format!("id: {}\nevent: {}\ndata: {event}\n\n", member(event, "cursor"), member(event, "type"))
    };
    events.iter().map(block).collect()
}

/// The data of a block of this type.
fn data_of(text: &str, kind: &str) -> Value {
    let (_, rest) = text.split_once(&format!("event: {kind}\ndata: ")).unwrap_or_else(|| panic!("{kind} in {text:?}"));
    serde_json::from_str(rest.lines().next().expect("a line")).expect("JSON")
}

#[test]
fn a_stream_is_the_events_of_the_job_and_ends_with_the_last() {
    let server = Server::start("");
    let job = Job::with_events(&server, 4);
    let mut live = Ask::get(job.path("/sse")).open(&server);
    assert_eq!(live.status, 200);
    assert_eq!(live.field("content-type"), Some("text/event-stream; charset=utf-8"));
    assert_eq!(live.field("cache-control"), Some("no-cache, no-transform"));
    assert_eq!(live.field("x-accel-buffering"), Some("no"));
    live.until(|text| text.matches("\n\n").count() == 4);
    job.report(r#"{"type":"log","data":{"stream":"stdout","line":"a\nid: 9\r\n\r\nevent: forged\u2028"}}"#);
    live.until(|text| text.matches("\n\n").count() == 5);
    job.succeed();
    let text = live.rest();
    assert!(!text.contains('\r'));
    assert_eq!(without_retry(&text), blocks(&job.events()));
}

#[test]
fn the_retry_leaves_with_the_head_and_without_an_empty_line() {
    let server = Server::start("");
    let job = Job::open(&server);
    let mut live = Ask::get(job.path("/sse?after=2")).open(&server);
    let first = live.until(|text| !text.is_empty()).to_owned();
    assert_eq!((without_retry(&first), first.ends_with('\n')), ("", true));
    job.note();
    live.until(|text| text.ends_with("\n\n"));
    assert_eq!(without_retry(&live.text), blocks(&job.events()[2..]));
}

#[test]
fn the_retry_is_drawn_anew_for_each_stream() {
    let server = Server::start("");
    let job = Job::over(&server);
    let first = |text: String| text.lines().next().map(str::to_owned);
    let drawn: std::collections::HashSet<_> = (0..20).map(|_| first(job.get("/sse").expect(200).body)).collect();
    assert!(drawn.len() > 1, "{drawn:?}");
}

#[test]
fn as_message_leaves_the_types_out() {
    let server = Server::start("");
    let job = Job::over(&server);
    let typed = job.get("/sse").expect(200).body;
    let untyped = job.get("/sse?as=message").expect(200).body;
    let expected: String =
        without_retry(&typed).split_inclusive('\n').filter(|line| !line.starts_with("event:")).collect();
    assert_eq!(without_retry(&untyped), expected);
    assert_eq!(untyped.matches("data: ").count(), 3);
}

#[test]
fn the_last_event_id_goes_before_the_query() {
    let server = Server::start("");
    let job = Job::over(&server);
    let events = job.events();
    let ask = |query: &str, id: &str| {
        let body = Ask::get(job.path(query)).field("last-event-id", id).to(&server).expect(200).body;
        without_retry(&body).to_owned()
    };
    let second: Value = serde_json::from_str(&events[1]).expect("JSON");
    let cursor = second["cursor"].as_str().expect("a cursor");
    assert_eq!(ask("/sse", cursor), blocks(&events[2..]));
    assert_eq!(ask("/sse", "1"), blocks(&events[1..]));
    assert_eq!(ask("/sse?after=0", cursor), blocks(&events[2..]));
    assert_eq!(ask("/sse?after=2", "0"), blocks(&events));
    assert_eq!(ask("/sse?after=2", ""), blocks(&events[2..]), "an empty one is none");
    assert_eq!(ask("/sse", ""), blocks(&events));
    assert_eq!(without_retry(&job.get("/sse?after=1").body), blocks(&events[1..]));
    for bad in ["x", "1-", "9007199254740992", "\u{e9}"] {
        Ask::get(job.path("/sse")).field("last-event-id", bad).to(&server).problem(400, "invalid-cursor");
    }
    for unknown in ["4", "2-00000000"] {
        Ask::get(job.path("/sse")).field("last-event-id", unknown).to(&server).problem(410, "cursor-mismatch");
    }
}

#[test]
fn a_reconnect_after_the_end_gets_204() {
    let server = Server::start("");
    let job = Job::over(&server);
    let text = job.get("/sse").expect(200).body;
    let last = text.lines().rfind(|line| line.starts_with("id: ")).and_then(|line| line.strip_prefix("id: "));
    let last = last.expect("an id");
    for ask in [
        Ask::get(job.path("/sse")).field("last-event-id", last),
        Ask::get(job.path(&format!("/sse?after={last}"))),
        Ask::get(job.path("/sse?after=3&as=message")),
        Ask::head(job.path("/sse?after=3")),
    ] {
        let reply = ask.to(&server).expect(204);
        assert_eq!((reply.body.as_str(), reply.field("content-type")), ("", None));
    }
}

#[test]
fn who_excludes_streams_is_told_so() {
    let server = Server::start("");
    let job = Job::open(&server);
    for path in [job.path("/sse"), "/events/sse".to_owned(), "/events".to_owned()] {
        for accept in ["application/json", "text/html", "text/event-stream;q=0", "text/event-stream; q=0.000, */*"] {
            Ask::get(&path).field("accept", accept).to(&server).problem(406, "not-acceptable");
        }
        for accept in ["text/event-stream", "TEXT/Event-Stream", "text/*", "*/*", "application/json, */*;q=0.1", ""] {
            assert_eq!(Ask::get(&path).field("accept", accept).open(&server).status, 200, "{accept}");
        }
    }
}

#[test]
fn a_silent_stream_has_heartbeats() {
    let server = Server::start("[transports.sse]\nheartbeat_seconds = 1");
    let job = Job::open(&server);
    let mut live = Ask::get(job.path("/sse?after=2")).open(&server);
    let mut all = Ask::get("/events?after=now").open(&server);
    for stream in [&mut live, &mut all] {
        let text = stream.until(|text| text.ends_with(":\n:\n"));
        assert_eq!(without_retry(text), ":\n:\n");
    }
    job.succeed();
    let text = live.rest();
    let beats = without_retry(&text).trim_start_matches(":\n");
    assert_eq!(beats, blocks(&job.events()[2..]), "a comment belongs to no block");
}

#[test]
fn a_gap_is_told_at_the_start() {
    let server = Server::start("[retention]\nevents_per_job = 3");
    let job = Job::open(&server);
    let third = job.note()["cursor"].as_str().expect("a cursor").to_owned();
    let mut fifth = String::new();
    for seq in 4..=8 {
        let noted = job.note();
        if seq == 5 {
            noted["cursor"].as_str().expect("a cursor").clone_into(&mut fifth);
        }
    }
    job.succeed();
    let events = job.events();
    let kept = blocks(&events);
    // 1 to 6 are dropped by now, and 3's tag can't be checked any more.
    for (query, requested) in [
        ("", 0),
        ("&after=0", 0),
        ("&after=2", 2),
        (&format!("&after={third}"), 3),
        ("&after=3-00000000", 3),
        (&format!("&after={fifth}"), 5),
    ] {
        for framing in ["?_", "?as=message"] {
            let text = job.get(&format!("/sse{framing}{query}")).expect(200).body;
            let rest = without_retry(&text);
            let (gap, rest) = rest.split_once("\n\n").expect("a block");
            let [id, kind, _] = gap.lines().collect::<Vec<_>>()[..] else { panic!("{gap:?}") };
            assert!(id.starts_with("id: 6-") && kind == "event: gap", "{gap:?}");
            let data = data_of(&text, "gap");
            assert_eq!((&data["requested"], &data["resumed_at"]), (&json!(requested), &json!(7)));
            assert_eq!((&data["job"]["id"], &data["job"]["seq"]), (&json!(job.id), &json!(6)));
            assert_eq!(data["job"]["state"], "running", "the snapshot is as of its own seq");
            assert_eq!(data.as_object().map(serde_json::Map::len), Some(3));
            if framing == "?_" {
                assert_eq!(rest, kept);
            }
            // Whoever comes back with the gap's id goes on after it.
            let id = id.strip_prefix("id: ").expect("an id");
            let resumed = Ask::get(job.path("/sse")).field("last-event-id", id).to(&server).expect(200).body;
            assert_eq!(without_retry(&resumed), kept);
        }
    }
}

#[test]
fn a_gap_is_told_where_a_slow_reader_is_overtaken() {
    let server = Server::start("[retention]\nevents_per_job = 20");
    let job = Job::open(&server);
    let mut live = Ask::get(job.path("/sse")).open(&server);
    live.until(|text| text.matches("\n\n").count() == 2);
    // More than the buffers between the server and a client that does not read hold.
    let event = json!({ "type": "log", "data": { "stream": "stdout", "line": "x".repeat(60_000) } });
    let batch = Value::from(vec![event; 16]).to_string();
    (0..20).for_each(|_| drop(job.report(&batch)));
    job.succeed();
    let text = live.rest();
    let (mut before, mut gaps) = (0, 0);
    for block in without_retry(&text).split_terminator("\n\n") {
        let id =
            block.strip_prefix("id: ").and_then(|rest| rest.split('-').next()).and_then(|seq| seq.parse::<u64>().ok());
        let id = id.unwrap_or_else(|| panic!("a block without an id"));
        if block.contains("\nevent: gap\n") {
            // As often as the buffers had room while it was reported.
            let gap = data_of(block, "gap");
            assert_eq!(
                (&gap["requested"], &gap["resumed_at"], &gap["job"]["seq"]),
                (&json!(before), &json!(id + 1), &json!(id))
            );
            assert!(id > before, "it is told once");
            gaps += 1;
        } else {
            assert_eq!(id, before + 1, "events follow one another, and the gap");
        }
        before = id;
    }
    assert!(gaps > 0);
    assert_eq!(before, 2 + 320 + 1, "the last is the terminal one");
}

#[test]
fn a_stream_of_a_job_that_is_cancelled_ends_with_that() {
    let server = Server::start(WAITS);
    let id = start(&server);
    wait_for(&server, &format!("/jobs/{id}"), |reply| reply.json()["state"] == "running");
    let live = Ask::get(format!("/jobs/{id}/sse")).open(&server);
    Ask::post(format!("/jobs/{id}/cancel"), r#"{"reason":"enough"}"#).to(&server).expect(202);
    let text = live.rest();
    assert_eq!(data_of(&text, "cancelling")["data"]["reason"], "enough");
    assert_eq!(data_of(&text, "cancelled")["type"], "cancelled");
    assert!(text.ends_with("\n\n"));
}

#[test]
fn a_server_that_shuts_down_asks_streams_to_come_back() {
    let server = Server::start(WAITS);
    let id = start(&server);
    wait_for(&server, &format!("/jobs/{id}"), |reply| reply.json()["state"] == "running");
    let over = Job::over(&server);
    server.signal(rustix::process::Signal::TERM);
    wait_for(&server, "/readyz", |reply| reply.status == 503).problem(503, "shutting-down");
    for path in [format!("/jobs/{id}/sse"), "/events".to_owned(), format!("/events?job={id}"), over.path("/sse")] {
        let reply = Ask::get(&path).to(&server).expect(200);
        assert_eq!(reply.body, ": overloaded\nretry: 10000\n", "{path}");
        assert_eq!(reply.field("content-type"), Some("text/event-stream; charset=utf-8"));
    }
    // The others stay as they are.
    Ask::get("/jobs/nothing/sse").to(&server).problem(404, "unknown-job");
    over.get("/sse?after=9").problem(410, "cursor-mismatch");
    Ask::get(format!("/jobs/{id}/sse")).field("accept", "text/html").to(&server).problem(406, "not-acceptable");
    over.get("/sse?after=3").expect(204);
}
