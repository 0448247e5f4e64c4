//! Each follower against a server that answers from a script, in virtual time.

mod support;

mod event_source;
mod long_poll;
mod short_poll;
mod sse;
