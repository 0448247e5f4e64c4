//! Follows Tidings jobs over any transport.

mod error;
mod parser;
mod poll;

pub mod event_source {
    //! x
    pub use crate::parser::{Message, Parser, TooLarge};
}
pub use error::{Error, ErrorKind};
pub use poll::poll;
pub use tokio_util::sync::CancellationToken;
