//! Short polling as WIRE.md has it.

use serde_json::Value;
use tidings_core::{Draft, Retention};
use tidings_short_poll::{Config, ShortPoll};
use tidings_testkit::{Author, Response, Server};

async fn server(retention: Retention) -> (Server, Author) {
    let config = Config::default().with_interval_seconds(7);
    let server = Server::start(|host| host.mount(ShortPoll::new(config)), retention).await.expect("a server");
    let job = server.open().await.expect("a job");
    (server, job)
}

async fn poll(server: &Server, job: &Author, query: &str) -> Response {
    ask(server, job, query, &[]).await
}

async fn ask(server: &Server, job: &Author, query: &str, headers: &[(&str, &str)]) -> Response {
    server.get(&format!("/jobs/{}/short-poll{query}", job.job()), headers).await.expect("a request")
}

async fn json(mut response: Response) -> Value {
    serde_json::from_slice(&response.bytes().await.expect("a body")).expect("JSON")
}

#[tokio::test(start_paused = true)]
async fn a_page_is_one_moment() {
    let (server, job) = server(Retention::default()).await;
    job.lines(2).await.expect("written");
    let response = poll(&server, &job, "").await;
    assert_eq!((response.status().as_u16(), response.header("content-type")), (200, Some("application/json")));
    assert_eq!(
        (response.header("retry-after"), response.header("cache-control")),
        (Some("7"), Some("private, no-cache"))
    );
    let tag = response.header("etag").expect("a tag").to_owned();
    let page = json(response).await;
    let cursor = page["cursor"].as_str().expect("a cursor");
    assert_eq!((tag, &page["job"]["cursor"]), (format!("\"{cursor}\""), &page["cursor"]));
    assert_eq!((page["events"].as_array().map(Vec::len), &page["job"]["seq"]), (Some(4), &4.into()));
    assert_eq!((&page["more"], &page["done"], &page["gap"]), (&false.into(), &false.into(), &Value::Null));
    // With nothing new, the cursor stays what it was.
    let again = json(poll(&server, &job, &format!("?after={cursor}")).await).await;
    assert_eq!((&again["cursor"], again["events"].as_array().map(Vec::len)), (&page["cursor"], Some(0)));
}

#[tokio::test(start_paused = true)]
async fn who_has_it_all_gets_304() {
    let (server, job) = server(Retention::default()).await;
    let first = poll(&server, &job, "").await;
    let tag = first.header("etag").expect("a tag").to_owned();
    let query = format!("?after={}", tag.trim_matches('"'));
    for value in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
        let mut again = ask(&server, &job, &query, &[("if-none-match", &value)]).await;
        assert_eq!(again.status(), 304, "{value}");
        for name in ["etag", "cache-control", "retry-after"] {
            assert_eq!(again.header(name), first.header(name), "{name}");
        }
        assert!(again.bytes().await.expect("a body").is_empty());
    }
    job.lines(1).await.expect("written");
    assert_eq!(ask(&server, &job, &query, &[("if-none-match", &tag)]).await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_full_page_says_that_there_is_more() {
    let (server, job) = server(Retention::default()).await;
    job.lines(5).await.expect("written");
    let full = ask(&server, &job, "?limit=3", &[("if-none-match", "*")]).await;
    assert_eq!((full.status().as_u16(), full.header("retry-after"), full.header("etag")), (200, Some("0"), None));
    assert_eq!(full.header("cache-control"), Some("no-store"));
    let page = json(full).await;
    assert_eq!((&page["more"], page["events"].as_array().map(Vec::len)), (&true.into(), Some(3)));
    assert_eq!(page["cursor"], page["events"][2]["cursor"]);
    // A page that has just room for the rest is the last one.
    let rest =
        json(poll(&server, &job, &format!("?limit=4&after={}", page["cursor"].as_str().expect("a cursor"))).await)
            .await;
    assert_eq!((&rest["more"], rest["events"].as_array().map(Vec::len)), (&false.into(), Some(4)));
}

#[tokio::test(start_paused = true)]
async fn a_page_has_its_bounds() {
    let (server, job) = server(Retention::default()).await;
    job.lines(1500).await.expect("written");
    for query in ["", "?limit=1000", "?limit=99999999999999999999"] {
        assert_eq!(
            json(poll(&server, &job, query).await).await["events"].as_array().map(Vec::len),
            Some(1000),
            "{query}"
        );
    }
    let large = server.open().await.expect("a job");
    for _ in 0..40 {
        large.write(vec![Draft::log("stdout", &"x".repeat(50_000))]).await.expect("written");
    }
    let mut response = poll(&server, &large, "").await;
    let length = response.bytes().await.expect("a body").len();
    assert!((1_000_000..1_060_000).contains(&length), "{length}");
}

#[tokio::test(start_paused = true)]
async fn the_last_page_is_done() {
    let (server, job) = server(Retention::default()).await;
    job.finish().await.expect("written");
    let last = poll(&server, &job, "").await;
    assert_eq!((last.header("retry-after"), last.header("etag").is_some()), (None, true));
    let page = json(last).await;
    assert_eq!(page["done"], true);
    let after =
        json(poll(&server, &job, &format!("?after={}", page["cursor"].as_str().expect("a cursor"))).await).await;
    assert_eq!((&after["done"], after["events"].as_array().map(Vec::len)), (&true.into(), Some(0)));
    let more = json(poll(&server, &job, "?limit=1").await).await;
    assert_eq!((&more["done"], &more["more"]), (&false.into(), &true.into()));
}

#[tokio::test(start_paused = true)]
async fn a_gap_is_told_with_the_page() {
    let mut retention = Retention::default();
    retention.events_per_job = 10;
    let (server, job) = server(retention).await;
    job.lines(98).await.expect("written");
    let page = json(poll(&server, &job, "?after=3").await).await;
    assert_eq!(page["gap"], serde_json::json!({"requested": 3, "resumed_at": 91}));
    assert_eq!(page["events"][0]["seq"], 91);
    let none = json(poll(&server, &job, "?after=90").await).await;
    assert_eq!(none["gap"], Value::Null);
}
