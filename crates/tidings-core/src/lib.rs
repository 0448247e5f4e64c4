//! Jobs, events, and the log that all transports read.

mod cursor;
mod event;
mod json;
mod names;
mod snapshot;
mod time;
pub use cursor::*;
pub use event::*;
pub use json::*;
pub use names::*;
pub use snapshot::*;
pub use time::*;
