//! The tests of what a browser loads, as far as they need none: they run in Node.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use super::runner::{Runner, Step};
use crate::Result;
use crate::demo::program;
use crate::install::Install;
use crate::node;
use crate::workspace::Workspace;

const PACKAGE: &str = "tidings-web";
/// The folder of the tests in the package. Its lock file names the tools that they use.
const TESTS: &str = "tests/js";
/// Tells the tests where the server is that they start.
const SERVER_VARIABLE: &str = "TIDINGS_SERVER";

pub(super) fn steps(runner: &mut Runner, workspace: &Workspace, install: Install) -> Result<Vec<Step>> {
    node::obtain(install)?;
    let package = workspace.package(PACKAGE).ok_or_else(|| format!("there is no package {PACKAGE}"))?;
    let folder = workspace.root.join(package.path(TESTS));
    let server = super::outside::build(program::SERVER)?;
    let tests = test_files(&folder).map_err(|error| format!("can't read {}: {error}", folder.display()))?;

    let mut tools = Command::new("npm");
    tools.args(["ci", "--no-audit", "--no-fund"]).current_dir(&folder).stdin(Stdio::null());
    // The tests need what it installs.
    runner.run(Step::check(tools));
    let mut node = Command::new("node");
    node.args(["--test", "--test-reporter=tap"]).args(tests);
    node.current_dir(&folder).env(SERVER_VARIABLE, server).stdin(Stdio::null());
    Ok(vec![Step::test_node(PACKAGE, node)])
}

/// The files with tests, by name: what Node makes of a folder differs from version to version.
fn test_files(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.extend(entry?.file_name().into_string().ok().filter(|name| name.ends_with(".test.js")));
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_found_by_name() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.test.js", "a.test.js", "package.json", "support.js"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(test_files(folder.path()).unwrap(), ["a.test.js", "b.test.js"]);
    }
}
