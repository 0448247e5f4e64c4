//! The wake-up that a log advances: readers register here, read, and sleep until there is more.

use std::{
    collections::HashMap,
    fmt,
    hint::black_box,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use parking_lot::{Mutex, RwLock};
use smallvec::{SmallVec, smallvec};
use tokio::runtime::Handle;

use crate::{
    crowd::{Crowd, Crowds, Running},
    cursor::Cursor,
    log::{Entry, Gap, Limit, More, Read, Scope, Selection},
    names::{JobId, JobMap, Kind},
    page::Page,
    recent::{Encoding, Held, Recent},
    signal::Signal,
    snapshot::Snapshot,
};

/// The wake-up that a log advances.
///
/// It knows only what somebody waits for. Nothing that is read here can be missed: who waits has registered before it
/// read the log, and the last events of a job that has readers are held here just to save them the way to the log.
#[derive(Default)]
pub struct Tail {
    topics: RwLock<Topics>,
    /// How many there are, to be looked at without the lock. Who subscribes raises it before the read that goes with it, and
    /// the log that is read orders that before the batches that come after the read.
    count: AtomicUsize,
    crowds: Crowds,
}

/// What is waited for.
#[derive(Debug, Default)]
struct Topics {
    jobs: JobMap<Arc<Channel>>,
    kinds: HashMap<Kind, Arc<Channel>>,
    all: Option<Arc<Channel>>,
}

impl Topics {
    fn len(&self) -> usize {
        self.jobs.len() + self.kinds.len() + usize::from(self.all.is_some())
    }

    fn get(&self, topic: &Topic) -> Option<&Arc<Channel>> {
        match topic {
            Topic::Job(job) => self.jobs.get(job),
            // Nearly always there is none, and nothing to be hashed.
            Topic::Kind(_) if self.kinds.is_empty() => None,
            Topic::Kind(kind) => self.kinds.get(kind),
            Topic::All => self.all.as_ref(),
        }
    }

    fn get_or_insert_with(&mut self, topic: Topic, channel: impl FnOnce() -> Arc<Channel>) -> &Arc<Channel> {
        match topic {
            Topic::Job(job) => self.jobs.entry(job).or_insert_with(channel),
            Topic::Kind(kind) => self.kinds.entry(kind).or_insert_with(channel),
            Topic::All => self.all.get_or_insert_with(channel),
        }
    }

    fn remove(&mut self, topic: &Topic) -> Option<Arc<Channel>> {
        match topic {
            Topic::Job(job) => self.jobs.remove(job),
            Topic::Kind(kind) => self.kinds.remove(kind),
            Topic::All => self.all.take(),
        }
    }
}

#[derive(Clone, Debug)]
enum Topic {
    Job(JobId),
    Kind(Kind),
    All,
}

impl Tail {
    /// Tells of a batch. The log calls this under the lock that gave the batch its place, so that
    /// batches are told in their order, and wakes up whom it concerns after it has let go of that lock.
    pub fn advance(&self, entries: &[Entry]) -> Wake {
        let Some(first) = entries.first().filter(|_| self.count.load(Ordering::Acquire) > 0) else {
            return Wake::default();
        };
        let topics = self.topics.read();
        let of_job = topics.get(&Topic::Job(first.event.job())).cloned();
        if let Some(channel) = &of_job {
            channel.recent.lock().push(entries);
        }
        let wake =
            Wake([of_job, topics.get(&Topic::Kind(first.kind.clone())).cloned(), topics.get(&Topic::All).cloned()]);
        wake.bump();
        wake
    }

    /// Looks at what telling of a job's next event changes, so that it is near by then, and does `meanwhile` before it lets
    /// go of the lock: to take one or let go of it is to wait for all that is looked at.
    pub(crate) fn touch(&self, job: JobId, meanwhile: impl FnOnce()) {
        let topics = self.topics.read();
        if let Some(Channel { signal, recent, forgotten, .. }) = topics.jobs.get(&job).map(Arc::as_ref) {
            black_box((signal.version(), recent.is_locked(), forgotten.get().is_some()));
        }
        meanwhile();
    }

    /// Tells that a job is no longer known, and what it was last: whoever waits for it is still told how it ended, and
    /// whoever comes later is not.
    pub fn forget(&self, job: &Arc<Snapshot>) -> Wake {
        let mut topics = self.topics.write();
        let channel = topics.remove(&Topic::Job(job.id));
        self.count.store(topics.len(), Ordering::Release);
        drop(topics);
        if let Some(channel) = &channel {
            // A job is forgotten once.
            let _ = channel.forgotten.set(job.clone());
        }
        let wake = Wake([channel, None, None]);
        wake.bump();
        wake
    }

    /// Has those who wait for the same woken up some at a time on this runtime, where they are many, until what is returned
    /// is dropped. Otherwise they are woken up at once.
    pub(crate) fn wake_on(&self, runtime: Handle) -> Running {
        self.crowds.run_on(runtime)
    }

    /// Waits for news of these jobs, from now on. Register first, then read, then wait.
    #[must_use]
    pub(crate) fn subscribe(self: &Arc<Self>, scope: &Scope) -> Subscription {
        let topics: SmallVec<[Topic; 1]> = match &scope.0 {
            Selection::Job(job) => smallvec![Topic::Job(*job)],
            Selection::Jobs(jobs) => jobs.iter().copied().map(Topic::Job).collect(),
            Selection::Kind(kind) => smallvec![Topic::Kind(kind.clone())],
            Selection::All => smallvec![Topic::All],
        };
        let mut map = self.topics.write();
        let places = topics
            .into_iter()
            .map(|topic| {
                let channel = map.get_or_insert_with(topic.clone(), || Channel::new(&self.crowds)).clone();
                let slot = channel.signal.join();
                Place { topic, channel, slot }
            })
            .collect();
        self.count.store(map.len(), Ordering::Release);
        drop(map);
        Subscription { tail: self.clone(), places }
    }
}

impl fmt::Debug for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tail").field("topics", &self.topics.read().len()).finish()
    }
}

/// Who has to be woken up. Dropping it wakes nobody.
#[must_use = "readers sleep on until they are woken up"]
#[derive(Debug, Default)]
pub struct Wake([Option<Arc<Channel>>; 3]);

impl Wake {
    /// Wakes them up.
    pub fn wake(self) {
        for channel in self.0.into_iter().flatten() {
            let crowd = Crowd::wake(channel);
            if !crowd.is_awake() {
                let crowds = crowd.signal().crowds.clone();
                crowds.go_on(crowd);
            }
        }
    }

    fn bump(&self) {
        self.0.iter().flatten().for_each(|channel| channel.signal.bump());
    }
}

/// What the readers of one topic share.
#[derive(Debug)]
struct Channel {
    signal: Signal,
    crowds: Crowds,
    /// Only filled for the topic of one job.
    recent: Mutex<Recent>,
    /// What one of those who waited was told last, for the others who ask for the same.
    page: Mutex<Option<(Cursor, Limit, Arc<Page>)>>,
    /// The one job as it was last, written by the log when it forgets it.
    forgotten: OnceLock<Arc<Snapshot>>,
}

impl Channel {
    fn new(crowds: &Crowds) -> Arc<Self> {
        Arc::new(Self {
            signal: Signal::default(),
            crowds: crowds.clone(),
            recent: Mutex::default(),
            page: Mutex::default(),
            forgotten: OnceLock::new(),
        })
    }
}

impl AsRef<Signal> for Arc<Channel> {
    fn as_ref(&self) -> &Signal {
        &self.signal
    }
}

/// A reader's place at the tail. Dropping it gives the place up.
#[derive(Debug)]
pub(crate) struct Subscription {
    tail: Arc<Tail>,
    /// Nearly always one.
    places: SmallVec<[Place; 1]>,
}

#[derive(Debug)]
struct Place {
    topic: Topic,
    channel: Arc<Channel>,
    slot: usize,
}

impl Subscription {
    /// Changes with all news. Take it before reading.
    pub(crate) fn version(&self) -> u64 {
        self.places.iter().fold(0, |sum, place| sum.wrapping_add(place.channel.signal.version()))
    }

    /// Ready once the version is another one than `seen`.
    pub(crate) fn poll_changed(&self, seen: u64, cx: &Context<'_>) -> Poll<()> {
        if self.version() != seen {
            return Poll::Ready(());
        }
        for place in &self.places {
            place.channel.signal.register(place.slot, cx.waker());
        }
        // What came between the look above and the registration has woken nobody.
        if self.version() == seen { Poll::Pending } else { Poll::Ready(()) }
    }

    /// What follows `after` of the one job that this is about, where it is held at the tail.
    pub(crate) fn recent(&self, after: u64, encoding: Encoding) -> Held {
        match self.places.as_slice() {
            [Place { channel, .. }] => {
                let alone = channel.signal.is_waited_for_by_one();
                channel.recent.lock().after(after, encoding, alone)
            }
            _ => Held::Elsewhere,
        }
    }
}

impl Subscription {
    /// What somebody was told last who asked for the same of the one job that this is about.
    pub(crate) fn page(&self, after: Cursor, limit: Limit) -> Option<Arc<Page>> {
        let [Place { channel, .. }] = self.places.as_slice() else { return None };
        let page = channel.page.lock();
        page.as_ref().filter(|(from, most, _)| (*from, *most) == (after, limit)).map(|(.., page)| Arc::clone(page))
    }

    /// Keeps it for the others who wait.
    pub(crate) fn keep_page(&self, after: Cursor, limit: Limit, page: &Arc<Page>) {
        if let [Place { channel, .. }] = self.places.as_slice() {
            let before = channel.page.lock().replace((after, limit, Arc::clone(page)));
            drop(before);
        }
    }

    /// The one job that this is about as it was last, where it was forgotten since this began.
    pub(crate) fn forgotten(&self) -> Option<&Arc<Snapshot>> {
        match self.places.as_slice() {
            [Place { channel, .. }] => channel.forgotten.get(),
            _ => None,
        }
    }

    /// What the log would have said last after a cursor of the one job that this is about, where it was forgotten since
    /// this began: its events up to the end, or a gap where not all of them are held any more or they are too many.
    pub(crate) fn last_read(&self, after: Cursor, limit: Limit) -> Option<Read> {
        let [Place { channel, .. }] = self.places.as_slice() else { return None };
        let job = channel.forgotten.get()?;
        let held = channel.recent.lock().entries_after(after.number()).filter(|held| held.len() <= limit.events);
        let gap = match held {
            Some(_) => None,
            None => Some(Gap::new(after.number(), job.cursor(), vec![job.clone()])),
        };
        Some(Read::new(Some(job.clone()), held.unwrap_or_default(), job.cursor(), More::Never).with_gap(gap))
    }

    /// To be called now and then while nothing happens: lets go of what is held for readers that lag.
    pub(crate) fn rest(&self) {
        for place in &self.places {
            place.channel.recent.lock().rest();
            let page = place.channel.page.lock().take();
            drop(page);
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        // Dropped after the locks, as a waker may run anything when it is.
        let mut wakers = Vec::new();
        let mut topics = self.tail.topics.write();
        for place in &self.places {
            let (waker, left) = place.channel.signal.leave(place.slot);
            wakers.push(waker);
            // Others join under the same lock, so nobody comes in between. Where the job was forgotten, the place under its
            // name is another one, or none.
            if left == 0 && topics.get(&place.topic).is_some_and(|known| Arc::ptr_eq(known, &place.channel)) {
                topics.remove(&place.topic);
            }
        }
        self.tail.count.store(topics.len(), Ordering::Release);
        drop(topics);
    }
}
