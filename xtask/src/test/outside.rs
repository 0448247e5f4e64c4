//! The tests that need more than Rust: Node, a broker, a browser, clients that nobody here wrote.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tidings_testkit::broker::{self, Broker};
use tokio::runtime::Runtime;

use super::runner::Step;
use super::{Options, everything, package_command};
use crate::demo::program::{self, Program};
use crate::workspace::{Package, Workspace, cargo};
use crate::{Result, foreign};

/// Marks a test that needs a broker, so that plain `cargo test` names it and leaves it out.
const NEEDS_A_BROKER: &str = "#[ignore = \"needs a broker: cargo xtask test\"]";
/// Marks a test that needs a browser, likewise.
const NEEDS_A_BROWSER: &str = "#[ignore = \"needs a browser: cargo xtask test\"]";
/// Marks a test of clients that nobody here wrote.
const NEEDS_CLIENTS: &str = "#[ignore = \"needs clients from elsewhere: cargo xtask test\"]";
/// All the marks there are.
pub(crate) const MARKS: [&str; 3] = [NEEDS_A_BROKER, NEEDS_A_BROWSER, NEEDS_CLIENTS];

/// Tells the tests where the command line is.
const CLI_VARIABLE: &str = "TIDINGS_CLI";

/// The broker of all parts that need one.
///
/// It is started when the first of them asks for it, and ends when this is dropped.
#[derive(Debug, Default)]
pub(super) struct SharedBroker(Option<Broker>);

impl SharedBroker {
    fn url(&mut self, options: &Options) -> Result<String> {
        if let Some(broker) = &self.0 {
            return Ok(broker.url());
        }
        Ok(self.0.insert(crate::broker::obtain(options.install())?).url())
    }
}

pub(super) fn browser(workspace: &Workspace, options: &Options) -> Result<Vec<Step>> {
    if options.no_browser {
        println!("   browser: left out (--no-browser)");
        return Ok(Vec::new());
    }
    crate::browser::obtain(options.install())
        .map_err(|error| format!("{error}. Or leave these tests out: --no-browser"))?;
    // A copy of its own: the tests of the command line run beside these, and `cargo test` puts its program in the place of
    // this one.
    let built = build(program::CLI)?;
    let cli = built.with_file_name("tidings-beside-a-browser");
    fs::copy(&built, &cli).map_err(|error| format!("{} can't be copied: {error}", built.display()))?;
    let steps = marked(workspace, NEEDS_A_BROWSER).map(|(package, mut command)| {
        // Most of them wait most of the time, for a proxy that has to misbehave for a while.
        command.env(CLI_VARIABLE, &cli).args(["--", "--ignored", "--test-threads=4"]);
        Step::test(&package.name, command)
    });
    Ok(steps.collect())
}

pub(super) fn broker(workspace: &Workspace, options: &Options, broker: &mut SharedBroker) -> Result<Vec<Step>> {
    if options.no_broker {
        println!("   broker: left out (--no-broker)");
        return Ok(Vec::new());
    }
    let url = broker.url(options).map_err(|error| format!("{error}. Or leave these tests out: --no-broker"))?;
    let steps = marked(workspace, NEEDS_A_BROKER).map(|(package, mut command)| {
        // They wait for the broker, or for a node of their own to start, more than they work. But nodes take memory.
        command.env(broker::URL_VARIABLE, &url).args(["--", "--ignored", "--test-threads=3"]);
        Step::test(&package.name, command)
    });
    Ok(steps.collect())
}

pub(super) fn foreign(workspace: &Workspace, options: &Options, broker: &mut SharedBroker) -> Result<Vec<Step>> {
    if options.no_foreign || options.no_broker {
        println!("   foreign: left out ({})", if options.no_foreign { "--no-foreign" } else { "--no-broker" });
        return Ok(Vec::new());
    }
    let needed = foreign::obtain(&workspace.root, options.install()).and_then(|at| Ok((at, broker.url(options)?)));
    let (folder, url) = needed.map_err(|error| format!("{error}. Or leave these tests out: --no-foreign"))?;
    let steps = marked(workspace, NEEDS_CLIENTS).map(|(package, mut command)| {
        command.env(broker::URL_VARIABLE, &url).env(foreign::VARIABLE, &folder).args(["--", "--ignored"]);
        Step::test(&package.name, command)
    });
    Ok(steps.collect())
}

pub(super) fn demo(options: &Options) -> Vec<Step> {
    vec![Step::check(demo_command(options))]
}

/// A comparison that could not fail would be none.
pub(super) fn spoil(options: &Options) -> Vec<Step> {
    let transports: &[&str] = if options.no_broker { &["sse"] } else { &["sse", "amqp"] };
    let steps = transports.iter().map(|transport| {
        let mut command = demo_command(options);
        command.args(["--spoil", transport]);
        Step::fails(command, &format!("{transport} differs from "))
    });
    steps.collect()
}

fn demo_command(options: &Options) -> Command {
    let mut command = cargo();
    command.args(["xtask", "demo", if options.no_broker { "--no-broker" } else { "--need-broker" }]);
    if options.no_install {
        command.arg("--no-install");
    }
    command
}

/// Builds a program that tests start by its path.
pub(super) fn build(program: Program) -> Result<PathBuf> {
    Runtime::new()?.block_on(program.build())
}

/// For each target that has tests with this mark, the command that builds and runs it: in others there may be tests
/// with another mark.
fn marked<'a>(workspace: &'a Workspace, mark: &'a str) -> impl Iterator<Item = (&'a Package, Command)> {
    workspace.packages.iter().flat_map(move |package| {
        let files = workspace.rust_files(&package.folder).filter(|(_, text)| text.contains(mark));
        let targets: BTreeSet<&str> = files.filter_map(|(path, _)| test_target(package, path)).collect();
        targets.into_iter().map(move |target| {
            let mut command = package_command("test", package, &everything(package));
            command.args(["--test", target]);
            (package, command)
        })
    })
}

/// The integration test that a file belongs to: `tests/name.rs` or `tests/name/….rs`.
fn test_target<'a>(package: &Package, path: &'a str) -> Option<&'a str> {
    let below = path.strip_prefix(&package.folder)?.strip_prefix("/tests/")?;
    below.split('/').next()?.split('.').next()
}
