//! `cargo xtask tidy`: the lists in this repository agree, and its rules hold.
//!
//! Each check is a pure function of the workspace's files, so that its tests need no more than a made-up list of files.

use std::fmt;
use std::process::{Command, ExitCode};

use clap::Args;

use crate::Result;
use crate::workspace::{Workspace, cargo};

mod docs;
mod layers;
mod manifests;
mod sources;
mod transports;

pub(crate) use transports::{OTHER_PARTS, OWN_MATTERS};

#[cfg(test)]
mod sample;

/// Prove that the lists in this repository agree and that its rules hold.
///
/// Each transport stands in every list that must name it, crates are layered as ARCHITECTURE.md says, manifests
/// inherit from the workspace, exceptions from lints have a reason, files are of readable length, and the README's
/// code is compiled. Each finding is one line: the file, what is wrong with it, and how to put it right.
#[derive(Args)]
pub(crate) struct Options {}

/// One thing that is wrong.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    path: String,
    problem: String,
    fix: String,
}

impl Finding {
    fn new(path: impl Into<String>, problem: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { path: path.into(), problem: problem.into(), fix: fix.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.path, self.problem, self.fix)
    }
}

pub(crate) fn run(_: &Options) -> Result<ExitCode> {
    let findings = findings(&Workspace::find()?)?;
    for finding in &findings {
        println!("{finding}");
    }
    Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// All that is wrong with a workspace.
pub(crate) fn findings(workspace: &Workspace) -> Result<Vec<Finding>> {
    let mut findings = check(workspace);
    findings.extend(layers::check_tree(&tree_of_core(workspace)?));
    Ok(findings)
}

/// The checks that look at files only.
fn check(workspace: &Workspace) -> Vec<Finding> {
    let checks = [manifests::check, layers::check, transports::check, sources::check, docs::check];
    checks.into_iter().flat_map(|check| check(workspace)).collect()
}

/// Everything that core is built with, as cargo resolves it: one crate a line.
fn tree_of_core(workspace: &Workspace) -> Result<String> {
    let mut command: Command = cargo();
    command.current_dir(&workspace.root).args(["tree", "--package", layers::CORE]);
    command.args(["--edges", "normal", "--prefix", "none"]);
    let done = command.output().map_err(|error| format!("can't run cargo: {error}"))?;
    if !done.status.success() {
        return Err(format!("cargo tree failed:\n{}", String::from_utf8_lossy(&done.stderr)).into());
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tidy_repository_has_no_findings() {
        assert_eq!(check(&sample::workspace()), []);
    }

    #[test]
    fn a_finding_is_one_line_with_the_file_first() {
        let finding = Finding::new("a/b.rs", "it is wrong", "make it right");
        assert_eq!(finding.to_string(), "a/b.rs: it is wrong; make it right");
    }
}
