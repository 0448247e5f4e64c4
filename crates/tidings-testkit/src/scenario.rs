//! The scenarios by name, and how one of them is run.

use std::{
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use tokio::runtime;

use crate::{
    adapter::{Adapter, Capability},
    failure::Failure,
    scenarios::{
        deletion, ending, framing, gaps, handover, isolation, order, parking, refusal, resume, shutdown, unread,
    },
};

/// How long a scenario may take by the clock on the wall, so that a transport that spins or blocks fails and does not
/// hang.
const PATIENCE: Duration = Duration::from_secs(60);

/// One thing that every transport must show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scenario {
    /// Every client, early or late, sees the events of the log in their order and byte for byte.
    TellsTheLog,
    /// A client that comes back with any cursor sees what follows it, once.
    ResumesFromEveryCursor,
    /// A client whose connection was cut, wherever that was, has missed nothing and sees nothing twice.
    ResumesAfterEveryCut,
    /// A client that joins while events are being written sees no seam between history and live.
    JoinsWithoutASeam,
    /// A client whose next event is no longer kept is told so, with the snapshot and where it goes on.
    TellsOfGaps,
    /// So is one that is overtaken while it reads.
    TellsWhoIsOvertaken,
    /// A cursor of another job or history is refused, and so are unknown jobs and what is no cursor.
    RefusesForeignCursors,
    /// Nothing follows the last event, the exchange ends, and who comes back with that cursor is told so at once.
    EndsOnce,
    /// For a client that does not read nothing is queued, and nobody waits for it.
    QueuesNothingForWhoDoesNotRead,
    /// No text in an event can forge a part of the framing.
    FramesHostileText,
    /// At a shutdown, clients that wait for nothing that will still come are let go at once.
    LetsParkedReadersGoAtShutdown,
    /// Jobs that are still running then are followed to their end.
    FollowsRunningJobsThroughShutdown,
    /// Nobody notices clients that hang up in the middle.
    SurvivesHangUps,
    /// A job that panics ends as failed, and nobody else notices.
    SurvivesAPanic,
    /// A parked client is woken by an event and not by a timer.
    WakesParkedReaders,
    /// A job that is deleted while it is followed leaves nobody waiting.
    EndsWithADeletedJob,
}

impl Scenario {
    /// All there are.
    pub const ALL: &'static [Self] = &[
        Self::TellsTheLog,
        Self::ResumesFromEveryCursor,
        Self::ResumesAfterEveryCut,
        Self::JoinsWithoutASeam,
        Self::TellsOfGaps,
        Self::TellsWhoIsOvertaken,
        Self::RefusesForeignCursors,
        Self::EndsOnce,
        Self::QueuesNothingForWhoDoesNotRead,
        Self::FramesHostileText,
        Self::LetsParkedReadersGoAtShutdown,
        Self::FollowsRunningJobsThroughShutdown,
        Self::SurvivesHangUps,
        Self::SurvivesAPanic,
        Self::WakesParkedReaders,
        Self::EndsWithADeletedJob,
    ];

    /// What a transport must be able to do for it to be asked.
    #[must_use]
    pub fn needs(self) -> &'static [Capability] {
        use Capability::{Parks, Refuses, Resumes, Streams, TellsGaps, VirtualTime};
        match self {
            Self::TellsTheLog | Self::FramesHostileText | Self::SurvivesHangUps | Self::SurvivesAPanic => &[],
            Self::ResumesFromEveryCursor => &[Resumes],
            Self::ResumesAfterEveryCut => &[Resumes, VirtualTime],
            Self::JoinsWithoutASeam => &[Resumes],
            Self::TellsOfGaps => &[Resumes, TellsGaps],
            Self::TellsWhoIsOvertaken => &[Streams, TellsGaps],
            Self::RefusesForeignCursors => &[Resumes, Refuses],
            Self::EndsOnce => &[Resumes],
            Self::QueuesNothingForWhoDoesNotRead => &[Streams, TellsGaps, VirtualTime],
            Self::LetsParkedReadersGoAtShutdown => &[Parks, VirtualTime],
            Self::FollowsRunningJobsThroughShutdown => &[VirtualTime],
            Self::WakesParkedReaders => &[Parks, VirtualTime],
            Self::EndsWithADeletedJob => &[Refuses],
        }
    }

    /// Runs it on a transport, in a thread and a runtime of its own: in virtual time where the transport can.
    ///
    /// # Errors
    ///
    /// What the transport did that it must not do; also where it panics or does not come to an end.
    pub fn check(self, adapter: impl Adapter) -> Result<Outcome, Failure> {
        let capabilities = adapter.capabilities();
        if let Some(why) = self.needs().iter().find_map(|capability| capabilities.lacks(*capability)) {
            return Ok(Outcome::NotApplicable(why));
        }
        let paused = capabilities.lacks(Capability::VirtualTime).is_none();
        let (done, outcome) = mpsc::channel();
        let run = move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().start_paused(paused).build();
            let outcome = match runtime {
                Ok(runtime) => runtime.block_on(self.play(Arc::new(adapter))),
                Err(error) => Err(Failure::new(format!("there is no runtime to be had: {error}"))),
            };
            // Nobody listens any more where patience has run out.
            let _ = done.send(outcome);
        };
        let named = thread::Builder::new().name(format!("{self:?}"));
        named.spawn(run).map_err(|error| Failure::new(format!("there is no thread to be had: {error}")))?;
        match outcome.recv_timeout(PATIENCE) {
            Ok(outcome) => outcome.map(|()| Outcome::Held),
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(Failure::new("panicked")),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                Err(Failure::new(format!("did not come to an end within {} s", PATIENCE.as_secs())))
            }
        }
    }

    async fn play(self, adapter: Arc<dyn Adapter>) -> Result<(), Failure> {
        match self {
            Self::TellsTheLog => order::tells_the_log(&adapter).await,
            Self::ResumesFromEveryCursor => resume::from_every_cursor(&adapter).await,
            Self::ResumesAfterEveryCut => resume::after_every_cut(&adapter).await,
            Self::JoinsWithoutASeam => handover::joins_without_a_seam(&adapter).await,
            Self::TellsOfGaps => gaps::tells_of_gaps(&adapter).await,
            Self::TellsWhoIsOvertaken => gaps::tells_who_is_overtaken(&adapter).await,
            Self::RefusesForeignCursors => refusal::refuses_foreign_cursors(&adapter).await,
            Self::EndsOnce => ending::ends_once(&adapter).await,
            Self::QueuesNothingForWhoDoesNotRead => unread::queues_nothing(&adapter).await,
            Self::FramesHostileText => framing::frames_hostile_text(&adapter).await,
            Self::LetsParkedReadersGoAtShutdown => shutdown::lets_parked_readers_go(&adapter).await,
            Self::FollowsRunningJobsThroughShutdown => shutdown::follows_running_jobs(&adapter).await,
            Self::SurvivesHangUps => isolation::survives_hang_ups(&adapter).await,
            Self::SurvivesAPanic => isolation::survives_a_panic(&adapter).await,
            Self::WakesParkedReaders => parking::wakes_parked_readers(&adapter).await,
            Self::EndsWithADeletedJob => deletion::ends_with_a_deleted_job(&adapter).await,
        }
    }
}

/// What a scenario came to that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The transport does as it must.
    Held,
    /// The transport has declared that it can't be asked for this, and why.
    NotApplicable(&'static str),
}

/// Fails the test that it is called from unless the scenario holds. What [`conformance!`](crate::conformance) calls.
///
/// # Panics
///
/// Where the scenario does not hold.
pub fn assert_holds(scenario: Scenario, adapter: impl Adapter) {
    let transport = format!("{adapter:?}");
    match scenario.check(adapter) {
        Ok(Outcome::Held) => {}
        // Printed, so that `--nocapture` and every report of the test show what was declared.
        Ok(Outcome::NotApplicable(why)) => println!("{scenario:?} does not apply to {transport}: {why}"),
        Err(failure) => panic!("{transport}: {scenario:?}: {failure}"),
    }
}

/// Makes one test of each scenario, for one transport.
///
/// The argument makes the [`Adapter`], anew in each test. Attributes after it are put on each test, as in
/// `conformance!(Consumes, #[ignore = "needs a broker"])`.
///
/// A scenario that asks for what the transport has [declared](crate::Capabilities::without) it can't do passes, and
/// prints the reason.
#[macro_export]
macro_rules! conformance {
    (@all $attributes:tt $adapter:expr; $($test:ident $scenario:ident)*) => {
        const _: () = assert!(
            [$($crate::Scenario::$scenario),*].len() == $crate::Scenario::ALL.len(),
            "every scenario has its test"
        );
        $($crate::conformance! { @one $attributes $adapter; $test $scenario })*
    };
    (@one [$($attribute:tt)*] $adapter:expr; $test:ident $scenario:ident) => {
        #[test]
        $($attribute)*
        fn $test() {
            $crate::assert_holds($crate::Scenario::$scenario, $adapter);
        }
    };
    ($adapter:expr $(, #[$attribute:meta])* $(,)?) => {
        $crate::conformance! { @all [$(#[$attribute])*] $adapter;
            tells_the_log TellsTheLog
            resumes_from_every_cursor ResumesFromEveryCursor
            resumes_after_every_cut ResumesAfterEveryCut
            joins_without_a_seam JoinsWithoutASeam
            tells_of_gaps TellsOfGaps
            tells_who_is_overtaken TellsWhoIsOvertaken
            refuses_foreign_cursors RefusesForeignCursors
            ends_once EndsOnce
            queues_nothing_for_who_does_not_read QueuesNothingForWhoDoesNotRead
            frames_hostile_text FramesHostileText
            lets_parked_readers_go_at_shutdown LetsParkedReadersGoAtShutdown
            follows_running_jobs_through_shutdown FollowsRunningJobsThroughShutdown
            survives_hang_ups SurvivesHangUps
            survives_a_panic SurvivesAPanic
            wakes_parked_readers WakesParkedReaders
            ends_with_a_deleted_job EndsWithADeletedJob
        }
    };
}
