//! `cargo xtask test`: everything that has to pass.

use std::process::{Command, ExitCode};

use clap::{Args, ValueEnum};

use crate::install::Install;
use crate::workspace::{Package, Workspace, cargo};
use crate::{Result, tidy};

mod features;
mod outside;
mod runner;
mod tally;
mod web;

use features::FeatureSet;
pub(crate) use outside::MARKS;
use outside::SharedBroker;
use runner::{Runner, Step};

/// The packages whose features are the transports: each set of them has to work.
const HOSTS: &[&str] = &["tidings", "tidings-server"];
/// How many commands that wait for others, for brokers to start say, run at once.
const AT_ONCE: usize = 4;

/// Run everything that has to pass: checks, tests, and the features' combinations.
///
/// Without PART all parts run, in the order below; some run beside each other. Each command is shown as it begins, and
/// its output if it fails; a failure does not keep the rest from running. The last line is
/// `N passed, N failed, N skipped`: tests, and among the failed also the other commands that failed. The exit code is 0
/// only if nothing failed.
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
/// others. Last are those that run beside each other, and of these first what takes longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The code is formatted.
    Fmt,
    /// The lists in the repository agree: the same as `cargo xtask tidy`.
    Tidy,
    /// No package has a warning, of the compiler or of clippy.
    Clippy,
    /// The documentation has no warning, and its examples work.
    Doc,
    /// The packages with fewer features: the facade and the server in every combination of transports.
    Matrix,
    /// The tests of each package, with all its features.
    Unit,
    /// The tests that need a browser.
    Browser,
    /// The tests that need a broker.
    Broker,
    /// The tests of clients that nobody here wrote: they need a broker too, Node 20, Python and curl.
    Foreign,
    /// The tests of the JavaScript module, in Node.
    Web,
    /// `cargo xtask demo` passes, with AMQP.
    Demo,
    /// `cargo xtask demo` finds one byte that was changed on the way, over HTTP and over AMQP.
    Spoil,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let workspace = Workspace::find()?;
    let mut runner = Runner::default();
    let mut broker = SharedBroker::default();
    let is_asked = |part: &Part| options.parts.is_empty() || options.parts.contains(part);
    let parts: Vec<Part> = Part::value_variants().iter().copied().filter(is_asked).collect();
    for together in parts.chunk_by(|one, next| one.is_beside(*next)) {
        let names: Vec<String> = together.iter().map(|part| part.name()).collect();
        runner.part(&names.join(", "), |runner| {
            let mut steps = Vec::new();
            for part in together {
                let found = match part {
                    Part::Fmt => Ok(fmt()),
                    Part::Tidy => lists_agree(runner, &workspace),
                    Part::Clippy => Ok(clippy(&workspace)),
                    Part::Unit => Ok(unit(&workspace)),
                    Part::Doc => Ok(doc(&workspace)),
                    Part::Matrix => Ok(matrix(&workspace)),
                    Part::Browser => outside::browser(&workspace, options),
                    Part::Broker => outside::broker(&workspace, options, &mut broker),
                    Part::Foreign => outside::foreign(&workspace, options, &mut broker),
                    Part::Web => web::steps(runner, &workspace, options.install()),
                    Part::Demo => Ok(outside::demo(options)),
                    Part::Spoil => Ok(outside::spoil(options)),
                };
                match found {
                    Ok(found) => steps.extend(found),
                    Err(error) => runner.fail(&error.to_string()),
                }
            }
            if together.iter().all(|part| part.mostly_waits()) {
                runner.run_at_once(AT_ONCE, steps);
            } else {
                steps.into_iter().for_each(|step| runner.run(step));
            }
        });
    }
    let passed = runner.summary();
    println!("{}", runner.tally);
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Part {
    /// Parts that mostly wait: those of one row run beside each other.
    ///
    /// The tests of the first start the server as `cargo test` builds it, those of the second as `cargo build` does, and
    /// each of the two programs is put in the place of the other. So no test may run while cargo builds for another row.
    const ROWS: [&[Self]; 2] =
        [&[Self::Unit, Self::Browser, Self::Broker, Self::Foreign], &[Self::Web, Self::Demo, Self::Spoil]];

    /// Whether its steps gain by running beside each other. Those of the others keep all cores busy by themselves.
    fn mostly_waits(self) -> bool {
        Self::ROWS.iter().any(|row| row.contains(&self))
    }

    /// Whether it runs beside another part.
    fn is_beside(self, other: Self) -> bool {
        Self::ROWS.iter().any(|row| row.contains(&self) && row.contains(&other))
    }

    fn name(self) -> String {
        self.to_possible_value().map_or_else(|| format!("{self:?}"), |value| value.get_name().to_owned())
    }
}

fn fmt() -> Vec<Step> {
    let mut command = cargo();
    command.args(["fmt", "--all", "--check"]);
    vec![Step::check(command)]
}

fn lists_agree(runner: &mut Runner, workspace: &Workspace) -> Result<Vec<Step>> {
    tidy::findings(workspace)?.iter().for_each(|finding| runner.fail(&finding.to_string()));
    Ok(Vec::new())
}

fn clippy(workspace: &Workspace) -> Vec<Step> {
    let commands = workspace.packages.iter().map(|package| clippy_command(package, &everything(package)));
    commands.map(Step::check).collect()
}

/// One package at a time: in a build of the whole workspace the features that one package asks of a dependency are
/// there for all, and hide that another has not asked.
fn unit(workspace: &Workspace) -> Vec<Step> {
    // Backwards, as those of the server take the longest, and it is the last but one.
    let packages = workspace.packages.iter().rev();
    packages.map(|package| Step::test(&package.name, unit_command(package, &everything(package)))).collect()
}

fn doc(workspace: &Workspace) -> Vec<Step> {
    let is_library = |package: &&Package| workspace.files.contains_key(&package.path("src/lib.rs"));
    let steps = workspace.packages.iter().filter(is_library).flat_map(|package| {
        let all = everything(package);
        let mut pages = package_command("doc", package, &all);
        pages.arg("--no-deps").env("RUSTDOCFLAGS", "-D warnings");
        let mut examples = package_command("test", package, &all);
        examples.arg("--doc");
        [Step::check(pages), Step::test(&package.name, examples)]
    });
    steps.collect()
}

/// Every package with none and each of its features alone; the hosts moreover with each combination, and they are
/// built and tested with none and each alone. What runs with all features is the other parts' work, but for the
/// build.
///
/// Clippy stands for `cargo check --all-targets` here: it does all that `check` does, and gives its warnings.
fn matrix(workspace: &Workspace) -> Vec<Step> {
    let mut steps = Vec::new();
    for package in &workspace.packages {
        let is_host = HOSTS.contains(&package.name.as_str());
        let sets = if is_host { FeatureSet::combinations(package) } else { FeatureSet::none_and_each(package) };
        for set in sets {
            steps.push(Step::check(clippy_command(package, &set)));
            if is_host && set.is_none_or_one() {
                // Without what the tests depend on, which may hide that the package asks too little of a dependency.
                steps.push(Step::check(package_command("build", package, &set)));
                let mut tests = package_command("test", package, &set);
                tests.arg("--no-fail-fast");
                steps.push(Step::test(&package.name, tests));
            }
        }
        if is_host {
            steps.push(Step::check(package_command("build", package, &everything(package))));
        }
    }
    steps
}

impl Options {
    fn install(&self) -> Install {
        if self.no_install { Install::Forbidden } else { Install::Allowed }
    }
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
