//! The server as a child process.

use std::collections::VecDeque;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tidings_client::Uri;
use tidings_testkit::broker::URL_VARIABLE;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::time::timeout;

use super::interrupts::Interrupts;
use crate::Result;
use crate::workspace::Workspace;

/// From the root of the repository.
const CONFIG: &str = "xtask/src/demo/server.toml";
/// What stands before the address in the first line that the server prints.
const ANNOUNCEMENT: &str = "listening on ";
/// How long a start may take. It takes less than one where the machine has nothing else to do.
const START: Duration = Duration::from_secs(30);
/// How long the end may take: a second's grace for the job, 5 s for what it leaves behind, as much again for the broker
/// and for connections.
const END: Duration = Duration::from_secs(20);
/// How long between two looks at whether it has ended.
const PAUSE: Duration = Duration::from_millis(20);
/// As many lines of the log are kept as may tell why it ended.
const LAST_WORDS: usize = 30;
/// Ends the server if this process is killed, and so can't: only this process holds the other end of the input that the
/// shell waits for.
const WATCHDOG: &str = r#"read -r _; kill -s TERM "$1""#;

/// A server that ends when this is dropped: by SIGTERM, and by SIGKILL where that takes too long or somebody insists.
pub(super) struct Server {
    child: Child,
    url: Uri,
    log: Arc<Mutex<Log>>,
    interrupts: Interrupts,
    _watchdog: Child,
    /// Kept open for as long as the server runs, as a closed pipe would fail what it prints.
    _stdout: Lines<BufReader<ChildStdout>>,
}

/// What the server logs. A task of its own adds to it.
#[derive(Default)]
struct Log {
    last: VecDeque<String>,
    is_shown: bool,
}

impl Server {
    /// Starts it on a free port, and waits until it listens.
    pub(super) async fn start(
        program: &Path,
        workspace: &Workspace,
        broker_url: Option<&str>,
        interrupts: Interrupts,
    ) -> Result<Self> {
        let mut command = Command::new(program);
        command.args(["--listen", "127.0.0.1:0", "--config"]).arg(workspace.root.join(CONFIG));
        // Colours are for a terminal, and this goes through a pipe.
        command.env("NO_COLOR", "1").env_remove(URL_VARIABLE);
        if let Some(url) = broker_url {
            // Not as an argument: everybody may read those, and there may be a password in it.
            command.env(URL_VARIABLE, url);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A group of its own: Ctrl-C in a terminal reaches the demo alone, which ends the server when it is done with
        // it.
        command.process_group(0).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| format!("can't start {}: {error}", program.display()))?;

        let watchdog = watch(&child)?;
        let log = Arc::<Mutex<Log>>::default();
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let stdout = BufReader::new(stdout.ok_or("the server has no stdout")?).lines();
        tokio::spawn(keep(stderr.ok_or("the server has no stderr")?, Arc::clone(&log)));
        let mut server = Self { child, url: Uri::default(), log, interrupts, _watchdog: watchdog, _stdout: stdout };
        server.url = match timeout(START, server._stdout.next_line()).await {
            Ok(Ok(Some(line))) => {
                let url = line.strip_prefix(ANNOUNCEMENT).and_then(|url| url.parse().ok());
                url.ok_or_else(|| format!("the server does not say where it listens, but {line:?}"))?
            }
            Ok(_) => return Err(server.ended().await.into()),
            Err(_) => return Err(format!("the server does not listen after {} s", START.as_secs()).into()),
        };
        Ok(server)
    }

    pub(super) fn url(&self) -> &Uri {
        &self.url
    }

    /// Its URL as one would type it: without the slash at the end.
    pub(super) fn address(&self) -> String {
        self.url.to_string().trim_end_matches('/').to_owned()
    }

    /// Waits for it to end by itself, which it should not. Gives a sentence that says so.
    pub(super) async fn ended(&mut self) -> String {
        let how =
            self.child.wait().await.map_or_else(|error| error.to_string(), |status: ExitStatus| status.to_string());
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let last_words: String = log.last.iter().map(|line| format!("\n    {line}")).collect();
        format!("the server has ended by itself ({how}){last_words}")
    }

    /// From now on what it logs is shown.
    pub(super) fn show_log(&self) {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).is_shown = true;
    }
}

impl Drop for Server {
    /// Blocks, for at most [`END`]. This is the one way to the end, so that it holds after an error and a panic too.
    fn drop(&mut self) {
        let Some(pid) = self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)) else { return };
        // What can't be sent a signal is gone already.
        let _ = kill_process(pid, Signal::TERM);
        let asked = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if asked.elapsed() > END || self.interrupts.are_urgent() {
                eprintln!("the server has not ended by itself yet, and is killed");
                let _ = kill_process(pid, Signal::KILL);
                return;
            }
            thread::sleep(PAUSE);
        }
    }
}

fn watch(server: &Child) -> Result<Child> {
    let pid = server.id().ok_or("the server has ended at once")?.to_string();
    let mut command = Command::new("/bin/sh");
    // Out of reach of Ctrl-C in a terminal. It is killed, and so does nothing, where the server is dropped in good
    // order.
    command.args(["-c", WATCHDOG, "watchdog", &pid]).process_group(0).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(command.spawn().map_err(|error| format!("can't run a shell: {error}"))?)
}

async fn keep(stderr: ChildStderr, log: Arc<Mutex<Log>>) {
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        if log.is_shown {
            eprintln!("{line}");
        }
        if log.last.len() == LAST_WORDS {
            log.last.pop_front();
        }
        log.last.push_back(line);
    }
}
