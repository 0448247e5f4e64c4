//! No page can start jobs on somebody's localhost: which hosts are answered, and which pages may write.

use http::{Method, StatusCode, Version};
use tidings_core::{HostNames, ProblemKind};
use tower_service::Service as _;

use crate::support::{Ask, Reply, Server};

fn only(names: &[&str]) -> Server {
    let names = HostNames::only(names.iter().map(|name| (*name).to_owned()));
    Server::start(|host| host.with_names(names))
}

#[tokio::test(start_paused = true)]
async fn a_request_names_one_host() {
    let server = Server::start(|host| host);
    let bare = async |ask: Ask, version: Version| {
        let mut request = ask.bare();
        *request.version_mut() = version;
        server.host.clone().call(request).await.expect("hosts never err").status()
    };
    assert_eq!(bare(Ask::get("/jobs"), Version::HTTP_11).await, StatusCode::BAD_REQUEST);
    assert_eq!(bare(Ask::get("/jobs"), Version::HTTP_2).await, StatusCode::BAD_REQUEST);
    assert_eq!(bare(Ask::get("http://a/jobs"), Version::HTTP_2).await, StatusCode::OK);
    // In HTTP/1.1 the field must be there even so.
    assert_eq!(bare(Ask::get("http://a/jobs"), Version::HTTP_11).await, StatusCode::BAD_REQUEST);
    server.ask(Ask::get("/jobs").header("host", "a").header("host", "a")).await.is(ProblemKind::InvalidRequest);
    for host in ["", "a b", "user@a", "a/b", "a:x", "http://a"] {
        let reply = server.ask(Ask::get("/jobs").header("host", host)).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{host}");
        reply.is(ProblemKind::InvalidRequest);
    }
    for host in ["a", "a:80", "[::1]:7330", "127.0.0.1:7330", "A.example.org"] {
        assert_eq!(server.ask(Ask::get("/jobs").header("host", host)).await.status, StatusCode::OK, "{host}");
    }
}

#[tokio::test(start_paused = true)]
async fn only_its_own_names_are_answered() {
    let server = only(&["127.0.0.1:7330", "Jobs.example.org"]);
    for (host, known) in [
        ("127.0.0.1:7330", true),
        ("jobs.example.org", true),
        ("JOBS.EXAMPLE.ORG", true),
        ("127.0.0.1", false),
        ("127.0.0.1:7331", false),
        ("evil.example", false),
        ("jobs.example.org.evil.example", false),
    ] {
        let reply = server.ask(Ask::get("/jobs").header("host", host)).await;
        if known {
            assert_eq!(reply.status, StatusCode::OK, "{host}");
        } else {
            reply.is(ProblemKind::WrongHost);
        }
    }
    // In absolute form, the target counts.
    let absolute = Ask::get("http://evil.example/jobs").header("host", "127.0.0.1:7330");
    server.ask(absolute).await.is(ProblemKind::WrongHost);
}

#[tokio::test(start_paused = true)]
async fn pages_of_other_sites_may_look_and_not_write() {
    let server = only(&["127.0.0.1:7330", "jobs.example.org"]);
    let submit = async |host: &str, origin: &str| -> Reply {
        server.ask(Ask::post("/jobs").header("host", host).header("origin", origin).json(r#"{"kind":"echo"}"#)).await
    };
    for (host, origin) in [
        ("127.0.0.1:7330", "http://127.0.0.1:7330"),
        ("jobs.example.org", "https://jobs.example.org"),
        ("jobs.example.org", "http://JOBS.example.org"),
    ] {
        assert_eq!(submit(host, origin).await.status, StatusCode::ACCEPTED, "{origin}");
    }
    for origin in [
        "http://evil.example",
        "null",
        "",
        "http://127.0.0.1",
        "http://127.0.0.1:7331",
        "http://localhost:7330",
        "http://127.0.0.1:7330.evil.example",
        "file://127.0.0.1:7330",
    ] {
        submit("127.0.0.1:7330", origin).await.is(ProblemKind::WrongOrigin);
    }
    let foreign = |method: Method, path: &str| {
        Ask::new(method, path).header("host", "127.0.0.1:7330").header("origin", "http://evil.example")
    };
    let job = submit("127.0.0.1:7330", "http://127.0.0.1:7330").await.id();
    for (method, path) in [
        (Method::DELETE, format!("/jobs/{job}")),
        (Method::POST, format!("/jobs/{job}/cancel")),
        (Method::POST, format!("/jobs/{job}/events")),
    ] {
        server.ask(foreign(method, &path)).await.is(ProblemKind::WrongOrigin);
    }
    for method in [Method::GET, Method::HEAD] {
        assert_eq!(server.ask(foreign(method, "/jobs")).await.status, StatusCode::OK);
    }
}
