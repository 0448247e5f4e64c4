//! The behaviour that every Tidings transport must show, as tests.

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

pub use self::{
    adapter::{Adapter, Capabilities, Capability, Connection, End, Followed, Refused, Seen},
    failure::Failure,
    page::Page,
    scenario::{Outcome, Scenario, assert_holds},
    server::{KIND, Server},
    wire::{Cut, Response},
};
