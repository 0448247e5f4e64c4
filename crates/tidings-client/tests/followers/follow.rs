//! Following over whichever transport works.

use std::time::Duration;

use crate::support::{
    Reply, SECOND, Server, Step, block, blocks, history, job_json, next_page, nothing_new, page, texts, url,
};
use Transport::{LongPoll, ShortPoll, Sse};
use tidings_client::{
    CancellationToken, Client, Config, Cursor, ErrorKind, Event, Follow, HttpClient, State, Transport, Update,
};

/// What came of following a job.
#[derive(Debug, Default)]
pub(crate) struct Followed {
    pub(crate) events: Vec<Event>,
    pub(crate) transports: Vec<Transport>,
    pub(crate) error: Option<tidings_client::Error>,
}

/// The job as its server shows it, with links for these transports.
pub(crate) fn job(events: &[Event], transports: &[Transport]) -> Reply {
    let (id, last) = (events[0].job(), &events[events.len() - 1]);
    let names: Vec<_> = transports.iter().map(|transport| transport.name()).collect();
    Reply::json(job_json(id, last.cursor(), &names)).to(id.to_string())
}

pub(crate) fn mounted(heartbeat: u32) -> Reply {
    Reply::json(format!(r#"{{"transports":[{{"name":"sse","heartbeat_seconds":{heartbeat}}}]}}"#)).to("/transports")
}

/// A server of one job that is known to have these events, and a client that follows it.
pub(crate) fn server(events: &[Event], replies: impl IntoIterator<Item = Reply>) -> (Server, Follow) {
    let (server, http) = Server::new(Config::default(), replies.into_iter().chain(usual(events)));
    (server, following(http, events))
}

/// What a server says whenever it is asked.
pub(crate) fn usual(events: &[Event]) -> [Reply; 2] {
    [mounted(15).always(), job(&events[..1], &Transport::ALL).always()]
}

pub(crate) fn following(http: HttpClient, events: &[Event]) -> Follow {
    let client = Client::with_http(url("/api/"), http).expect("a base");
    // It ends what would go on for ever.
    client.follow(events[0].job()).with_timeout(3600 * SECOND)
}

pub(crate) async fn read(follow: &mut Follow) -> Followed {
    let mut followed = Followed::default();
    while let Some(update) = follow.next().await {
        match update {
            Ok(Update::Event(event)) => followed.events.push(event),
            Ok(Update::Transport(transport)) => {
                assert_eq!(follow.transport(), Some(transport));
                followed.transports.push(transport);
            }
            Ok(Update::Job(job)) => assert_eq!(job.id(), follow.job()),
            Ok(other) => panic!("no gap was expected: {other:?}"),
            Err(error) => followed.error = Some(error),
        }
    }
    assert!(follow.next().await.is_none(), "the end is the end");
    followed
}

/// Follows to the end of the job: sees each event once, over just these transports.
pub(crate) async fn read_all(follow: &mut Follow, events: &[Event], transports: &[Transport]) {
    let followed = read(follow).await;
    assert!(followed.error.is_none(), "{:?}", followed.error);
    assert_eq!(texts(&followed.events), texts(events));
    assert_eq!(followed.transports, transports);
}

/// The seconds at which a transport was asked for the job, cut to whole ones.
pub(crate) fn seconds(server: &Server, transport: Transport) -> Vec<u64> {
    let end = format!("/{transport}");
    let seen =
        server.seen().into_iter().filter(|seen| seen.target.split('?').next().is_some_and(|p| p.ends_with(&end)));
    seen.map(|seen| seen.at.as_secs()).collect()
}

/// The cursors that a transport was asked to go on from; empty for the beginning.
pub(crate) fn cursors(server: &Server, transport: Transport) -> Vec<String> {
    let end = format!("/{transport}");
    let mut cursors = Vec::new();
    for seen in server.seen() {
        let (path, query) = seen.target.split_once('?').unwrap_or((&seen.target, ""));
        if path.ends_with(&end) {
            let sent = seen.headers.get("last-event-id").and_then(|id| id.to_str().ok());
            let after = query.split('&').find_map(|pair| pair.strip_prefix("after="));
            cursors.push(sent.or(after).unwrap_or_default().to_owned());
        }
    }
    cursors
}

#[tokio::test(start_paused = true)]
async fn the_job_comes_first_then_its_events_over_the_first_choice() {
    let events = history(3);
    let (server, mut follow) = server(&events, [Reply::stream(&blocks(&events)).to("/sse")]);
    assert!(server.seen().is_empty() && follow.transport().is_none() && follow.snapshot().is_none());
    let Some(Ok(Update::Job(job))) = follow.next().await else { panic!("the job comes first") };
    assert_eq!((job.id(), job.snapshot().state, job.is_over()), (events[0].job(), State::Running, false));
    assert_eq!(job.link("long-poll"), Some(format!("/api/jobs/{}/long-poll", job.id()).as_str()));
    assert_eq!(follow.snapshot().map(|job| job.seq), Some(1));
    read_all(&mut follow, &events, &[Sse]).await;
    let last = follow.snapshot().expect("it is known");
    assert_eq!((last.seq, last.state, last.finished_at.is_some()), (5, State::Succeeded, true));
    let mut targets = server.targets();
    // What is asked for first, of the job and the transports, is asked for at the same time.
    targets[..2].sort();
    let job = format!("/api/jobs/{}", job.id());
    assert_eq!(targets, [job.clone(), "/api/transports".to_owned(), format!("{job}/sse")]);
}

#[tokio::test(start_paused = true)]
async fn what_another_try_cannot_mend_is_the_callers_at_once() {
    let events = history(3);
    let id = events[0].job().to_string();
    for (reply, problem) in [
        (Reply::problem(401, "unauthorized").to(&id), "unauthorized"),
        (Reply::problem(404, "unknown-job").to(&id), "unknown-job"),
        (Reply::problem(401, "unauthorized").to("/sse"), "unauthorized"),
        (Reply::problem(404, "unknown-job").to("/sse"), "unknown-job"),
        (Reply::problem(410, "cursor-mismatch").to("/sse"), "cursor-mismatch"),
    ] {
        let (server, follow) = server(&events, [reply]);
        let followed = read(&mut follow.after(Cursor::unchecked(7))).await;
        let error = followed.error.expect("it ends with an error");
        assert_eq!((error.problem(), error.is_temporary()), (Some(problem), false));
        assert!(server.seen().len() <= 3 && server.seconds().iter().all(|second| *second == 0));
    }
}

#[tokio::test(start_paused = true)]
async fn where_nothing_is_left_the_last_error_is_the_callers() {
    let events = history(3);
    let replies = [Reply::new(404).to("/sse"), Reply::json("<html>").to("/long-poll"), Reply::new(404).to("-poll")];
    let (_, mut follow) = server(&events, replies);
    assert_eq!(read(&mut follow).await.error.and_then(|error| error.status()).map(|s| s.as_u16()), Some(404));
    let (server, follow) = server(&events, []);
    let error = read(&mut follow.with_transports([])).await.error.expect("there is nothing to follow over");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(server.seen().len() <= 2);
}

#[tokio::test(start_paused = true)]
async fn gaps_are_handed_on_over_every_transport() {
    let events = history(10);
    let snapshot = job_json(events[0].job(), "9-00000000".parse().expect("a cursor"), &[]);
    let data = format!(r#"{{"requested":1,"resumed_at":9,"job":{snapshot}}}"#);
    let gap = format!("{}id: 8-00000000\nevent: gap\ndata: {data}\n\n", blocks(&events[..1]));
    let last = events[11].cursor();
    let whole = page(&events[8..], last, (false, true), Some((1, 9)));
    let whole = whole.replacen(&format!(r#"{{"seq":{}}}"#, last.number()), &snapshot, 1);
    let ways = [
        (Sse, vec![Reply::stream(&format!("{gap}{}", events[8..].iter().map(block).collect::<String>())).to("/sse")]),
        // Cut right after the gap: the next request goes on from where the gap ends.
        (Sse, vec![Reply::ended_stream(&gap).to("/sse"), Reply::stream(&blocks(&events[8..])).to("/sse")]),
        (LongPoll, vec![next_page(&events[..1]).to("/long-poll"), Reply::json(whole).to("/long-poll")]),
        // Held back right after the gap: the next transport does.
        (Sse, vec![Reply::stream(&gap).to("/sse"), next_page(&events[8..]).to("/long-poll")]),
    ];
    for (transport, replies) in ways {
        let (server, follow) = server(&events, replies);
        let mut follow = follow.with_transports([transport, LongPoll]);
        let mut seqs = Vec::new();
        while let Some(update) = follow.next().await {
            match update.expect("no error") {
                Update::Gap(gap) => {
                    assert_eq!((gap.requested, gap.resumed_at), (1, 9));
                    assert_eq!(follow.snapshot().map(|job| job.seq), Some(9), "it is what is known best");
                    seqs.push(0);
                }
                Update::Event(event) => seqs.push(event.seq()),
                _ => {}
            }
        }
        assert_eq!(seqs, [1, 0, 9, 10, 11, 12]);
        assert_eq!(follow.snapshot().map(|job| job.state), Some(State::Succeeded));
        let cursors = [cursors(&server, Sse), cursors(&server, LongPoll)].concat();
        let before = if transport == Sse { "8-00000000" } else { &events[0].cursor().to_string() };
        assert!(cursors.iter().skip(1).all(|cursor| cursor == before), "{cursors:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn it_begins_after_a_cursor_and_ends_at_once_where_the_job_is_over() {
    let events = history(3);
    let (asked, follow) = server(&events, [Reply::stream(&blocks(&events[3..])).to("/sse")]);
    read_all(&mut follow.after(events[2].cursor()), &events[3..], &[Sse]).await;
    assert_eq!(cursors(&asked, Sse), [events[2].cursor().to_string()]);
    let (_, follow) = server(&events, [Reply::new(204).to("/sse")]);
    let followed = read(&mut follow.after(events[4].cursor())).await;
    assert!(followed.error.is_none() && followed.events.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_order_is_the_callers() {
    let events = history(3);
    let (server, follow) = server(&events, [next_page(&events).to("/short-poll")]);
    read_all(&mut follow.with_transports([ShortPoll, Sse, ShortPoll]), &events, &[ShortPoll]).await;
    assert!(seconds(&server, Sse).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_timeout_ends_it_with_what_went_wrong_last() {
    let events = history(3);
    let (server, follow) = server(&events, [Reply::new(502).always()]);
    let mut follow = follow.with_timeout(60 * SECOND);
    tokio::time::advance(1000 * SECOND).await;
    let begun = tokio::time::Instant::now();
    let error = read(&mut follow).await.error.expect("time is up");
    assert_eq!((error.kind(), begun.elapsed().as_secs()), (ErrorKind::Timeout, 60));
    let last = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    assert!(last.contains("502"), "{last}");
    let so_far = server.seen().len();
    tokio::time::advance(1000 * SECOND).await;
    assert_eq!(server.seen().len(), so_far);
}

#[tokio::test(start_paused = true)]
async fn who_wants_to_know_is_told_why_it_waits() {
    let events = history(3);
    let (_, follow) = server(&events, [Reply::new(502).always()]);
    let (tell, told) = std::sync::mpsc::channel();
    let mut follow =
        follow.with_timeout(60 * SECOND).on_pause(move |why| tell.send(why.to_string()).expect("it is read below"));
    assert!(read(&mut follow).await.error.is_some());
    drop(follow);
    let told: Vec<_> = told.iter().collect();
    assert!(told.len() > 1 && told.iter().all(|why| why.contains("502")), "{told:?}");
}

/// `Duration::MAX` is how many say "never".
#[tokio::test(start_paused = true)]
async fn times_that_no_clock_goes_to_never_come() {
    let events = history(3);
    let mut config = Config::default();
    (config.climb_interval, config.first_byte_timeout) = (Duration::MAX, Duration::MAX);
    // For longer than it usually takes until a better transport is tried again.
    let nothing = (0..4).map(|_| nothing_new(events[1].cursor()).after(25 * SECOND).to("/long-poll"));
    let pages = [next_page(&events[..2]).to("/long-poll")].into_iter().chain(nothing);
    let pages = pages.chain([next_page(&events[2..]).to("/long-poll")]);
    let broken = Reply::new(502).to("/sse").always();
    let (server, http) = Server::new(config, pages.chain([broken]).chain(usual(&events)));
    let mut follow = following(http, &events).with_transports([Sse, LongPoll]).with_timeout(Duration::MAX);
    read_all(&mut follow, &events, &[LongPoll]).await;
    assert_eq!(seconds(&server, Sse).len(), 2, "it was left, and is not tried again");
}

#[tokio::test(start_paused = true)]
async fn cancelling_ends_it_as_if_the_job_were_over() {
    let events = history(3);
    let cancel = CancellationToken::new();
    let (_, follow) = server(&events, [Reply::stream(&blocks(&events[..2])).to("/sse")]);
    let mut follow = follow.with_cancel(cancel.clone());
    let (followed, ()) = tokio::join!(read(&mut follow), async {
        tokio::time::sleep(7 * SECOND).await;
        cancel.cancel();
    });
    assert!(followed.error.is_none());
    assert_eq!(followed.events.len(), 2);
    let (server, follow) = server(&events, []);
    assert!(read(&mut follow.with_cancel(cancel)).await.error.is_none());
    assert!(server.seen().is_empty(), "nothing is asked once it is cancelled");
}

#[tokio::test(start_paused = true)]
async fn dropping_it_closes_what_it_had_open() {
    let events = history(3);
    let silent = |end| Reply::new(200).after(Duration::MAX).to(end).always();
    let replies = [silent("/sse"), silent("-poll")];
    // Over the stream, the long poll, the short poll, and with a try beside that.
    for waits in [3, 7, 12, 37] {
        let (server, mut follow) = server(&events, replies.clone());
        let waiting = tokio::time::timeout(SECOND * waits, async { while follow.next().await.is_some() {} });
        waiting.await.expect_err("it is not over");
        assert!(server.open() > 0);
        drop(follow);
        tokio::time::advance(SECOND).await;
        let (so_far, begun) = (server.seen().len(), tokio::time::Instant::now());
        while server.open() > 0 {
            assert!(begun.elapsed() < SECOND, "a connection stays open");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::advance(1000 * SECOND).await;
        assert_eq!(server.seen().len(), so_far);
    }
}

#[tokio::test(start_paused = true)]
async fn over_http2_one_connection_is_enough() {
    let events = history(3);
    let config: Config = serde_json::from_str(r#"{"protocol": "http2"}"#).expect("a configuration");
    let replies = [
        Reply::stream("").after(Duration::MAX).to("/sse"),
        next_page(&events[..2]).to("/long-poll"),
        Reply::new(200).after(Duration::MAX).to("/long-poll"),
        Reply::ended_stream("retry: 2000\n").then(Step::Send(blocks(&events[2..]))).to("/sse"),
    ];
    let (server, http) = Server::new(config, replies.into_iter().chain(usual(&events)));
    let mut follow = following(http, &events);
    read_all(&mut follow, &events, &[LongPoll, Sse]).await;
    assert_eq!((server.seen().len(), server.open()), (6, 1));
}
