//! Installs the clients from elsewhere that the server is tested with, from their lock files.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::install::{Install, Packaged};
use crate::{Result, node};

/// Where the clients' scripts and their lock files are.
const SCRIPTS: &str = "examples/server/tests/foreign";
/// Tells the tests where they are installed.
pub(crate) const VARIABLE: &str = "TIDINGS_FOREIGN_CLIENTS";
/// What says which packages there are: where none of these has changed, nothing is installed anew.
const LOCKS: &[&str] = &["package-lock.json", "requirements.txt"];
/// Written when all is installed: the locks as they were then.
const STAMP: &str = "installed";

const PYTHON: Packaged = Packaged { name: "Python with venv", packages: &["python3", "python3-venv"] };
const CURL: Packaged = Packaged { name: "curl", packages: &["curl"] };

/// Installs the clients below the target folder, and gives the folder that the tests are to find them in.
pub(crate) fn obtain(root: &Path, install: Install) -> Result<PathBuf> {
    node::obtain(install)?;
    require(&CURL, &mut command("curl", &["--version"]), install)?;
    require(&PYTHON, &mut command("python3", &["-c", "import venv, ensurepip"]), install)?;

    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let folder = env::current_dir()?.join(target).join("foreign");
    copy(&root.join(SCRIPTS), &folder)?;
    let locks = LOCKS.iter().map(|lock| fs::read_to_string(folder.join(lock))).collect::<io::Result<String>>()?;
    let stamp = folder.join(STAMP);
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == locks) {
        return Ok(folder);
    }
    run(command("npm", &["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&folder))?;
    run(command("python3", &["-m", "venv", "--clear", "python"]).current_dir(&folder))?;
    let pip = ["install", "--quiet", "--require-hashes", "--only-binary=:all:", "--requirement", "requirements.txt"];
    run(Command::new(folder.join("python/bin/pip")).args(pip).current_dir(&folder).stdin(Stdio::null()))?;
    fs::write(stamp, locks)?;
    Ok(folder)
}

/// Installs what this command is of, where the command fails.
fn require(packaged: &Packaged, probe: &mut Command, install: Install) -> Result<()> {
    if run(probe).is_ok() { Ok(()) } else { packaged.install(install) }
}

/// Copies the files of a folder: packages are found from where the scripts are, and none is installed among the sources.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs a command whose output is only worth reading if it fails.
fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let done = command.output().map_err(|error| format!("can't run {program}: {error}"))?;
    if done.status.success() {
        return Ok(());
    }
    let (stdout, stderr) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    Err(format!("{program} failed ({}):\n{stdout}{stderr}", done.status).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_not_installed_and_what_is_missing_is_asked_for() {
        let none = Packaged { name: "Teapot", packages: &["teapot"] };
        require(&none, &mut command("true", &[]), Install::Forbidden).unwrap();
        for missing in ["false", "/nonexistent/teapot"] {
            let error = require(&none, &mut command(missing, &[]), Install::Forbidden).unwrap_err().to_string();
            assert!(error.contains("apt-get install teapot"), "{error}");
        }
    }

    #[test]
    fn files_are_copied_and_folders_are_not() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(from.path().join("a.mjs"), "a").unwrap();
        fs::create_dir(from.path().join("node_modules")).unwrap();
        copy(from.path(), &to.path().join("new")).unwrap();
        let copied: Vec<_> = fs::read_dir(to.path().join("new")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(copied, ["a.mjs"]);
    }
}
