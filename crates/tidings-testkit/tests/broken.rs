//! Transports that are broken on purpose: each fails in the scenario that is there for it, and in no other.

mod broken_ndjson;
mod ndjson;

use async_trait::async_trait;
use tidings_core::{HostBuilder, JobId};
use tidings_testkit::{Adapter, Capabilities, Failure, Followed, Outcome, Scenario, Server};

use broken_ndjson::{Broken, Fault};
use ndjson::Lines;

#[async_trait]
impl Adapter for Broken {
    fn mount(&self, host: HostBuilder) -> HostBuilder {
        host.mount(self.clone())
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::all()
    }

    async fn follow(&self, server: &Server, job: JobId, after: Option<&str>) -> Result<Followed, Failure> {
        let query = after.map(|cursor| format!("?after={cursor}")).unwrap_or_default();
        let response = server.get(&format!("/jobs/{job}/broken{query}"), &[]).await?;
        match response.status().as_u16() {
            200 | 204 => Ok(Followed::open(Lines::new(response, after))),
            _ => Ok(Followed::Refused(response.problem().await?)),
        }
    }
}

/// Runs every scenario over a transport with this fault, and says which ones fail.
fn failing(fault: Fault) -> Vec<Scenario> {
    let fails = |scenario: &Scenario| match scenario.check(Broken::new(fault)) {
        Ok(Outcome::NotApplicable(why)) => panic!("{scenario:?}: nothing was declared, and yet: {why}"),
        Ok(Outcome::Held) => false,
        Err(failure) => {
            println!("{fault:?}: {scenario:?}: {failure}");
            true
        }
    };
    Scenario::ALL.iter().copied().filter(|scenario| fails(scenario)).collect()
}

macro_rules! each_fails_where_it_must {
    ($($test:ident: $fault:ident fails $scenario:ident;)*) => {
        $(
            #[test]
            fn $test() {
                assert_eq!(failing(Fault::$fault), [Scenario::$scenario]);
            }
        )*

        #[test]
        fn every_scenario_has_a_transport_that_fails_in_it() {
            let failed_in = [$(Scenario::$scenario),*];
            for scenario in Scenario::ALL {
                assert!(failed_in.contains(scenario), "{scenario:?}");
            }
        }
    };
}

each_fails_where_it_must! {
    one_that_writes_json_anew: WritesJsonAnew fails TellsTheLog;
    one_that_repeats_on_resume: RepeatsOnResume fails ResumesFromEveryCursor;
    one_that_tells_cursors_first: TellsCursorsFirst fails ResumesAfterEveryCut;
    one_that_drops_the_seam: DropsTheSeam fails JoinsWithoutASeam;
    one_that_hides_gaps: HidesGaps fails TellsOfGaps;
    one_that_hides_gaps_later: HidesLaterGaps fails TellsWhoIsOvertaken;
    one_that_ignores_tags: IgnoresTags fails RefusesForeignCursors;
    one_that_goes_on_after_the_end: GoesOnAfterTheEnd fails EndsOnce;
    one_that_keeps_who_comes_back: KeepsWhoComesBack fails EndsOnce;
    one_that_queues_for_each_client: QueuesForEachClient fails QueuesNothingForWhoDoesNotRead;
    one_that_frames_raw_text: FramesRawText fails FramesHostileText;
    one_that_hangs_at_shutdown: HangsAtShutdown fails LetsParkedReadersGoAtShutdown;
    one_that_cuts_at_shutdown: CutsAtShutdown fails FollowsRunningJobsThroughShutdown;
    one_that_breaks_when_clients_leave: BreaksWhenClientsLeave fails SurvivesHangUps;
    one_that_breaks_when_a_job_panics: BreaksWhenAJobPanics fails SurvivesAPanic;
    one_that_polls_by_timer: PollsByTimer fails WakesParkedReaders;
    one_that_looks_too_often: LooksTooOften fails WakesParkedReaders;
    one_that_waits_for_what_is_deleted: WaitsForTheDeleted fails EndsWithADeletedJob;
    one_that_hides_the_end_of_what_is_deleted: HidesDeletedEnds fails EndsWithADeletedJob;
}

#[test]
fn one_without_a_fault_passes() {
    assert_eq!(failing(Fault::None), []);
}
