//! The pipeline that ships: it installs, builds, tests and releases a small program with cargo, offline.
//!
//! The program's files are part of the server, so that it needs no folder but the scratch one.

use crate::pipeline::{Pipeline, Step};

/// The program in `examples/server/deploy`, file by file.
const FILES: &[(&str, &str)] = &[
    ("Cargo.lock", include_str!("../deploy/Cargo.lock")),
    ("Cargo.toml", include_str!("../deploy/Cargo.toml")),
    ("src/counts.rs", include_str!("../deploy/src/counts.rs")),
    ("src/lib.rs", include_str!("../deploy/src/lib.rs")),
    ("src/main.rs", include_str!("../deploy/src/main.rs")),
    ("src/report.rs", include_str!("../deploy/src/report.rs")),
    ("tests/program.rs", include_str!("../deploy/tests/program.rs")),
];

/// The name that submissions pick it by.
pub(crate) const NAME: &str = "deploy";

pub(crate) fn pipeline() -> Pipeline {
    Pipeline::new([
        step("install", "sh", &["-c", "cargo --version --verbose && cargo fetch --locked --offline"]),
        step("build", "cargo", &["build", "--locked", "--offline", "--verbose"]),
        step("test", "cargo", &["test", "--locked", "--offline"]),
        step("release", "cargo", &["install", "--locked", "--offline", "--path", ".", "--root", "release"]),
    ])
    .with_files(FILES)
}

fn step(name: &str, program: &str, arguments: &[&str]) -> Step {
    Step::new(name, program, arguments)
        // Relative to the scratch folder, wherever the server's own surroundings would put it.
        .with_variable("CARGO_TARGET_DIR", "target")
        .with_variable("CARGO_TERM_COLOR", "never")
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, path::Path};

    use super::*;

    #[test]
    fn every_file_of_the_program_is_carried() {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy"));
        let mut found = BTreeSet::new();
        for below in ["", "src/", "tests/"] {
            for entry in std::fs::read_dir(folder.join(below)).expect("the folder is there") {
                let entry = entry.expect("it can be listed");
                if entry.file_type().expect("it has a type").is_file() {
                    found.insert(format!("{below}{}", entry.file_name().display()));
                }
            }
        }
        assert_eq!(found, FILES.iter().map(|(path, _)| (*path).to_owned()).collect());
    }
}
