//! `cargo xtask test`: everything that has to pass.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use clap::{Args, ValueEnum};
use tidings_testkit::broker;
use tokio::runtime::Runtime;

use crate::demo::program::{self, Program};
use crate::install::Install;
use crate::workspace::{Package, Workspace, cargo};
use crate::{Result, foreign, tidy};

mod features;
mod runner;
mod tally;
mod web;

use features::FeatureSet;
use runner::Runner;

/// The packages whose features are the transports: each set of them has to work.
const HOSTS: &[&str] = &["tidings", "tidings-server"];
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

/// How many tests that wait for others, for brokers to start say, run at once.
const AT_ONCE: usize = 3;

/// Run everything that has to pass: checks, tests, and the features' combinations.
///
/// Without PART all parts run, in the order below. Each command is shown as it begins, and its output if it fails;
/// a failure does not keep the rest from running. The last line is `N passed, N failed, N skipped`: tests, and
/// among the failed also the other commands that failed. The exit code is 0 only if nothing failed.
///
/// Tests that need a broker run against the one that TIDINGS_AMQP_URL names, or else against a private node of the
/// installed RabbitMQ, which ends with the tests. Tests that need a browser drive Chromium, and keep pictures of what
/// they saw in target/screenshots. Where RabbitMQ or Chromium is missing, root on Debian or Ubuntu gets it installed.
///
/// The JavaScript module is tested in Node 20 or newer, with tools that npm takes from a lock file.
#[derive(Args)]
pub(crate) struct Options {
    /// Leave out the tests that need a broker; they count as skipped.
    #[arg(long)]
    no_broker: bool,
    /// Leave out the tests that need a browser; they count as skipped.
    #[arg(long)]
    no_browser: bool,
    /// Leave out the tests of clients that nobody here wrote; they count as skipped.
    #[arg(long)]
    no_foreign: bool,
    /// Never install RabbitMQ, Chromium, Node.js, Python or curl: the tests that need them fail where they are missing.
    #[arg(long)]
    no_install: bool,
    /// Run these parts only.
    #[arg(value_name = "PART")]
    parts: Vec<Part>,
}

/// In the order in which they run: what is quick to fail first, then so that each finds built what it shares with
/// others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The code is formatted.
    Fmt,
    /// The lists in the repository agree: the same as `cargo xtask tidy`.
    Tidy,
    /// No package has a warning, of the compiler or of clippy.
    Clippy,
    /// The tests of each package, with all its features.
    Unit,
    /// The documentation has no warning, and its examples work.
    Doc,
    /// The tests of the JavaScript module, in Node.
    Web,
    /// The tests that need a broker.
    Broker,
    /// The tests that need a browser.
    Browser,
    /// The tests of clients that nobody here wrote: they need a broker too, Node 20, Python and curl.
    Foreign,
    /// The packages with fewer features: the facade and the server in every combination of transports.
    Matrix,
    /// `cargo xtask demo` passes, with AMQP.
    Demo,
    /// `cargo xtask demo` finds one byte that was changed on the way, over HTTP and over AMQP.
    Spoil,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let workspace = Workspace::find()?;
    let mut runner = Runner::default();
    for part in Part::value_variants() {
        if !options.parts.is_empty() && !options.parts.contains(part) {
            continue;
        }
        let value = part.to_possible_value();
        let name = value.as_ref().map_or("part", |value| value.get_name());
        runner.part(name, |runner| match part {
            Part::Fmt => fmt(runner),
            Part::Tidy => lists_agree(runner, &workspace),
            Part::Clippy => clippy(runner, &workspace),
            Part::Unit => unit(runner, &workspace),
            Part::Doc => doc(runner, &workspace),
            Part::Web => web::run(runner, &workspace, options.install()),
            Part::Broker => broker_tests(runner, &workspace, options),
            Part::Browser => browser_tests(runner, &workspace, options),
            Part::Foreign => foreign_tests(runner, &workspace, options),
            Part::Matrix => matrix(runner, &workspace),
            Part::Demo => runner.check(demo(options)),
            Part::Spoil => spoil(runner, options),
        });
    }
    let passed = runner.summary();
    println!("{}", runner.tally);
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn fmt(runner: &mut Runner) {
    let mut command = cargo();
    command.args(["fmt", "--all", "--check"]);
    runner.check(command);
}

fn lists_agree(runner: &mut Runner, workspace: &Workspace) {
    match tidy::findings(workspace) {
        Ok(findings) => findings.iter().for_each(|finding| runner.fail(&finding.to_string())),
        Err(error) => runner.fail(&error.to_string()),
    }
}

fn clippy(runner: &mut Runner, workspace: &Workspace) {
    for package in &workspace.packages {
        runner.check(clippy_command(package, &everything(package)));
    }
}

/// One package at a time: in a build of the whole workspace the features that one package asks of a dependency are
/// there for all, and hide that another has not asked.
fn unit(runner: &mut Runner, workspace: &Workspace) {
    for package in &workspace.packages {
        runner.test(&package.name, unit_command(package, &everything(package)));
    }
}

fn doc(runner: &mut Runner, workspace: &Workspace) {
    let is_library = |package: &&Package| workspace.files.contains_key(&package.path("src/lib.rs"));
    for package in workspace.packages.iter().filter(is_library) {
        let all = everything(package);
        let mut pages = package_command("doc", package, &all);
        pages.arg("--no-deps").env("RUSTDOCFLAGS", "-D warnings");
        runner.check(pages);
        let mut examples = package_command("test", package, &all);
        examples.arg("--doc");
        runner.test(&package.name, examples);
    }
}

fn broker_tests(runner: &mut Runner, workspace: &Workspace, options: &Options) {
    if options.no_broker {
        println!("   left out (--no-broker)");
        return;
    }
    let broker = match crate::broker::obtain(options.install()) {
        Ok(broker) => broker,
        Err(error) => return runner.fail(&format!("{error}. Or leave these tests out: --no-broker")),
    };
    // Nodes take memory, and a fault that one test makes must not fail another: in each target one test at a time.
    let commands = marked(workspace, NEEDS_A_BROKER).map(|(package, mut command)| {
        command.env(broker::URL_VARIABLE, broker.url());
        command.args(["--", "--ignored", "--test-threads=1"]);
        (package.name.clone(), command)
    });
    runner.test_at_once(AT_ONCE, commands);
}

fn foreign_tests(runner: &mut Runner, workspace: &Workspace, options: &Options) {
    if options.no_foreign || options.no_broker {
        println!("   left out ({})", if options.no_foreign { "--no-foreign" } else { "--no-broker" });
        return;
    }
    let needed = || -> Result<_> {
        Ok((crate::broker::obtain(options.install())?, foreign::obtain(&workspace.root, options.install())?))
    };
    let (broker, folder) = match needed() {
        Ok(needed) => needed,
        Err(error) => return runner.fail(&format!("{error}. Or leave these tests out: --no-foreign")),
    };
    for (package, mut command) in marked(workspace, NEEDS_CLIENTS) {
        command.env(broker::URL_VARIABLE, broker.url()).env(foreign::VARIABLE, &folder);
        command.args(["--", "--ignored"]);
        runner.test(&package.name, command);
    }
}

fn browser_tests(runner: &mut Runner, workspace: &Workspace, options: &Options) {
    if options.no_browser {
        println!("   left out (--no-browser)");
        return;
    }
    if let Err(error) = crate::browser::obtain(options.install()) {
        return runner.fail(&format!("{error}. Or leave these tests out: --no-browser"));
    }
    let cli = match build(program::CLI) {
        Ok(cli) => cli,
        Err(error) => return runner.fail(&error.to_string()),
    };
    for (package, mut command) in marked(workspace, NEEDS_A_BROWSER) {
        // Most of them wait most of the time, for a proxy that has to misbehave for a while.
        command.env(CLI_VARIABLE, &cli).args(["--", "--ignored", "--test-threads=4"]);
        runner.test(&package.name, command);
    }
}

/// Builds a program that tests start by its path.
fn build(program: Program) -> Result<PathBuf> {
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

/// Every package with none and each of its features alone; the hosts moreover with each combination, and they are
/// built and tested with none and each alone. What runs with all features is the other parts' work, but for the
/// build.
///
/// Clippy stands for `cargo check --all-targets` here: it does all that `check` does, and gives its warnings.
fn matrix(runner: &mut Runner, workspace: &Workspace) {
    for package in &workspace.packages {
        let is_host = HOSTS.contains(&package.name.as_str());
        let sets = if is_host { FeatureSet::combinations(package) } else { FeatureSet::none_and_each(package) };
        for set in sets {
            runner.check(clippy_command(package, &set));
            if is_host && set.is_none_or_one() {
                // Without what the tests depend on, which may hide that the package asks too little of a dependency.
                runner.check(package_command("build", package, &set));
                let mut tests = package_command("test", package, &set);
                tests.arg("--no-fail-fast");
                runner.test(&package.name, tests);
            }
        }
        if is_host {
            runner.check(package_command("build", package, &everything(package)));
        }
    }
}

/// A comparison that could not fail would be none.
fn spoil(runner: &mut Runner, options: &Options) {
    let transports: &[&str] = if options.no_broker { &["sse"] } else { &["sse", "amqp"] };
    for transport in transports {
        let mut command = demo(options);
        command.args(["--spoil", transport]);
        runner.check_fails(command, &format!("{transport} differs from "));
    }
}

impl Options {
    fn install(&self) -> Install {
        if self.no_install { Install::Forbidden } else { Install::Allowed }
    }
}

fn demo(options: &Options) -> Command {
    let mut command = cargo();
    command.args(["xtask", "demo", if options.no_broker { "--no-broker" } else { "--need-broker" }]);
    if options.no_install {
        command.arg("--no-install");
    }
    command
}

fn clippy_command(package: &Package, features: &FeatureSet) -> Command {
    let mut command = package_command("clippy", package, features);
    // Not through RUSTFLAGS: other flags there would build every dependency anew. And without --no-deps: a crate
    // that was checked as a dependency without lints would be taken for checked when its own turn comes.
    command.args(["--all-targets", "--", "-D", "warnings"]);
    command
}

fn unit_command(package: &Package, features: &FeatureSet) -> Command {
    let mut command = package_command("test", package, features);
    // All but the documentation's examples. One binary that fails does not hide what the next one shows.
    command.args(["--no-fail-fast", "--tests", "--examples"]);
    command
}

fn package_command(subcommand: &str, package: &Package, features: &FeatureSet) -> Command {
    let mut command = cargo();
    command.args([subcommand, "--package", &package.name]).args(features.arguments());
    command
}

/// All that a package has to offer.
fn everything(package: &Package) -> FeatureSet {
    if HOSTS.contains(&package.name.as_str()) { FeatureSet::full() } else { FeatureSet::All }
}
