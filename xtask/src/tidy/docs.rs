//! The pages name what there is, and their code is compiled.

use super::{Finding, transports};
use crate::workspace::Workspace;

const README: &str = "README.md";
const ARCHITECTURE: &str = "ARCHITECTURE.md";

pub(super) fn check(workspace: &Workspace) -> Vec<Finding> {
    let mut findings = Vec::new();
    let page = |path: &str| workspace.files.get(path).map_or("", String::as_str);
    for path in [README, ARCHITECTURE] {
        if !workspace.files.contains_key(path) {
            findings.push(Finding::new(path, "it is missing", "write it"));
        }
    }
    for transport in transports::in_code(workspace) {
        let is_its_row = |line: &str| line.starts_with('|') && line.contains(&format!("`{transport}`"));
        if !page(README).lines().any(is_its_row) {
            let fix = format!("add a row with `{transport}` to the table that helps to choose one");
            findings.push(Finding::new(README, format!("no table has a row for the transport {transport}"), fix));
        }
    }
    for package in &workspace.packages {
        let is_shown =
            [format!("`{}`", package.name), format!("`{}`", package.folder), format!("`{}/", package.folder)]
                .iter()
                .any(|reference| page(ARCHITECTURE).contains(reference));
        if !is_shown {
            let fix = format!("add `{}` and what it is", package.folder);
            findings.push(Finding::new(ARCHITECTURE, format!("the map does not show {}", package.name), fix));
        }
    }
    findings.extend(check_code(workspace));
    findings
}

/// A page with Rust code in it has to be part of some crate's documentation, where it is a doc test.
fn check_code(workspace: &Workspace) -> Vec<Finding> {
    let has_code = |text: &str| text.lines().any(|line| line.starts_with("```rust"));
    let includes = |file: &str, text: &str, page: &str| {
        let argument = |line: &str| {
            let (_, rest) = line.split_once("doc = include_str!(\"")?;
            Some(resolve(file, rest.split_once('"')?.0))
        };
        text.lines().filter_map(argument).any(|included| included == page)
    };
    let is_compiled =
        |page: &str| workspace.files.iter().any(|(file, text)| file.ends_with(".rs") && includes(file, text, page));
    workspace
        .files
        .iter()
        .filter(|(path, text)| path.ends_with(README) && has_code(text) && !is_compiled(path))
        .map(|(path, _)| {
            let fix = "add #![doc = include_str!(\"…/README.md\")] to a crate's lib.rs";
            Finding::new(path, "nothing compiles its Rust code", fix)
        })
        .collect()
}

/// The path that a relative one means in a file.
fn resolve(file: &str, relative: &str) -> String {
    let mut parts: Vec<&str> = file.split('/').collect();
    parts.pop();
    for part in relative.split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." => {}
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::super::sample::{assert_one, with, without};
    use super::*;

    #[test]
    fn a_transport_that_the_readme_does_not_know_is_found() {
        assert_one(&check(&with(README, "| `sse` | none |", "`sse` is a transport")), README, "the transport sse");
    }

    #[test]
    fn a_crate_that_the_map_does_not_show_is_found() {
        let workspace = with(ARCHITECTURE, "| `tidings-sse` | x |", "");
        assert_one(&check(&workspace), ARCHITECTURE, "does not show tidings-sse");
        // A crate may be shown by its folder, whole or by the files in it; another folder's name is not its own.
        for (shown, findings) in
            [("crates/tidings-sse", 0), ("crates/tidings-sse/src/lib.rs", 0), ("crates/tidings-ss", 1)]
        {
            let workspace = with(ARCHITECTURE, "| `tidings-sse` | x |", &format!("| `{shown}` | x |"));
            assert_eq!(check(&workspace).len(), findings, "{shown}");
        }
    }

    #[test]
    fn a_missing_page_is_found() {
        for page in [README, ARCHITECTURE] {
            let findings = check(&without(page));
            assert!(findings.iter().any(|finding| finding.path == page && finding.problem == "it is missing"));
        }
    }

    #[test]
    fn code_that_nothing_compiles_is_found() {
        let lib = "crates/tidings/src/lib.rs";
        assert_one(&check(&with(lib, "#![doc = include_str!", "// include_str!")), README, "nothing compiles");
        assert_one(&check(&with(lib, "../../../README.md", "../README.md")), README, "nothing compiles");
    }
}
