//! "Values": job ids, kinds, cursors, times, JSON, snapshots and events.

use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::{client::Ask, job::Job, support::Server};

#[test]
fn a_job_has_one_spelling_and_anything_else_is_an_unknown_job() {
    let server = Server::start("");
    let job = Job::open(&server);
    let id = &job.id;
    let version_4 = format!("{}4{}", &id[..14], &id[15..]);
    assert_eq!(id.as_bytes()[14], b'7', "{id}");
    for other in [
        id.to_uppercase(),
        id.replace('-', ""),
        format!("{{{id}}}"),
        format!("urn:uuid:{id}"),
        id[..35].to_owned(),
        version_4,
        "01938f6e-7c1a-7b3e-9d52-8f3b2a6c4e10".to_owned(),
        "nonsense".to_owned(),
        "%00".to_owned(),
        String::new(),
    ] {
        for rest in ["", "/short-poll", "/long-poll", "/sse"] {
            Ask::get(format!("/jobs/{other}{rest}")).to(&server).problem(404, "unknown-job");
        }
        Ask::delete(format!("/jobs/{other}")).to(&server).problem(404, "unknown-job");
        Ask::post(format!("/jobs/{other}/cancel"), "").to(&server).problem(404, "unknown-job");
        Ask::post(format!("/jobs/{other}/events"), "[]").to(&server).problem(404, "unknown-job");
    }
}

#[test]
fn kinds_and_types_keep_to_their_alphabets() {
    let server = Server::start("");
    let open = |kind: &str| Ask::post("/jobs", json!({ "kind": kind, "worker": "external" }).to_string()).to(&server);
    let long = "a".repeat(64);
    for good in ["a", "a_b-9", &long] {
        open(good).expect(202);
    }
    let longer = "a".repeat(65);
    for bad in ["", "A", "9a", "-a", "a.b", "a b", "ä", &longer] {
        open(bad).problem(422, "invalid-input");
    }
    let job = Job::open(&server);
    let report = |kind: &str| job.reporting(&json!({ "type": kind, "data": 1 }).to_string()).to(&server);
    for good in ["a", "a.b_c-9", &long] {
        report(good).expect(200);
    }
    for bad in ["", "A", "9a", ".a", "a b", "a\nid: 9", &longer] {
        report(bad).problem(422, "invalid-input");
    }
    for reserved in ["queued", "started", "cancelling", "open", "error", "message", "gap"] {
        report(reserved).problem(422, "invalid-input");
    }
}

#[test]
fn what_a_cursor_may_look_like() {
    let server = Server::start("");
    let job = Job::with_events(&server, 4);
    let cursor = job.cursor();
    let tag = cursor.strip_prefix("4-").expect("its number is the seq");
    assert!(tag.len() == 8 && tag.bytes().all(|b| b"0123456789abcdef".contains(&b)), "{cursor}");
    let ask = |after: &str| job.get(&format!("/short-poll?after={after}"));
    let seqs = |after: &str| {
        let page = ask(after).expect(200).json();
        page["events"].as_array().expect("events").iter().map(|event| event["seq"].as_u64()).collect::<Vec<_>>()
    };
    for (after, follows) in [
        ("0", 1),
        ("0-00000000", 1),
        ("000", 1),
        ("3", 4),
        ("0000000000000000000000000000003", 4),
        ("4", 5),
        (cursor.as_str(), 5),
        (&format!("00{cursor}"), 5),
    ] {
        assert_eq!(seqs(after), (follows..=4).map(Some).collect::<Vec<_>>(), "{after}");
    }
    assert_eq!(job.events().len(), 4, "no cursor is from the first event");
    let beyond = format!("9007199254740992-{tag}");
    let zeros = format!("{}9007199254740992", "0".repeat(20));
    for malformed in [
        "",
        "-",
        "-1",
        "+1",
        "%201",
        "1%20",
        "1.0",
        "a",
        "4-",
        "4-1234567",
        "4-123456789",
        "4-ABCDEF01",
        "4-1234567g",
        "4--1234567",
        "9007199254740992",
        "18446744073709551617",
        "99999999999999999999999999",
        &beyond,
        &zeros,
    ] {
        ask(malformed).problem(400, "invalid-cursor");
    }
    for unknown in ["5", "9007199254740991", &format!("5-{tag}"), &format!("3-{tag}"), "4-00000000"] {
        ask(unknown).problem(410, "cursor-mismatch");
    }
}

#[test]
fn a_cursor_of_another_job_is_refused_by_every_transport() {
    let server = Server::start("");
    let (one, other) = (Job::with_events(&server, 4), Job::with_events(&server, 4));
    let cursor = other.cursor();
    assert_ne!(cursor, one.cursor());
    for transport in ["short-poll", "long-poll", "sse"] {
        one.get(&format!("/{transport}?after={cursor}")).problem(410, "cursor-mismatch");
        one.get(&format!("/{transport}?after=x")).problem(400, "invalid-cursor");
        one.get(&format!("/{transport}?after={}", 1u64 << 53)).problem(400, "invalid-cursor");
    }
}

#[test]
fn a_tag_vouches_for_the_whole_history_up_to_there() {
    let server = Server::start("");
    let job = Job::with_events(&server, 6);
    let mut before = 0;
    for (event, seq) in job.events().iter().zip(1..) {
        let (head, rest) = event.split_once(r#""cursor":""#).expect("a cursor");
        let (cursor, rest) = rest.split_once(r#"","#).expect("its end");
        let tag = xxh3_64_with_seed(format!("{head}{rest}").as_bytes(), before) >> 32;
        assert_eq!(cursor, format!("{seq}-{tag:08x}"), "{event}");
        before = tag;
    }
    assert_eq!(job.cursor(), format!("6-{before:08x}"));
}

#[test]
fn the_tag_of_the_last_event_dropped_is_still_checked() {
    let server = Server::start("[retention]\nevents_per_job = 2");
    let job = Job::open(&server);
    let third = job.note()["cursor"].as_str().expect("a cursor").to_owned();
    let fourth = job.note()["cursor"].as_str().expect("a cursor").to_owned();
    job.note();
    job.note();
    let ask = |after: &str| job.get(&format!("/short-poll?after={after}"));
    assert_eq!(ask(&fourth).expect(200).json()["gap"], Value::Null);
    ask("4-00000000").problem(410, "cursor-mismatch");
    let gap = |requested| json!({ "requested": requested, "resumed_at": 5 });
    assert_eq!(ask(&third).expect(200).json()["gap"], gap(3));
    assert_eq!(ask("3-00000000").expect(200).json()["gap"], gap(3), "its tag can't be checked any more");
}

#[test]
fn times_are_in_utc_with_milliseconds() {
    let server = Server::start("");
    let job = Job::over(&server);
    let snapshot = job.snapshot();
    let event: Value = serde_json::from_str(&job.events()[0]).expect("JSON");
    let times = ["created_at", "started_at", "updated_at", "finished_at"].map(|name| &snapshot[name]);
    for time in times.into_iter().chain([&event["time"]]) {
        let shape: String =
            time.as_str().expect("a text").chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert_eq!(shape, "0000-00-00T00:00:00.000Z");
    }
}

#[test]
fn json_is_at_most_64_deep() {
    let server = Server::start("");
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let submit = |input: &str| {
        Ask::post("/jobs", format!(r#"{{"kind":"build","worker":"external","input":{input}}}"#)).to(&server)
    };
    submit(&nested(63)).expect(202);
    for depth in [64, 1000, 100_000] {
        submit(&nested(depth)).problem(400, "malformed-json");
    }
    let job = Job::open(&server);
    let report = |data: &str| job.reporting(&format!(r#"{{"type":"note","data":{data}}}"#)).to(&server);
    report(&nested(63)).expect(200);
    report(&nested(64)).problem(400, "malformed-json");
    let in_array = |data: &str| job.reporting(&format!(r#"[{{"type":"note","data":{data}}}]"#)).to(&server);
    in_array(&nested(62)).expect(200);
    in_array(&nested(63)).problem(400, "malformed-json");
}

#[test]
fn what_is_no_json_is_malformed() {
    let server = Server::start("");
    let job = Job::open(&server);
    for body in [
        &b""[..],
        b"{",
        b"{}{}",
        b"{'kind':1}",
        b"\xef\xbb\xbf{}",
        b"{\"kind\":\"a\xff\"}",
        b"NaN",
        b"[1,]",
        br#"{"kind":"build","input":"\ud800"}"#,
        br#"{"kind":"build","input":"\udc00\ud800"}"#,
    ] {
        Ask::post("/jobs", body).to(&server).problem(400, "malformed-json");
        if !body.is_empty() {
            Ask::post(job.path("/cancel"), body).to(&server).problem(400, "malformed-json");
        }
        let report = Ask::post(job.path("/events"), body).field("tidings-report-token", &job.token);
        report.to(&server).problem(400, "malformed-json");
    }
}

#[test]
fn an_array_never_stands_for_an_object() {
    let server = Server::start("");
    let job = Job::open(&server);
    for body in [r#"["build",null,"external",60]"#, r#""build""#, "7", "null"] {
        Ask::post("/jobs", body).to(&server).problem(422, "invalid-input");
    }
    for body in [r#"["why"]"#, r#""why""#, "null"] {
        Ask::post(job.path("/cancel"), body).to(&server).problem(422, "invalid-input");
    }
    for body in [
        r#"[["note",1]]"#,
        r#"{"type":"progress","data":[1,2,"%",null]}"#,
        r#"{"type":"log","data":["stdout","a line"]}"#,
        r#"{"type":"failed","data":{"error":["code","message"]}}"#,
        r#"{"type":"cancelled","data":["why"]}"#,
    ] {
        job.reporting(body).to(&server).problem(422, "invalid-input");
    }
    assert_eq!(job.snapshot()["seq"], 2, "nothing of it was taken");
}

#[test]
fn a_member_that_is_there_twice_is_refused() {
    let server = Server::start("");
    let job = Job::open(&server);
    Ask::post("/jobs", r#"{"kind":"build","worker":"external","kind":"test"}"#)
        .to(&server)
        .problem(422, "invalid-input");
    Ask::post("/jobs", r#"{"kind":"build","worker":"external","\u006bind":"test"}"#)
        .to(&server)
        .problem(422, "invalid-input");
    job.reporting(r#"{"type":"note","data":1,"data":2}"#).to(&server).problem(422, "invalid-input");
    Ask::post(job.path("/cancel"), r#"{"reason":"a","reason":"b"}"#).to(&server).problem(422, "invalid-input");
}

#[test]
fn digits_keys_and_escapes_stay_as_sent_and_white_space_goes() {
    let server = Server::start("");
    let sent = " { \"z\" : 1.50e+1 ,\n\t\"a\" : 123456789012345678901234567890 , \"é\\u00e9\\/\" : [ 1 , -0.0 ]\r\n, \"a\" : 1E+09 } ";
    let kept = r#"{"z":1.50e+1,"a":123456789012345678901234567890,"é\u00e9\/":[1,-0.0],"a":1E+09}"#;
    let job = Job::submit(&server, &format!(r#"{{"input":{sent},"worker":"external","kind":"build"}}"#));
    assert!(job.get("").body.contains(&format!(r#""input":{kept},"#)));
    job.report(&format!(r#"{{"data" :{sent}, "type":"note"}}"#));
    job.report(&format!(r#"[ {{"type":"note", "data":{sent}}} ]"#));
    job.report(&format!(r#"{{"type":"succeeded","data":{{"result":{sent}}}}}"#));
    let events = job.events();
    assert!(
        events[0].ends_with(&format!(r#""type":"queued","data":{{"kind":"build","input":{kept}}}}}"#)),
        "{}",
        events[0]
    );
    for event in &events[2..4] {
        assert!(event.ends_with(&format!(r#""type":"note","data":{kept}}}"#)), "{event}");
    }
    assert!(events[4].ends_with(&format!(r#""type":"succeeded","data":{{"result":{kept}}}}}"#)), "{}", events[4]);
    assert!(job.get("").body.contains(&format!(r#""result":{kept},"#)));
}

#[test]
fn a_snapshot_is_what_its_events_come_to() {
    let server = Server::start("");
    let job = Job::open(&server);
    let progress = r#"{"done":40,"total":100,"unit":"%","message":"building"}"#;
    job.report(&format!(r#"{{"type":"progress","data":{progress}}}"#));
    let answer = job.get("").expect(200);
    let snapshot = answer.json();
    assert_members(
        &answer.body,
        &[
            "id",
            "kind",
            "state",
            "seq",
            "cursor",
            "attempt",
            "input",
            "progress",
            "result",
            "error",
            "cancel_requested",
            "created_at",
            "started_at",
            "updated_at",
            "finished_at",
            "links",
        ],
    );
    let path = format!("/jobs/{}", job.id);
    assert_eq!(
        snapshot["links"],
        json!({
            "self": path, "cancel": format!("{path}/cancel"), "short-poll": format!("{path}/short-poll"),
            "long-poll": format!("{path}/long-poll"), "sse": format!("{path}/sse"),
        })
    );
    for (name, value) in [
        ("id", json!(job.id)),
        ("kind", json!("build")),
        ("state", json!("running")),
        ("seq", json!(3)),
        ("attempt", json!(1)),
        ("input", json!({ "n": 1 })),
        ("result", Value::Null),
        ("error", Value::Null),
        ("progress", serde_json::from_str(progress).expect("JSON")),
        ("cancel_requested", json!(false)),
        ("finished_at", Value::Null),
    ] {
        assert_eq!(snapshot[name], value, "{name}");
    }
    job.report(r#"{"type":"failed","data":{"error":{"code":"exit-status","message":"1"}}}"#);
    let snapshot = job.snapshot();
    assert_eq!((&snapshot["state"], &snapshot["seq"]), (&json!("failed"), &json!(4)));
    assert_eq!(snapshot["error"], json!({ "code": "exit-status", "message": "1" }));
    assert_eq!(snapshot["finished_at"], snapshot["updated_at"]);
}

#[test]
fn every_type_has_its_data() {
    let server = Server::start("");
    let end = |terminal: &str| {
        let job = Job::open(&server);
        Ask::post(job.path("/cancel"), r#"{"reason":"enough"}"#).to(&server).expect(202);
        job.report(&format!(r#"[{{"type":"log","data":{{"stream":"stdout","line":"a"}}}},{terminal}]"#));
        let events: Vec<Value> = job.events().iter().map(|event| serde_json::from_str(event).expect("JSON")).collect();
        for (event, seq) in events.iter().zip(1..) {
            assert_eq!((&event["job"], &event["seq"]), (&json!(job.id), &json!(seq)));
        }
        assert_members(&job.events()[0], &["job", "seq", "cursor", "time", "type", "data"]);
        events.into_iter().map(|event| (event["type"].clone(), event["data"].clone())).collect::<Vec<_>>()
    };
    let begin = [
        (json!("queued"), json!({ "kind": "build", "input": { "n": 1 } })),
        (json!("started"), json!({ "attempt": 1 })),
        (json!("cancelling"), json!({ "reason": "enough" })),
        (json!("log"), json!({ "stream": "stdout", "line": "a" })),
    ];
    for (terminal, data) in [
        (r#"{"type":"succeeded","data":{"result":[1]}}"#, json!({ "result": [1] })),
        (
            r#"{"type":"failed","data":{"error":{"code":"a","message":"b"}}}"#,
            json!({ "error": { "code": "a", "message": "b" } }),
        ),
        (r#"{"type":"cancelled","data":{"reason":"enough"}}"#, json!({ "reason": "enough" })),
        (r#"{"type":"cancelled"}"#, json!({ "reason": null })),
    ] {
        let kind: Value = serde_json::from_str::<Value>(terminal).expect("JSON")["type"].clone();
        assert_eq!(end(terminal), [&begin[..], &[(kind, data)]].concat());
    }
    let job = Job::open(&server);
    for bad in [
        r#"{"type":"progress","data":{"total":1}}"#,
        r#"{"type":"progress","data":{"done":-1}}"#,
        r#"{"type":"progress","data":{"done":1,"total":-0.5}}"#,
        r#"{"type":"progress","data":{"done":"1"}}"#,
        r#"{"type":"progress","data":{"done":null}}"#,
        r#"{"type":"log","data":{"stream":"stdout"}}"#,
        r#"{"type":"failed"}"#,
        r#"{"type":"failed","data":{"error":"text"}}"#,
        r#"{"type":"note","date":1}"#,
        r#"{"data":1}"#,
    ] {
        job.reporting(bad).to(&server).problem(422, "invalid-input");
    }
    job.report(r#"{"type":"progress","data":{"done":0.5,"total":null,"unit":null,"message":null}}"#);
}

/// Checks that an object has these members and no others, in this order.
#[track_caller]
fn assert_members(object: &str, names: &[&str]) {
    let members = serde_json::from_str::<serde_json::Map<String, Value>>(object).expect("an object");
    assert_eq!(members.len(), names.len(), "{object}");
    let mut rest = object;
    for name in names {
        (_, rest) = rest.split_once(&format!("\"{name}\":")).unwrap_or_else(|| panic!("{name} in {object}"));
    }
}
