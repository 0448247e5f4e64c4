//! A command that is run somewhere as a job, and watched on the server's page.

use std::{
    env,
    fs::File,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use serde_json::json;

use crate::{session::Session, support::Server};

/// Tells where the program `tidings` is: it is another package's, and `cargo xtask test browser` builds it.
const CLI: &str = "TIDINGS_CLI";

/// Each line waits until the one before it was seen.
const SCRIPT: &str = "for i in 1 2 3; do echo $i; until test -e $i; do sleep 0.05; done; done; exit 3";

#[tokio::test]
#[ignore = "needs a browser: cargo xtask test"]
async fn a_command_is_watched_line_by_line_while_it_runs() {
    let server = Server::start("");
    let folder = tempfile::tempdir().expect("a folder");
    let cli = env::var_os(CLI).unwrap_or_else(|| panic!("{CLI} is set by cargo xtask test"));
    let mut command = Command::new(cli);
    command.args(["run", "--", "sh", "-c", SCRIPT]).env("TIDINGS_URL", format!("http://{}", server.address));
    command.current_dir(&folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let mut said = String::new();
    let stderr = child.stderr.take().expect("it is a pipe");
    BufReader::new(stderr).read_line(&mut said).expect("it says where to watch");
    let page = said.trim_end().strip_prefix("tidings: watch at ").expect("it says where to watch");

    let browser = Session::start().await;
    browser.open(page).await;
    let lines = "[...document.querySelectorAll('.line .text')].map((line) => line.textContent)";
    for count in 1..=3 {
        let shown = browser.wait_for(&format!("{lines}.length === {count} && {lines}")).await;
        assert_eq!(shown, json!((1..=count).map(|number| number.to_string()).collect::<Vec<_>>()));
        File::create(folder.path().join(count.to_string())).expect("the folder can be written to");
    }
    browser.wait_for("document.querySelector('.title .state').dataset.state === 'failed'").await;
    assert_eq!(child.wait().expect("it ends").code(), Some(3));
}
