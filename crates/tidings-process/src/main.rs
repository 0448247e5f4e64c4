//! A supervisor for commands, and nothing else: see [`tidings_process::Launcher::with_program`].

use std::process::ExitCode;

fn main() -> ExitCode {
    tidings_process::supervise_if_asked().unwrap_or_else(|| {
        eprintln!("tidings-supervisor is started by programs that run commands, and by nobody else");
        ExitCode::FAILURE
    })
}
