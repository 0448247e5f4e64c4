//! Ends a node whose owner was killed, and so could not do it.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Waits for the end of its input, which only the owner's process holds the other end of: it comes when that
/// process ends, in whichever way. Then ends the process group `$1` and removes the folder `$2`, once what was
/// killed has let go of it.
///
/// The signal that Linux sends to the children of a dead parent would not do: it comes when the *thread* ends that
/// started the child, and tests have a thread each.
const SCRIPT: &str = r#"read -r _; kill -s KILL -- "-$1"; sleep 1; rm -rf -- "$2""#;

/// A shell that watches over a node. Does nothing if it is dropped while the owner lives.
#[derive(Debug)]
pub(super) struct Watchdog(Child);

impl Watchdog {
    pub(super) fn watch(group: u32, folder: &Path) -> io::Result<Self> {
        Command::new("/bin/sh")
            .args(["-c", SCRIPT, "watchdog", &group.to_string()])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A group of its own, so that Ctrl-C in a terminal does not end it along with the owner.
            .process_group(0)
            .spawn()
            .map(Self)
    }
}

impl Drop for Watchdog {
    /// Kills the shell before its input ends, so that it touches nothing that may be somebody else's by now.
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
