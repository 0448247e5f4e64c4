//! What must always hold of jobs, over `Host` and `Jobs`, in one process and in virtual time.

mod support;

mod submitting;
mod cancelling;
mod running;
mod writing;
mod reporting;
mod shutting_down;
mod retaining;
mod forgetting;
mod folding;
mod listing;
mod answering;
mod guarding;
