//! The server as the supervisor of its own steps.

mod support;

use std::{path::Path, process::Command};

use support::{Server, lines};

#[test]
fn a_step_runs_below_the_program_itself_and_is_not_told_its_secrets() {
    let script = "readlink /proc/$PPID/exe; echo ${TIDINGS_AMQP_URL-none}";
    let step = format!("[[pipelines.mine.steps]]\nname = \"look\"\ncommand = [\"sh\", \"-c\", '''{script}''']\n");
    let program = Path::new(env!("CARGO_BIN_EXE_tidings-server")).canonicalize().expect("it is there");
    let mut command = Command::new("env");
    // Nobody listens there, and the server does not mind.
    command.arg("TIDINGS_AMQP_URL=amqp://guest:secret@127.0.0.1:1").arg(&program);
    let server = Server::start_with(command, &step);
    assert_eq!(lines(&server.events(&server.submit("mine"))), [program.to_str().expect("a path"), "none"]);
}
