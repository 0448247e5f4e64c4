//! The client, and each follower by itself, against a server that answers from a script, in virtual time.

mod support;

mod client;
mod event_source;
mod follow;
mod ladder;
mod long_poll;
mod reporter;
mod short_poll;
mod sse;
