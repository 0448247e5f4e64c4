//! Following a job over long polling.

use std::time::Duration;

use crate::support::{Reply, SECOND, Server, Step, history, next_page, nothing_new, page, read, texts, url};
use tidings_client::{Config, Cursor, ErrorKind, Update, long_poll};

#[tokio::test(start_paused = true)]
async fn it_asks_again_at_once_and_ends_with_the_job() {
    let events = history(3);
    let replies = [
        next_page(&events[..2]).after(10 * SECOND),
        nothing_new(events[1].cursor()).after(25 * SECOND),
        next_page(&events[2..4]).after(5 * SECOND),
        next_page(&events[4..]),
    ];
    let (server, client) = Server::new(Config::default(), replies);
    let (seen, error) = read(&mut long_poll::follow(&client, url("/long-poll?limit=9"), None)).await;
    assert!(error.is_none());
    assert_eq!(texts(&seen), texts(&events));
    assert_eq!(server.seconds(), [0, 10, 35, 40]);
    let (a, b) = (events[1].cursor(), events[3].cursor());
    let targets = [
        "/long-poll?limit=9&wait=25".to_owned(),
        format!("/long-poll?limit=9&after={a}&wait=25"),
        format!("/long-poll?limit=9&after={a}&wait=25"),
        format!("/long-poll?limit=9&after={b}&wait=25"),
    ];
    assert_eq!(server.targets(), targets);
}

#[tokio::test(start_paused = true)]
async fn after_errors_it_waits_longer_and_longer_and_loses_nothing() {
    let events = history(1);
    let replies = [
        next_page(&events[..1]),
        Reply::none(),
        Reply::problem(500, "internal"),
        next_page(&events[1..]).then(Step::Break),
        Reply::new(429),
        next_page(&events[1..2]),
        Reply::none(),
        next_page(&events[2..]),
    ];
    let (server, client) = Server::new(Config::default(), replies);
    let (seen, error) = read(&mut long_poll::follow(&client, url("/"), None)).await;
    assert!(error.is_none());
    assert_eq!(texts(&seen), texts(&events));
    let times: Vec<f64> = server.seen().iter().map(|seen| seen.at.as_secs_f64()).collect();
    let pauses: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let expected = [0.0..0.1, 1.0..2.1, 2.0..4.1, 4.0..8.1, 8.0..16.1, 0.0..0.1, 1.0..2.1];
    assert_eq!(pauses.len(), expected.len(), "{pauses:?}");
    assert!(pauses.iter().zip(&expected).all(|(pause, range)| range.contains(pause)), "{pauses:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_when_to_come_back_is_obeyed() {
    let events = history(0);
    let replies = [
        Reply::problem(503, "overloaded").header("retry-after", "100"),
        // A server that shuts down ends its holds like this.
        nothing_new(Cursor::START).header("connection", "close").header("retry-after", "1"),
        next_page(&events),
    ];
    let (server, client) = Server::new(Config::default(), replies);
    let (seen, error) = read(&mut long_poll::follow(&client, url("/"), None)).await;
    assert!(error.is_none());
    assert_eq!(texts(&seen), texts(&events));
    assert_eq!(server.seconds(), [0, 100, 101]);
}

#[tokio::test(start_paused = true)]
async fn what_will_not_get_better_ends_it() {
    let answers = [
        (Reply::problem(410, "cursor-mismatch"), ErrorKind::Status, Some("cursor-mismatch")),
        (Reply::problem(404, "unknown-job"), ErrorKind::Status, Some("unknown-job")),
        (Reply::new(304), ErrorKind::Status, None),
        (Reply::json("<html>"), ErrorKind::Malformed, None),
        (
            Reply::json(r#"{"job":{},"events":[{}],"cursor":"1","more":false,"done":true,"gap":null}"#),
            ErrorKind::Malformed,
            None,
        ),
    ];
    for (answer, kind, problem) in answers {
        let (server, client) = Server::new(Config::default(), [answer]);
        let (seen, error) = read(&mut long_poll::follow(&client, url("/"), None)).await;
        let error = error.expect("it ends with an error");
        assert!(seen.is_empty() && !error.is_temporary());
        assert_eq!((error.kind(), error.problem()), (kind, problem));
        assert_eq!(server.seen().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn it_gives_up_where_that_is_configured() {
    let config: Config = serde_json::from_str(r#"{"give_up_after": 60}"#).expect("a configuration");
    let (server, client) = Server::new(config, (0..100).map(|_| Reply::new(502)));
    let (_, error) = read(&mut long_poll::follow(&client, url("/"), None)).await;
    assert_eq!(error.expect("it gives up").status().map(|status| status.as_u16()), Some(502));
    assert!((60..100).contains(server.seconds().last().expect("it asked")));
}

#[tokio::test(start_paused = true)]
async fn a_page_that_was_cut_is_asked_for_with_half_its_limit_and_a_full_one_with_twice() {
    let events = history(8);
    let cut = || Reply::json("{").then(Step::Break);
    let full = |range: std::ops::Range<usize>| {
        let last = events[range.end - 1].cursor();
        Reply::json(page(&events[range], last, (true, false), None))
    };
    let replies = [cut(), cut(), cut(), full(0..1), full(1..3), cut(), full(3..5), next_page(&events[5..])];
    let (server, client) = Server::new(Config::default(), replies);
    let (seen, error) = read(&mut long_poll::follow(&client, url("/?limit=8&wait=9"), None)).await;
    assert!(error.is_none());
    assert_eq!(texts(&seen), texts(&events));
    let limits = server.targets().into_iter().map(|target| {
        let limits: Vec<_> = target.split(['?', '&']).filter_map(|pair| pair.strip_prefix("limit=")).collect();
        limits.join(" and ")
    });
    assert_eq!(limits.collect::<Vec<_>>(), ["8", "4", "2", "1", "2", "4", "2", "4"]);
}

#[tokio::test(start_paused = true)]
async fn a_hold_has_its_time_and_the_answer_its_own() {
    let config: Config = serde_json::from_str(r#"{"hold": 50, "give_up_after": 1}"#).expect("a configuration");
    let events = history(0);
    let (server, client) = Server::new(config.clone(), [next_page(&events).after(79 * SECOND)]);
    let (seen, error) = read(&mut long_poll::follow(&client, url("/"), None)).await;
    assert!(error.is_none());
    assert_eq!(seen.len(), 2);
    assert_eq!(server.targets(), ["/?wait=50"]);
    let late = || next_page(&events).after(81 * SECOND);
    let (_, client) = Server::new(config, [late(), late()]);
    let (_, error) = read(&mut long_poll::follow(&client, url("/"), None)).await;
    assert_eq!(error.expect("it is late twice").kind(), ErrorKind::Timeout);
}

#[tokio::test(start_paused = true)]
async fn answers_that_were_not_held_do_not_make_it_run_in_circles() {
    let events = history(0);
    let replies = (0..6).map(|_| nothing_new(Cursor::START)).chain([next_page(&events)]);
    let (server, client) = Server::new(Config::default(), replies);
    let (seen, error) = read(&mut long_poll::follow(&client, url("/"), None)).await;
    assert!(error.is_none());
    assert_eq!(seen.len(), 2);
    assert!(*server.seconds().last().expect("it asked") >= 1 + 2 + 4 + 8 + 15 + 15);
}

#[tokio::test(start_paused = true)]
async fn a_gap_comes_before_the_events_that_follow_it() {
    let events = history(10);
    let last = events[11].cursor();
    let replies = [Reply::json(page(&events[8..], last, (false, true), Some((3, 9))))];
    let (_, client) = Server::new(Config::default(), replies);
    let mut follower = long_poll::follow(&client, url("/"), Some(events[2].cursor()));
    let Some(Ok(Update::Gap(gap))) = follower.next().await else { panic!("a gap") };
    assert_eq!((gap.requested, gap.resumed_at, gap.job.as_str()), (3, 9, r#"{"seq":12}"#));
    let (seen, error) = read(&mut follower).await;
    assert!(error.is_none());
    assert_eq!(texts(&seen), texts(&events[8..]));
}

#[tokio::test(start_paused = true)]
async fn dropping_next_does_not_ask_anew() {
    let events = history(1);
    let replies = [next_page(&events[..2]).after(10 * SECOND), next_page(&events[2..]).after(10 * SECOND)];
    let (server, client) = Server::new(Config::default(), replies);
    let mut follower = long_poll::follow(&client, url("/"), None);
    let mut seqs = Vec::new();
    loop {
        match tokio::time::timeout(Duration::from_millis(300), follower.next()).await {
            Ok(Some(Ok(Update::Event(event)))) => seqs.push(event.seq()),
            Ok(Some(other)) => panic!("{other:?}"),
            Ok(None) => break,
            Err(_) => {}
        }
    }
    assert_eq!(seqs, [1, 2, 3]);
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn it_works_over_http2() {
    let config: Config = serde_json::from_str(r#"{"protocol": "http2"}"#).expect("a configuration");
    let events = history(1);
    let (server, client) = Server::new(config, [next_page(&events[..1]), next_page(&events[1..])]);
    let (seen, error) = read(&mut long_poll::follow(&client, url("/"), None)).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(texts(&seen), texts(&events));
    assert_eq!(server.seen().len(), 2);
}
