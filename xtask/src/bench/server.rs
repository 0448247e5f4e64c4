//! The server that is measured, as a child process on a core of its own.

use std::ffi::OsString;
use std::fs;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tidings_testkit::broker::URL_VARIABLE;

use super::cores::Cores;
use super::process;
use crate::Result;

/// What stands before the address in the first line that the server prints.
const ANNOUNCEMENT: &str = "listening on http://";
/// How long the end may take: 5 s for connections, and as much again.
const END: Duration = Duration::from_secs(10);
/// How long between two looks at whether it has ended.
const PAUSE: Duration = Duration::from_millis(5);
/// Ends the server if this process is killed, and so can't: only this process holds the other end of the input that the
/// shell waits for.
const WATCHDOG: &str = r#"read -r _; kill -s TERM "$1""#;

/// What servers are started of, and where their files go.
#[derive(Clone, Debug)]
pub(super) struct Servers {
    pub(super) program: PathBuf,
    /// What runs the program, where it is not run by itself.
    pub(super) wrapper: Vec<OsString>,
    /// For configs and logs.
    pub(super) folder: PathBuf,
    pub(super) cores: Cores,
}

/// A server that ends when this is dropped.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    address: SocketAddrV4,
    cores: Cores,
    watchdog: Child,
    /// Kept open for as long as the server runs, as a closed pipe would fail what it prints.
    _stdout: BufReader<ChildStdout>,
}

impl Servers {
    /// Starts one on a free port, and waits until it listens. Its files are named after `name`; it has all defaults but
    /// for what the config says.
    pub(super) fn start(&self, name: &str, config: &str) -> Result<Server> {
        fs::create_dir_all(&self.folder)?;
        let file = |extension: &str| self.folder.join(format!("{name}.{extension}"));
        fs::write(file("toml"), config)?;
        let log = File::create(file("log"))?;
        let mut words = self.wrapper.iter().map(OsString::as_os_str).chain([self.program.as_os_str()]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).args(["--listen", "127.0.0.1:0", "--config"]).arg(file("toml"));
        command.env("NO_COLOR", "1").env_remove(URL_VARIABLE);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut child = self.cores.spawn(&mut command).map_err(|error| cant_start(&self.program, &error))?;

        let watchdog = match watch(&child) {
            Ok(watchdog) => watchdog,
            Err(error) => {
                let _ = child.kill();
                return Err(error);
            }
        };
        let stdout = BufReader::new(child.stdout.take().ok_or("the server has no stdout")?);
        let anywhere = SocketAddrV4::new([0; 4].into(), 0);
        let mut server = Server { child, address: anywhere, cores: self.cores, watchdog, _stdout: stdout };
        let mut line = String::new();
        server._stdout.read_line(&mut line)?;
        let address = line.strip_prefix(ANNOUNCEMENT).and_then(|rest| rest.trim_end_matches(['/', '\n']).parse().ok());
        let why = || format!("the server does not say where it listens, but {line:?}; see {}", file("log").display());
        server.address = address.ok_or_else(why)?;
        Ok(server)
    }
}

impl Server {
    pub(super) fn address(&self) -> SocketAddrV4 {
        self.address
    }

    /// The time that it has had of its core.
    pub(super) fn cpu(&self) -> Result<Duration> {
        Ok(process::cpu(self.child.id())?)
    }

    /// The bytes of memory that it takes.
    pub(super) fn memory(&self) -> Result<u64> {
        Ok(process::memory(self.child.id())?)
    }

    /// The time that its core has worked, for it and for others. None where it has no core of its own.
    pub(super) fn core_busy(&self) -> Result<Option<Duration>> {
        Ok(self.cores.server().map(process::busy).transpose()?)
    }
}

impl Drop for Server {
    /// Blocks, for at most [`END`].
    fn drop(&mut self) {
        // What can't be sent a signal is gone already.
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let asked = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if asked.elapsed() > END {
                eprintln!("the server has not ended by itself yet, and is killed");
                let _ = self.child.kill();
                let _ = self.child.wait();
                break;
            }
            thread::sleep(PAUSE);
        }
        let _ = self.watchdog.kill();
        let _ = self.watchdog.wait();
    }
}

fn watch(server: &Child) -> Result<Child> {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", WATCHDOG, "watchdog", &server.id().to_string()]);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(command.spawn().map_err(|error| format!("can't run a shell: {error}"))?)
}

fn cant_start(program: &Path, error: &std::io::Error) -> String {
    format!("can't start {}: {error}", program.display())
}
