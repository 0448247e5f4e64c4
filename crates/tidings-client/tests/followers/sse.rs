//! Following a job over Server-Sent Events.

use crate::support::{Reply, Server, Step, blocks, history, read, texts, url};
use tidings_client::{Config, Cursor, ErrorKind, JobId, Update, sse};

#[tokio::test(start_paused = true)]
async fn it_ends_after_the_terminal_event_with_the_bytes_that_were_sent() {
    let events = history(20);
    // The connection stays open: the end is the event, not the connection's.
    let (server, client) = Server::new(Config::default(), [Reply::stream(&blocks(&events))]);
    let (seen, error) = read(&mut sse::follow(&client, url("/jobs/1/sse"), None)).await;
    assert!(error.is_none());
    assert_eq!(texts(&seen), texts(&events));
    assert_eq!(server.seconds(), [0]);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_or_breaks_before_is_a_pause() {
    let events = history(3);
    let replies = [
        Reply::ended_stream(&blocks(&events[..2])),
        Reply::ended_stream(&blocks(&events[2..3])).then(Step::Break),
        // One event is sent again.
        Reply::stream(&blocks(&events[2..])),
    ];
    let (server, client) = Server::new(Config::default(), replies);
    let (seen, error) = read(&mut sse::follow(&client, url("/jobs/1/sse"), None)).await;
    assert!(error.is_none());
    assert_eq!(texts(&seen), texts(&events));
    assert_eq!(server.seconds(), [0, 2, 4]);
    let ids = [events[1].cursor(), events[2].cursor()].map(|cursor| cursor.to_string());
    assert_eq!(server.sent("last-event-id")[1..], ids);
}

#[tokio::test(start_paused = true)]
async fn it_goes_on_after_a_cursor_and_takes_messages_without_names() {
    let events = history(3);
    let unnamed: String =
        blocks(&events[2..]).lines().filter(|l| !l.starts_with("event:")).map(|l| format!("{l}\n")).collect();
    let (server, client) = Server::new(Config::default(), [Reply::ended_stream(&unnamed)]);
    let after = events[1].cursor();
    let (seen, error) = read(&mut sse::follow(&client, url("/jobs/1/sse?as=message"), Some(after))).await;
    assert!(error.is_none());
    assert_eq!(texts(&seen), texts(&events[2..]));
    assert_eq!(server.sent("last-event-id"), [after.to_string()]);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_was_over_gets_204() {
    let (server, client) = Server::new(Config::default(), [Reply::new(204)]);
    let (seen, error) = read(&mut sse::follow(&client, url("/jobs/1/sse"), Some(Cursor::unchecked(7)))).await;
    assert!(seen.is_empty() && error.is_none());
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_gap_is_told_where_it_is_met() {
    let events = history(10);
    let gap = r#"data: {"requested":1,"resumed_at":9,"job":{"seq":12, "state":"succeeded"}}"#;
    let text = format!("{}id: 8-00000000\nevent: gap\n{gap}\n\n{}", blocks(&events[..1]), blocks(&events[8..]));
    let (_, client) = Server::new(Config::default(), [Reply::stream(&text)]);
    let mut follower = sse::follow(&client, url("/jobs/1/sse"), None);
    let mut seqs = Vec::new();
    while let Some(update) = follower.next().await {
        match update.expect("no error") {
            Update::Gap(gap) => {
                assert_eq!((gap.requested, gap.resumed_at), (1, 9));
                assert_eq!(gap.job.as_str(), r#"{"seq":12,"state":"succeeded"}"#);
                seqs.push(0);
            }
            Update::Event(event) => seqs.push(event.seq()),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(seqs, [1, 0, 9, 10, 11, 12]);
}

/// The job was forgotten while it was followed: whoever asked again would get `404`.
#[tokio::test(start_paused = true)]
async fn it_ends_by_a_gap_that_the_end_was_lost_in() {
    let events = history(10);
    let job = serde_json::json!({
        "id": JobId::new().to_string(), "kind": "k", "state": "succeeded", "seq": 12, "cursor": "12-00000000", "attempt": 1,
        "progress": null, "result": null, "error": null, "cancel_requested": false,
        "created_at": "2026-11-21T10:00:00.000Z", "started_at": null, "updated_at": "2026-11-21T10:00:00.000Z",
        "finished_at": "2026-11-21T10:00:00.000Z", "input": null, "links": {},
    });
    let gap =
        format!(r#"id: 12-00000000{}event: gap{}data: {{"requested":1,"resumed_at":13,"job":{job}}}"#, '\n', '\n');
    let replies = [Reply::ended_stream(&format!("{}{gap}\n\n", blocks(&events[..1]))), Reply::new(404)];
    let (server, client) = Server::new(Config::default(), replies);
    let mut follower = sse::follow(&client, url("/jobs/1/sse"), None);
    assert!(matches!(follower.next().await, Some(Ok(Update::Event(_)))));
    assert!(matches!(follower.next().await, Some(Ok(Update::Gap(_)))));
    assert!(follower.next().await.is_none());
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_hole_and_what_is_no_event_are_errors() {
    let events = history(3);
    let hole = blocks(&[events[0].clone(), events[2].clone()]);
    let spoilt = blocks(&events).replacen("\"seq\":2", "\"seq\":3", 1);
    let garbage = format!("{}data: hello\n\n", blocks(&events[..1]));
    for text in [hole, spoilt, garbage] {
        let (_, client) = Server::new(Config::default(), [Reply::stream(&text)]);
        let (seen, error) = read(&mut sse::follow(&client, url("/jobs/1/sse"), None)).await;
        assert_eq!((seen.len(), error.expect("it can't go on").kind()), (1, ErrorKind::Malformed), "{text}");
    }
}
