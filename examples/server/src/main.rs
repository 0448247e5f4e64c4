//! Tidings as a server of its own.

use std::process::ExitCode;

use tidings_server::process;

fn main() -> ExitCode {
    if let Some(code) = process::supervise_if_asked() {
        return code;
    }
    ExitCode::SUCCESS
}
