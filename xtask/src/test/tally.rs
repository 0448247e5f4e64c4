//! Counts tests from what libtest and Node print.

use std::collections::HashSet;
use std::fmt;

/// The tests of all parts together.
///
/// A test that is ignored in one run and run in another, as those that need a broker are, was not skipped. So
/// skipped tests are counted by name.
#[derive(Debug, Default)]
pub(super) struct Tally {
    passed: u64,
    failed: u64,
    ran: HashSet<Name>,
    ignored: HashSet<Name>,
}

/// Package, test binary and test.
type Name = (String, String, String);

/// The tests of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) passed: u64,
    pub(super) failed: u64,
}

impl Tally {
    /// Adds what `cargo test` has printed for one package, stdout and stderr in one.
    pub(super) fn add(&mut self, package: &str, printed: &str) -> Counts {
        let mut counts = Counts::default();
        let mut binary = "";
        for line in printed.lines() {
            if let Some(name) = binary_of(line) {
                binary = name;
            } else if let Some(result) = line.strip_prefix("test result: ") {
                counts.passed += count(result, "passed");
                counts.failed += count(result, "failed");
            } else if let Some((test, outcome)) = line.strip_prefix("test ").and_then(|line| line.split_once(" ... ")) {
                // What a test prints past libtest's capture may stand in place of "ok".
                let set = if outcome.starts_with("ignored") { &mut self.ignored } else { &mut self.ran };
                set.insert((package.to_owned(), binary.to_owned(), test.to_owned()));
            }
        }
        self.passed += counts.passed;
        self.failed += counts.failed;
        counts
    }

    /// Adds what `node --test` has printed for one package, in the format of the Test Anything Protocol.
    pub(super) fn add_node(&mut self, package: &str, printed: &str) -> Counts {
        let total = |word: &str| -> u64 {
            printed
                .lines()
                .filter_map(|line| line.strip_prefix("# ")?.strip_prefix(word)?.trim().parse::<u64>().ok())
                .sum()
        };
        // A test is cancelled where it hangs, or where the file that it is in breaks.
        let counts = Counts { passed: total("pass "), failed: total("fail ") + total("cancelled ") };
        for line in printed.lines() {
            let skipped = line.trim_start().strip_prefix("ok ").and_then(|rest| rest.split_once(" # SKIP"));
            if let Some((test, _)) = skipped {
                self.ignored.insert((package.to_owned(), "node".to_owned(), test.to_owned()));
            }
        }
        self.passed += counts.passed;
        self.failed += counts.failed;
        counts
    }

    /// Adds something else than a test that has failed, such as a format check.
    pub(super) fn add_failure(&mut self) {
        self.failed += 1;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let skipped = self.ignored.difference(&self.ran).count();
        write!(f, "{} passed, {} failed, {skipped} skipped", self.passed, self.failed)
    }
}

/// The test binary that cargo says it runs next.
fn binary_of(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let running = line.strip_prefix("Running ").and_then(|rest| rest.split(" (").next());
    running.or_else(|| line.starts_with("Doc-tests ").then_some(line))
}

/// The number before a word, in `ok. 5 passed; 0 failed; …`.
fn count(result: &str, word: &str) -> u64 {
    result.split([';', '.']).filter_map(|field| field.trim().strip_suffix(word)?.trim().parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT: &str = "\
   Compiling tidings-amqp v0.1.0
     Running unittests src/lib.rs (target/debug/deps/tidings_amqp-1)

running 2 tests
test topology::names ... ok
test relay::cursor ... FAILED

test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s

     Running tests/broker.rs (target/debug/deps/broker-2)
test catches_up ... ignored, needs a broker: cargo xtask test
test dead_letters ... ignored, needs a broker: cargo xtask test

test result: ok. 0 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.00s
";

    #[test]
    fn adds_up_the_results_of_several_binaries() {
        let mut tally = Tally::default();
        let counts = tally.add("tidings-amqp", UNIT);
        assert_eq!(counts, Counts { passed: 1, failed: 1 });
        assert_eq!(tally.to_string(), "1 passed, 1 failed, 2 skipped");
        tally.add_failure();
        assert_eq!(tally.to_string(), "1 passed, 2 failed, 2 skipped");
    }

    #[test]
    fn an_ignored_test_that_ran_elsewhere_is_not_skipped() {
        let mut tally = Tally::default();
        tally.add("tidings-amqp", UNIT);
        tally.add("tidings-amqp", UNIT);
        assert_eq!(tally.to_string(), "2 passed, 2 failed, 2 skipped", "ignored twice is skipped once");
        tally.add(
            "tidings-amqp",
            "     Running tests/broker.rs (target/debug/deps/broker-2)\n\
             test catches_up ... a line of its child process\nok\n\
             test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 1 filtered out; finished in 9.99s\n",
        );
        assert_eq!(tally.to_string(), "3 passed, 2 failed, 1 skipped");
    }

    #[test]
    fn nodes_tests_are_counted_too() {
        let mut tally = Tally::default();
        let printed = "TAP version 13\n# Subtest: a\nok 1 - a\nnot ok 2 - b\nok 3 - c # SKIP needs a server\n\
                       1..3\n# tests 5\n# pass 1\n# fail 1\n# cancelled 2\n# skipped 1\n# duration_ms 3\n";
        assert_eq!(tally.add_node("web", printed), Counts { passed: 1, failed: 3 });
        assert_eq!(tally.to_string(), "1 passed, 3 failed, 1 skipped");
        assert_eq!(tally.add_node("web", "node: bad option"), Counts::default());
    }

    #[test]
    fn tests_of_one_name_in_two_packages_are_two() {
        let mut tally = Tally::default();
        let printed = "   Doc-tests x\ntest src/lib.rs - (line 3) ... ignored\n";
        tally.add("a", printed);
        tally.add("b", printed);
        assert_eq!(tally.to_string(), "0 passed, 0 failed, 2 skipped");
    }
}
