//! Jobs, events, and the log that all transports read.

mod cursor;
mod error;
mod event;
mod framing;
mod history;
mod json;
mod ledger;
mod log;
mod memory;
mod names;
mod recent;
mod snapshot;
mod tail;
mod time;
pub use cursor::*;
pub use error::*;
pub use event::*;
pub use framing::*;
pub use json::*;
pub use ledger::*;
pub use log::*;
pub use memory::*;
pub use names::*;
pub use snapshot::*;
pub use tail::*;
pub use time::*;
