//! Long jobs, told to whoever waits for them.

pub use tidings_core::*;

#[cfg(feature = "amqp")]
pub use tidings_amqp as amqp;
#[cfg(feature = "long-poll")]
pub use tidings_long_poll as long_poll;
#[cfg(feature = "short-poll")]
pub use tidings_short_poll as short_poll;
#[cfg(feature = "sse")]
pub use tidings_sse as sse;
