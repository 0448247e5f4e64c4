//! Builds the programs of this repository.

use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;

use crate::Result;
use crate::workspace::cargo;

/// The server, with all transports.
pub(crate) const SERVER: Program = Program {
    package: "tidings-server",
    name: "tidings-server",
    features: &["--no-default-features", "--features", "full"],
    profile: "dev",
};
/// The command line.
pub(crate) const CLI: Program = Program { package: "tidings-cli", name: "tidings", features: &[], profile: "dev" };

/// A program of this repository.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Program {
    package: &'static str,
    name: &'static str,
    /// What to tell cargo of features.
    features: &'static [&'static str],
    profile: &'static str,
}

impl Program {
    /// The same as it is released.
    pub(crate) fn released(self) -> Self {
        Self { profile: "release", ..self }
    }

    /// Builds it, with cargo's own progress on the terminal. Gives the program's path.
    ///
    /// Cargo is killed if the future is dropped.
    pub(crate) async fn build(self) -> Result<PathBuf> {
        let Self { package, name, features, profile } = self;
        println!("building {name}: a matter of minutes the first time, of seconds after that");
        let mut command = Command::from(cargo());
        command
            .args(["build", "--profile", profile, "--package", package])
            .args(features)
            // The only way to learn where the program is that holds for every configuration of cargo.
            .args(["--message-format", "json-render-diagnostics"])
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let built = command.spawn().map_err(|error| format!("can't run cargo: {error}"))?.wait_with_output().await?;
        if !built.status.success() {
            return Err(format!("{name} can't be built ({})", built.status).into());
        }
        let messages = String::from_utf8(built.stdout)?;
        let path = messages.lines().find_map(|message| self.executable(message));
        Ok(path.ok_or("cargo does not say where the program is")?)
    }

    /// The path of the program, in the message that tells of it.
    fn executable(self, message: &str) -> Option<PathBuf> {
        let message: Value = serde_json::from_str(message).ok()?;
        let is_it = message["target"]["name"] == self.name;
        message["executable"].as_str().filter(|_| is_it).map(PathBuf::from)
    }
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
        assert_eq!([library, other, end, "no JSON"].into_iter().find_map(|message| SERVER.executable(message)), None);
        assert_eq!(
            [library, other, program, end].into_iter().find_map(|message| SERVER.executable(message)),
            Some(PathBuf::from("/t/server"))
        );
    }
}
