//! How many connections the operating system has room for.

use std::num::NonZeroUsize;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that are open for other reasons than a connection: pipes to jobs, logs, a broker.
const RESERVED: u64 = 512;

/// Raises the process's limit on open files as far as it may (the soft limit to the hard one), and gives what it leaves
/// for connections: all but 512, and at least one.
#[must_use]
pub fn connections_for_open_files() -> NonZeroUsize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let files = if raised.is_ok() { maximum } else { current };
    // No limit is given as `None`.
    let room = files.unwrap_or(u64::MAX).saturating_sub(RESERVED);
    NonZeroUsize::new(usize::try_from(room).unwrap_or(usize::MAX)).unwrap_or(NonZeroUsize::MIN)
}
