//! What holds for every source file.

use super::Finding;
use crate::test::MARKS;
use crate::workspace::Workspace;

/// More than this is hard to keep in one's head.
const LONGEST: usize = 500;
/// Files that are longer, each with the reason.
const LONG_FILES: &[(&str, &str)] = &[];
/// Notes to oneself, which belong to where work is planned. Written so that this line is none.
const NOTES: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

pub(super) fn check(workspace: &Workspace) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in &workspace.files {
        findings.extend(notes(path, text));
        if [".rs", ".js"].iter().any(|code| path.ends_with(code)) {
            findings.extend(length(path, text, LONG_FILES));
        }
        if path.ends_with(".rs") {
            findings.extend(attributes(path, text));
        }
    }
    for package in &workspace.packages {
        for root in ["src/lib.rs", "src/main.rs"].map(|root| package.path(root)) {
            let is_documented = |text: &String| text.starts_with("//!") || text.starts_with("#![doc");
            if workspace.files.get(&root).is_some_and(|text| !is_documented(text)) {
                findings.push(Finding::new(root, "it does not say what the crate is", "begin with //!"));
            }
        }
    }
    findings
}

fn notes(path: &str, text: &str) -> Vec<Finding> {
    let is_note = |line: &&str| line.split(|c: char| !c.is_alphanumeric()).any(|word| NOTES.contains(&word));
    text.lines()
        .filter(is_note)
        .map(|line| {
            Finding::new(path, format!("there is a note to oneself: {}", line.trim()), "do it, or open an issue")
        })
        .collect()
}

fn length(path: &str, text: &str, exceptions: &[(&str, &str)]) -> Option<Finding> {
    let lines = text.lines().count();
    let is_listed = exceptions.iter().any(|(long, _)| *long == path);
    if lines > LONGEST && !is_listed {
        let problem = format!("it has {lines} lines");
        return Some(Finding::new(path, problem, "split it, or list it with a reason in xtask/src/tidy/sources.rs"));
    }
    (is_listed && lines <= LONGEST).then(|| {
        Finding::new(path, "it is listed as long and is not", "take it off the list in xtask/src/tidy/sources.rs")
    })
}

/// Exceptions from lints have a reason, and tests are left out for want of a broker or a browser only: nobody runs
/// others.
fn attributes(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (start, line) in lines(text) {
        let Some(attribute) = line.strip_prefix("#[").or_else(|| line.strip_prefix("#![")) else { continue };
        // rustfmt puts the end of a long one on a line of its own.
        let whole = text[start..].split_inclusive(']').next().unwrap_or_default();
        let is_exception = ["allow(", "expect("].iter().any(|lint| {
            attribute.starts_with(lint) || (attribute.starts_with("cfg_attr(") && whole.contains(&format!(" {lint}")))
        });
        if is_exception && !whole.contains("reason =") {
            findings.push(Finding::new(path, format!("{line} has no reason"), "add reason = \"…\""));
        }
        if attribute.starts_with("ignore") && !MARKS.contains(&line) {
            let problem = format!("{line} leaves a test out that nothing runs");
            let fix = format!("remove it, or write one of {}", MARKS.join(", "));
            findings.push(Finding::new(path, problem, fix));
        }
    }
    findings
}

/// The lines without their indentation, each with where it starts.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split_inclusive('\n').scan(0, |end, line| {
        let start = *end + (line.len() - line.trim_start().len());
        *end += line.len();
        Some((start, line.trim()))
    })
}

#[cfg(test)]
mod tests {
    use super::super::sample::{assert_one, with, with_file};
    use super::*;

    const PATH: &str = "crates/tidings-sse/src/frame.rs";

    #[test]
    fn an_exception_without_a_reason_is_found() {
        for attribute in [
            "#[allow(dead_code)]",
            "#![allow(dead_code)]",
            "    #[expect(\n        dead_code,\n    )]",
            "#[cfg_attr(test, allow(dead_code))]",
        ] {
            assert_one(&check(&with_file(PATH, attribute)), PATH, "has no reason");
        }
        for attribute in [
            "#[allow(dead_code, reason = \"used by tests\")]",
            "#[expect(\n    dead_code,\n    reason = \"used by tests\"\n)]",
            "#[cfg_attr(docsrs, doc(cfg(feature = \"sse\")))]",
            "#[derive(Debug)]\n// #[allow(dead_code)] would hide it",
        ] {
            assert_eq!(check(&with_file(PATH, attribute)), []);
        }
    }

    #[test]
    fn a_test_that_nothing_runs_is_found() {
        for attribute in ["#[ignore]", "#[ignore = \"slow\"]"] {
            assert_one(&check(&with_file(PATH, attribute)), PATH, "nothing runs");
        }
        for mark in MARKS {
            assert_eq!(check(&with_file(PATH, mark)), []);
        }
    }

    #[test]
    fn a_long_file_is_found_unless_it_is_listed() {
        let text = "x\n".repeat(LONGEST + 1);
        assert_one(&check(&with_file(PATH, &text)), PATH, "501 lines");
        assert_one(&check(&with_file("web/page.js", &text)), "web/page.js", "501 lines");
        assert_eq!(check(&with_file(PATH, &"x\n".repeat(LONGEST))), []);

        let listed = [(PATH, "a table")];
        assert_eq!(length(PATH, &text, &listed), None);
        assert!(length(PATH, "short", &listed).is_some(), "the list is kept short");
    }

    #[test]
    fn a_note_to_oneself_is_found() {
        for note in NOTES {
            assert_one(&check(&with_file(PATH, &format!("// {note}: later"))), PATH, "note to oneself");
            assert_one(&check(&with_file("docs/plan.md", &format!("- {note}"))), "docs/plan.md", "note to oneself");
        }
        assert_eq!(check(&with_file(PATH, "let mastodon = \"XXXL\";")), []);
    }

    #[test]
    fn a_crate_that_does_not_say_what_it_is_is_found() {
        let lib = "crates/tidings-sse/src/lib.rs";
        assert_one(&check(&with(lib, "//! A transport.\n", "")), lib, "begin with //!");
        let main = "examples/server/src/main.rs";
        assert_one(&check(&with(main, "//! The server.\n", "")), main, "begin with //!");
    }
}
