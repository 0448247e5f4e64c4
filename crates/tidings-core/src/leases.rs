//! Leases: which reporters outside have been silent for too long.

use std::{collections::BTreeSet, time::Duration};

use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};

use crate::names::{JobId, JobMap};

/// How many renewals are put down before the leases are looked up.
const PUT_DOWN: usize = 256;

/// The leases of all jobs that are reported from outside.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    state: Mutex<State>,
    /// Told where a lease may end before all others.
    sooner: Notify,
}

#[derive(Debug, Default)]
struct State {
    leases: JobMap<Lease>,
    /// Renewals that are still to be entered. Where there are many jobs a lease is somewhere in memory that nobody has
    /// looked at for long, and to look up many in a row takes a fraction of what it takes to wait for each by itself.
    renewals: Vec<(JobId, Instant)>,
    /// When to look at each lease again. That may be too early, as renewing one changes nothing here.
    due: BTreeSet<(Instant, JobId)>,
}

#[derive(Debug)]
struct Lease {
    length: Duration,
    renewed: Instant,
    /// Where it stands among those that are due.
    due: Instant,
}

impl State {
    fn enter_renewals(&mut self) {
        for (job, now) in self.renewals.drain(..) {
            if let Some(lease) = self.leases.get_mut(&job) {
                lease.renewed = now;
            }
        }
    }
}

impl Leases {
    pub(crate) fn begin(&self, job: JobId, length: Duration) {
        let now = Instant::now();
        let due = now + length;
        let mut state = self.state.lock();
        state.leases.insert(job, Lease { length, renewed: now, due });
        state.due.insert((due, job));
        let first = state.due.first().is_some_and(|(_, first)| *first == job);
        drop(state);
        if first {
            self.sooner.notify_one();
        }
    }

    pub(crate) fn renew(&self, job: JobId) {
        let now = Instant::now();
        let mut state = self.state.lock();
        state.renewals.push((job, now));
        if state.renewals.len() >= PUT_DOWN {
            state.enter_renewals();
        }
    }

    pub(crate) fn end(&self, job: JobId) {
        let mut state = self.state.lock();
        if let Some(lease) = state.leases.remove(&job) {
            state.due.remove(&(lease.due, job));
        }
    }

    /// Comes back with the next job whose reporter has been silent for too long. Its lease is over then. Cancel safe.
    pub(crate) async fn expired(&self) -> JobId {
        loop {
            let next = match self.look() {
                Looked::Expired(job) => return job,
                Looked::Next(next) => next,
            };
            let sooner = self.sooner.notified();
            match next {
                Some(next) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(next) => {}
                        () = sooner => {}
                    }
                }
                None => sooner.await,
            }
        }
    }

    fn look(&self) -> Looked {
        let mut state = self.state.lock();
        let now = Instant::now();
        state.enter_renewals();
        while let Some((due, job)) = state.due.first().copied() {
            if due > now {
                return Looked::Next(Some(due));
            }
            state.due.pop_first();
            let Some(lease) = state.leases.get_mut(&job) else { continue };
            lease.due = lease.renewed + lease.length;
            let due = lease.due;
            if due <= now {
                state.leases.remove(&job);
                return Looked::Expired(job);
            }
            state.due.insert((due, job));
        }
        Looked::Next(None)
    }
}

enum Looked {
    Expired(JobId),
    /// When to look again, if any lease runs.
    Next(Option<Instant>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn silence_ends_a_lease_and_a_word_renews_it() {
        let leases = Leases::default();
        let (silent, talking) = (JobId::new(), JobId::new());
        let start = Instant::now();
        leases.begin(talking, Duration::from_secs(60));
        leases.begin(silent, Duration::from_secs(90));
        tokio::time::advance(Duration::from_secs(50)).await;
        leases.renew(talking);
        assert_eq!(leases.expired().await, silent);
        assert_eq!(start.elapsed().as_secs(), 90);
        assert_eq!(leases.expired().await, talking);
        assert_eq!(start.elapsed().as_secs(), 110);
    }

    #[tokio::test(start_paused = true)]
    async fn many_renewals_wait_for_no_more_than_so_many_others() {
        let leases = Leases::default();
        let (first, second) = (JobId::new(), JobId::new());
        for job in [first, second] {
            leases.begin(job, Duration::from_secs(60));
        }
        tokio::time::advance(Duration::from_secs(10)).await;
        leases.renew(first);
        for _ in 0..10 * PUT_DOWN {
            leases.renew(second);
            assert!(leases.state.lock().renewals.len() < PUT_DOWN);
        }
        let entered = leases.state.lock().leases.get(&first).map(|lease| lease.renewed.elapsed());
        assert_eq!(entered, Some(Duration::ZERO));
        leases.end(second);
        assert_eq!(leases.expired().await, first);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_begins_later_may_end_sooner() {
        let leases = std::sync::Arc::new(Leases::default());
        let (long, short, over) = (JobId::new(), JobId::new(), JobId::new());
        leases.begin(long, Duration::from_secs(1000));
        let waiting = tokio::spawn({
            let leases = leases.clone();
            async move { leases.expired().await }
        });
        tokio::task::yield_now().await;
        leases.begin(over, Duration::from_secs(5));
        leases.end(over);
        leases.begin(short, Duration::from_secs(10));
        let start = Instant::now();
        assert_eq!(waiting.await.ok(), Some(short));
        assert_eq!(start.elapsed().as_secs(), 10);
    }
}
