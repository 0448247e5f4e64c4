//! Which hosts a request may be for, and which pages may send one.

use crate::{
    client::{Ask, raw},
    job::{EXTERNAL, Job},
    support::Server,
};

/// Every path that is the service's own, with a method for it.
const REQUESTS: [(&str, &str); 5] =
    [("GET", "/jobs"), ("POST", "/jobs"), ("GET", "/events"), ("GET", "/transports"), ("GET", "/nothing")];

#[test]
fn host_must_be_there_once_and_well_formed() {
    let server = Server::start("");
    let address = server.address;
    for (method, path) in REQUESTS {
        for fields in [
            String::new(),
            format!("host: {address}\r\nhost: {address}\r\n"),
            format!("host: {address}\r\nhost: elsewhere.example.org\r\n"),
            "host:\r\n".to_owned(),
            "host: a b\r\n".to_owned(),
            format!("host: user@{address}\r\n"),
            format!("host: http://{address}/\r\n"),
            format!("host: {address}/jobs\r\n"),
            "host: [::1\r\n".to_owned(),
            "host: a:b\r\n".to_owned(),
            "host: \u{e9}.example.org\r\n".to_owned(),
        ] {
            let request = format!("{method} {path} HTTP/1.1\r\n{fields}connection: close\r\n\r\n");
            raw(&server, request.as_bytes()).problem(400, "invalid-request");
        }
    }
}

#[test]
fn another_host_is_refused() {
    let server = Server::start("");
    let port = server.address.port();
    let elsewhere = format!("127.0.0.1:{}", port ^ 1);
    for (method, path) in REQUESTS {
        for host in ["elsewhere.example.org", "127.0.0.1", "localhost", &elsewhere, &format!("127.0.0.1.:{port}")] {
            Ask::new(method, path).host(host).to(&server).problem(421, "wrong-host");
        }
    }
    for host in
        [format!("127.0.0.1:{port}"), format!("localhost:{port}"), format!("LocalHost:{port}"), format!("[::1]:{port}")]
    {
        Ask::get("/jobs").host(&host).to(&server).expect(200);
    }
    // RFC 9112, 3.2.2: the target in absolute form goes before Host.
    Ask::get("http://elsewhere.example.org/jobs").to(&server).problem(421, "wrong-host");
    Ask::get(format!("http://{}/jobs", server.address)).host("elsewhere.example.org").to(&server).expect(200);
}

/// Probes go by address, whatever names the server is configured to go by.
#[test]
fn probes_are_answered_whatever_host_says() {
    let server = Server::start(r#"hosts = ["jobs.example.org"]"#);
    for path in ["/healthz", "/readyz", "/pipelines"] {
        for host in ["10.0.0.7:7330", "127.0.0.1", "elsewhere.example.org", "jobs.example.org"] {
            Ask::get(path).host(host).to(&server).expect(200);
        }
        raw(&server, format!("GET {path} HTTP/1.1\r\nconnection: close\r\n\r\n").as_bytes()).expect(200);
    }
    Ask::get("/jobs").host("10.0.0.7:7330").to(&server).problem(421, "wrong-host");
}

#[test]
fn configured_hosts_are_answered() {
    let server = Server::start(r#"hosts = ["jobs.example.org", "other.example.org:8080"]"#);
    for host in ["jobs.example.org", "JOBS.example.org", "other.example.org:8080"] {
        Ask::get("/jobs").host(host).to(&server).expect(200);
    }
    for host in ["jobs.example.org:8080", "other.example.org", "example.org"] {
        Ask::get("/jobs").host(host).to(&server).problem(421, "wrong-host");
    }
}

#[test]
fn a_page_of_another_site_can_change_nothing() {
    let server = Server::start("");
    let job = Job::open(&server);
    let changes = || {
        [
            Ask::post("/jobs", EXTERNAL),
            Ask::post(job.path("/cancel"), ""),
            job.reporting(r#"{"type":"note"}"#),
            Ask::delete(job.path("")),
        ]
    };
    let port = server.address.port();
    for origin in [
        "http://elsewhere.example.org",
        "null",
        "",
        "https://127.0.0.1",
        "http://127.0.0.1",
        &format!("http://127.0.0.1:{}", port ^ 1),
        &format!("http://localhost:{port}"),
        &format!("ftp://127.0.0.1:{port}"),
        &format!("http://127.0.0.1:{port}.example.org"),
    ] {
        for ask in changes() {
            ask.field("origin", origin).to(&server).problem(403, "wrong-origin");
        }
        Ask::get(job.path("")).field("origin", origin).to(&server).expect(200);
    }
    assert_eq!(job.snapshot()["seq"], 2, "nothing has changed");
    assert_eq!(Ask::get("/jobs").to(&server).json()["jobs"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_page_of_the_same_site_may_change_all() {
    let server = Server::start("");
    let job = Job::open(&server);
    for scheme in ["http", "https"] {
        // Behind a proxy that speaks TLS the origin is https.
        let origin = format!("{scheme}://{}", server.address);
        Ask::post("/jobs", EXTERNAL).field("origin", &origin).to(&server).expect(202);
        Ask::post(job.path("/cancel"), "").field("origin", &origin).to(&server).expect(202);
        job.reporting("[]").field("origin", &origin).to(&server).expect(200);
    }
    job.succeed();
    let origin = format!("http://{}", server.address);
    Ask::delete(job.path("")).field("origin", &origin).to(&server).expect(204);
}
