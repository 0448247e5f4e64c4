//! Who may depend on whom: core on no transport and on nothing that opens a socket, transports on core and not on
//! each other.

use super::{Finding, transports};
use crate::workspace::Workspace;

pub(super) const CORE: &str = "tidings-core";

/// Crates that there are sockets with. tokio needs the first two for its feature `net`, and for nothing else.
const SOCKETS: &[&str] = &["mio", "socket2", "hyper", "hyper-util", "lapin", "reqwest", "async-io", "quinn"];
/// What the standard library opens sockets with.
const SOCKET_TYPES: &[&str] = &["TcpListener", "TcpStream", "UdpSocket", "UnixListener", "UnixStream", "UnixDatagram"];

pub(super) fn check(workspace: &Workspace) -> Vec<Finding> {
    let transports = transports::in_code(workspace);
    let mut findings = Vec::new();
    for package in &workspace.packages {
        let is_core = package.name == CORE;
        let is_transport = transports.iter().any(|transport| package.name == transports::crate_of(transport));
        for (dependency, _) in package.dependencies().filter(|(name, _)| name.starts_with("tidings")) {
            let path = package.path("Cargo.toml");
            if is_core {
                let problem = format!("core depends on {dependency}");
                findings.push(Finding::new(
                    path,
                    problem,
                    "turn the dependency round: core knows no other crate of ours",
                ));
            } else if is_transport && dependency != CORE {
                let problem = format!("a transport depends on {dependency}");
                findings.push(Finding::new(
                    path,
                    problem,
                    "move what both need to core: a transport depends on that alone",
                ));
            }
        }
    }
    let core = workspace.package(CORE).map_or("", |core| core.folder.as_str());
    for (path, text) in workspace.rust_files(core) {
        for socket in SOCKET_TYPES.iter().filter(|socket| text.contains(**socket)) {
            findings.push(Finding::new(path, format!("core uses {socket}"), "leave sockets to transports and servers"));
        }
    }
    findings
}

/// Looks for sockets in what `cargo tree` says that core is built with: what a dependency brings along counts too.
pub(super) fn check_tree(tree: &str) -> Vec<Finding> {
    let crates: Vec<&str> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
    SOCKETS
        .iter()
        .filter(|socket| crates.contains(socket))
        .map(|socket| {
            let problem = format!("core is built with {socket}, which opens sockets");
            let fix = format!("see who brings it: cargo tree --package {CORE} --edges normal --invert {socket}");
            Finding::new(format!("crates/{CORE}/Cargo.toml"), problem, fix)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::sample::{assert_one, with, with_file};
    use super::*;

    #[test]
    fn a_core_that_knows_a_transport_is_found() {
        let core = "crates/tidings-core/Cargo.toml";
        assert_one(&check(&with(core, "bytes", "tidings-sse")), core, "core depends on tidings-sse");
    }

    #[test]
    fn a_transport_that_knows_another_is_found() {
        let sse = "crates/tidings-sse/Cargo.toml";
        let workspace = with(sse, "tidings-core.", "tidings-amqp.workspace = true\ntidings-core.");
        assert_one(&check(&workspace), sse, "depends on tidings-amqp");
    }

    #[test]
    fn a_socket_in_core_is_found() {
        let path = "crates/tidings-core/src/wake.rs";
        assert_one(&check(&with_file(path, "use tokio::net::TcpStream;\n")), path, "TcpStream");
    }

    #[test]
    fn a_socket_that_a_dependency_brings_is_found() {
        let tree = "tidings-core v0.1.0 (/somewhere)\ntokio v1.54.1\nbytes v1.12.1\n";
        assert_eq!(check_tree(tree), []);
        assert_one(&check_tree(&format!("{tree}mio v1.1.0\n")), "crates/tidings-core/Cargo.toml", "mio");
    }
}
