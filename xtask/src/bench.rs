//! `cargo xtask bench`: what it costs.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Instant, SystemTime};

use clap::{Args, ValueEnum};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::Result;
use crate::demo::program;
use crate::workspace::{Workspace, cargo};

mod answers;
mod api;
mod compare;
mod cores;
mod crowd;
mod events;
mod figures;
mod growth;
mod instructions;
mod load;
mod machine;
mod numbers;
mod page;
mod paths;
mod plan;
mod plot;
mod pressure;
mod process;
mod reporter;
mod server;
mod turns;
mod whole;

use cores::Cores;
use figures::{Figures, Measurement};
use machine::Machine;
use plan::Plan;
use server::Servers;
use turns::Turns;

/// In the folder that cargo builds into.
const KEPT: &str = "bench.json";

/// Measure what Tidings costs.
///
/// Without PART all parts run but `growth`, which --full adds: five minutes on an idle machine, without the builds.
/// The figures are the medians of several turns. They go to target/bench.json, and are shown beside those of the run
/// before; what has become worse by more than a tenth is pointed out. Parts that did not run keep the figures that they
/// had.
///
/// The parts that measure the server build and start `tidings-server` as anybody would, and watch it from outside: it
/// has one core and the load another, where there are two. Nothing else should be running on the machine.
///
/// The exit code is 0 only if nothing failed, and each stream has seen each event, once and in its order. It says
/// nothing about speed.
#[derive(Args)]
pub(crate) struct Options {
    /// Take more turns, longer ones, and the part `growth`: a quarter of an hour.
    #[arg(long)]
    full: bool,
    /// Compare with the figures in this file instead of those of the run before.
    #[arg(long, visible_alias = "compare", value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Keep the figures in this file too, to compare with later.
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Write the plots and the tables of docs/costs.md.
    #[arg(long)]
    plots: bool,
    /// Measure nothing: take the figures from this file.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["full", "parts"])]
    from: Option<PathBuf>,
    /// Run these parts only.
    #[arg(value_name = "PART")]
    parts: Vec<Part>,
}

/// In the order in which they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The paths inside that everything passes through: `cargo bench --package xtask`.
    Paths,
    /// Instructions of the server for what it does most; left out where there is no Valgrind.
    Instructions,
    /// The whole server: deliveries a second, delay, CPU per delivery, memory of idle clients.
    Server,
    /// The same load beside a log at its bound, clients that never read, and many finished jobs.
    Pressure,
    /// How cost grows with subscribers, jobs, history and the size of events.
    Growth,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let target = target_folder()?;
    let kept = target.join(KEPT);
    let earlier = Figures::read_if_there(&kept)?;
    let before = options.baseline.as_deref().map(Figures::read).transpose()?.unwrap_or_else(|| earlier.clone());
    let (measured, is_good) = match &options.from {
        Some(file) => {
            let figures = Figures::read(file)?;
            for (part, measurement) in &figures.parts {
                println!("\n== {part}");
                print!("{}", compare::table(measurement, before.parts.get(part)));
            }
            (figures, true)
        }
        None => measure(options, &before, &target)?,
    };
    let (worse, compared) = compare::worse(&measured, &before);
    if compared > 0 {
        println!("\n{worse} of {compared} figures are worse than before by more than 10 %");
    }
    let mut figures = measured;
    if options.from.is_none() {
        // What did not run this time is still as it was.
        for (part, measurement) in earlier.parts {
            figures.parts.entry(part).or_insert(measurement);
        }
        figures.write(&kept)?;
        println!("the figures are in {}", kept.display());
    }
    if let Some(path) = &options.save {
        figures.write(path)?;
    }
    if options.plots {
        page::write(&Workspace::find()?.root, &figures)?;
        println!("docs/costs.md and its plots are written");
    }
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs the parts. Gives what they have measured, and whether nothing went wrong in any of them.
fn measure(options: &Options, before: &Figures, target: &Path) -> Result<(Figures, bool)> {
    let workspace = Workspace::find()?;
    let cores = Cores::find()?;
    let (machine, commit) = (Machine::here(cores), machine::commit(&workspace.root));
    println!("{}", machine.shown());
    let parts: Vec<_> = Part::value_variants().iter().filter(|part| options.runs(**part)).collect();
    let program = match parts[..] {
        // The others need a server.
        [Part::Paths] => PathBuf::new(),
        _ => Runtime::new()?.block_on(program::SERVER.released().build())?,
    };
    let servers = Servers { program, wrapper: Vec::new(), folder: target.join("bench"), cores };
    let plan = if options.full { Plan::full() } else { Plan::quick() };
    let (mut figures, mut is_good) = (Figures::default(), true);
    for part in parts {
        println!("\n== {}", part.name());
        let started = Instant::now();
        let turns = match part.measure(target, &servers, &plan) {
            Ok(turns) => turns,
            Err(error) => {
                eprintln!("error: {error}");
                is_good = false;
                continue;
            }
        };
        if turns.is_empty() {
            continue;
        }
        turns.warnings().iter().for_each(|warning| println!("   {warning}"));
        let measurement = Measurement {
            at: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            commit: commit.clone(),
            machine: machine.clone(),
            others_share: turns.others_share(),
            figures: turns.figures(),
        };
        print!("{}", compare::table(&measurement, before.parts.get(&part.name())));
        println!("   {:.0} s", started.elapsed().as_secs_f64());
        figures.parts.insert(part.name(), measurement);
    }
    Ok((figures, is_good))
}

impl Part {
    fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    fn measure(self, target: &Path, servers: &Servers, plan: &Plan) -> Result<Turns> {
        match self {
            Self::Paths => paths::measure(target),
            Self::Instructions => instructions::measure(servers),
            Self::Server => whole::measure(servers, plan),
            Self::Pressure => pressure::measure(servers, plan),
            Self::Growth => growth::measure(servers, plan),
        }
    }
}

impl Options {
    fn runs(&self, part: Part) -> bool {
        if self.parts.is_empty() { self.full || part != Part::Growth } else { self.parts.contains(&part) }
    }
}

/// Where cargo puts what it builds.
fn target_folder() -> Result<PathBuf> {
    let told = cargo().args(["metadata", "--no-deps", "--format-version", "1"]).output()?;
    let told: Value = serde_json::from_slice(&told.stdout).map_err(|error| format!("cargo metadata: {error}"))?;
    Ok(PathBuf::from(told["target_directory"].as_str().ok_or("cargo does not say where it builds")?))
}
