//! Tidings as a server of its own.

pub mod config;
pub mod connections;
mod deploy;
pub mod pipeline;
pub mod process;
mod seconds;
