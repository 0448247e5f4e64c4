//! `cargo xtask bench`: what it costs.

use std::path::PathBuf;
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
mod load;
mod machine;
mod numbers;
mod plan;
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
/// Without PART all parts run but `growth`, which --full adds: five minutes on an idle machine, without the builds. The
/// figures are the medians of several turns. They go to target/bench.json, and are shown beside those of the run before; what
/// has become worse by more than a tenth is pointed out. Parts that did not run keep the figures that they had.
///
/// The parts that measure the server build and start `tidings-server` as anybody would, and watch it from outside: it has
/// one core and the load another, where there are two. Nothing else should be running on the machine.
///
/// The exit code is 0 only if each stream has seen each event, once and in its order. It says nothing about speed.
#[derive(Args)]
pub(crate) struct Options {
    /// Take more turns, longer ones, and the part `growth`: half an hour.
    #[arg(long)]
    full: bool,
    /// Compare with the figures in this file instead of those of the run before.
    #[arg(long, visible_alias = "compare", value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Keep the figures in this file too, to compare with later.
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
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
    let before = Figures::read(options.baseline.as_deref().unwrap_or(&kept))?;
    let figures = match &options.from {
        Some(file) => {
            let figures = Figures::read(file)?;
            for (part, measurement) in &figures.parts {
                println!("\n== {part}");
                print!("{}", compare::table(measurement, before.parts.get(part)));
            }
            figures
        }
        None => measure(options, &before, Figures::read(&kept)?, target)?,
    };
    if options.from.is_none() {
        figures.write(&kept)?;
        println!("\nthe figures are in {}", kept.display());
    }
    if let Some(path) = &options.save {
        figures.write(path)?;
    }
    let (worse, compared) = compare::worse(&figures, &before);
    println!("{worse} of {compared} figures are worse than before by more than 10 %");
    Ok(ExitCode::SUCCESS)
}

/// Runs the parts, and puts their figures in the place of older ones.
fn measure(options: &Options, before: &Figures, kept: Figures, target: PathBuf) -> Result<Figures> {
    let workspace = Workspace::find()?;
    let program = Runtime::new()?.block_on(program::SERVER.released().build())?;
    let cores = Cores::take()?;
    let servers = Servers { program, folder: target.join("bench"), cores };
    let plan = if options.full { Plan::full() } else { Plan::quick() };
    let (machine, commit) = (Machine::here(cores), machine::commit(&workspace.root));
    println!("{}", machine.shown());
    let mut figures = kept;
    for part in Part::value_variants().iter().filter(|part| options.runs(**part)) {
        println!("\n== {}", part.name());
        let started = Instant::now();
        let turns = part.measure(&servers, &plan)?;
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
    Ok(figures)
}

impl Part {
    fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    fn measure(self, servers: &Servers, plan: &Plan) -> Result<Turns> {
        match self {
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
