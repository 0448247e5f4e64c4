//! Which transports a job can be read over, and which one it is read over at present.

use http::Uri;

use crate::{
    error::{Error, ErrorKind},
    job::Job,
    transport::Transport,
    url,
};

/// The transports that are left to try, the best first.
#[derive(Debug)]
pub(super) struct Ladder {
    rungs: Vec<Rung>,
    at: usize,
}

/// A transport, and where the job is read over it.
#[derive(Clone, Debug)]
pub(super) struct Rung {
    pub(super) transport: Transport,
    pub(super) url: Uri,
}

/// Whether there is another transport to go on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Taken,
    NoneLeft,
}

impl Ladder {
    /// Those of the wanted transports that the job has links for.
    pub(super) fn new(wanted: &[Transport], job: &Job, base: &Uri) -> Result<Self, Error> {
        let mut rungs = Vec::new();
        for &transport in wanted {
            if let Some(link) = job.link(transport.name()) {
                rungs.push(Rung { transport, url: url::resolve(base, link)? });
            }
        }
        if rungs.is_empty() {
            let message = "the server has mounted none of the transports that the job is to be followed over";
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        Ok(Self { rungs, at: 0 })
    }

    /// The one in use.
    pub(super) fn current(&self) -> &Rung {
        // There is always one, as the last is never removed, and `at` never passes it.
        &self.rungs[self.at]
    }

    /// Those that would be better.
    pub(super) fn better(&self) -> &[Rung] {
        &self.rungs[..self.at]
    }

    /// Goes on with the next best.
    pub(super) fn down(&mut self) -> Step {
        if self.at + 1 == self.rungs.len() {
            return Step::NoneLeft;
        }
        self.at += 1;
        Step::Taken
    }

    /// Goes on without the one in use for good: with the next best or, where it was the last, the one before.
    pub(super) fn remove(&mut self) -> Step {
        if self.rungs.len() == 1 {
            return Step::NoneLeft;
        }
        self.rungs.remove(self.at);
        self.at = self.at.min(self.rungs.len() - 1);
        Step::Taken
    }

    /// Goes on with this one.
    pub(super) fn up(&mut self, transport: Transport) {
        if let Some(at) = self.rungs.iter().position(|rung| rung.transport == transport) {
            self.at = at;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Transport::{LongPoll, ShortPoll, Sse};

    fn ladder(transports: &[Transport]) -> Ladder {
        let url = |transport: Transport| format!("http://server.test/{transport}").parse().expect("a URL");
        let rungs = transports.iter().map(|&transport| Rung { transport, url: url(transport) });
        Ladder { rungs: rungs.collect(), at: 0 }
    }

    fn better(ladder: &Ladder) -> Vec<Transport> {
        ladder.better().iter().map(|rung| rung.transport).collect()
    }

    #[test]
    fn it_goes_down_to_the_last_and_up_to_any() {
        let mut ladder = ladder(&Transport::ALL);
        assert_eq!((ladder.current().transport, better(&ladder)), (Sse, vec![]));
        assert_eq!((ladder.down(), ladder.down()), (Step::Taken, Step::Taken));
        assert_eq!((ladder.down(), ladder.current().transport), (Step::NoneLeft, ShortPoll));
        assert_eq!(better(&ladder), [Sse, LongPoll]);
        ladder.up(LongPoll);
        assert_eq!((ladder.current().transport, better(&ladder)), (LongPoll, vec![Sse]));
    }

    #[test]
    fn what_is_removed_is_never_come_back_to() {
        let mut ladder = ladder(&Transport::ALL);
        ladder.down();
        assert_eq!((ladder.remove(), ladder.current().transport), (Step::Taken, ShortPoll));
        assert_eq!((ladder.remove(), ladder.current().transport), (Step::Taken, Sse));
        assert_eq!((ladder.down(), ladder.remove()), (Step::NoneLeft, Step::NoneLeft));
        ladder.up(LongPoll);
        assert_eq!(ladder.current().transport, Sse);
    }
}
