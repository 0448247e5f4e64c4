//! `tally [FILE]…`: counts lines, words and characters of files, or of standard input.

use std::io::Read;
use std::process::ExitCode;
use std::{env, fs, io};

use tally::{report, Counts};

fn main() -> ExitCode {
    match run(env::args().skip(1).collect()) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("tally: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(files: Vec<String>) -> Result<String, String> {
    if files.is_empty() {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map_err(|error| error.to_string())?;
        return Ok(report(&[("-".to_owned(), Counts::of(&text))]));
    }
    let count = |file: String| match fs::read_to_string(&file) {
        Ok(text) => Ok((file, Counts::of(&text))),
        Err(error) => Err(format!("{file}: {error}")),
    };
    Ok(report(&files.into_iter().map(count).collect::<Result<Vec<_>, _>>()?))
}
