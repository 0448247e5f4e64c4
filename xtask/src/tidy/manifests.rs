//! Every crate is where its name says, and inherits what the workspace decides.

use toml::Value;

use super::Finding;
use crate::workspace::{At, Package, Workspace};

/// The one package whose folder has another name: there it is the example of a server, to its users it is Tidings'
/// server.
const OTHERWISE_NAMED: &[(&str, &str)] = &[("examples/server", "tidings-server")];
/// What the workspace decides for all.
const INHERITED: &[&str] = &["version", "edition", "rust-version", "license", "publish"];

pub(super) fn check(workspace: &Workspace) -> Vec<Finding> {
    workspace.packages.iter().flat_map(|package| folder(package).into_iter().chain(inherits(package))).collect()
}

fn folder(package: &Package) -> Option<Finding> {
    let folder = package.folder.rsplit('/').next().unwrap_or(&package.folder);
    let is_as_it_should = folder == package.name || OTHERWISE_NAMED.contains(&(&package.folder, &package.name));
    (!is_as_it_should).then(|| {
        let problem = format!("the crate in this folder is called {}", package.name);
        Finding::new(package.path("Cargo.toml"), problem, "give folder and crate the same name")
    })
}

fn inherits(package: &Package) -> Vec<Finding> {
    let path = package.path("Cargo.toml");
    let is_true = |key: &str| package.manifest.at(key).and_then(Value::as_bool) == Some(true);
    let mut findings = Vec::new();
    for key in INHERITED {
        if !is_true(&format!("package.{key}.workspace")) {
            findings.push(Finding::new(
                &path,
                format!("its {key} is its own"),
                format!("write {key}.workspace = true"),
            ));
        }
    }
    if !is_true("lints.workspace") {
        findings.push(Finding::new(&path, "the workspace's lints are not on", "write workspace = true under [lints]"));
    }
    for table in ["dependencies", "dev-dependencies", "build-dependencies"] {
        for (name, value) in package.manifest.get(table).and_then(Value::as_table).into_iter().flatten() {
            let inherits = value.as_table().and_then(|value| value.at("workspace")).and_then(Value::as_bool);
            if inherits != Some(true) {
                let problem = format!("it decides on {name}'s version by itself");
                findings.push(Finding::new(&path, problem, format!("write {name}.workspace = true")));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::sample::{assert_one, with};
    use super::*;

    const SSE: &str = "crates/tidings-sse/Cargo.toml";

    #[test]
    fn a_crate_in_a_folder_of_another_name_is_found() {
        assert_one(&check(&with(SSE, "name = 'tidings-sse'", "name = 'tidings-events'")), SSE, "tidings-events");
    }

    #[test]
    fn what_is_not_inherited_is_found() {
        for key in INHERITED {
            let workspace = with(SSE, &format!("\n{key}.workspace = true\n"), &format!("\n{key} = 'other'\n"));
            assert_one(&check(&workspace), SSE, &format!("{key}.workspace = true"));
        }
        assert_one(&check(&with(SSE, "[lints]\nworkspace = true", "[lints]")), SSE, "lints");
    }

    #[test]
    fn a_version_of_its_own_is_found() {
        for other in ["tidings-core = '1'", "tidings-core = { path = '../tidings-core' }"] {
            assert_one(
                &check(&with(SSE, "tidings-core.workspace = true", other)),
                SSE,
                "tidings-core.workspace = true",
            );
        }
    }
}
