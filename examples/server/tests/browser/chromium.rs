//! Chromium and the program that drives it, as child processes that leave nothing behind.

use std::{fs, path::Path, thread};

use serde_json::{Value, json};
use tempfile::TempDir;
use tidings_client::CancellationToken;
use tidings_process::{Command, Launcher};
use tokio::{runtime::Builder, sync::oneshot};

/// A running chromedriver, and with it every browser that it starts. They are ended, and waited for, when it is dropped.
#[derive(Debug)]
pub(crate) struct Driver {
    port: u16,
    folder: std::path::PathBuf,
    end: CancellationToken,
    /// Not a task of the test's runtime, which may be gone before the last process is.
    keeper: Option<thread::JoinHandle<()>>,
}

impl Driver {
    /// Starts it on a free port, and waits until it listens there.
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().to_owned();
        let (said, listens) = oneshot::channel();
        let end = CancellationToken::new();
        let asked = end.clone();
        let keeper = thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(keep(&folder, said, asked));
            // Before anybody can go on who waits for this thread.
            drop(folder);
        });
        let port = listens.await.expect("chromedriver starts: is the package chromium-driver installed?");
        Self { port, folder: path, end, keeper: Some(keeper) }
    }

    /// The URL that WebDriver's paths begin with.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What to ask of a new session: a browser without a window that shares nothing with another.
    pub(crate) fn capabilities(&self, profile: &str) -> Value {
        let profile = format!("--user-data-dir={}", self.folder.join(profile).display());
        let mut arguments = vec![
            "--headless=new",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--disable-quic",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--no-first-run",
            "--hide-scrollbars",
            "--window-size=1280,800",
            &profile,
        ];
        if rustix::process::geteuid().is_root() {
            // Chromium's sandbox does not start for root.
            arguments.push("--no-sandbox");
        }
        json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        } } })
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.end.cancel();
        if let Some(keeper) = self.keeper.take() {
            // It has told why, if it failed.
            let _ = keeper.join();
        }
    }
}

/// Runs chromedriver until it is asked to end it, or until it ends by itself.
async fn keep(folder: &TempDir, said: oneshot::Sender<u16>, asked: CancellationToken) {
    // Chromium makes a process group of its own; the supervisor finds it all the same, also when this process is killed.
    let launcher = Launcher::with_program(env!("CARGO_BIN_EXE_tidings-server"));
    let command = ["TMPDIR", "HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"]
        .into_iter()
        .fold(Command::new("chromedriver"), |command, name| command.with_variable(name, folder.path()))
        .with_arguments(["--port=0"]);
    let mut running = launcher.start(command).expect("the supervisor starts");
    let mut said = Some(said);
    loop {
        let line = tokio::select! {
            line = running.next_line() => line,
            () = asked.cancelled() => break,
        };
        let Some((_, line)) = line else { break };
        let port = line.strip_prefix("ChromeDriver was started successfully on port ");
        let port = port.and_then(|rest| rest.trim_end_matches('.').parse().ok());
        if let (Some(port), Some(said)) = (port, said.take_if(|_| port.is_some())) {
            // A test that is gone needs no port.
            let _ = said.send(port);
        }
    }
    running.stop();
    while running.next_line().await.is_some() {}
}

/// Keeps a picture for people to look at.
pub(crate) fn keep_picture(name: &str, png: &[u8]) {
    // Two levels above the binary's own folder is that of all builds, wherever that is.
    let target = Path::new(env!("CARGO_BIN_EXE_tidings-server")).ancestors().nth(2).expect("a target folder");
    let folder = target.join("screenshots");
    fs::create_dir_all(&folder).expect("the target folder can be written to");
    fs::write(folder.join(format!("{name}.png")), png).expect("the target folder can be written to");
}
