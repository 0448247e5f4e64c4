//! Following a job over short polling.

use crate::support::{Reply, Server, history, page, read, texts, url};
use tidings_client::{Config, Cursor, ErrorKind, Event, short_poll};

enum Rest {
    None,
    Some,
    Never,
}

fn next_page(events: &[Event], rest: &Rest) -> Reply {
    let cursor = events.last().map_or(Cursor::START, Event::cursor);
    let more_done = (matches!(rest, Rest::Some), matches!(rest, Rest::Never));
    let reply = Reply::json(page(events, cursor, more_done, None));
    if let Rest::Some = rest { reply } else { reply.header("etag", &format!("\"{cursor}\"")) }
}

#[tokio::test(start_paused = true)]
async fn it_asks_when_the_server_says_and_names_what_it_has() {
    let events = history(4);
    let replies = [
        next_page(&events[..2], &Rest::Some).header("retry-after", "0"),
        next_page(&events[2..3], &Rest::None).header("retry-after", "5"),
        Reply::new(304).header("retry-after", "7"),
        // It does not mean to be asked without end.
        Reply::new(304).header("retry-after", "0"),
        next_page(&events[3..5], &Rest::Some),
        next_page(&events[5..], &Rest::Never),
    ];
    let (server, client) = Server::new(Config::default(), replies);
    let (seen, error) = read(&mut short_poll::follow(&client, url("/short-poll"), None)).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(texts(&seen), texts(&events));
    assert_eq!(server.seconds(), [0, 0, 5, 12, 13, 13]);
    let etag = format!("\"{}\"", events[2].cursor());
    assert_eq!(server.sent("if-none-match"), ["", "", &etag, &etag, &etag, ""]);
    let after = |at: usize| format!("/short-poll?after={}", events[at].cursor());
    assert_eq!(server.targets(), ["/short-poll".to_owned(), after(1), after(2), after(2), after(2), after(4)]);
}

#[tokio::test(start_paused = true)]
async fn errors_are_waited_out_and_refusals_are_not() {
    let events = history(0);
    let replies = [
        Reply::none(),
        Reply::new(503).header("retry-after", "9"),
        next_page(&events[..1], &Rest::None).header("retry-after", "2"),
        Reply::problem(410, "cursor-mismatch"),
    ];
    let (server, client) = Server::new(Config::default(), replies);
    let (seen, error) = read(&mut short_poll::follow(&client, url("/"), None)).await;
    assert_eq!(seen.len(), 1);
    assert_eq!(error.expect("it is refused").problem(), Some("cursor-mismatch"));
    let times = server.seconds();
    assert!((1..=2).contains(&times[1]), "{times:?}");
    assert_eq!(times[1..].iter().map(|at| at - times[1]).collect::<Vec<_>>(), [0, 9, 11]);
}

#[tokio::test(start_paused = true)]
async fn a_304_that_was_not_asked_for_is_an_error() {
    let (_, client) = Server::new(Config::default(), [Reply::new(304)]);
    let (_, error) = read(&mut short_poll::follow(&client, url("/"), None)).await;
    assert_eq!(error.expect("there is nothing to compare with").kind(), ErrorKind::Status);
}

#[tokio::test(start_paused = true)]
async fn pages_that_are_empty_and_not_the_last_do_not_make_it_run_in_circles() {
    let events = history(0);
    let replies = (0..5).map(|_| next_page(&[], &Rest::Some)).chain([next_page(&events, &Rest::Never)]);
    let (server, client) = Server::new(Config::default(), replies);
    let (seen, error) = read(&mut short_poll::follow(&client, url("/"), None)).await;
    assert!(error.is_none());
    assert_eq!(seen.len(), 2);
    assert!(*server.seconds().last().expect("it asked") >= 1 + 2 + 4 + 8 + 15);
}
