//! What a [`Follow`](super::Follow) does, step by step.

use std::{collections::VecDeque, fmt, sync::Arc, time::Duration};

use tidings_core::{Cursor, JobId};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{
    climb::Climb,
    ladder::{Ladder, Step},
    reader::{Effect, Reader, Trouble},
};
use crate::{
    backoff::Backoff,
    client::Client,
    deadline,
    error::{Error, ErrorKind},
    follower::Source,
    transport::Transport,
    update::{Run, Turn, Update},
};

/// What is to be followed, and how.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    pub(super) client: Client,
    pub(super) job: JobId,
    pub(super) transports: Vec<Transport>,
    pub(super) after: Option<Cursor>,
    pub(super) timeout: Option<Duration>,
    pub(super) cancel: CancellationToken,
    pub(super) told: Told,
}

/// Who is told why there is a pause, if anybody is.
#[derive(Clone, Default)]
pub(super) struct Told(pub(super) Option<Arc<Tell>>);

type Tell = dyn Fn(&Error) + Send + Sync;

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Told").field(&self.0.is_some()).finish()
    }
}

/// A job that is being followed.
pub(super) struct Following {
    setup: Setup,
    /// Set when the first item is asked for.
    deadline: Option<Instant>,
    /// How the job is read. Until it has been seen, nobody knows over what.
    reading: Option<Reading>,
    run: Run,
    /// The place after all that was read.
    cursor: Option<Cursor>,
    /// What was read and nobody has taken yet.
    ready: VecDeque<Update>,
    is_over: bool,
    /// Which transport was told last.
    told: Option<Transport>,
    backoff: Backoff,
    /// How often in a row the transport in use has failed, while the server answered otherwise.
    strikes: u32,
}

struct Reading {
    ladder: Ladder,
    reader: Reader,
    /// Where there is a better transport than the one in use.
    climb: Option<Climb>,
    /// How long a stream may be silent.
    silence: Duration,
}

impl Source for Following {
    type Item = Update;

    async fn next(&mut self) -> Option<Result<Update, Error>> {
        let Setup { timeout, ref cancel, .. } = self.setup;
        let begun = Instant::now();
        if self.deadline.is_none() {
            self.deadline = timeout.and_then(|timeout| deadline::after(begun, timeout));
        }
        let deadline = self.deadline;
        let cancel = cancel.clone();
        if cancel.is_cancelled() {
            return None;
        }
        if deadline.is_none_or(|deadline| begun < deadline) {
            tokio::select! {
                biased;
                item = self.item() => return item.transpose(),
                () = cancel.cancelled() => return None,
                () = deadline::reached(deadline) => {}
            }
        }
        let error = Error::new(ErrorKind::Timeout, "the job was not over in time");
        Some(Err(match self.backoff.take_last() {
            Some(last) => error.with_source(last),
            None => error,
        }))
    }
}

impl Following {
    pub(super) fn new(setup: Setup) -> Self {
        Self {
            deadline: None,
            reading: None,
            run: Run::new(setup.after),
            cursor: setup.after,
            ready: VecDeque::new(),
            is_over: false,
            told: None,
            backoff: Backoff::new(setup.client.http().config()).with_full_jitter(),
            strikes: 0,
            setup,
        }
    }

    async fn item(&mut self) -> Result<Option<Update>, Error> {
        loop {
            if let Some(update) = self.ready.pop_front() {
                return Ok(Some(update));
            }
            if self.is_over {
                return Ok(None);
            }
            let Some(reading) = &mut self.reading else {
                self.begin().await?;
                continue;
            };
            let trouble = match reading.next(&self.setup.client, self.cursor).await {
                Ok(turn) => self.take(turn).err(),
                Err(trouble) => Some(trouble),
            };
            if let Some(trouble) = trouble {
                self.meet(trouble).await?;
            }
        }
    }

    /// Looks at the job: what it is like, and over what it can be read.
    async fn begin(&mut self) -> Result<(), Error> {
        let Setup { client, job, transports, .. } = &self.setup;
        let (job, heartbeat) = tokio::join!(client.get_once(*job), client.heartbeat());
        match job {
            Ok(job) => {
                let config = client.http().config();
                let silence =
                    heartbeat.map_or(config.idle_timeout, |beat| beat.saturating_add(config.first_byte_timeout));
                let ladder = Ladder::new(transports, &job, client.base())?;
                let reader = Reader::new(client.http(), ladder.current(), self.cursor, silence);
                self.reading = Some(Reading { ladder, reader, climb: None, silence });
                self.ready.push_back(Update::Job(Box::new(job)));
                Ok(())
            }
            Err(error) => self.pause(error).await,
        }
    }

    /// Takes what was read, as far as it is new.
    fn take(&mut self, turn: Turn) -> Result<(), Trouble> {
        let transport = self.reading.as_ref().map(|reading| reading.reader.transport);
        // That a stream has begun says little: it may end at once.
        if transport != Some(Transport::Sse) || !turn.updates.is_empty() {
            self.backoff.succeeded();
            self.strikes = 0;
        }
        if self.told != transport {
            self.told = transport;
            self.ready.extend(transport.map(Update::Transport));
        }
        for update in turn.updates {
            let admitted = self.run.admit(update);
            if let Some(update) = admitted.map_err(|error| Trouble { error, effect: Effect::Unclear })? {
                if let Update::Event(event) = &update {
                    self.cursor = Some(event.cursor());
                }
                self.is_over = update.is_last();
                self.ready.push_back(update);
            }
        }
        // After a gap, the place to go on from is not that of an event.
        let reached = self.cursor.unwrap_or_default().number();
        self.cursor = turn.cursor.filter(|cursor| cursor.number() >= reached).or(self.cursor);
        self.is_over |= turn.is_over;
        Ok(())
    }

    /// Does what there is to do about trouble, or gives it back where that is for the caller.
    async fn meet(&mut self, Trouble { error, effect }: Trouble) -> Result<(), Error> {
        tracing::debug!(%error, ?effect, transport = ?self.told, "trouble");
        match effect {
            Effect::Interrupted => {
                self.backoff.succeeded();
                self.strikes = 0;
                Ok(())
            }
            Effect::Dead => match self.change_over(Ladder::down, error) {
                Ok(()) => Ok(()),
                Err(error) => self.pause(error).await,
            },
            Effect::Unclear if is_final(&error) => Err(error),
            Effect::Unclear if !error.is_temporary() => self.change_over(Ladder::remove, error),
            Effect::Unclear => {
                self.strikes += 1;
                let error = match self.strikes {
                    1 => error,
                    _ => match self.change_over(Ladder::down, error) {
                        Ok(()) => return Ok(()),
                        Err(error) => error,
                    },
                };
                self.pause(error).await?;
                self.wait_for_the_server().await
            }
        }
    }

    /// Asks for the job until there is an answer: so trouble with the server is told from trouble with a transport.
    async fn wait_for_the_server(&mut self) -> Result<(), Error> {
        while let Err(error) = self.setup.client.get_once(self.setup.job).await {
            self.pause(error).await?;
        }
        Ok(())
    }

    async fn pause(&mut self, error: Error) -> Result<(), Error> {
        let pause = self.backoff.failed(error)?;
        if let (Some(tell), Some(why)) = (&self.setup.told.0, self.backoff.last()) {
            tell(why);
        }
        sleep(pause).await;
        Ok(())
    }

    /// Goes on over another transport, from the same place. Gives the error back where there is none.
    fn change_over(&mut self, step: fn(&mut Ladder) -> Step, error: Error) -> Result<(), Error> {
        let Some(reading) = &mut self.reading else { return Err(error) };
        if step(&mut reading.ladder) == Step::NoneLeft {
            return Err(error);
        }
        self.backoff.note(error);
        self.strikes = 0;
        let (http, rung) = (self.setup.client.http(), reading.ladder.current());
        reading.reader = Reader::new(http, rung, self.cursor, reading.silence);
        let is_best = reading.ladder.better().is_empty();
        reading.climb = (!is_best).then(|| Climb::new(http.config().climb_interval));
        Ok(())
    }
}

impl Reading {
    /// What comes next, over the transport in use or over a better one, which is in use from then on.
    async fn next(&mut self, client: &Client, cursor: Option<Cursor>) -> Result<Turn, Trouble> {
        let Self { ladder, reader, climb, silence } = self;
        let better = || {
            let rungs = ladder.better().iter();
            rungs.map(|rung| Reader::new(client.http(), rung, cursor, *silence)).collect()
        };
        let climbing = async {
            match climb {
                Some(climb) => climb.arrive(better).await,
                None => std::future::pending().await,
            }
        };
        let (better, turn) = tokio::select! {
            turn = reader.next() => return turn,
            found = climbing => found,
        };
        ladder.up(better.transport);
        if ladder.better().is_empty() {
            *climb = None;
        }
        *reader = better;
        Ok(turn)
    }
}

/// Whether no transport can do better: it is the server that refuses, and not something on the way to one of them.
fn is_final(error: &Error) -> bool {
    let is_about_the_path = ["not-found", "method-not-allowed", "not-acceptable"];
    let is_refused = matches!(error.status().map(|status| status.as_u16()), Some(401 | 403));
    let is_told = error.problem().is_some_and(|problem| !is_about_the_path.contains(&problem));
    !error.is_temporary() && (is_refused || is_told || error.kind() == ErrorKind::InvalidInput)
}
