//! Server-Sent Events as WIRE.md has them.

mod blocks;

use std::time::Duration;

use tidings_core::{Body, Draft, Retention};
use tidings_sse::{Config, Sse};
use tidings_testkit::{Author, Response, Server};
use tokio::time::Instant;
use tower_service::Service as _;

use blocks::{Block, Blocks};

async fn server(retention: Retention) -> (Server, Author) {
    let server = Server::start(|host| host.mount(Sse::default()), retention).await.expect("a server");
    let job = server.open().await.expect("a job");
    (server, job)
}

async fn stream(server: &Server, job: &Author, query: &str, headers: &[(&str, &str)]) -> Response {
    server.get(&format!("/jobs/{}/sse{query}", job.job()), headers).await.expect("a request")
}

async fn text(mut response: Response) -> String {
    String::from_utf8(response.bytes().await.expect("a body").to_vec()).expect("text")
}

fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Blocks::default();
    blocks.push(text.as_bytes());
    std::iter::from_fn(|| blocks.next().expect("a block")).collect()
}

async fn problem(response: Response) -> String {
    response.problem().await.expect("a problem").0
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_what_the_wire_shows() {
    let (server, job) = server(Retention::default()).await;
    job.write(vec![Draft::custom("build.cached".parse().expect("a type"), tidings_core::Json::null())])
        .await
        .expect("written");
    job.finish().await.expect("written");
    let response = stream(&server, &job, "", &[]).await;
    assert_eq!(response.header("content-type"), Some("text/event-stream; charset=utf-8"));
    assert_eq!(response.header("cache-control"), Some("no-cache, no-transform"));
    assert_eq!(response.header("x-accel-buffering"), Some("no"));
    let text = text(response).await;
    let (retry, events) = text.split_once('\n').expect("lines");
    let millis: u32 = retry.strip_prefix("retry: ").and_then(|millis| millis.parse().ok()).expect("a retry");
    assert!((1000..=3000).contains(&millis), "{millis}");
    let log = server.log(job.job()).await.expect("the log");
    let expected: String = log
        .iter()
        .map(|event| {
            let json = String::from_utf8_lossy(event.json());
            format!("id: {}\nevent: {}\ndata: {json}\n\n", event.cursor(), event.kind())
        })
        .collect();
    assert_eq!(events, expected);
}

#[tokio::test(start_paused = true)]
async fn a_bare_onmessage_gets_all_of_them() {
    let (server, job) = server(Retention::default()).await;
    job.finish().await.expect("written");
    let all = blocks(&text(stream(&server, &job, "?as=message", &[]).await).await);
    assert_eq!((all.len(), all.iter().filter(|block| block.event.is_none()).count()), (3, 3));
    for query in ["?as=x", "?as=", "?as=message&as=message"] {
        assert_eq!(problem(stream(&server, &job, query, &[]).await).await, "invalid-request");
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_event_id_counts_before_the_query() {
    let (server, job) = server(Retention::default()).await;
    job.lines(3).await.expect("written");
    job.finish().await.expect("written");
    for (query, last, first) in [
        ("", "2", Some(3)),
        ("?after=3", "", Some(4)),
        ("?after=3", "1", Some(2)),
        ("?after=0", "5", Some(6)),
        ("", "", Some(1)),
        ("?after=6", "", None),
    ] {
        let response = stream(&server, &job, query, &[("last-event-id", last)]).await;
        assert_eq!(response.status() == 204, first.is_none(), "{query} {last}");
        let seen = blocks(&text(response).await).first().map(|block| block.id.clone());
        let seq = seen.and_then(|id| id.split('-').next()?.parse::<u64>().ok());
        assert_eq!(seq, first, "{query} {last}");
    }
    for last in ["x", "1 2", "\u{e9}"] {
        assert_eq!(problem(stream(&server, &job, "", &[("last-event-id", last)]).await).await, "invalid-cursor");
    }
    assert_eq!(problem(stream(&server, &job, "", &[("last-event-id", "9")]).await).await, "cursor-mismatch");
}

#[tokio::test(start_paused = true)]
async fn who_takes_no_stream_gets_406() {
    let (server, job) = server(Retention::default()).await;
    let refused = stream(&server, &job, "", &[("accept", "application/json")]).await;
    assert_eq!(refused.status(), 406);
    assert_eq!(problem(refused).await, "not-acceptable");
    assert_eq!(stream(&server, &job, "", &[("accept", "application/json, */*;q=0.1")]).await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn an_idle_stream_has_a_comment_every_fifteen_seconds() {
    let (server, job) = server(Retention::default()).await;
    let mut response = stream(&server, &job, "?after=2", &[]).await;
    assert!(response.chunk().await.expect("open").is_some_and(|chunk| chunk.starts_with(b"retry: ")));
    let mut last = Instant::now();
    for _ in 0..20 {
        assert_eq!(response.chunk().await.expect("open").as_deref(), Some(&b":\n"[..]));
        assert!(
            last.elapsed() <= Duration::from_secs(15) && last.elapsed() > Duration::from_secs(7),
            "{:?}",
            last.elapsed()
        );
        last = Instant::now();
    }
    // An event is a sign of life as well.
    tokio::time::sleep(Duration::from_secs(1)).await;
    job.lines(1).await.expect("written");
    let event = response.chunk().await.expect("open").expect("an event");
    assert!(event.starts_with(b"id: 3-"), "{event:?}");
}

#[tokio::test(start_paused = true)]
async fn the_heartbeat_is_configured_and_told() {
    let config = Config::default().with_heartbeat_seconds(4);
    let server = Server::start(|host| host.mount(Sse::new(config)), Retention::default()).await.expect("a server");
    let told = text(server.get("/transports", &[]).await.expect("a request")).await;
    assert!(told.contains(r#""heartbeat_seconds":4"#), "{told}");
    let job = server.open().await.expect("a job");
    let mut response = stream(&server, &job, "?after=2", &[]).await;
    response.chunk().await.expect("open");
    let began = Instant::now();
    assert_eq!(response.chunk().await.expect("open").as_deref(), Some(&b":\n"[..]));
    assert!(began.elapsed() <= Duration::from_secs(4), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_is_pending_leaves_in_large_pieces() {
    let (server, job) = server(Retention::default()).await;
    for _ in 0..20 {
        job.lines(100).await.expect("written");
    }
    job.finish().await.expect("written");
    let mut response = stream(&server, &job, "", &[]).await;
    let (mut pieces, mut bytes) = (0, 0);
    while let Some(piece) = response.chunk().await.expect("open") {
        assert!(piece.len() <= (64 << 10) + 64, "{}", piece.len());
        (pieces, bytes) = (pieces + 1, bytes + piece.len());
    }
    assert!(pieces <= 2 + bytes / (32 << 10), "{pieces} pieces of {bytes} bytes");
}

#[tokio::test(start_paused = true)]
async fn a_gap_has_a_block_of_its_own() {
    let mut retention = Retention::default();
    retention.events_per_job = 10;
    let (server, job) = server(retention).await;
    job.lines(98).await.expect("written");
    job.finish().await.expect("written");
    for query in ["", "?as=message"] {
        let all = blocks(&text(stream(&server, &job, query, &[("last-event-id", "3")]).await).await);
        let gap = &all[0];
        assert_eq!(gap.event.as_deref(), Some("gap"));
        let data: serde_json::Value = serde_json::from_str(&gap.data).expect("JSON");
        assert_eq!((&data["requested"], &data["resumed_at"]), (&3.into(), &92.into()));
        assert_eq!(data["job"]["id"], job.job().to_string());
        // The id is that of the last event no longer kept, with its tag, so that a reconnect is told nothing twice.
        assert!(gap.id.starts_with("91-") && gap.id.len() == 11, "{}", gap.id);
        let back = blocks(&text(stream(&server, &job, query, &[("last-event-id", &gap.id)]).await).await);
        assert_eq!(back, all[1..]);
    }
}

#[tokio::test(start_paused = true)]
async fn at_shutdown_a_stream_asks_to_come_back_later() {
    let (server, job) = server(Retention::default()).await;
    let over = server.open().await.expect("a job");
    over.finish().await.expect("written");
    server.shut_down();
    server.host().shutdown().begun().await;
    let response = stream(&server, &job, "", &[]).await;
    assert_eq!(
        (response.status().as_u16(), response.header("content-type")),
        (200, Some("text/event-stream; charset=utf-8"))
    );
    let text = text(response).await;
    assert_eq!(text, ": overloaded\nretry: 10000\n");
    // Which is no block, and which its client reads all the same.
    let mut read = Blocks::default();
    read.push(text.as_bytes());
    assert_eq!((read.next(), read.comments, read.retry), (Ok(None), 1, Some(10_000)));
    // Who has it all is told so even then.
    assert_eq!(stream(&server, &over, "?after=3", &[]).await.status(), 204);
}

#[tokio::test(start_paused = true)]
async fn head_does_not_stream() {
    let (server, job) = server(Retention::default()).await;
    let request = http::Request::head(format!("/jobs/{}/sse", job.job())).header("host", "localhost");
    let Ok(response) = server.host().clone().call(request.body(Body::empty()).expect("a request")).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream; charset=utf-8");
    assert_eq!(response.into_body().as_bytes().map(bytes::Bytes::len), Some(0));
}

#[tokio::test(start_paused = true)]
async fn many_jobs_come_over_one_stream() {
    let (server, first) = server(Retention::default()).await;
    let second = server.open().await.expect("a job");
    let stranger = server.open().await.expect("a job");
    let path = format!("/events/sse?job={}&job={}&job=nonsense", first.job(), second.job());
    let mut response = server.get(&path, &[]).await.expect("a request");
    let (mut read, mut all) = (Blocks::default(), Vec::new());
    for (nth, job) in [&first, &second, &stranger, &first, &second].into_iter().enumerate() {
        if nth < 3 { job.lines(1).await } else { job.finish().await }.expect("written");
        // What is written by now is read by now, as far as it concerns this stream.
        if nth != 2 {
            read.push(&response.chunk().await.expect("open").expect("not over"));
        }
        all.extend(std::iter::from_fn(|| read.next().expect("a block")));
    }
    while let Some(chunk) = response.chunk().await.expect("open") {
        read.push(&chunk);
    }
    all.extend(std::iter::from_fn(|| read.next().expect("a block")));
    // Both are over, and so is the stream. Positions rise and have holes; the events are unchanged.
    let positions: Vec<u64> = all
        .iter()
        .map(|block| block.id.split('-').next().and_then(|id| id.parse().ok()).expect("a position"))
        .collect();
    assert_eq!(positions, [1, 2, 3, 4, 7, 8, 10, 11]);
    let mut log = server.log(first.job()).await.expect("the log");
    log.extend(server.log(second.job()).await.expect("the log"));
    let mut told: Vec<_> = all.iter().map(|block| block.data.clone()).collect();
    let mut kept: Vec<_> = log.iter().map(|event| String::from_utf8_lossy(event.json()).into_owned()).collect();
    told.sort();
    kept.sort();
    assert_eq!(told, kept);
    // From every one of these ids on, the rest comes, and after the last nothing does.
    for (nth, block) in all.iter().enumerate() {
        let again = server.get(&path, &[("last-event-id", &block.id)]).await.expect("a request");
        if nth + 1 == all.len() {
            assert_eq!(again.status(), 204);
        } else {
            assert_eq!(blocks(&text(again).await), all[nth + 1..]);
        }
    }
    // The same tag, and the same refusal.
    let wrong = server.get(&path, &[("last-event-id", "7-00000000")]).await.expect("a request");
    assert_eq!(problem(wrong).await, "cursor-mismatch");
    let beyond = server.get(&path, &[("last-event-id", "12")]).await.expect("a request");
    assert_eq!(problem(beyond).await, "cursor-mismatch");
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_all_may_begin_at_the_end() {
    let (server, job) = server(Retention::default()).await;
    for path in ["/events?after=now", "/events/sse?after=now", "/events?kind=conformance&after=now"] {
        let mut response = server.get(path, &[]).await.expect("a request");
        response.chunk().await.expect("open");
        job.lines(1).await.expect("written");
        let chunk = response.chunk().await.expect("open").expect("not over");
        let seen = blocks(&String::from_utf8_lossy(&chunk));
        assert_eq!(seen.len(), 1, "{path}");
    }
    let other = server.get("/events?kind=other&after=now", &[]).await.expect("a request");
    drop(other);
    assert_eq!(problem(server.get("/events?job=x", &[]).await.expect("a request")).await, "unknown-job");
    assert_eq!(problem(stream(&server, &job, "?after=now", &[]).await).await, "invalid-cursor");
}

/// The end of a log whose last job was forgotten is one place, and the event with the same number in another log is
/// another.
#[tokio::test(start_paused = true)]
async fn the_id_of_a_gap_over_many_jobs_vouches_for_its_history() {
    let (before, job) = server(Retention::default()).await;
    job.lines(4).await.expect("written");
    job.finish().await.expect("written");
    job.delete().await.expect("deleted");
    let mut response = before.get("/events?kind=conformance", &[]).await.expect("a request");
    let seen = blocks(&String::from_utf8_lossy(&response.chunk().await.expect("open").expect("not over")));
    assert_eq!((seen.len(), seen[0].event.as_deref()), (1, Some("gap")));
    let id = &seen[0].id;
    assert_eq!(*id, before.host().feed().end().to_string());
    assert!(id.starts_with("7-"), "{id}");
    let (after, job) = server(Retention::default()).await;
    job.lines(10).await.expect("written");
    let refused = after.get("/events?kind=conformance", &[("last-event-id", id)]).await.expect("a request");
    assert_eq!(problem(refused).await, "cursor-mismatch");
}

#[tokio::test(start_paused = true)]
async fn over_many_jobs_a_gap_shows_those_that_it_concerns() {
    let mut retention = Retention::default();
    retention.events_per_job = 5;
    let (server, busy) = server(retention).await;
    let calm = server.open().await.expect("a job");
    busy.lines(20).await.expect("written");
    busy.finish().await.expect("written");
    calm.finish().await.expect("written");
    let path = format!("/events/sse?job={}&job={}", busy.job(), calm.job());
    let all = blocks(&text(server.get(&path, &[]).await.expect("a request")).await);
    let gap: serde_json::Value = serde_json::from_str(&all[0].data).expect("JSON");
    assert_eq!((all[0].event.as_deref(), &gap["requested"]), (Some("gap"), &0.into()));
    assert_eq!(gap["resumed_at"].as_u64().map(|at| at.to_string()), all[1].id.split('-').next().map(str::to_owned));
    assert_eq!(
        gap["jobs"].as_array().map(|jobs| jobs.iter().map(|job| job["id"].clone()).collect::<Vec<_>>()),
        Some(vec![busy.job().to_string().into()])
    );
    assert_eq!(all.len(), 1 + 3 + 5);
    // Nothing of the calm one was dropped.
    let alone =
        blocks(&text(server.get(&format!("/events/sse?job={}", calm.job()), &[]).await.expect("a request")).await);
    assert!(alone.iter().all(|block| block.event.as_deref() != Some("gap")) && alone.len() == 3, "{alone:?}");
}
