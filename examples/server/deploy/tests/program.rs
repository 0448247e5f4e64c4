//! The program as its users run it.

use std::io::Write;
use std::process::{Command, Output, Stdio};

fn tally(arguments: &[&str], input: &str) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_tally"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = program.stdin.take().expect("its input is a pipe");
    // A program that does not read its input may close it first.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    program.wait_with_output().expect("the program ends")
}

#[test]
fn counts_standard_input() {
    let output = tally(&[], "one two\nthree\n");
    assert!(output.status.success());
    assert_eq!(output.stdout, b" 2  3 14 -\n");
}

#[test]
fn counts_files() {
    let output = tally(&["Cargo.toml", "src/lib.rs"], "");
    let text = String::from_utf8(output.stdout).expect("it writes text");
    let names: Vec<_> = text.lines().filter_map(|line| line.split(' ').next_back()).collect();
    assert_eq!(names, ["Cargo.toml", "src/lib.rs", "total"]);
}

#[test]
fn a_missing_file_is_an_error() {
    let output = tally(&["no such file"], "");
    assert!(!output.status.success());
    assert!(output.stdout.is_empty());
    assert!(output.stderr.starts_with(b"tally: no such file: "));
}
