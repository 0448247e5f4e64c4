//! Runs commands, one after another or beside each other, and keeps the books.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::process::{Command, ExitStatus};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use super::tally::Tally;

/// Runs the commands of all parts.
#[derive(Debug, Default)]
pub(super) struct Runner {
    pub(super) tally: Tally,
    /// One entry for each part that has ended, or for those that ran beside each other.
    parts: Vec<Part>,
    /// What has failed in the part that runs: one line each.
    failures: Vec<String>,
}

#[derive(Debug)]
struct Part {
    name: String,
    took: Duration,
    failures: Vec<String>,
}

/// A command, and what has to come of it. Its output is shown if something else does.
#[derive(Debug)]
pub(super) struct Step {
    command: Command,
    expected: Expected,
}

#[derive(Debug)]
enum Expected {
    Success,
    /// Of `cargo test` for this package.
    Tests(String),
    /// Of `node --test` for this package.
    NodeTests(String),
    /// Exit code 1, and a line that begins with these words.
    Failure(String),
}

/// What is told of steps that run beside each other.
enum Told {
    Begun(String),
    Ended(Box<Step>, Ended),
}

/// A command that was run.
struct Ended {
    took: Duration,
    result: io::Result<(ExitStatus, String)>,
}

impl Step {
    /// A command that is no test.
    pub(super) fn check(command: Command) -> Self {
        Self { command, expected: Expected::Success }
    }

    /// `cargo test` for a package.
    pub(super) fn test(package: &str, command: Command) -> Self {
        Self { command, expected: Expected::Tests(package.to_owned()) }
    }

    /// `node --test` for a package.
    pub(super) fn test_node(package: &str, command: Command) -> Self {
        Self { command, expected: Expected::NodeTests(package.to_owned()) }
    }

    /// A command that has to fail: with exit code 1, and a line that begins with `words`.
    pub(super) fn fails(command: Command, words: &str) -> Self {
        Self { command, expected: Expected::Failure(words.to_owned()) }
    }

    fn run(&mut self) -> Ended {
        let started = Instant::now();
        let result = run(&mut self.command);
        Ended { took: started.elapsed(), result }
    }

    /// As it is shown when it begins.
    fn title(&self) -> String {
        let remark = if matches!(self.expected, Expected::Failure(_)) { " (has to fail)" } else { "" };
        format!("{}{remark}", show(&self.command))
    }
}

impl Runner {
    /// Runs a part, which calls back for each of its commands, and notes whether any of them failed.
    pub(super) fn part(&mut self, name: &str, run: impl FnOnce(&mut Self)) {
        println!("\n== {name}");
        let started = Instant::now();
        run(self);
        let failures = std::mem::take(&mut self.failures);
        self.parts.push(Part { name: name.to_owned(), took: started.elapsed(), failures });
    }

    /// Runs one step.
    pub(super) fn run(&mut self, mut step: Step) {
        print!("   {}", step.title());
        // Progress that can't be shown is no reason to stop.
        let _ = io::stdout().flush();
        let ended = step.run();
        self.note(&step, ended);
    }

    /// Runs steps that do not need each other, so many at once. Those that wait more than they work, for a broker to
    /// start say, are done sooner so.
    pub(super) fn run_at_once(&mut self, limit: usize, steps: Vec<Step>) {
        let left = Mutex::new(VecDeque::from(steps));
        let take = || left.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let (sender, told) = mpsc::channel();
        thread::scope(|scope| {
            for _ in 0..limit {
                let (sender, take) = (sender.clone(), &take);
                scope.spawn(move || {
                    while let Some(mut step) = take() {
                        // Nobody listens any more only if the other side panicked.
                        let _ = sender.send(Told::Begun(step.title()));
                        let ended = step.run();
                        let _ = sender.send(Told::Ended(Box::new(step), ended));
                    }
                });
            }
            drop(sender);
            for told in told {
                match told {
                    Told::Begun(title) => println!("   {title} …"),
                    Told::Ended(step, ended) => {
                        print!("   {}", step.title());
                        self.note(&step, ended);
                    }
                }
            }
        });
    }

    /// Notes a failure that no command has shown.
    pub(super) fn fail(&mut self, why: &str) {
        println!("   {why}");
        self.failures.push(why.to_owned());
        self.tally.add_failure();
    }

    /// Prints the seconds of each part, and what has failed in it. Says whether all of them passed.
    pub(super) fn summary(&self) -> bool {
        println!("\n== summary");
        for Part { name, took, failures } in &self.parts {
            println!("{:>7.1} s  {name}: {}", took.as_secs_f64(), if failures.is_empty() { "ok" } else { "FAILED" });
            for failure in failures {
                println!("           {failure}");
            }
        }
        self.parts.iter().all(|part| part.failures.is_empty())
    }

    /// Prints how a step ended behind its title, and keeps the books.
    fn note(&mut self, step: &Step, ended: Ended) {
        let shown = show(&step.command);
        let seconds = ended.took.as_secs_f64();
        let (status, printed) = match ended.result {
            Ok(done) => done,
            Err(error) => {
                println!();
                return self.fail(&format!("can't run {shown}: {error}"));
            }
        };
        let failed_tests = match &step.expected {
            Expected::Success => 0,
            Expected::Tests(package) => self.tally.add(package, &printed).failed,
            Expected::NodeTests(package) => {
                let counts = self.tally.add_node(package, &printed);
                // Where Node runs no test it says that all is well.
                if counts.passed == 0 { counts.failed.max(1) } else { counts.failed }
            }
            Expected::Failure(words) => {
                if status.code() == Some(1) && printed.lines().any(|line| line.starts_with(words)) {
                    println!(" … it does, as expected, after {seconds:.1} s");
                } else {
                    println!(" … {status}:\n{printed}");
                    self.fail(&format!("{shown}: it should fail, and say {words:?}"));
                }
                return;
            }
        };
        if status.success() && failed_tests == 0 {
            println!(" … {seconds:.1} s");
            return;
        }
        println!(" … FAILED ({status}) after {seconds:.1} s:\n{printed}");
        self.failures.push(shown);
        if failed_tests == 0 {
            self.tally.add_failure();
        }
    }
}

/// Runs a command to its end. Gives what it printed, stdout and stderr in one, in the order in which they came.
fn run(command: &mut Command) -> io::Result<(ExitStatus, String)> {
    let (mut reader, writer) = io::pipe()?;
    command.stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn()?;
    // The command holds the write ends until they are replaced, and the output would never end.
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let mut printed = Vec::new();
    let read = reader.read_to_end(&mut printed);
    let status = child.wait()?;
    read?;
    Ok((status, String::from_utf8_lossy(&printed).into_owned()))
}

/// A command as one would type it, so that a part of it can be run again by hand.
fn show(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let program = program.file_name().unwrap_or(program.as_os_str());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn keeps_the_order_of_stdout_and_stderr() {
        let (status, printed) = run(&mut shell("echo one; echo two >&2; echo three; exit 3")).unwrap();
        assert_eq!(status.code(), Some(3));
        assert_eq!(printed, "one\ntwo\nthree\n");
    }

    #[test]
    fn one_failed_command_fails_its_part_and_no_other() {
        let mut runner = Runner::default();
        runner.part("good", |runner| runner.run(Step::check(shell("exit 0"))));
        assert!(runner.summary());
        runner.part("bad", |runner| {
            runner.run(Step::check(shell("exit 1")));
            runner.run(Step::check(shell("exit 0")));
        });
        runner.part("good again", |runner| runner.run(Step::check(shell("exit 0"))));
        assert!(!runner.summary());
        assert_eq!(runner.tally.to_string(), "0 passed, 1 failed, 0 skipped");
        let failures: Vec<_> = runner.parts.iter().map(|part| part.failures.concat()).collect();
        assert_eq!(failures, ["", "sh -c exit 1", ""]);
    }

    #[test]
    fn failed_tests_are_counted_once_and_a_crash_counts_too() {
        let mut runner = Runner::default();
        runner.part("tests", |runner| {
            runner.run(Step::test("a", shell("echo 'test result: FAILED. 2 passed; 3 failed; 0 ignored'; exit 101")));
            runner.run(Step::test("b", shell("echo 'error: could not compile'; exit 101")));
        });
        assert_eq!(runner.tally.to_string(), "2 passed, 4 failed, 0 skipped");
        assert!(!runner.summary());
    }

    #[test]
    fn so_many_run_at_once_and_all_are_counted() {
        let mut runner = Runner::default();
        let folder = tempfile::tempdir().unwrap();
        // Each of two waits until the other has begun as well.
        let meet = |own: &str, other: &str| {
            let mut command = shell(&format!(
                "touch {own}; until test -e {other}; do :; done; echo 'test result: ok. 1 passed; 0 failed'"
            ));
            command.current_dir(&folder);
            Step::test("a", command)
        };
        let bad = Step::test("b", shell("echo 'test result: FAILED. 0 passed; 1 failed'; exit 101"));
        runner.part("tests", |runner| runner.run_at_once(2, vec![meet("one", "two"), meet("two", "one"), bad]));
        assert_eq!(runner.tally.to_string(), "2 passed, 1 failed, 0 skipped");
        assert!(!runner.summary());
    }

    #[test]
    fn what_has_to_fail_has_to_say_why() {
        let failures = |script: &str| {
            let mut runner = Runner::default();
            runner.part("spoil", |runner| runner.run(Step::fails(shell(script), "sse differs")));
            runner.summary();
            runner.tally.to_string()
        };
        assert_eq!(failures("echo going on; echo sse differs from amqp; exit 1"), "0 passed, 0 failed, 0 skipped");
        for script in ["echo sse differs; exit 0", "echo sse differs; exit 101", "echo the build fails; exit 1"] {
            assert_eq!(failures(script), "0 passed, 1 failed, 0 skipped", "{script}");
        }
    }

    #[test]
    fn a_command_that_is_not_there_is_a_failure() {
        let mut runner = Runner::default();
        runner.part("none", |runner| runner.run(Step::check(Command::new("/nonexistent/program"))));
        assert!(!runner.summary());
    }

    #[test]
    fn shows_a_command_as_one_would_type_it() {
        let mut command = Command::new("/opt/rust/bin/cargo");
        command.args(["test", "-p", "tidings"]);
        assert_eq!(show(&command), "cargo test -p tidings");
    }
}
