//! Long polling shows what every transport must show.

use std::time::Duration;

use async_trait::async_trait;
use tidings_core::{HostBuilder, JobId};
use tidings_long_poll::LongPoll;
use tidings_testkit::{Adapter, Capabilities, Capability, Failure, Followed, Page, Server};

#[derive(Debug)]
struct Holds;

#[async_trait]
impl Adapter for Holds {
    fn mount(&self, host: HostBuilder) -> HostBuilder {
        host.mount(LongPoll::default())
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::all()
            .without(Capability::Streams, "a hold ends with the first event, and its client asks again")
            .with_quiet(Duration::from_secs(25))
    }

    async fn follow(&self, server: &Server, job: JobId, after: Option<&str>) -> Result<Followed, Failure> {
        let query = after.map(|cursor| format!("?after={cursor}")).unwrap_or_default();
        let response = server.get(&format!("/jobs/{job}/long-poll{query}"), &[]).await?;
        if response.status() != 200 {
            return Ok(Followed::Refused(response.problem().await?));
        }
        Ok(Followed::open(Page::read(response, after).await?))
    }
}

tidings_testkit::conformance!(Holds);
