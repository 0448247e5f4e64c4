//! Which core runs what: the server on one and the load on another, so that neither takes from the other.

use std::io;
use std::process::{Child, Command};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The cores of the server and of the load. There are none where this process may run on one core only.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cores(Option<(usize, usize)>);

impl Cores {
    /// The first two cores that this process may run on.
    pub(super) fn find() -> io::Result<Self> {
        let allowed = sched_getaffinity(None)?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
        Ok(Self(cores.next().zip(cores.next())))
    }

    /// Starts a program on the server's core: it sees that one only, and its threads stay there. From then on the
    /// thread that calls this is on the load's core.
    pub(super) fn spawn(self, command: &mut Command) -> io::Result<Child> {
        let Some((server, load)) = self.0 else { return command.spawn() };
        // A child inherits this from the thread that starts it.
        pin(server)?;
        let child = command.spawn();
        pin(load)?;
        child
    }

    /// The server's core.
    pub(super) fn server(self) -> Option<usize> {
        self.0.map(|(server, _)| server)
    }
}

fn pin(core: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    Ok(sched_setaffinity(None, &set)?)
}
