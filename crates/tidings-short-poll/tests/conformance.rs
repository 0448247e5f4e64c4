//! Short polling shows what every transport must show.

use async_trait::async_trait;
use tidings_core::{HostBuilder, JobId};
use tidings_short_poll::ShortPoll;
use tidings_testkit::{Adapter, Capabilities, Capability, Failure, Followed, Page, Server};

#[derive(Debug)]
struct Polls;

#[async_trait]
impl Adapter for Polls {
    fn mount(&self, host: HostBuilder) -> HostBuilder {
        host.mount(ShortPoll::default())
    }

    fn capabilities(&self) -> Capabilities {
        let why = "a poll is answered at once, and its client asks again";
        Capabilities::all().without(Capability::Parks, why).without(Capability::Streams, why)
    }

    async fn follow(&self, server: &Server, job: JobId, after: Option<&str>) -> Result<Followed, Failure> {
        let query = after.map(|cursor| format!("?after={cursor}")).unwrap_or_default();
        let response = server.get(&format!("/jobs/{job}/short-poll{query}"), &[]).await?;
        if response.status() != 200 {
            return Ok(Followed::Refused(response.problem().await?));
        }
        Ok(Followed::open(Page::read(response, after).await?))
    }
}

tidings_testkit::conformance!(Polls);
