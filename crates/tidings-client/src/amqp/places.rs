//! How far a consumer is in each job: one number a job, and what follows from it. No broker in sight.

use std::collections::HashMap;

use tidings_core::JobId;

/// The last `seq` that was taken of each job.
#[derive(Debug, Default)]
pub(super) struct Places(HashMap<JobId, Place>);

#[derive(Debug, Default)]
struct Place {
    last: u64,
    /// The one after `last` was handed back to the broker, which will deliver it again: perhaps after others that it
    /// had sent already.
    comes_again: bool,
}

/// What a message of a job carries it to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The event with this `seq`.
    To(u64),
    /// A gap that ends before this `seq`.
    Over(u64),
}

/// What to do with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is the next of its job.
    Take,
    /// It was taken before, or what is between it and the last one will come, and then so will this again.
    Drop,
    /// It must wait until the one that was handed back has come.
    PutBack,
}

impl Places {
    pub(super) fn judge(&self, job: JobId, step: Step) -> Verdict {
        let (last, comes_again) = self.0.get(&job).map_or((0, false), |place| (place.last, place.comes_again));
        match step {
            Step::To(seq) if seq == last + 1 => Verdict::Take,
            Step::To(seq) if seq > last && comes_again => Verdict::PutBack,
            Step::To(_) => Verdict::Drop,
            Step::Over(resumed_at) if resumed_at > last + 1 => Verdict::Take,
            Step::Over(_) => Verdict::Drop,
        }
    }

    /// It was acknowledged, or given up for good.
    pub(super) fn taken(&mut self, job: JobId, step: Step) {
        self.know(
            job,
            match step {
                Step::To(seq) => seq,
                Step::Over(resumed_at) => resumed_at.saturating_sub(1),
            },
        );
    }

    /// It was handed back to the broker.
    pub(super) fn put_back(&mut self, job: JobId) {
        self.0.entry(job).or_default().comes_again = true;
    }

    pub(super) fn know(&mut self, job: JobId, seq: u64) {
        let place = self.0.entry(job).or_default();
        if seq > place.last {
            *place = Place { last: seq, comes_again: false };
        }
    }

    pub(super) fn forget(&mut self, job: JobId) {
        self.0.remove(&job);
    }

    /// The connection was made anew: all that was not acknowledged comes again, in order.
    pub(super) fn reconnected(&mut self) {
        for place in self.0.values_mut() {
            place.comes_again = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Judges messages one after another, acknowledging those that are to be taken.
    fn take_all(places: &mut Places, job: JobId, steps: &[Step]) -> Vec<Verdict> {
        let take = |&step: &Step| {
            let verdict = places.judge(job, step);
            if verdict == Take {
                places.taken(job, step);
            }
            verdict
        };
        steps.iter().map(take).collect()
    }

    use Step::{Over, To};
    use Verdict::{Drop, PutBack, Take};

    #[test]
    fn each_event_is_taken_once_and_in_order() {
        let (mut places, job) = (Places::default(), JobId::new());
        // As after a relay that lost a confirm: 3 is missing, and all from there on is sent again.
        let steps = [To(1), To(2), To(2), To(4), To(3), To(4), To(1), To(5)];
        assert_eq!(take_all(&mut places, job, &steps), [Take, Take, Drop, Drop, Take, Take, Drop, Take]);
        assert_eq!(take_all(&mut places, JobId::new(), &[To(1)]), [Take], "each job by itself");
    }

    #[test]
    fn who_knows_the_history_goes_on_after_it() {
        let (mut places, job) = (Places::default(), JobId::new());
        places.know(job, 7);
        places.know(job, 3);
        assert_eq!(take_all(&mut places, job, &[To(1), To(7), To(8), To(9)]), [Drop, Drop, Take, Take]);
        places.forget(job);
        assert_eq!(take_all(&mut places, job, &[To(10), To(1)]), [Drop, Take]);
    }

    #[test]
    fn a_gap_moves_on_and_never_back() {
        let (mut places, job) = (Places::default(), JobId::new());
        let steps = [To(1), Over(9), To(2), To(9), Over(9), Over(10), To(10)];
        assert_eq!(take_all(&mut places, job, &steps), [Take, Take, Drop, Take, Drop, Drop, Take]);
    }

    #[test]
    fn what_was_sent_ahead_waits_for_what_was_put_back() {
        let (mut places, job) = (Places::default(), JobId::new());
        assert_eq!(take_all(&mut places, job, &[To(1)]), [Take]);
        places.put_back(job);
        let steps = [To(3), To(4), To(1), To(2), To(3), To(5), To(4)];
        assert_eq!(take_all(&mut places, job, &steps), [PutBack, PutBack, Drop, Take, Take, Drop, Take]);
        places.put_back(job);
        places.reconnected();
        assert_eq!(places.judge(job, To(6)), Drop);
    }
}
