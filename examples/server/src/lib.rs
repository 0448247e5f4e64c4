//! Tidings as a server of its own.

pub mod process;
