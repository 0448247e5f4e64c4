//! Tidings as a server of its own.

pub mod connections;
pub mod process;
mod seconds;
