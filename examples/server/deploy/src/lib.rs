//! Counts lines, words and characters.

mod counts;
mod report;

pub use counts::Counts;
pub use report::report;
