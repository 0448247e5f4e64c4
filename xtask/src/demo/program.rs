//! Builds the server.

use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;

use crate::Result;
use crate::workspace::cargo;

/// The package, and the program in it.
const SERVER: &str = "tidings-server";

/// Builds the server with all transports, with cargo's own progress on the terminal. Gives the program's path.
///
/// Cargo is killed if the future is dropped.
pub(crate) async fn build() -> Result<PathBuf> {
    println!("building {SERVER}: a matter of minutes the first time, of seconds after that");
    let mut command = Command::from(cargo());
    command
        .args(["build", "--package", SERVER, "--no-default-features", "--features", "full"])
        // The only way to learn where the program is that holds for every configuration of cargo.
        .args(["--message-format", "json-render-diagnostics"])
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    let built = command.spawn().map_err(|error| format!("can't run cargo: {error}"))?.wait_with_output().await?;
    if !built.status.success() {
        return Err(format!("{SERVER} can't be built ({})", built.status).into());
    }
    let messages = String::from_utf8(built.stdout)?;
    Ok(messages.lines().find_map(executable).ok_or("cargo does not say where the program is")?)
}

/// The path of the server, in the message that tells of it.
fn executable(message: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    let is_server = message["target"]["name"] == SERVER;
    message["executable"].as_str().filter(|_| is_server).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_found_among_cargos_messages() {
        let library = r#"{"reason":"compiler-artifact","target":{"name":"tidings-server"},"executable":null}"#;
        let other = r#"{"reason":"compiler-artifact","target":{"name":"other"},"executable":"/t/other"}"#;
        let program = r#"{"reason":"compiler-artifact","target":{"name":"tidings-server"},"executable":"/t/server"}"#;
        let end = r#"{"reason":"build-finished","success":true}"#;
        assert_eq!([library, other, end, "no JSON"].into_iter().find_map(executable), None);
        assert_eq!([library, other, program, end].into_iter().find_map(executable), Some(PathBuf::from("/t/server")));
    }
}
