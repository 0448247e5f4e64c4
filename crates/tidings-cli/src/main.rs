//! `tidings`: the command line of Tidings.
//!
//! ```text
//! tidings submit pipeline --input '{"pipeline": "deploy"}' --follow
//! tidings follow 01938f6e-7c1a-7b3e-9d52-8f3b2a6c4e10
//! tidings cancel 01938f6e-7c1a-7b3e-9d52-8f3b2a6c4e10 --reason "wrong branch"
//! tidings list --state running
//! tidings run -- make -j4
//! ```
//!
//! `tidings run` makes a job of any command: its lines become the job's log as they come, a percentage that it prints
//! the job's progress, its exit status the outcome. Whoever has the address that it prints watches from anywhere, and may
//! cancel. To the command and to the terminal it is as if it had been run without.
//!
//! # Guarantees
//!
//! - People get progress bars, where both outputs are a terminal; programs get `--json`, the events as the server sent
//!   them; what goes into a pipe without that is the jobs' own lines and nothing else.
//! - The exit code says how a job ended; the table is in [`exit`], and in `tidings --help`.
//! - `run` waits for no server: the command starts, writes and ends as fast as it can. What the server does not take is
//!   kept up to a bound, and what does not fit is counted and told.
//! - A job that is cancelled, whose terminal is closed, or whose `tidings` is killed leaves no process behind.
//!
//! # Knobs
//!
//! `TIDINGS_URL` is the server, `NO_COLOR` switches colours off, everything else is an option: `tidings COMMAND --help`.
//!
//! # When not to use it
//!
//! In a program: there is `tidings-client`. For what must not be seen by whoever can read the server's jobs: the
//! command's arguments and output are there.

mod arguments;
mod exit;
mod jobs;
mod follow;
mod show;
mod bars;
mod run;
mod watch;
mod text;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::{
    arguments::{Arguments, Command},
    exit::Exit,
};

fn main() -> ExitCode {
    if let Some(code) = tidings_process::supervise_if_asked() {
        return code;
    }
    let arguments = Arguments::parse();
    let exit = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            let exit = runtime.block_on(act(arguments));
            // Nobody waits for a read of the terminal that is still under way.
            runtime.shutdown_background();
            exit
        }
        Err(error) => Exit::trouble(&error),
    };
    exit.into()
}

async fn act(Arguments { server, command }: Arguments) -> Exit {
    match command {
        Command::Submit(options) => jobs::submit(server, options).await,
        Command::Follow(options) => follow::run(server, options).await,
        Command::Cancel(options) => jobs::cancel(server, options).await,
        Command::List(options) => jobs::list(server, options).await,
        Command::Run(options) => run::run(server, options).await,
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Arguments::command(), "tidings", &mut std::io::stdout());
            Exit::SUCCEEDED
        }
    }
}
