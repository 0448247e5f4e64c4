//! What the server has not been told yet.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tidings_client::{Draft, EventType};
use tidings_process::Stream;
use tokio::sync::Notify;

/// As many events are handed out at once at most.
const BATCH: usize = 1000;

/// What an event takes besides its data.
const OVERHEAD: usize = 64;

/// Events of up to this size are handed out together before it is known how large the server lets them be.
const SMALL: usize = 1024;

/// A bounded queue between a command, which never waits, and a server, which may be away.
///
/// Where it is full the oldest go: what a command says last is what tells why it failed. How many lines have gone is told
/// as a line in their place.
///
/// An event that is larger than any that the server has taken is handed out alone: should it be refused, it is known
/// which one that is, and a line stands in its place too.
#[derive(Debug)]
pub(crate) struct Backlog {
    /// How many bytes are kept.
    bound: usize,
    state: Mutex<State>,
    /// Something was pushed, or nothing more will be. Only one waits for it.
    news: Notify,
}

#[derive(Debug)]
struct State {
    waiting: VecDeque<Draft>,
    /// What `waiting` takes.
    bytes: usize,
    /// How many events were handed out and are not known to be told.
    on_the_way: usize,
    /// The size of the largest of these.
    largest_on_the_way: usize,
    /// The size of the largest that was told.
    largest_told: usize,
    /// Lines that have gone since the last time that this was told.
    gone: u64,
    gone_in_all: u64,
    /// Lines that the server does not take.
    refused: u64,
    /// Nothing more comes.
    closed: bool,
    /// Nobody takes anything any more.
    abandoned: bool,
}

impl Backlog {
    pub(crate) fn new(bound: usize) -> Self {
        Self { bound, state: Mutex::new(State::new()), news: Notify::new() }
    }

    /// Adds an event. Never waits.
    pub(crate) fn push(&self, draft: Draft) {
        let mut state = self.lock();
        if state.abandoned {
            return;
        }
        // Where nobody was told of the last progress yet, nobody has to be.
        if *draft.kind() == EventType::Progress && state.waiting.back().is_some_and(|last| last.kind() == draft.kind())
        {
            state.drop_back();
        }
        state.bytes += size(&draft);
        state.waiting.push_back(draft);
        while state.bytes > self.bound && state.waiting.len() > 1 {
            state.drop_front();
        }
        drop(state);
        self.news.notify_one();
    }

    /// Says that nothing more comes.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.news.notify_one();
    }

    /// Says that nobody takes anything any more: nothing is kept from now on.
    pub(crate) fn abandon(&self) {
        let mut state = self.lock();
        state.abandoned = true;
        state.waiting.clear();
        state.bytes = 0;
    }

    /// The next events, as soon as there are any; `None` once nothing more comes. Losing the future loses nothing.
    pub(crate) async fn next_batch(&self) -> Option<Vec<Draft>> {
        loop {
            // Registers for news before it looks.
            let news = self.news.notified();
            {
                let mut state = self.lock();
                if !state.waiting.is_empty() {
                    return Some(state.take_batch());
                }
                if state.closed {
                    return None;
                }
            }
            news.await;
        }
    }

    /// Says that the events handed out so far have arrived, but for so many.
    pub(crate) fn told_but(&self, pending: usize) {
        let mut state = self.lock();
        state.on_the_way = pending;
        if pending == 0 {
            state.largest_told = state.largest_told.max(std::mem::take(&mut state.largest_on_the_way));
        }
    }

    /// Says that of the events handed out the server does not take one, whoever asks it.
    pub(crate) fn refused_one(&self) {
        let mut state = self.lock();
        state.refused += 1;
        // Whichever it was, that size is not known to be taken.
        state.largest_on_the_way = 0;
        let notice = Draft::log(Stream::Stderr.as_str(), REFUSED);
        state.bytes += size(&notice);
        state.waiting.push_front(notice);
    }

    /// How many events the server has not been told, as far as is known.
    pub(crate) fn untold(&self) -> usize {
        let state = self.lock();
        state.waiting.len() + state.on_the_way
    }

    /// How many lines were left out because they could not be kept.
    pub(crate) fn left_out(&self) -> u64 {
        self.lock().gone_in_all
    }

    /// How many lines were left out because the server does not take them.
    pub(crate) fn refused(&self) -> u64 {
        self.lock().refused
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn new() -> Self {
        Self {
            waiting: VecDeque::new(),
            bytes: 0,
            on_the_way: 0,
            largest_on_the_way: 0,
            largest_told: SMALL,
            gone: 0,
            gone_in_all: 0,
            refused: 0,
            closed: false,
            abandoned: false,
        }
    }

    fn take_batch(&mut self) -> Vec<Draft> {
        let mut batch = Vec::new();
        let gone = std::mem::take(&mut self.gone);
        if gone > 0 {
            batch.push(Draft::log(Stream::Stderr.as_str(), &notice(gone)));
        }
        let together = self.waiting.iter().take(BATCH).take_while(|draft| size(draft) <= self.largest_told).count();
        let count = together.max(1).min(self.waiting.len());
        batch.extend(self.waiting.drain(..count));
        self.bytes -= batch.iter().skip(usize::from(gone > 0)).map(size).sum::<usize>();
        self.largest_on_the_way = batch.iter().map(size).fold(self.largest_on_the_way, usize::max);
        self.on_the_way += batch.len();
        batch
    }

    fn drop_front(&mut self) {
        if let Some(oldest) = self.waiting.pop_front() {
            self.bytes -= size(&oldest);
            if *oldest.kind() == EventType::Log {
                self.gone += 1;
                self.gone_in_all += 1;
            }
        }
    }

    fn drop_back(&mut self) {
        if let Some(newest) = self.waiting.pop_back() {
            self.bytes -= size(&newest);
        }
    }
}

/// What stands in the log where a line is missing that the server does not take.
const REFUSED: &str = "tidings: a line is left out here: the server takes none as long";

/// What stands in the log where lines are missing.
fn notice(lines: u64) -> String {
    format!("tidings: {lines} lines are left out here: the server was away, or slower than the command")
}

fn size(draft: &Draft) -> usize {
    draft.data().as_bytes().len() + OVERHEAD
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tidings_client::Progress;
    use tokio::time::timeout;

    use super::*;

    fn line(text: &str) -> Draft {
        Draft::log("stdout", text)
    }

    fn texts(batch: &[Draft]) -> Vec<String> {
        let data = |draft: &Draft| draft.data().to::<serde_json::Value>().expect("an event's data");
        batch.iter().map(|draft| data(draft)["line"].as_str().unwrap_or("progress").to_owned()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_pushed_comes_out_in_its_order_and_then_the_end() {
        let backlog = Backlog::new(1 << 20);
        for number in 0..=BATCH {
            backlog.push(line(&number.to_string()));
        }
        backlog.close();
        let first = backlog.next_batch().await.expect("events");
        assert_eq!((first.len(), backlog.untold()), (BATCH, BATCH + 1));
        backlog.told_but(0);
        assert_eq!(backlog.untold(), 1);
        assert_eq!(texts(&backlog.next_batch().await.expect("one more")), [BATCH.to_string()]);
        assert!(backlog.next_batch().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_woken() {
        let backlog = Backlog::new(1 << 20);
        let wait = timeout(Duration::from_secs(5), backlog.next_batch());
        let (batch, ()) = tokio::join!(wait, async { backlog.push(line("late")) });
        assert_eq!(texts(&batch.expect("in time").expect("an event")), ["late"]);
        assert!(timeout(Duration::from_secs(5), backlog.next_batch()).await.is_err(), "nothing is there");
        let (end, ()) = tokio::join!(backlog.next_batch(), async { backlog.close() });
        assert!(end.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn where_it_is_full_the_oldest_lines_go_and_their_number_stands_in_their_place() {
        let backlog = Backlog::new(4 * size(&line("1")));
        for number in 1..=9 {
            backlog.push(line(&number.to_string()));
        }
        let kept = texts(&backlog.next_batch().await.expect("events"));
        assert_eq!(kept[1..], ["6", "7", "8", "9"]);
        assert!(kept[0].contains("5 lines are left out here"), "{kept:?}");
        assert_eq!(backlog.left_out(), 5);
        backlog.push(line("10"));
        assert_eq!(texts(&backlog.next_batch().await.expect("events")), ["10"], "it is told once");
    }

    #[tokio::test(start_paused = true)]
    async fn one_event_is_kept_whatever_its_size() {
        let backlog = Backlog::new(1);
        backlog.push(line("first"));
        backlog.push(line("last"));
        assert_eq!(texts(&backlog.next_batch().await.expect("events"))[1..], ["last"]);
    }

    #[tokio::test(start_paused = true)]
    async fn of_progress_that_waits_the_last_is_kept() {
        let backlog = Backlog::new(1 << 20);
        for percent in 0..=100 {
            backlog.push(Draft::progress(&Progress::percent(f64::from(percent))));
        }
        backlog.push(line("between"));
        backlog.push(Draft::progress(&Progress::percent(1.0)));
        let batch = backlog.next_batch().await.expect("events");
        assert_eq!(texts(&batch), ["progress", "between", "progress"]);
        assert!(batch[0].data().as_str().contains(r#""done":100,"#), "{}", batch[0].data());
        assert_eq!(backlog.left_out(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_be_too_large_goes_alone_and_where_it_is_refused_that_is_told_in_its_place() {
        let backlog = Backlog::new(1 << 20);
        let [large, larger] = [2, 3].map(|times| "x".repeat(times * SMALL));
        for text in ["1", &large, "2", &large, &larger, "3"] {
            backlog.push(line(text));
        }
        let mut handed_out = Vec::new();
        for expected in 0..5 {
            let batch = texts(&backlog.next_batch().await.expect("events"));
            if batch[0] == larger {
                backlog.refused_one();
            }
            backlog.told_but(0);
            assert_eq!(handed_out.len(), expected);
            handed_out.push(batch);
        }
        assert_eq!(handed_out, [&["1"][..], &[&large], &["2", &large], &[&larger], &[REFUSED, "3"]]);
        assert_eq!((backlog.refused(), backlog.left_out(), backlog.untold()), (1, 0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_kept_for_nobody() {
        let backlog = Backlog::new(1 << 20);
        backlog.push(line("before"));
        backlog.abandon();
        backlog.push(line("after"));
        assert_eq!(backlog.untold(), 0);
    }
}
