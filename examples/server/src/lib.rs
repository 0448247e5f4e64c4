//! Tidings as a server of its own.
//!
//! The program is `tidings-server`; this library holds its parts, so that each can be tested by itself. It runs on
//! Linux: it finds a job's processes by Linux' own means.

pub mod config;
pub mod connections;
mod deploy;
pub mod pipeline;
mod seconds;
pub mod service;
pub mod transports;
