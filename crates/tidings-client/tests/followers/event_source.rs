//! The event-source client against a server that answers from a script.

use std::time::Duration;

use crate::support::{Reply, SECOND, Server, Step, url};
use tidings_client::{
    Config, Error, ErrorKind, Follower,
    event_source::{self, Message},
};

async fn read(follower: &mut Follower<Message>) -> (Vec<String>, Option<Error>) {
    let mut data = Vec::new();
    while let Some(message) = follower.next().await {
        match message {
            Ok(message) => data.push(message.data),
            Err(error) => {
                assert!(follower.next().await.is_none(), "an error is the last item");
                return (data, Some(error));
            }
        }
    }
    assert!(follower.next().await.is_none(), "the end is the end");
    (data, None)
}

#[tokio::test(start_paused = true)]
async fn it_reconnects_with_the_last_id_after_the_time_that_the_stream_set() {
    let replies = [
        Reply::ended_stream("retry: 7000\nid: 1\ndata: a\n\n: half an event follows\nid: 2\ndata: lost"),
        Reply::ended_stream("data: b\n\n"),
        Reply::ended_stream("id: 3\n\n").then(Step::Break),
        Reply::new(204),
    ];
    let (server, client) = Server::new(Config::default(), replies);
    let mut follower = event_source::open(&client, url("/stream?x=1"), None);
    let messages = [follower.next().await, follower.next().await].map(|message| message.expect("two").expect("good"));
    assert_eq!(messages[1], Message { event: "message".into(), data: "b".into(), id: "1".into() });
    let (rest, error) = read(&mut follower).await;
    assert!(rest.is_empty() && error.is_none(), "{rest:?} {error:?}");
    assert_eq!(server.sent("last-event-id"), ["", "1", "1", "3"]);
    assert_eq!(server.seconds(), [0, 7, 14, 21]);
    assert_eq!(server.sent("accept"), ["text/event-stream"; 4]);
    assert_eq!(server.targets(), ["/stream?x=1"; 4]);
}

#[tokio::test(start_paused = true)]
async fn it_begins_after_an_id_that_is_given() {
    let (server, client) = Server::new(Config::default(), [Reply::new(204)]);
    let (data, error) = read(&mut event_source::open(&client, url("/"), Some("\u{e9}12"))).await;
    assert!(data.is_empty() && error.is_none());
    assert_eq!(server.seen()[0].headers["last-event-id"].as_bytes(), "\u{e9}12".as_bytes());
}

#[tokio::test(start_paused = true)]
async fn other_statuses_and_other_content_end_it_for_good() {
    let answers = [
        (Reply::problem(404, "unknown-job"), ErrorKind::Status, Some("unknown-job")),
        (Reply::problem(503, "overloaded").header("retry-after", "1"), ErrorKind::Status, Some("overloaded")),
        (Reply::new(500), ErrorKind::Status, None),
        (Reply::new(205), ErrorKind::Status, None),
        (Reply::new(304), ErrorKind::Status, None),
        (Reply::json("{}"), ErrorKind::Malformed, None),
        (Reply::new(200), ErrorKind::Malformed, None),
    ];
    for (answer, kind, problem) in answers {
        let (server, client) = Server::new(Config::default(), [Reply::ended_stream("data: a\n\n"), answer]);
        let (data, error) = read(&mut event_source::open(&client, url("/"), None)).await;
        let error = error.expect("it ends with an error");
        assert_eq!((data, error.kind(), error.problem()), (vec!["a".to_owned()], kind, problem));
        assert_eq!(server.seconds(), [0, 3], "the default is 3 s, and nothing is asked after the error");
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_is_reconnected_and_one_that_beats_is_not() {
    let mut beating = Reply::ended_stream("data: a\n\n");
    for _ in 0..20 {
        beating = beating.then(Step::Wait(15 * SECOND)).then(Step::Send(":\n".into()));
    }
    let (server, client) = Server::new(Config::default(), [beating.then(Step::Wait(Duration::MAX)), Reply::new(204)]);
    let (data, error) = read(&mut event_source::open(&client, url("/"), None)).await;
    assert!(error.is_none());
    assert_eq!(data, ["a"]);
    assert_eq!(server.seconds(), [0, 20 * 15 + 45 + 3]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_is_asked_again() {
    let (server, client) = Server::new(Config::default(), [Reply::new(204).after(Duration::MAX), Reply::new(204)]);
    let (_, error) = read(&mut event_source::open(&client, url("/"), None)).await;
    assert!(error.is_none());
    assert_eq!(server.seconds(), [0, 33]);
}

#[tokio::test(start_paused = true)]
async fn pauses_grow_while_nothing_comes() {
    let replies = [
        Reply::none(),
        Reply::none(),
        Reply::ended_stream(": overloaded\nretry: 10000\n"),
        Reply::ended_stream("data: a\n\n"),
        Reply::new(204),
    ];
    let (server, client) = Server::new(Config::default(), replies);
    let (data, error) = read(&mut event_source::open(&client, url("/"), None)).await;
    assert!(error.is_none());
    assert_eq!(data, ["a"]);
    let times: Vec<f64> = server.seen().iter().map(|seen| seen.at.as_secs_f64()).collect();
    let pauses: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let expected = [3.0..3.1, 5.0..7.1, 14.0..18.1, 9.9..10.1];
    for (pause, range) in pauses.iter().zip(&expected) {
        assert!(range.contains(pause), "{pauses:?}");
    }
    assert_eq!(pauses.len(), expected.len());
}

#[tokio::test(start_paused = true)]
async fn it_gives_up_where_that_is_configured() {
    let config: Config = serde_json::from_str(r#"{"give_up_after": 60}"#).expect("a configuration");
    let (server, client) = Server::new(config, (0..100).map(|_| Reply::none()));
    let (_, error) = read(&mut event_source::open(&client, url("/"), None)).await;
    assert_eq!(error.expect("it gives up").kind(), ErrorKind::Connect);
    let last = *server.seconds().last().expect("it asked");
    assert!((60..100).contains(&last), "{last}");
}

#[tokio::test(start_paused = true)]
async fn redirects_are_followed_anew_each_time() {
    let replies = [
        Reply::new(307).header("location", "/b"),
        Reply::new(301).header("location", "http://other.test/c"),
        Reply::ended_stream("id: 1\ndata: a\n\n"),
        Reply::new(204),
    ];
    let (server, client) = Server::new(Config::default(), replies);
    let (data, error) = read(&mut event_source::open(&client, url("/a"), None)).await;
    assert!(error.is_none());
    assert_eq!(data, ["a"]);
    assert_eq!(server.targets(), ["/a", "/b", "/c", "/a"]);
    assert_eq!(server.sent("host"), ["server.test", "server.test", "other.test", "server.test"]);

    let (server, client) = Server::new(Config::default(), (0..100).map(|_| Reply::new(302).header("location", "/")));
    let (_, error) = read(&mut event_source::open(&client, url("/"), None)).await;
    assert_eq!(error.expect("it goes round in circles").kind(), ErrorKind::Malformed);
    assert_eq!(server.seen().len(), 21);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_too_large_is_an_error() {
    let config: Config = serde_json::from_str(r#"{"max_event_bytes": 1000}"#).expect("a configuration");
    let text = format!("data: {}\n\ndata: {}", "a".repeat(990), "b".repeat(1000));
    let (server, client) = Server::new(config, [Reply::stream(&text)]);
    let (data, error) = read(&mut event_source::open(&client, url("/"), None)).await;
    assert_eq!((data.len(), error.expect("it is too large").kind()), (1, ErrorKind::TooLarge));
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_id_that_no_header_can_carry_is_not_forgotten_in_silence() {
    let (_, client) = Server::new(Config::default(), [Reply::ended_stream("id: \u{1}\ndata: a\n\n")]);
    let (data, error) = read(&mut event_source::open(&client, url("/"), None)).await;
    assert_eq!((data.len(), error.expect("it can't go on").kind()), (1, ErrorKind::Malformed));
}

#[tokio::test(start_paused = true)]
async fn dropping_next_loses_nothing() {
    let mut stream = Reply::ended_stream("data: a\n\n");
    for piece in ["dat", "a: b\n", "\ndata:", " c\n\n"] {
        stream = stream.then(Step::Wait(2 * SECOND)).then(Step::Send(piece.into()));
    }
    let (server, client) = Server::new(Config::default(), [stream.after(5 * SECOND), Reply::new(204)]);
    let mut follower = event_source::open(&client, url("/"), None);
    let mut data = Vec::new();
    loop {
        match tokio::time::timeout(Duration::from_millis(300), follower.next()).await {
            Ok(Some(message)) => data.push(message.expect("no error").data),
            Ok(None) => break,
            Err(_) => {}
        }
    }
    assert_eq!(data, ["a", "b", "c"]);
    assert_eq!(server.seen().len(), 2);
}
