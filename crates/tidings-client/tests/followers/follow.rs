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
struct Followed {
    events: Vec<Event>,
    transports: Vec<Transport>,
    error: Option<tidings_client::Error>,
}

/// The job as its server shows it, with links for these transports.
fn job(events: &[Event], transports: &[Transport]) -> Reply {
    let (id, last) = (events[0].job(), &events[events.len() - 1]);
    let names: Vec<_> = transports.iter().map(|transport| transport.name()).collect();
    Reply::json(job_json(id, last.cursor(), &names)).to(id.to_string())
}

fn mounted(heartbeat: u32) -> Reply {
    Reply::json(format!(r#"{{"transports":[{{"name":"sse","heartbeat_seconds":{heartbeat}}}]}}"#)).to("/transports")
}

/// A server of one job that is known to have these events, and a client that follows it.
fn server(events: &[Event], replies: impl IntoIterator<Item = Reply>) -> (Server, Follow) {
    let (server, http) = Server::new(Config::default(), replies.into_iter().chain(usual(events)));
    (server, following(http, events))
}

/// What a server says whenever it is asked.
fn usual(events: &[Event]) -> [Reply; 2] {
    [mounted(15).always(), job(&events[..1], &Transport::ALL).always()]
}

fn following(http: HttpClient, events: &[Event]) -> Follow {
    let client = Client::with_http(url("/api/"), http).expect("a base");
    // It ends what would go on for ever.
    client.follow(events[0].job()).with_timeout(3600 * SECOND)
}

async fn read(follow: &mut Follow) -> Followed {
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
async fn read_all(follow: &mut Follow, events: &[Event], transports: &[Transport]) {
    let followed = read(follow).await;
    assert!(followed.error.is_none(), "{:?}", followed.error);
    assert_eq!(texts(&followed.events), texts(events));
    assert_eq!(followed.transports, transports);
}

/// The seconds at which a transport was asked for the job, cut to whole ones.
fn seconds(server: &Server, transport: Transport) -> Vec<u64> {
    let end = format!("/{transport}");
    let seen =
        server.seen().into_iter().filter(|seen| seen.target.split('?').next().is_some_and(|p| p.ends_with(&end)));
    seen.map(|seen| seen.at.as_secs()).collect()
}

/// The cursors that a transport was asked to go on from; empty for the beginning.
fn cursors(server: &Server, transport: Transport) -> Vec<String> {
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
async fn a_stream_that_is_held_back_is_dead_after_5_s() {
    let events = history(3);
    let held_back = [
        Reply::stream("").after(Duration::MAX),
        // The head comes, and nothing of the body.
        Reply::new(200).header("content-type", "text/event-stream").then(Step::Wait(Duration::MAX)),
    ];
    for stream in held_back {
        let (server, mut follow) = server(&events, [stream.to("/sse"), next_page(&events).to("/long-poll")]);
        read_all(&mut follow, &events, &[LongPoll]).await;
        assert_eq!((seconds(&server, Sse), seconds(&server, LongPoll)), (vec![0], vec![5]));
        assert_eq!(cursors(&server, LongPoll), [""]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_a_heartbeat_in_its_time_is_dead_and_the_next_goes_on_from_there() {
    let events = history(3);
    let mut beating = Reply::ended_stream(&blocks(&events[..2]));
    for _ in 0..4 {
        beating = beating.then(Step::Wait(15 * SECOND)).then(Step::Send(":\n".into()));
    }
    let beating = beating.then(Step::Wait(Duration::MAX)).to("/sse");
    let rest = next_page(&events[2..]).to("/long-poll");
    // 5 s late is still in time. A server that does not say how often its heart beats has three times 15 s.
    for (mounted, silence) in [(mounted(15), 20), (Reply::new(404).to("/transports"), 45)] {
        let replies = [mounted, beating.clone(), rest.clone()].into_iter().chain(usual(&events));
        let (server, http) = Server::new(Config::default(), replies);
        read_all(&mut following(http, &events), &events, &[Sse, LongPoll]).await;
        assert_eq!(seconds(&server, LongPoll), [4 * 15 + silence]);
        assert_eq!(cursors(&server, LongPoll), [events[1].cursor().to_string()]);
    }
}

#[tokio::test(start_paused = true)]
async fn it_climbs_back_once_a_better_transport_brings_something() {
    let events = history(5);
    let dead = || Reply::stream("").after(Duration::MAX).to("/sse");
    let replies = [
        dead(),
        next_page(&events[..2]).to("/long-poll"),
        // This comes while the second stream is being tried, at 32 s.
        next_page(&events[2..4]).after(27 * SECOND).to("/long-poll"),
        dead(),
        nothing_new(events[3].cursor()).after(25 * SECOND).to("/long-poll"),
        // The third one gets through after 2 s, and brings what has come by then once more.
        Reply::stream(&blocks(&events[4..])).after(2 * SECOND).to("/sse"),
        next_page(&events[4..5]).after(4 * SECOND).to("/long-poll"),
        Reply::new(200).after(Duration::MAX).to("/long-poll"),
    ];
    let (server, mut follow) = server(&events, replies);
    let (slowly, mut followed) = (Duration::from_millis(100), Followed::default());
    // Whoever waits for an item with a time limit loses neither an item nor a try.
    let begun = tokio::time::Instant::now();
    loop {
        match tokio::time::timeout(slowly, follow.next()).await {
            Ok(Some(Ok(Update::Event(event)))) => followed.events.push(event),
            Ok(Some(Ok(Update::Transport(transport)))) => {
                followed.transports.push(transport);
                if transport == Sse {
                    assert_eq!(begun.elapsed().as_secs(), 62, "first bytes are enough to change over");
                }
            }
            Ok(Some(other)) => drop(other.expect("it goes on")),
            Ok(None) => break,
            Err(_) => {}
        }
    }
    assert_eq!(texts(&followed.events), texts(&events));
    assert_eq!(followed.transports, [LongPoll, Sse]);
    assert_eq!(seconds(&server, Sse), [0, 5 + 25, 5 + 25 + 5 + 25]);
    let (second, last) = (events[1].cursor().to_string(), events[3].cursor().to_string());
    assert_eq!(cursors(&server, Sse), ["", &second, &last]);
    assert_eq!(seconds(&server, LongPoll), [5, 5, 32, 57, 61]);
}

#[tokio::test(start_paused = true)]
async fn from_the_last_rung_it_climbs_to_the_first_that_works() {
    let events = history(3);
    let replies = [
        Reply::stream("").after(Duration::MAX).to("/sse").always(),
        Reply::new(502).to("/long-poll"),
        Reply::new(502).to("/long-poll"),
        next_page(&events[..2]).header("retry-after", "1").to("/short-poll"),
        nothing_new(events[1].cursor()).header("retry-after", "1").to("/short-poll").always(),
        next_page(&events[2..]).after(3 * SECOND).to("/long-poll"),
    ];
    let (server, mut follow) = server(&events, replies);
    read_all(&mut follow, &events, &[LongPoll, ShortPoll, LongPoll][1..]).await;
    // Down within some seconds; then the stream is tried for 5 s, and the long poll held for 3 s.
    let (streams, pages) = (seconds(&server, Sse), seconds(&server, ShortPoll));
    assert_eq!(streams[1] - pages[0], 25);
    assert!(pages.len() > 25 && pages.windows(2).skip(1).all(|pair| pair[1] - pair[0] <= 1), "{pages:?}");
    assert_eq!(seconds(&server, LongPoll).last(), Some(&(streams[1] + 5)));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_was_cut_is_resumed_at_once_if_it_brought_something() {
    let events = history(40);
    let mut replies = Vec::new();
    for event in &events {
        let half_the_next = "id: 999-00000000\ndata: half an eve";
        let cut = Reply::ended_stream(&format!("retry: 2000\n{}{half_the_next}", block(event))).then(Step::Break);
        replies.push(cut.to("/sse"));
    }
    let (server, mut follow) = server(&events, replies);
    read_all(&mut follow, &events, &[Sse]).await;
    assert_eq!(seconds(&server, Sse), vec![0; events.len()]);
    let before: Vec<_> = events.iter().map(|event| event.cursor().to_string()).collect();
    assert_eq!(cursors(&server, Sse)[1..], before[..before.len() - 1]);
}

#[tokio::test(start_paused = true)]
async fn a_page_that_was_cut_is_asked_for_at_once_with_half_its_limit() {
    let events = history(3);
    let cut = || Reply::json("{").then(Step::Break).to("/long-poll");
    let mut replies: Vec<_> = (0..3).map(|_| cut()).collect();
    let first = page(&events[..2], events[1].cursor(), (true, false), None);
    replies.extend([Reply::json(first).to("/long-poll"), next_page(&events[2..]).to("/long-poll")]);
    let (server, follow) = server(&events, replies);
    read_all(&mut follow.with_transports([LongPoll, ShortPoll]), &events, &[LongPoll]).await;
    assert_eq!(seconds(&server, LongPoll), [0; 5]);
    let targets = server.targets();
    let limits: Vec<_> = targets.iter().filter_map(|target| target.split("limit=").nth(1)).collect();
    assert_eq!(limits, ["500", "250", "125", "250"]);
}

#[tokio::test(start_paused = true)]
async fn while_the_server_is_away_it_asks_with_full_jitter_and_stays_with_its_transport() {
    let mut pauses = Vec::new();
    for _ in 0..40 {
        let events = history(3);
        let mut replies = vec![Reply::ended_stream(&blocks(&events[..2])).then(Step::Break).to("/sse")];
        replies.push(job(&events, &Transport::ALL));
        replies.extend((0..3).map(|_| Reply::new(502).to("/sse")).take(1));
        replies.extend((0..4).map(|_| Reply::new(502).to(events[0].job().to_string())));
        replies.push(Reply::stream(&blocks(&events[2..])).to("/sse"));
        let (server, mut follow) = server(&events, replies);
        read_all(&mut follow, &events, &[Sse]).await;
        let asked: Vec<_> = server.seen().iter().skip(3).map(|seen| seen.at).collect();
        // The stream that was refused at once, then the job, five times, and the stream again as soon as that is shown.
        assert_eq!(asked.len(), 1 + 5 + 1);
        assert!(asked[6] - asked[5] < Duration::from_millis(10));
        pauses.push(asked.windows(2).take(5).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect::<Vec<_>>());
    }
    for (nth, most) in [2.0, 4.0, 8.0, 16.0, 30.0].into_iter().enumerate() {
        let nth: Vec<f64> = pauses.iter().map(|pauses| pauses[nth]).collect();
        assert!(nth.iter().all(|pause| *pause <= most + 0.01), "{nth:?}");
        assert!(nth.iter().any(|pause| *pause < most / 4.0) && nth.iter().any(|pause| *pause > most / 2.0), "{nth:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_fails_twice_while_the_server_answers_is_left() {
    let events = history(3);
    let replies = [
        Reply::new(502).to("/sse"),
        Reply::none().to("/sse"),
        // An end is no failure of the transport where it brought something, and none that counts where it stood long.
        next_page(&events).to("/long-poll"),
    ];
    let (server, mut follow) = server(&events, replies);
    read_all(&mut follow, &events, &[LongPoll]).await;
    let (streams, pages) = (seconds(&server, Sse), seconds(&server, LongPoll));
    assert_eq!((streams.len(), pages.len()), (2, 1));
    assert_eq!(streams[1], pages[0], "there is nothing to wait for");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_when_to_come_back_is_obeyed() {
    let events = history(3);
    let id = events[0].job().to_string();
    let replies = [
        Reply::problem(503, "overloaded").header("retry-after", "100").to(&id),
        job(&events[..1], &Transport::ALL),
        Reply::problem(429, "too-many-requests").header("retry-after", "200").to("/sse"),
        Reply::stream(&blocks(&events)).to("/sse"),
    ];
    let (server, mut follow) = server(&events, replies);
    read_all(&mut follow, &events, &[Sse]).await;
    assert_eq!(seconds(&server, Sse), [100, 300]);
}

#[tokio::test(start_paused = true)]
async fn a_server_without_room_for_a_stream_is_asked_for_pages() {
    let events = history(3);
    let no_room = Reply::ended_stream(": overloaded\nretry: 10000\n").to("/sse").always();
    let (server, mut follow) = server(&events, [no_room.clone(), next_page(&events).to("/long-poll")]);
    read_all(&mut follow, &events, &[LongPoll]).await;
    assert_eq!(seconds(&server, LongPoll), [0]);
    // Where there is nothing else, it comes back when it was told to.
    let replies = [no_room].into_iter().chain(usual(&events));
    let (server, http) = Server::new(Config::default(), replies);
    let mut only = following(http, &events).with_transports([Sse]).with_timeout(35 * SECOND);
    let error = read(&mut only).await.error.expect("it is never over");
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(seconds(&server, Sse), [0, 10, 20, 30]);
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
async fn what_is_not_mounted_or_spoilt_is_not_asked_again() {
    let events = history(3);
    let long = || {
        let before = (0..20).map(|_| nothing_new(events[1].cursor()).after(25 * SECOND).to("/long-poll"));
        [next_page(&events[..2]).to("/long-poll")]
            .into_iter()
            .chain(before)
            .chain([next_page(&events[2..]).to("/long-poll")])
    };
    let spoilt = [
        Reply::problem(404, "not-found"),
        Reply::new(404),
        Reply::problem(406, "not-acceptable"),
        // A page to log in with, say.
        Reply::new(200).header("content-type", "text/html"),
    ];
    for spoilt in spoilt {
        let (server, mut follow) = server(&events, [spoilt.to("/sse")].into_iter().chain(long()));
        read_all(&mut follow, &events, &[LongPoll]).await;
        assert_eq!((seconds(&server, Sse), seconds(&server, LongPoll)[0]), (vec![0], 0));
    }
    // What has no link is not asked at all.
    let replies = [job(&events, &[LongPoll])].into_iter().chain(long()).chain(usual(&events));
    let (server, http) = Server::new(Config::default(), replies);
    read_all(&mut following(http, &events), &events, &[LongPoll]).await;
    assert!(seconds(&server, Sse).is_empty());
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
async fn a_hole_is_not_passed_on_and_another_transport_fills_it() {
    let events = history(5);
    let hole = [&events[..2], &events[3..]].concat();
    let replies = [Reply::stream(&blocks(&hole)).to("/sse"), next_page(&events[2..]).to("/long-poll")];
    let (server, mut follow) = server(&events, replies);
    read_all(&mut follow, &events, &[Sse, LongPoll]).await;
    assert_eq!(cursors(&server, LongPoll), [events[1].cursor().to_string()]);
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
    let replies = [Reply::stream("").after(Duration::MAX).to("/sse"), Reply::new(200).after(Duration::MAX).to("-poll")];
    for waits in [3, 20, 32] {
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
