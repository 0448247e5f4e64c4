//! Ends a node whose owner was killed, and so could not do it.

use std::io::{self, PipeWriter, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Is told the process group to end, once there is one, and waits for the end of its input, which only the owner's
/// process holds the other end of: it comes when that process ends, in whichever way. Then ends the group and removes
/// the folder `$1`, once what was killed has let go of it.
///
/// The signal that Linux sends to the children of a dead parent would not do: it comes when the *thread* ends that
/// started the child, and tests have a thread each.
const SCRIPT: &str = r#"read -r group && { read -r _; kill -s KILL -- "-$group"; sleep 1; }; rm -rf -- "$1""#;

/// A shell that watches over a node. Does nothing if it is dropped while the owner lives.
#[derive(Debug)]
pub(super) struct Watchdog {
    shell: Child,
    input: PipeWriter,
}

impl Watchdog {
    /// Starts it before there is anything to watch, so that nothing runs unwatched while the shell starts.
    pub(super) fn start(folder: &Path) -> io::Result<Self> {
        let (output, input) = io::pipe()?;
        let shell = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "watchdog"])
            .arg(folder)
            .stdin(output)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A group of its own, so that Ctrl-C in a terminal does not end it along with the owner.
            .process_group(0)
            .spawn()?;
        Ok(Self { shell, input })
    }

    /// Has it end this process group when the owner ends.
    pub(super) fn watch(&mut self, group: u32) -> io::Result<()> {
        writeln!(self.input, "{group}")
    }
}

impl Drop for Watchdog {
    /// Kills the shell before its input ends, so that it touches nothing that may be somebody else's by now.
    fn drop(&mut self) {
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}
