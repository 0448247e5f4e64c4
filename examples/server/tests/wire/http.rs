//! What holds for every request: paths, methods, `HEAD`, query parameters, content types, caching.

use crate::{
    client::{Ask, Live, raw},
    job::{EXTERNAL, Job},
    support::Server,
};

/// Every path that `GET` is answered on, with `{id}` for a job.
const READ: [&str; 10] = [
    "/healthz",
    "/readyz",
    "/pipelines",
    "/jobs",
    "/jobs/{id}",
    "/jobs/{id}/short-poll",
    "/jobs/{id}/long-poll",
    "/jobs/{id}/sse",
    "/events/sse",
    "/transports",
];

#[test]
fn head_has_the_head_of_get_and_neither_body_nor_hold_nor_stream() {
    let server = Server::start("[transports.long-poll]\nwait_seconds_most = 3600");
    let job = Job::open(&server);
    for path in READ.iter().chain(&["/events", "/jobs/{id}/long-poll?after=2&wait=3600", "/jobs/{id}/sse?after=2"]) {
        let path = path.replace("{id}", &job.id);
        // It is read until the server closes, which a hold or a stream would put off for longer than a test waits.
        let mut head = Ask::head(&path).to(&server).expect(200);
        let mut get = Ask::get(path.replace("wait=3600", "wait=0")).open(&server);
        assert_eq!(get.status, 200, "{path}");
        // A body that is streamed, or made for the length alone, has none to tell.
        let differs = |name: &str| ["date", "connection", "content-length", "transfer-encoding"].contains(&name);
        head.fields.retain(|(name, _)| !differs(name));
        get.fields.retain(|(name, _)| !differs(name));
        assert_eq!(head.fields, get.fields, "{path}");
    }
    let missing = Ask::head("/jobs/nonsense").to(&server).expect(404);
    assert_eq!(missing.field("content-type"), Some("application/problem+json"));
    let cursor = job.cursor();
    let known = Ask::head(job.path("")).field("if-none-match", &format!("\"{cursor}\"")).to(&server);
    assert_eq!((known.status, known.body.as_str()), (304, ""));
}

#[test]
fn a_known_path_with_another_method_says_which_are_allowed() {
    let server = Server::start("");
    let job = Job::open(&server);
    let reads = READ.iter().chain(&["/events"]).map(|path| match *path {
        "/jobs" => (*path, "GET, HEAD, POST"),
        "/jobs/{id}" => (*path, "GET, HEAD, DELETE"),
        other => (other, "GET, HEAD"),
    });
    for (path, allowed) in reads.chain([("/jobs/{id}/cancel", "POST"), ("/jobs/{id}/events", "POST")]) {
        let path = path.replace("{id}", &job.id);
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "MADE-UP"] {
            if !allowed.split(", ").any(|known| known == method) {
                let reply = Ask::new(method, &path).to(&server).problem(405, "method-not-allowed");
                assert_eq!(reply.field("allow"), Some(allowed), "{method} {path}");
            }
        }
    }
}

#[test]
fn an_unknown_path_is_not_found() {
    let server = Server::start("");
    let job = Job::open(&server);
    for path in [
        "/job",
        "/JOBS",
        "//jobs",
        "/jobs/{id}/nothing",
        "/jobs/{id}/sse/more",
        "/jobs/{id}/",
        "/events/short-poll",
        "/events/long-poll",
        "/events/nothing",
        "/transports/sse",
        "/healthz/",
    ] {
        let path = path.replace("{id}", &job.id);
        Ask::get(&path).to(&server).problem(404, "not-found");
        Ask::post(&path, "{}").to(&server).problem(404, "not-found");
    }
}

#[test]
fn checks_go_from_the_path_to_the_state_of_the_job() {
    let server = Server::start("[limits]\nsubmission_bytes = 100\nevent_bytes = 100");
    let job = Job::over(&server);
    let (unknown, large) = ("/jobs/01938f6e-7c1a-7b3e-9d52-8f3b2a6c4e10", " ".repeat(101));
    // Each has all that is wrong with the next one as well.
    let bad = |ask: Ask| ask.field("content-type", "text/plain");
    bad(Ask::new("PUT", format!("{unknown}/events"))).to(&server).problem(404, "unknown-job");
    bad(Ask::new("PUT", job.path("/events"))).to(&server).problem(405, "method-not-allowed");
    bad(Ask::post(job.path("/events"), &large)).to(&server).problem(401, "unauthorized");
    bad(job.reporting(&large)).to(&server).problem(415, "unsupported-media-type");
    job.reporting(&large).to(&server).problem(413, "payload-too-large");
    job.reporting("{").to(&server).problem(400, "malformed-json");
    job.reporting("7").to(&server).problem(422, "invalid-input");
    job.reporting("[]").to(&server).problem(409, "already-finished");
    Ask::get(format!("{unknown}/sse?after=x")).to(&server).problem(404, "unknown-job");
    Ask::post(job.path("/sse?after=x"), "").to(&server).problem(405, "method-not-allowed");
    Ask::post(job.path("/cancel"), "{").to(&server).problem(400, "malformed-json");
}

#[test]
fn a_parameter_twice_empty_or_out_of_range_is_refused() {
    let server = Server::start("");
    let job = Job::open(&server);
    for (path, parameters) in [
        ("/jobs", &["limit", "state", "kind", "page"][..]),
        ("/jobs/{id}/short-poll", &["limit"]),
        ("/jobs/{id}/long-poll", &["limit", "wait"]),
        ("/jobs/{id}/sse", &["as"]),
        ("/events/sse", &["kind", "as"]),
        ("/events", &["kind", "as"]),
    ] {
        let path = path.replace("{id}", &job.id);
        for parameter in parameters {
            let good = match *parameter {
                "limit" | "wait" => "1",
                "state" => "running",
                "kind" => "build",
                "as" => "message",
                _ => &job.id,
            };
            let bad = match *parameter {
                "limit" => &["0", "-1", "+1", "1.5", "1e1", "x", "%31x"][..],
                "wait" => &["-1", "+1", "0.5", "x"],
                "state" => &["done", "RUNNING", "running,queued"],
                "kind" => &["BUILD", "a.b"],
                "as" => &["messages", "MESSAGE"],
                _ => &["x", "1"],
            };
            let ask = |query: String| Ask::get(format!("{path}?{query}")).open(&server).status;
            assert_eq!(ask(format!("{parameter}={good}")), 200, "{path} {parameter}");
            for value in bad {
                let target = format!("{path}?{parameter}={value}");
                Ask::get(target).to(&server).problem(400, "invalid-request");
            }
            for query in [
                parameter.to_string(),
                format!("{parameter}="),
                format!("{parameter}={good}&{parameter}={good}"),
                format!("{parameter}={good}&unknown&{parameter}="),
            ] {
                Ask::get(format!("{path}?{query}")).to(&server).problem(400, "invalid-request");
            }
        }
    }
    // Several jobs may be named, and none of them with nothing.
    for path in ["/events", "/events/sse"] {
        let twice = Ask::get(format!("{path}?job={0}&job={0}", job.id)).open(&server);
        assert_eq!(twice.status, 200, "{path}");
        for query in
            ["job".to_owned(), "job=".to_owned(), format!("job={}&job=", job.id), format!("job=&job={}", job.id)]
        {
            Ask::get(format!("{path}?{query}")).to(&server).problem(400, "invalid-request");
        }
    }
    for path in ["/jobs/{id}/short-poll", "/jobs/{id}/long-poll", "/jobs/{id}/sse", "/events/sse"] {
        let path = path.replace("{id}", &job.id);
        Ask::get(format!("{path}?after=1&after=1")).to(&server).problem(400, "invalid-request");
        for empty in ["after", "after="] {
            Ask::get(format!("{path}?{empty}")).to(&server).problem(400, "invalid-cursor");
        }
    }
}

#[test]
fn unknown_parameters_are_ignored() {
    let server = Server::start("");
    let job = Job::open(&server);
    for path in READ {
        let path = format!("{}?nothing=&nothing=1&Limit=0&_=%ff", path.replace("{id}", &job.id));
        assert_eq!(Ask::get(&path).open(&server).status, 200, "{path}");
    }
}

#[test]
fn a_body_is_json_unless_it_says_otherwise() {
    let server = Server::start("");
    let job = Job::open(&server);
    for path in ["/jobs".to_owned(), job.path("/cancel"), job.path("/events")] {
        let body = match path.rsplit('/').next() {
            Some("jobs") => EXTERNAL,
            Some("events") => "[]",
            _ => "{}",
        };
        let ask = || Ask::post(&path, body).field("tidings-report-token", &job.token);
        let taken = |ask: Ask| assert!([200, 202].contains(&ask.to(&server).status), "{ask:?}");
        taken(ask());
        for media_type in ["application/json", "Application/JSON; charset=utf-8", "application/json;charset=\"utf-8\""]
        {
            taken(ask().field("content-type", media_type));
        }
        taken(ask().field("content-encoding", "identity"));
        for other in ["text/plain", "application/x-www-form-urlencoded", "application/json, text/plain", "", "json"] {
            ask().field("content-type", other).to(&server).problem(415, "unsupported-media-type");
        }
        let twice = ask().field("content-type", "application/json").field("content-type", "application/json");
        twice.to(&server).problem(415, "unsupported-media-type");
        for coding in ["gzip", "br", "gzip, identity"] {
            ask().field("content-encoding", coding).to(&server).problem(415, "unsupported-media-type");
        }
    }
    let lines = Ask::post("/jobs", EXTERNAL).field("content-type", "application/x-ndjson");
    lines.to(&server).problem(415, "unsupported-media-type");
}

#[test]
fn a_body_may_come_in_chunks_and_a_broken_one_is_refused() {
    let server = Server::start("");
    let head = format!("POST /jobs HTTP/1.1\r\nhost: {}\r\ntransfer-encoding: chunked\r\n\r\n", server.address);
    let mut chunked = Live::connect(&server);
    chunked.send(&head);
    let (first, second) = EXTERNAL.split_at(10);
    chunked.send_chunk(first);
    chunked.send_chunk(second);
    chunked.send("0\r\n\r\n");
    chunked.read_head();
    assert_eq!(chunked.status, 202);
    raw(&server, format!("{head}zz\r\n").as_bytes()).problem(400, "invalid-request");
}

#[test]
fn what_a_proxy_may_keep() {
    let server = Server::start("");
    let job = Job::open(&server);
    let with_tag = ["/jobs/{id}", "/jobs/{id}/short-poll"];
    let streams = ["/jobs/{id}/sse", "/events/sse", "/events"];
    for path in READ.iter().chain(&["/events"]) {
        let live = Ask::get(path.replace("{id}", &job.id).replace("long-poll", "long-poll?wait=0")).open(&server);
        let (cache, buffering) = match path {
            _ if with_tag.contains(path) => ("private, no-cache", None),
            _ if streams.contains(path) => ("no-cache, no-transform", Some("no")),
            _ => ("no-store", None),
        };
        assert_eq!(live.field("cache-control"), Some(cache), "{path}");
        assert_eq!(live.field("x-accel-buffering"), buffering, "{path}");
        assert_eq!(live.field("etag").is_some(), with_tag.contains(path), "{path}");
    }
    for reply in [
        Ask::post("/jobs", EXTERNAL).to(&server),
        Ask::post(job.path("/cancel"), "").to(&server),
        job.reporting("[]").to(&server),
        job.get("/short-poll?limit=1"),
        {
            job.succeed();
            job.get("/sse?after=4")
        },
        Ask::delete(job.path("")).to(&server),
    ] {
        assert!(reply.status < 300, "{reply:?}");
        assert_eq!(reply.field("cache-control"), Some("no-store"), "{reply:?}");
    }
}

#[test]
fn if_none_match_compares_weakly_and_takes_lists_and_a_star() {
    let server = Server::start("");
    let job = Job::open(&server);
    for path in [job.path(""), job.path("/short-poll"), job.path("/short-poll?after=2")] {
        let whole = Ask::get(&path).to(&server).expect(200);
        let tag = whole.field("etag").expect("it has one").to_owned();
        assert_eq!(tag, format!("\"{}\"", job.cursor()));
        let opaque = tag.trim_matches('"');
        let ask = |value: &str| Ask::get(&path).field("if-none-match", value).to(&server);
        for same in [&tag, &format!("W/{tag}"), "*", &format!("\"a\", W/{tag} ,\"b\""), &format!("\"a\",{tag}")] {
            let reply = ask(same).expect(304);
            assert_eq!(reply.body, "");
            // A 304 has no body that its type and length could speak of (RFC 9110, 15.4.5).
            assert_eq!(reply.field("content-type"), None);
            let kept = |name: &str| !["content-type", "content-length", "date"].contains(&name);
            let expected: Vec<_> = whole.fields.iter().filter(|(name, _)| kept(name)).collect();
            let fields: Vec<_> = reply.fields.iter().filter(|(name, _)| kept(name)).collect();
            assert_eq!(fields, expected, "{path} {same}");
        }
        for other in ["\"1-00000000\"", opaque, "", "\"\"", &format!("\"x{opaque}\"")] {
            ask(other).expect(200);
        }
        let twice = Ask::get(&path).field("if-none-match", "\"a\"").field("if-none-match", &tag);
        twice.to(&server).expect(304);
    }
}
