//! Each transport stands in every list that has to name it, and none stands in one only. So does each other part that
//! hosts switch on by a feature.

use std::collections::BTreeSet;

use super::Finding;
use crate::workspace::{Package, Workspace};

const FACADE: &str = "tidings";
const SERVER: &str = "tidings-server";
/// Crates that define or try out notifiers without being a transport.
const NO_TRANSPORTS: &[&str] = &[super::layers::CORE, "tidings-testkit", FACADE];
/// Features of the hosts that are no transports, each with a crate of its own. They are on by default.
pub(crate) const OTHER_PARTS: &[&str] = &["web"];
/// Features that concern a host alone. They are part of `full`, and on where somebody asks for them.
pub(crate) const OWN_MATTERS: &[&str] = &["jemalloc"];
/// A transport whose crate depends on this needs a broker, and is on only where somebody asks for it.
const BROKER_CLIENT: &str = "lapin";

pub(super) fn check(workspace: &Workspace) -> Vec<Finding> {
    let in_code = in_code(workspace);
    let mut findings = Vec::new();
    if in_code.is_empty() {
        findings.push(Finding::new("crates", "no crate implements Notifier", "look at how tidy finds transports"));
    }
    for name in &in_code {
        findings.extend(check_crate(workspace, name));
    }
    for host in [FACADE, SERVER] {
        match workspace.package(host) {
            Some(package) => findings.extend(check_features(workspace, package, &in_code)),
            None => findings.push(Finding::new("Cargo.toml", format!("there is no {host}"), "add it to the members")),
        }
    }
    for name in &in_code {
        findings.extend(check_facade(workspace, name));
        findings.extend(check_server(workspace, name));
    }
    for part in OTHER_PARTS {
        findings.extend(check_facade(workspace, part));
        if in_code.contains(*part) {
            let path = format!("crates/{}", crate_of(part));
            findings.push(Finding::new(
                path,
                format!("{part} is a transport"),
                "take it off tidy's list of other parts",
            ));
        }
    }
    findings
}

/// The transports by what implements them: crates in whose sources there is a `Notifier`.
pub(super) fn in_code(workspace: &Workspace) -> BTreeSet<String> {
    let is_transport = |package: &&Package| {
        let src = package.path("src");
        package.folder.starts_with("crates/")
            && !NO_TRANSPORTS.contains(&package.name.as_str())
            && workspace.rust_files(&src).any(|(_, text)| text.contains("Notifier for "))
    };
    let name = |package: &Package| package.name.strip_prefix("tidings-").unwrap_or(&package.name).to_owned();
    workspace.packages.iter().filter(is_transport).map(name).collect()
}

pub(super) fn crate_of(transport: &str) -> String {
    format!("tidings-{transport}")
}

fn check_crate(workspace: &Workspace, name: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let Some(package) = workspace.package(&crate_of(name)) else {
        let fix = format!("call the crate {}", crate_of(name));
        return vec![Finding::new(format!("crates/{name}/Cargo.toml"), "a transport without the prefix tidings-", fix)];
    };
    let conformance = package.path("tests/conformance.rs");
    if !workspace.files.contains_key(&conformance) {
        findings.push(Finding::new(conformance, "it is missing", "run the testkit's suite over the transport in it"));
    }
    findings
}

/// The features of a host: one for each transport and each other part, all of them in `full`, and by default those that
/// need no broker.
fn check_features(workspace: &Workspace, host: &Package, transports: &BTreeSet<String>) -> Vec<Finding> {
    let path = host.path("Cargo.toml");
    let mut findings = Vec::new();
    let mut find = |problem: String, fix: String| findings.push(Finding::new(&path, problem, fix));

    let concerns_parts = |name: &&str| !OWN_MATTERS.contains(name);
    let features: BTreeSet<&str> =
        host.features().into_iter().filter(|name| *name != "full").filter(concerns_parts).collect();
    let all: BTreeSet<&str> = transports.iter().map(String::as_str).chain(OTHER_PARTS.iter().copied()).collect();
    for name in all.difference(&features) {
        find(format!("there is no feature {name}"), format!("add {name} = [\"{}\"]", turns_on(host, name)));
    }
    for name in features.difference(&all) {
        find(
            format!("the feature {name} is no transport"),
            format!("remove it, or implement Notifier in {}", crate_of(name)),
        );
    }
    for name in features.intersection(&all) {
        let wanted = turns_on(host, name);
        if !host.feature(name).contains(wanted.as_str()) {
            find(format!("the feature {name} does not turn its crate on"), format!("add \"{wanted}\" to it"));
        }
    }
    let own = host.features().into_iter().filter(|name| OWN_MATTERS.contains(name));
    let whole: BTreeSet<&str> = all.iter().copied().chain(own).collect();
    if host.feature("full") != whole {
        find("full is not all there is".to_owned(), format!("make it {whole:?}"));
    }
    let needs_broker =
        |name: &&str| workspace.package(&crate_of(name)).is_some_and(|package| package.depends_on(BROKER_CLIENT));
    let without_broker: BTreeSet<&str> = all.iter().copied().filter(|name| !needs_broker(name)).collect();
    if host.feature("default") != without_broker {
        find("the default is not all that needs no broker".to_owned(), format!("make it {without_broker:?}"));
    }
    findings
}

/// What the feature of a part has to turn on.
fn turns_on(host: &Package, part: &str) -> String {
    if host.name == FACADE { format!("dep:{}", crate_of(part)) } else { format!("{FACADE}/{part}") }
}

fn check_facade(workspace: &Workspace, name: &str) -> Option<Finding> {
    let path = "crates/tidings/src/lib.rs";
    let text = workspace.files.get(path).map_or("", String::as_str);
    let reexport = format!("pub use {}", crate_of(name).replace('-', "_"));
    let gate = gate(name);
    let has_both = text.lines().zip(text.lines().skip(1)).any(|(line, next)| {
        line.contains(&gate) && next.strip_prefix(&reexport).is_some_and(|rest| rest.starts_with([' ', ':', ';']))
    });
    (!has_both).then(|| {
        let fix = format!("add #[cfg({gate})] and, on the next line, {reexport}");
        Finding::new(path, format!("the facade does not re-export {name}"), fix)
    })
}

/// The server names a transport in one place, its list: whatever else depends on it hangs on what stands there.
fn check_server(workspace: &Workspace, name: &str) -> Option<Finding> {
    let gate = gate(name);
    let places = workspace.rust_files("examples/server/src").filter(|(_, text)| text.contains(&gate));
    match places.map(|(path, _)| path).collect::<Vec<_>>()[..] {
        [_] => None,
        [] => {
            let problem = format!("the server's list does not name the transport {name}");
            Some(Finding::new("examples/server/src", problem, format!("add its line, under #[cfg({gate})]")))
        }
        [path, ..] => {
            let problem = format!("the server asks for {gate} in more than one file");
            Some(Finding::new(path, problem, "leave it to the file with the list of transports"))
        }
    }
}

/// What stands in a `cfg` for a transport.
fn gate(name: &str) -> String {
    format!("feature = \"{name}\"")
}

#[cfg(test)]
mod tests {
    use super::super::sample::{assert_one, with, with_file, without, workspace};
    use super::*;

    const FACADE_TOML: &str = "crates/tidings/Cargo.toml";
    const FACADE_RS: &str = "crates/tidings/src/lib.rs";
    const SERVER_TOML: &str = "examples/server/Cargo.toml";
    const SERVER_LIST: &str = "examples/server/src/transports.rs";

    #[test]
    fn finds_transports_by_their_notifier() {
        assert_eq!(in_code(&workspace()), BTreeSet::from(["amqp".to_owned(), "sse".to_owned()]));
    }

    #[test]
    fn a_repository_without_transports_is_not_tidy() {
        let mut workspace = workspace();
        workspace.files.retain(|path, _| !path.ends_with("relay.rs"));
        let findings = check(&workspace);
        assert!(findings.iter().any(|finding| finding.problem == "no crate implements Notifier"), "{findings:#?}");
    }

    #[test]
    fn a_transport_without_conformance_tests_is_found() {
        let path = "crates/tidings-sse/tests/conformance.rs";
        assert_one(&check(&without(path)), path, "missing");
    }

    #[test]
    fn a_new_crate_is_missed_in_every_list() {
        let mut files = workspace().files;
        let manifest = files["crates/tidings-sse/Cargo.toml"].replace("tidings-sse", "tidings-web-socket");
        files.insert("crates/tidings-web-socket/Cargo.toml".to_owned(), manifest);
        files.insert("crates/tidings-web-socket/src/lib.rs".to_owned(), "impl Notifier for W {}".to_owned());
        let findings = check(&Workspace::new("/nowhere".as_ref(), files).unwrap());
        let paths: Vec<&str> = findings.iter().map(|finding| finding.path.as_str()).collect();
        let conformance = "crates/tidings-web-socket/tests/conformance.rs";
        // In each manifest it is missed three times: as a feature, in `full` and in `default`.
        let [facade, server] = [FACADE_TOML, SERVER_TOML];
        let expected = [conformance, facade, facade, facade, server, server, server, FACADE_RS, "examples/server/src"];
        assert_eq!(paths, expected, "{findings:#?}");
    }

    #[test]
    fn a_feature_without_a_transport_is_found() {
        for path in [FACADE_TOML, SERVER_TOML] {
            assert_one(&check(&with(path, "[features]", "[features]\nsmoke = []")), path, "smoke is no transport");
        }
    }

    #[test]
    fn a_part_that_is_no_transport_stands_in_the_lists_too() {
        for path in [FACADE_TOML, SERVER_TOML] {
            assert_one(
                &check(&with(path, "full = ['sse', 'amqp', 'web']", "full = ['sse', 'amqp']")),
                path,
                "full is not",
            );
            assert_one(&check(&with(path, "default = ['sse', 'web']", "default = ['sse']")), path, "no broker");
        }
        assert_one(&check(&with(SERVER_TOML, "['tidings/web']", "[]")), SERVER_TOML, "\"tidings/web\"");
        assert_one(&check(&with(FACADE_RS, "pub use tidings_web as web;", "")), FACADE_RS, "pub use tidings_web");
    }

    #[test]
    fn what_concerns_a_host_alone_is_in_full_and_not_in_default() {
        let lists = "default = ['sse', 'web']\nfull = ['sse', 'amqp', 'web']\n";
        let findings = |default: &str, full: &str| {
            let own =
                format!("default = ['sse', 'web'{default}]\nfull = ['sse', 'amqp', 'web'{full}]\njemalloc = []\n");
            check(&with(SERVER_TOML, lists, &own))
        };
        assert_eq!(findings("", ", 'jemalloc'"), []);
        assert_one(&findings("", ""), SERVER_TOML, "full is not");
        assert_one(&findings(", 'jemalloc'", ", 'jemalloc'"), SERVER_TOML, "no broker");
    }

    #[test]
    fn a_transport_that_is_listed_as_none_is_found() {
        let findings = check(&with_file("crates/tidings-web/src/socket.rs", "impl Notifier for Web {}\n"));
        let paths: Vec<_> = findings.iter().map(|finding| finding.path.as_str()).collect();
        assert!(paths.contains(&"crates/tidings-web"), "{findings:#?}");
    }

    #[test]
    fn a_feature_that_turns_nothing_on_is_found() {
        assert_one(&check(&with(FACADE_TOML, "['dep:tidings-sse']", "[]")), FACADE_TOML, "\"dep:tidings-sse\"");
        assert_one(&check(&with(SERVER_TOML, "['tidings/sse']", "[]")), SERVER_TOML, "\"tidings/sse\"");
    }

    #[test]
    fn full_and_default_are_held_to_the_transports() {
        for path in [FACADE_TOML, SERVER_TOML] {
            assert_one(&check(&with(path, "full = ['sse', 'amqp', ", "full = ['sse', ")), path, "full is not all");
            assert_one(&check(&with(path, "default = ['sse', ", "default = ['sse', 'amqp', ")), path, "no broker");
            assert_one(&check(&with(path, "default = ['sse', ", "default = [")), path, "no broker");
        }
    }

    #[test]
    fn a_missing_or_open_re_export_is_found() {
        assert_one(&check(&with(FACADE_RS, "pub use tidings_sse as sse;", "")), FACADE_RS, "pub use tidings_sse");
        assert_one(&check(&with(FACADE_RS, "tidings_sse as", "tidings_sse_two as")), FACADE_RS, "pub use tidings_sse");
        let ungated = with(FACADE_RS, "#[cfg(feature = \"sse\")]\n", "");
        assert_one(&check(&ungated), FACADE_RS, "#[cfg(feature = \"sse\")]");
    }

    #[test]
    fn the_servers_list_names_each_transport_once() {
        let unnamed = with(SERVER_LIST, "#[cfg(feature = \"sse\")]", "");
        assert_one(&check(&unnamed), "examples/server/src", "does not name the transport sse");
        let twice = with_file("examples/server/src/zeal.rs", "#[cfg(feature = \"sse\")]\nfn more() {}\n");
        assert_one(&check(&twice), SERVER_LIST, "more than one file");
    }
}
