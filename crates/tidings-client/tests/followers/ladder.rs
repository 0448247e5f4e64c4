//! How following finds its way: which trouble makes it change over, and what brings it back.

use std::time::Duration;

use crate::{
    follow::{Followed, cursors, following, job, mounted, read, read_all, seconds, server, usual},
    support::{Reply, SECOND, Server, Step, block, blocks, history, job_json, next_page, nothing_new, page, texts},
};
use Transport::{LongPoll, ShortPoll, Sse};
use tidings_client::{Config, ErrorKind, Transport, Update};

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
async fn it_climbs_back_once_a_better_transport_goes_on_bringing_something() {
    let events = history(5);
    let dead = || Reply::stream("").after(Duration::MAX).to("/sse");
    let replies = [
        dead(),
        next_page(&events[..2]).to("/long-poll"),
        // This comes while the second stream is being tried, at 32 s.
        next_page(&events[2..4]).after(27 * SECOND).to("/long-poll"),
        dead(),
        nothing_new(events[3].cursor()).after(25 * SECOND).to("/long-poll"),
        // The third one gets through after 2 s, goes on after 10 s, and brings what has come by then once more.
        Reply::ended_stream("retry: 2000\n")
            .after(2 * SECOND)
            .then(Step::Wait(10 * SECOND))
            .then(Step::Send(":\n".into()))
            .then(Step::Send(blocks(&events[4..])))
            .then(Step::Wait(Duration::MAX))
            .to("/sse"),
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
                    assert_eq!(begun.elapsed().as_secs(), 67, "a heartbeat is enough to change over");
                }
            }
            Ok(Some(other)) => drop(other.expect("it goes on")),
            Ok(None) => break,
            Err(_) => {}
        }
    }
    assert_eq!(texts(&followed.events), texts(&events));
    assert_eq!(followed.transports, [LongPoll, Sse]);
    assert_eq!(seconds(&server, Sse), [0, 5 + 25, 5 + 25 + 25]);
    let (second, last) = (events[1].cursor().to_string(), events[3].cursor().to_string());
    assert_eq!(cursors(&server, Sse), ["", &second, &last]);
    assert_eq!(seconds(&server, LongPoll), [5, 5, 32, 57, 61]);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_brings_its_first_bytes_and_no_more_does_not_take_over() {
    let events = history(3);
    let last = events[1].cursor();
    let mut replies =
        vec![Reply::stream("retry: 2000\n").to("/sse").always(), next_page(&events[..2]).to("/long-poll")];
    replies.extend((0..4).map(|_| nothing_new(last).after(25 * SECOND).to("/long-poll")));
    replies.push(next_page(&events[2..]).to("/long-poll"));
    let (server, mut follow) = server(&events, replies);
    read_all(&mut follow, &events, &[Sse, LongPoll]).await;
    // One silence at the beginning is all that it costs.
    assert_eq!(seconds(&server, LongPoll), [20, 20, 45, 70, 95, 120]);
    assert_eq!(seconds(&server, Sse), [0, 45, 70, 95, 120][..seconds(&server, Sse).len()]);
    assert!(seconds(&server, Sse).len() >= 4, "it is tried again and again");
}

#[tokio::test(start_paused = true)]
async fn a_gap_is_told_only_of_what_has_not_come_meanwhile() {
    let events = history(10);
    for (resumed_at, told) in [(5, None), (9, None), (10, Some((8, 10)))] {
        let snapshot = job_json(events[0].job(), events[9].cursor(), &[]);
        let data = format!(r#"{{"requested":2,"resumed_at":{resumed_at},"job":{snapshot}}}"#);
        let gap = format!("id: {}-00000000\nevent: gap\ndata: {data}\n\n", resumed_at - 1);
        let replies = [
            Reply::stream("").after(Duration::MAX).to("/sse"),
            next_page(&events[..2]).to("/long-poll"),
            // It comes while the second stream is being opened, from after the second event.
            next_page(&events[2..8]).after(26 * SECOND).to("/long-poll"),
            Reply::ended_stream("retry: 2000\n")
                .after(3 * SECOND)
                .then(Step::Send(format!("{gap}{}", blocks(&events[resumed_at - 1..]))))
                .to("/sse"),
            Reply::new(200).after(Duration::MAX).to("/long-poll"),
        ];
        let (_, mut follow) = server(&events, replies);
        let (mut seqs, mut gaps) = (Vec::new(), Vec::new());
        while let Some(update) = follow.next().await {
            match update.expect("it goes on") {
                Update::Event(event) => seqs.push(event.seq()),
                Update::Gap(gap) => gaps.push((gap.requested, gap.resumed_at)),
                _ => {}
            }
        }
        assert_eq!(gaps, told.into_iter().collect::<Vec<_>>());
        assert_eq!(seqs, (1..=12).filter(|seq| told.is_none() || *seq != 9).collect::<Vec<_>>());
    }
}

#[tokio::test(start_paused = true)]
async fn where_requests_that_are_held_are_swallowed_pages_that_are_not_come_soon_and_a_stream_within_a_minute() {
    let events = history(3);
    let last = events[1].cursor();
    let swallowed = || Reply::new(200).after(Duration::MAX);
    let replies = [
        swallowed().to("/sse"),
        swallowed().to("/sse"),
        swallowed().to("/sse"),
        next_page(&events[..2]).to("/long-poll"),
        swallowed().to("/long-poll"),
        nothing_new(last).to("/long-poll"),
        swallowed().to("/long-poll"),
        nothing_new(last).header("retry-after", "1").to("/short-poll").always(),
        // By then the obstacle has been gone for 30 s.
        Reply::ended_stream("retry: 2000\n").then(Step::Send(blocks(&events[2..]))).to("/sse"),
    ];
    let (server, mut follow) = server(&events, replies);
    read_all(&mut follow, &events, &[LongPoll, ShortPoll, Sse]).await;
    let pages = seconds(&server, ShortPoll);
    assert_eq!(pages[0], 35);
    assert!(pages.windows(2).all(|pair| pair[1] - pair[0] <= 1), "they go on beside what is tried: {pages:?}");
    assert_eq!(seconds(&server, LongPoll), [5, 5, 65, 65]);
    assert_eq!(seconds(&server, Sse), [0, 30, 60, 95]);
    let targets = server.targets();
    let waits: Vec<_> = targets.iter().filter_map(|target| target.split("wait=").nth(1)).collect();
    assert_eq!(waits, ["0", "25", "0", "25"], "whether pages get through is found out without holding one");
}

#[tokio::test(start_paused = true)]
async fn a_page_that_is_late_is_dead_and_where_there_is_nothing_else_it_has_more_time() {
    let events = history(3);
    let swallowed = |end: &str| Reply::new(200).after(Duration::MAX).to(end);
    let (asked, mut follow) =
        server(&events, [swallowed("/sse"), swallowed("/long-poll"), next_page(&events).to("/short-poll")]);
    read_all(&mut follow, &events, &[ShortPoll]).await;
    assert_eq!(seconds(&asked, ShortPoll), [5 + 5]);

    let slow = next_page(&events).after(18 * SECOND).to("/long-poll").always();
    let (asked, follow) = server(&events, [slow]);
    read_all(&mut follow.with_transports([LongPoll]), &events, &[LongPoll]).await;
    assert_eq!(seconds(&asked, LongPoll).len(), 3, "5 s, 10 s and 20 s");
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
async fn a_hole_is_not_passed_on_and_another_transport_fills_it() {
    let events = history(5);
    let hole = [&events[..2], &events[3..]].concat();
    let replies = [Reply::stream(&blocks(&hole)).to("/sse"), next_page(&events[2..]).to("/long-poll")];
    let (server, mut follow) = server(&events, replies);
    read_all(&mut follow, &events, &[Sse, LongPoll]).await;
    assert_eq!(cursors(&server, LongPoll), [events[1].cursor().to_string()]);
}
