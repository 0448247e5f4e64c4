//! What the tests share.

use std::time::Duration;

use tidings_process::{Command, Launcher, Running};
use tokio::time::timeout;

/// Ends a test that hangs; nothing waits for it.
const HANGS: Duration = Duration::from_secs(60);

pub(crate) fn launcher() -> Launcher {
    Launcher::with_program(env!("CARGO_BIN_EXE_tidings-supervisor"))
}

pub(crate) fn sh(launcher: &Launcher, script: &str) -> Running {
    launcher.start(Command::new("sh").with_arguments(["-c", script])).expect("the supervisor starts")
}

/// Waits for what must come.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(HANGS, future).await.expect("it comes in time")
}
