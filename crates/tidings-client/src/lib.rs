//! Follows Tidings jobs over any transport.

mod config;
mod error;
mod poll;

pub mod event_source;
pub mod long_poll;
pub mod short_poll;
pub mod sse;

#[cfg(feature = "amqp")]
pub mod amqp;

mod follower;
mod page;
mod update;

mod answer;
mod backoff;
mod dial;
mod http;
mod pages;
mod parser;
mod traffic;
mod url;

pub use self::{
    config::{Config, Protocol},
    error::{Error, ErrorKind},
    follower::Follower,
    http::HttpClient,
    page::Page,
    poll::poll,
    traffic::Traffic,
    update::{Gap, Update},
    url::resolve,
};
pub use ::http::Uri;
pub use tidings_core::{Cursor, Event, EventType, JobId, Json};
pub use tokio_util::sync::CancellationToken;
