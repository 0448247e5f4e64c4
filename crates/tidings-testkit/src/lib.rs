//! The behaviour that every Tidings transport must show, as tests that any transport runs against itself: ours, or one
//! that somebody else has written.
//!
//! A transport is mounted on a [`Server`] in this process, and read through an [`Adapter`], which is a client of it:
//! the one thing that who writes a transport has to write here. [`conformance!`] then makes one test of each
//! [`Scenario`].
//!
//! # Guarantees
//!
//! - Each scenario asks for one thing, runs in a runtime of its own, in virtual time and without sockets, and comes to
//!   an end: a transport that hangs fails.
//! - What a transport can't do it [declares](Capabilities::without), with the reason, which the test prints. Nothing is
//!   passed over in silence.
//! - Each scenario is known to fail: it has a transport that is broken in just that way.
//!
//! # Example
//!
//! Short polling, as its own tests have it:
//!
//! ```
//! use async_trait::async_trait;
//! use tidings_core::{HostBuilder, JobId};
//! use tidings_testkit::{Adapter, Capabilities, Capability, Failure, Followed, Page, Server};
//! # use tidings_core::{Answer, Answering, Body, Context, Endpoint, Error, Limit, Mount, Notifier, Problem, Target};
//! # #[derive(Debug, Default)] struct ShortPoll;
//! # impl Notifier for ShortPoll {
//! #     fn name(&self) -> &'static str { "short-poll" }
//! #     fn mount(&self, cx: &Context) -> Result<Mount, Error> { Ok(Mount::endpoint(Polled(cx.clone()))) }
//! # }
//! # #[derive(Debug)] struct Polled(Context);
//! # impl Endpoint for Polled {
//! #     fn answer<'a>(&'a self, target: Target, _: http::Request<Body>) -> Answering<'a> {
//! #         Answering::later(async move {
//! #             let (job, limit) = (target.scope().as_job().expect("one job"), Limit { events: 1000, bytes: 1 << 20 });
//! #             match self.0.feed.read(job, target.after().unwrap_or_default(), limit).await {
//! #                 Ok(page) => Answer::Response(Body::json(self.0.jobs.page_json(&page))),
//! #                 Err(error) => Problem::from(error).into(),
//! #             }
//! #         })
//! #     }
//! # }
//!
//! #[derive(Debug)]
//! struct Polls;
//!
//! #[async_trait]
//! impl Adapter for Polls {
//!     fn mount(&self, host: HostBuilder) -> HostBuilder {
//!         host.mount(ShortPoll::default())
//!     }
//!
//!     fn capabilities(&self) -> Capabilities {
//!         let why = "a poll is answered at once, and its client asks again";
//!         Capabilities::all().without(Capability::Parks, why).without(Capability::Streams, why)
//!     }
//!
//!     async fn follow(&self, server: &Server, job: JobId, after: Option<&str>) -> Result<Followed, Failure> {
//!         let query = after.map(|cursor| format!("?after={cursor}")).unwrap_or_default();
//!         let response = server.get(&format!("/jobs/{job}/short-poll{query}"), &[]).await?;
//!         if response.status() != 200 {
//!             return Ok(Followed::Refused(response.problem().await?));
//!         }
//!         Ok(Followed::open(Page::read(response, after).await?))
//!     }
//! }
//!
//! tidings_testkit::conformance!(Polls);
//! # // What the tests that were just made would do, as a documentation test runs none.
//! # assert_eq!(tidings_testkit::Scenario::TellsTheLog.check(Polls), Ok(tidings_testkit::Outcome::Held));
//! ```
//!
//! A transport that streams gives a [`Connection`] of its own; `tests/stranger.rs` in this crate has a whole one. One
//! that is told of jobs by a broker binds its queue in [`Adapter::prepare`], and lacks [`Capability::VirtualTime`]: its
//! scenarios run by the clock on the wall, and those that count or cut do not apply to it.
//!
//! # When not to use it
//!
//! For what is a transport's own, such as its headers and its framing: that is for tests beside it, which may start a
//! [`Server`] too.

mod adapter;
mod failure;
mod wire;
mod page;
mod server;
mod reader;
mod scenario;
mod scenarios;
#[cfg(feature = "broker")]
pub mod broker;
#[cfg(feature = "proxy")]
pub mod proxy;

pub use self::{
    adapter::{Adapter, Capabilities, Capability, Connection, End, Followed, Refused, Seen},
    failure::Failure,
    page::Page,
    scenario::{Outcome, Scenario, assert_holds},
    server::{Author, KIND, Server},
    wire::{Cut, Response},
};
