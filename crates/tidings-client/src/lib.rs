//! Follows Tidings jobs over any transport.

mod backoff;
mod config;
mod dial;
mod error;
mod http;
mod parser;
mod poll;
mod traffic;
mod url;

pub mod event_source {
    //! x
    pub use crate::parser::{Message, Parser, TooLarge};
}
pub use self::http::HttpClient;
pub use config::{Config, Protocol};
pub use error::{Error, ErrorKind};
pub use poll::poll;
pub use tokio_util::sync::CancellationToken;
pub use traffic::Traffic;
pub use url::resolve;
