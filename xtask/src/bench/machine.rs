//! The machine that something was measured on.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};

use super::cores::Cores;

/// What it is, as far as figures depend on it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Machine {
    pub(super) processor: String,
    pub(super) cores: usize,
    pub(super) kernel: String,
    /// Whether the server had a core of its own.
    pub(super) is_pinned: bool,
}

impl Machine {
    /// This one.
    pub(super) fn here(cores: Cores) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let processors = read("/proc/cpuinfo");
        let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        Self {
            processor: model.map_or("unknown", |(_, model)| model).to_owned(),
            cores: processors.lines().filter(|line| line.starts_with("processor")).count(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            is_pinned: cores.server().is_some(),
        }
    }

    /// In a sentence.
    pub(super) fn shown(&self) -> String {
        let Self { processor, cores, kernel, is_pinned } = self;
        let how =
            if *is_pinned { "the server on one and the load on another" } else { "the server and the load on any" };
        format!("{processor}, {cores} cores, {how}; Linux {kernel}")
    }
}

/// The commit that is checked out here, with a `+` where something is not committed. None where git does not tell.
pub(super) fn commit(root: &Path) -> Option<String> {
    let git = |arguments: &[&str]| {
        let done = Command::new("git").current_dir(root).args(arguments).output().ok()?;
        done.status.success().then(|| String::from_utf8_lossy(&done.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short", "HEAD"])?;
    let is_clean = git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty();
    Some(if is_clean { commit } else { commit + "+" })
}
