//! A made-up repository in which everything is as it should be, for the checks' tests to spoil.

use std::collections::BTreeMap;
use std::path::Path;

use super::Finding;
use crate::workspace::Workspace;

/// What every manifest here begins with.
const INHERITED: &str = "version.workspace = true\nedition.workspace = true\nrust-version.workspace = true\n\
                         license.workspace = true\npublish.workspace = true\n[lints]\nworkspace = true\n";

pub(super) fn workspace() -> Workspace {
    build(files())
}

/// The sample with one text put in place of another in one file.
pub(super) fn with(path: &str, old: &str, new: &str) -> Workspace {
    let mut files = files();
    let text = files.get_mut(path).unwrap_or_else(|| panic!("the sample has a {path}"));
    assert!(text.contains(old), "{path} contains {old:?}");
    *text = text.replace(old, new);
    build(files)
}

/// The sample with one file more, or with another text.
pub(super) fn with_file(path: &str, text: &str) -> Workspace {
    let mut files = files();
    files.insert(path.to_owned(), text.to_owned());
    build(files)
}

/// The sample without one file.
pub(super) fn without(path: &str) -> Workspace {
    let mut files = files();
    assert!(files.remove(path).is_some(), "the sample has a {path}");
    build(files)
}

/// Asserts that there is one finding, about that file, which says those words.
#[track_caller]
pub(super) fn assert_one(findings: &[Finding], path: &str, words: &str) {
    match findings {
        [finding] if finding.path == path && finding.to_string().contains(words) => {}
        _ => panic!("expected one finding about {path} that says {words:?}, got {findings:#?}"),
    }
}

fn build(files: BTreeMap<String, String>) -> Workspace {
    Workspace::new(Path::new("/nowhere"), files).expect("the sample's manifests are TOML")
}

fn files() -> BTreeMap<String, String> {
    let host = "[features]\ndefault = ['sse', 'web']\nfull = ['sse', 'amqp', 'web']\n";
    let mut files = BTreeMap::new();
    let mut add = |path: &str, text: String| files.insert(path.to_owned(), text);
    let manifest = |name: &str, rest: &str| format!("[package]\nname = '{name}'\n{INHERITED}{rest}");

    add("Cargo.toml", "[workspace]\nmembers = ['crates/*', 'examples/server']\n".to_owned());
    add("crates/tidings-core/Cargo.toml", manifest("tidings-core", "[dependencies]\nbytes.workspace = true\n"));
    add("crates/tidings-core/src/lib.rs", "//! The core.\n\npub trait Notifier {}\n".to_owned());
    for (name, broker) in [("sse", ""), ("amqp", "lapin.workspace = true\n")] {
        let folder = format!("crates/tidings-{name}");
        let rest = format!("[dependencies]\ntidings-core.workspace = true\n{broker}");
        add(&format!("{folder}/Cargo.toml"), manifest(&format!("tidings-{name}"), &rest));
        add(&format!("{folder}/src/lib.rs"), "//! A transport.\n\nmod relay;\n".to_owned());
        add(&format!("{folder}/src/relay.rs"), "impl Notifier for Transport {}\n".to_owned());
        add(&format!("{folder}/tests/conformance.rs"), "tidings_testkit::conformance!(Transport);\n".to_owned());
    }
    add("crates/tidings-web/Cargo.toml", manifest("tidings-web", "[dependencies]\ntidings-core.workspace = true\n"));
    add("crates/tidings-web/src/lib.rs", "//! No transport.\n".to_owned());
    add(
        "crates/tidings/Cargo.toml",
        manifest(
            "tidings",
            &format!(
                "{host}sse = ['dep:tidings-sse']\namqp = ['dep:tidings-amqp']\nweb = ['dep:tidings-web']\n\
                 [dependencies]\n\
                 tidings-core.workspace = true\n\
                 tidings-sse = {{ workspace = true, optional = true }}\n\
                 tidings-amqp = {{ workspace = true, optional = true }}\n\
                 tidings-web = {{ workspace = true, optional = true }}\n"
            ),
        ),
    );
    add(
        "crates/tidings/src/lib.rs",
        "#![doc = include_str!(\"../../../README.md\")]\n\
         pub use tidings_core::*;\n\
         #[cfg(feature = \"amqp\")]\npub use tidings_amqp as amqp;\n\
         #[cfg(feature = \"sse\")]\npub use tidings_sse as sse;\n\
         #[cfg(feature = \"web\")]\npub use tidings_web as web;\n"
            .to_owned(),
    );
    add(
        "examples/server/Cargo.toml",
        manifest(
            "tidings-server",
            &format!(
                "{host}sse = ['tidings/sse']\namqp = ['tidings/amqp']\nweb = ['tidings/web']\n\
                 [dependencies]\ntidings.workspace = true\n"
            ),
        ),
    );
    add("examples/server/src/main.rs", "//! The server.\n\nmod transports;\n".to_owned());
    add(
        "examples/server/src/transports.rs",
        "        #[cfg(feature = \"sse\")]\n        sse(),\n        #[cfg(feature = \"amqp\")]\n        amqp(),\n"
            .to_owned(),
    );
    add(
        "README.md",
        "# Tidings\n\n```rust\nlet x = 1;\n```\n\n\
         | transport | delay |\n| --- | --- |\n| `sse` | none |\n| `amqp` | none |\n"
            .to_owned(),
    );
    add(
        "ARCHITECTURE.md",
        "| crate | what |\n| `tidings-core` | x |\n| `tidings-sse` | x |\n| `tidings-amqp` | x |\n\
         | `tidings-web` | x |\n| `tidings` | x |\n| `tidings-server` | x |\n"
            .to_owned(),
    );
    files
}
