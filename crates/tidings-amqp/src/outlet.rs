//! The way out: events, from the log to the broker.

use std::{sync::Arc, task::Poll, time::Duration};

use futures_util::Stream;
use lapin::PublisherConfirm;
use tidings_core::{
    Batch, Cursor, CursorStore, Error, Feed, Follow, Gap, GapScope, Item, Jobs, Limit, ReadError, Scope, Shutdown,
};
use tokio::time::Instant;

use crate::{
    connection::Broker,
    fault::{Fault, within},
    message::Message,
    monitor::{Monitor, Side},
    pauses::Pauses,
    publisher::Publisher,
    topology::Topology,
    window::{Route, Told, Window},
};

/// The relay's name among those whose places are kept.
const CURSOR: &str = "amqp";

/// How long a place may be reached and not saved. A crash repeats what was told in this time.
const SAVED_WITHIN: Duration = Duration::from_secs(1);

/// What a look at a job's gap needs of its events.
const NONE: Limit = Limit { events: 1, bytes: 1 };

/// Publishes every event of the log, from the place that was saved.
pub(crate) struct Outlet {
    pub(crate) feed: Feed,
    pub(crate) jobs: Jobs,
    pub(crate) cursors: Arc<dyn CursorStore>,
    pub(crate) shutdown: Shutdown,
    pub(crate) monitor: Arc<Monitor>,
    pub(crate) broker: Broker,
    pub(crate) topology: Topology,
    pub(crate) window: usize,
}

/// How far all events are told.
#[derive(Debug)]
pub(crate) struct Place {
    confirmed: Cursor,
    /// When it has to be saved, where it has moved since it was.
    save_at: Option<Instant>,
    /// Whether the broker has refused an event, and has not taken a whole window since, or all there is.
    refused: bool,
}

impl Outlet {
    /// The place that was saved, which is where to begin.
    pub(crate) async fn place(&self) -> Result<Place, Error> {
        let confirmed = self.cursors.load(CURSOR).await?.unwrap_or_default();
        self.monitor.confirmed(confirmed.number());
        Ok(Place { confirmed, save_at: None, refused: false })
    }

    /// Publishes over one connection. Comes back once everything is told after the last job is over.
    pub(crate) async fn session(&self, place: &mut Place) -> Result<(), Fault> {
        let follow = self.follow(place).await?;
        let link = self.broker.connect("tidings: events").await?;
        let channel = link.confirming_channel().await?;
        within(self.broker.answer, "declare an exchange", self.topology.declare_events(&channel)).await?;
        let mut window = Window::new(self.window, self.broker.answer);
        if place.refused {
            window.narrow().await?;
        } else {
            self.monitor.connected(Side::Publishing);
        }
        let mut session = Session {
            outlet: self,
            publisher: Publisher::new(channel, self.broker.answer),
            window,
            pauses: Pauses::up_to(self.broker.pause),
            follow,
            place,
        };
        let end = tokio::select! {
            end = session.run() => end,
            fault = link.broken() => Err(fault),
        };
        self.save(place).await;
        end?;
        link.close().await;
        Ok(())
    }

    /// Whether the last job is over and everything is told.
    pub(crate) fn is_done(&self, place: &Place) -> bool {
        self.shutdown.are_jobs_over() && place.confirmed.number() >= self.feed.end().number()
    }

    /// Waits before the next try.
    pub(crate) async fn pause(&self, pauses: &mut Pauses, lasted: Duration) {
        // Five seconds are left then, too few for a long pause.
        if self.shutdown.are_jobs_over() {
            pauses.reset();
        }
        tokio::select! {
            () = tokio::time::sleep(pauses.after(lasted)) => {}
            () = self.shutdown.jobs_over(), if !self.shutdown.are_jobs_over() => {}
        }
    }

    async fn follow(&self, place: &mut Place) -> Result<Follow, Fault> {
        match self.feed.follow(Scope::all(), place.confirmed).await {
            Err(ReadError::Mismatch) => {
                let cursor = place.confirmed;
                tracing::warn!(%cursor, "the saved place is one in another log; beginning with this one's first event");
                *place = Place { confirmed: Cursor::START, save_at: None, ..*place };
                self.monitor.confirmed(0);
                Ok(self.feed.follow(Scope::all(), Cursor::START).await?)
            }
            follow => Ok(follow?),
        }
    }

    async fn save(&self, place: &mut Place) {
        // A place without a tag is not saved: another log could take it for one of its own.
        if place.save_at.take().is_some()
            && place.confirmed.tag().is_some()
            && let Err(error) = self.cursors.save(CURSOR, place.confirmed).await
        {
            // What is told is told: a place that is not saved costs repeats after a crash.
            tracing::warn!(%error, "the place in the log can't be saved");
        }
    }

    fn reached(&self, place: &mut Place, cursor: Cursor) {
        place.confirmed = cursor;
        place.save_at.get_or_insert_with(|| Instant::now() + SAVED_WITHIN);
        self.monitor.confirmed(cursor.number());
    }
}

/// One connection's worth of publishing.
struct Session<'a> {
    outlet: &'a Outlet,
    publisher: Publisher,
    window: Window<PublisherConfirm>,
    /// Between two tries to have an event taken that was refused.
    pauses: Pauses,
    follow: Follow,
    place: &'a mut Place,
}

/// What comes next in the log.
enum Next {
    Item(Option<Result<Item, ReadError>>),
    /// Nothing is left to tell up to here, and nothing is there to be told.
    Nothing(Cursor),
}

impl Session<'_> {
    async fn run(&mut self) -> Result<(), Fault> {
        loop {
            match self.tell().await {
                Err(fault @ Fault::Refused(_)) => self.step_back(&fault).await?,
                end => return end,
            }
        }
    }

    /// Goes back to the first event that is not told, after a pause. It may be one queue of many that is full: another
    /// connection would be no better than this one, and all that is sent again the other queues get again.
    async fn step_back(&mut self, fault: &Fault) -> Result<(), Fault> {
        self.outlet.monitor.lost(Side::Publishing, fault);
        self.place.refused = true;
        self.outlet.save(self.place).await;
        self.window.narrow().await?;
        self.outlet.pause(&mut self.pauses, Duration::ZERO).await;
        self.follow = self.outlet.follow(self.place).await?;
        Ok(())
    }

    /// Tells what comes, until everything is told after the last job is over.
    async fn tell(&mut self) -> Result<(), Fault> {
        let mut last = None;
        while last.is_none_or(|last| self.place.confirmed.number() < last) {
            let (save_at, all_told) = (self.place.save_at, self.window.is_empty());
            tokio::select! {
                biased;
                told = self.window.told() => self.pass(told?),
                () = self.outlet.shutdown.jobs_over(), if last.is_none() => {
                    last = Some(self.outlet.feed.end().number());
                }
                () = until(save_at) => self.outlet.save(self.place).await,
                next = next(&mut self.follow, all_told.then_some(self.place.confirmed)) => match next {
                    Next::Item(Some(Ok(Item::Events(events)))) => self.tell_events(events).await?,
                    Next::Item(Some(Ok(Item::Gap(gap)))) => self.tell_gap(&gap).await?,
                    Next::Item(Some(Ok(_))) => {}
                    Next::Item(Some(Err(error))) => return Err(error.into()),
                    // A log never ends: this place in it is no longer one.
                    Next::Item(None) => return Err(ReadError::Mismatch.into()),
                    Next::Nothing(cursor) => self.reached(cursor),
                },
            }
        }
        Ok(())
    }

    async fn tell_events(&mut self, events: Batch) -> Result<(), Fault> {
        let scope = Scope::all();
        for entry in events.iter() {
            self.publish(Message::event(&entry.kind, &entry.event), Some(scope.cursor(entry))).await?;
        }
        Ok(())
    }

    /// Tells for each job what is no longer kept of it; of one that is no longer known, how it ended.
    async fn tell_gap(&mut self, gap: &Gap) -> Result<(), Fault> {
        tracing::warn!(jobs = gap.jobs.len(), "events were dropped before they could be told; telling of the gap");
        for job in &gap.jobs {
            let own = match self.outlet.feed.read(job.id, Cursor::START, NONE).await {
                Ok(page) => page.gap,
                Err(ReadError::UnknownJob) => Some(Gap::new(0, job.cursor(), vec![job.clone()])),
                Err(error) => return Err(error.into()),
            };
            let Some(own) = own else { continue };
            let body = self.outlet.jobs.gap_json(&own, GapScope::OneJob);
            let time = own.jobs.first().map_or(job.updated_at, |dropped| dropped.updated_at);
            self.publish(Message::gap(&job.kind, job.id, own.cursor, time, body), None).await?;
        }
        self.window.push_place(gap.cursor);
        Ok(())
    }

    async fn publish(&mut self, message: Message, through: Option<Cursor>) -> Result<(), Fault> {
        while self.window.is_full() {
            let told = self.window.told().await?;
            self.pass(told);
            if self.place.save_at.is_some_and(|at| at <= Instant::now()) {
                self.outlet.save(self.place).await;
            }
        }
        let confirm = self.publisher.publish(&self.outlet.topology.exchange, message).await?;
        self.window.push(confirm, through);
        Ok(())
    }

    fn pass(&mut self, told: Told) {
        if told.route == Route::None {
            self.outlet.monitor.returned();
            tracing::debug!(through = ?told.through, "no queue is bound for an event");
        }
        if let Some(cursor) = told.through {
            self.reached(cursor);
        }
    }

    fn reached(&mut self, cursor: Cursor) {
        self.outlet.reached(self.place, cursor);
        if !self.place.refused {
            return;
        }
        self.pauses.reset();
        // A queue that is short takes one now and then, which does not make it a broker that can be used.
        if self.window.is_wide() || cursor.number() >= self.outlet.feed.end().number() {
            self.place.refused = false;
            self.outlet.monitor.connected(Side::Publishing);
        }
    }
}

/// What comes next in the log. Where all is told up to `told`, and the log was read on from there without anything to
/// tell, as events of forgotten jobs are passed over, that counts as told too.
async fn next(follow: &mut Follow, told: Option<Cursor>) -> Next {
    std::future::poll_fn(|cx| match std::pin::Pin::new(&mut *follow).poll_next(cx) {
        Poll::Ready(item) => Poll::Ready(Next::Item(item)),
        Poll::Pending => match (told, follow.cursor()) {
            (Some(told), read) if read.number() > told.number() => Poll::Ready(Next::Nothing(read)),
            _ => Poll::Pending,
        },
    })
    .await
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
