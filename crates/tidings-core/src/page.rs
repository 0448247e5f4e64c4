//! Pages of events, as those who poll are given them.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::{
    cursor::Cursor,
    log::{Batch, Entry, Gap, More},
    recent::CHUNK,
    snapshot::Snapshot,
};

/// What follows a cursor of one job, with the job as of the same moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Page {
    /// The job. Where nothing [more](Self::more) is there yet, its cursor is this page's.
    pub job: Arc<Snapshot>,
    /// Told before the events: some between the cursor and them are no longer kept.
    pub gap: Option<Gap>,
    /// The place after this page.
    pub cursor: Cursor,
    /// Whether there is more that follows.
    pub more: More,
    batches: Vec<Batch>,
    /// This very page as it is shown, made by whoever asks first.
    json: OnceLock<Bytes>,
}

impl Page {
    pub(crate) fn new(job: Arc<Snapshot>, gap: Option<Gap>, cursor: Cursor, more: More, batches: Vec<Batch>) -> Self {
        Self { job, gap, cursor, more, batches, json: OnceLock::new() }
    }

    /// The events, in order.
    pub fn events(&self) -> impl Iterator<Item = &Entry> {
        self.batches.iter().flat_map(|batch| batch.iter())
    }

    /// The page as JSON, made at most once; `render` must give the same on every call.
    pub(crate) fn json(&self, render: impl FnOnce() -> Vec<u8>) -> Bytes {
        self.json.get_or_init(|| render().into()).clone()
    }

    /// Whether it may be kept for others. Nobody counts what it takes, and it may be kept for as long as somebody waits
    /// for its job.
    pub(crate) fn is_small(&self) -> bool {
        let events = self.events().map(|entry| entry.event.json().len()).sum::<usize>();
        events + self.job.weight() <= CHUNK
    }

    /// Whether it says anything that its reader did not know, or that its reader waits for no longer.
    #[must_use]
    pub fn is_news(&self) -> bool {
        !self.batches.is_empty() || self.gap.is_some() || self.more == More::Never
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        draft::Draft,
        feed::Feed,
        json::Json,
        ledger::{Intent, Opening, Write},
        log::{EventLog as _, Limit, Scope},
        memory::MemoryLog,
        names::JobId,
        retention::Retention,
        snapshot::State,
        time::Timestamp,
    };

    const LIMIT: Limit = Limit { events: 10, bytes: 10_000 };

    #[tokio::test]
    async fn who_waited_for_the_same_is_given_the_same_page_until_there_is_more() {
        let log = Arc::new(MemoryLog::new(Retention::default()));
        let (feed, job) = (Feed::new(log.clone()), JobId::new());
        let write = async |intent, draft| {
            let write = Write { job, intent, drafts: vec![draft], time: Timestamp::from_millis(1) };
            log.append(write).await.expect("a log").expect("it is taken");
        };
        let queued = Draft::queued(&"test".parse().expect("a kind"), &Json::null());
        write(Intent::Open(Arc::new(Opening { key: None, reporter: None })), queued).await;
        let watches = [(); 3].map(|()| feed.watch(&Scope::job(job)));
        let start = Cursor::default();
        let read = async |nth: usize, after| feed.read_on(&watches[nth], job, after, LIMIT).await.expect("a page");

        let first = read(0, start).await;
        assert!(Arc::ptr_eq(&first, &read(1, start).await));
        assert_eq!(read(2, first.cursor).await.events().count(), 0);
        write(Intent::From(State::Queued), Draft::started(1)).await;
        assert_eq!(read(0, start).await.events().count(), 2);
        assert_eq!(read(1, first.cursor).await.events().count(), 1);
    }

    #[tokio::test]
    async fn a_large_page_is_not_kept() {
        let log = Arc::new(MemoryLog::new(Retention::default()));
        let (feed, job) = (Feed::new(log.clone()), JobId::new());
        let queued = Draft::queued(&"test".parse().expect("a kind"), &Json::from("x".repeat(CHUNK).as_str()));
        let intent = Intent::Open(Arc::new(Opening { key: None, reporter: None }));
        let write = Write { job, intent, drafts: vec![queued], time: Timestamp::from_millis(1) };
        log.append(write).await.expect("a log").expect("it is taken");
        let watch = feed.watch(&Scope::job(job));
        let first = feed.read_on(&watch, job, Cursor::default(), LIMIT).await.expect("a page");
        let again = feed.read_on(&watch, job, Cursor::default(), LIMIT).await.expect("a page");
        assert!(!Arc::ptr_eq(&first, &again));
    }
}
