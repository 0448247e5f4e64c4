//! What this repository's developers run, as `cargo xtask <command>`. CI runs the same.

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;

mod bench;
mod broker;
mod browser;
mod demo;
mod foreign;
mod install;
mod node;
mod test;
mod tidy;
mod workspace;

/// What goes wrong here is told to a person and not acted upon, so a sentence is enough.
type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What the developers of Tidings run.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
enum Command {
    Bench(bench::Options),
    Demo(demo::Options),
    Test(test::Options),
    Tidy(tidy::Options),
}

fn main() -> ExitCode {
    let outcome = match Command::parse() {
        Command::Bench(options) => bench::run(&options),
        Command::Demo(options) => demo::run(&options),
        Command::Test(options) => test::run(&options),
        Command::Tidy(options) => tidy::run(&options),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}
