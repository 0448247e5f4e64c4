//! The behaviour that every Tidings transport must show, as tests.

#[cfg(feature = "broker")]
pub mod broker;
