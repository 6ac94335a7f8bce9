//! Counting tests from what the Rust test harness prints.

/// What the suites have said so far.
///
/// The harness announces `running N tests` and closes with `test result: …`. An announcement that is never closed is a
/// test program that crashed: it counts as one failure, whatever it had printed before.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub passed: u64,
    pub failed: u64,
    pub ignored: u64,
    running: bool,
}

impl Tally {
    /// Takes note of one line of output.
    pub fn line(&mut self, line: &str) {
        if announces(line) {
            self.close_crashed();
            self.running = true;
        } else if let Some([passed, failed, ignored]) = result(line) {
            self.running = false;
            self.passed += passed;
            self.failed += failed;
            self.ignored += ignored;
        }
    }

    /// Takes note of the end of a suite. A suite that failed without a failed test did not compile or crashed: that is
    /// one failure, so that the totals never look better than the exit code.
    pub fn end(&mut self, failed_before: u64, success: bool) {
        self.close_crashed();
        if !success && self.failed == failed_before {
            self.failed += 1;
        }
    }

    fn close_crashed(&mut self) {
        if std::mem::take(&mut self.running) {
            self.failed += 1;
        }
    }

    /// Whether everything that ran passed, and something ran.
    pub fn is_good(&self) -> bool {
        self.failed == 0 && self.passed > 0
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// `running 12 tests`
fn announces(line: &str) -> bool {
    let Some(rest) = line.strip_prefix("running ") else { return false };
    let Some((count, what)) = rest.split_once(' ') else { return false };
    count.parse::<u64>().is_ok() && matches!(what.trim_end(), "test" | "tests")
}

/// Passed, failed and ignored of `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; …`
fn result(line: &str) -> Option<[u64; 3]> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let count_of = |what: &str| {
        counts.split(';').find_map(|part| {
            let (count, name) = part.trim().split_once(' ')?;
            (name == what).then(|| count.parse::<u64>().ok())?
        })
    };
    Some([count_of("passed")?, count_of("failed")?, count_of("ignored")?])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(lines: &str, success: bool) -> Tally {
        let mut tally = Tally::default();
        lines.lines().for_each(|line| tally.line(line));
        tally.end(0, success);
        tally
    }

    const TWO_PROGRAMS: &str = "
running 3 tests
test a ... ok
test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s

running 2 tests
test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s
";

    #[test]
    fn totals_are_sums_over_all_programs() {
        let tally = tally(TWO_PROGRAMS, false);
        assert_eq!((tally.passed, tally.failed, tally.ignored), (3, 1, 1));
        assert_eq!(tally.to_string(), "3 passed, 1 failed");
        assert!(!tally.is_good());
    }

    #[test]
    fn a_program_that_crashes_is_a_failure() {
        let crashed_first = tally(
            "running 4 tests\ntest a ... ok\nrunning 1 test\ntest result: ok. 1 passed; 0 failed; 0 ignored; 0 measured",
            false,
        );
        assert_eq!((crashed_first.passed, crashed_first.failed), (1, 1));
        assert_eq!(tally("running 4 tests\n", false).failed, 1);
    }

    #[test]
    fn a_suite_that_does_not_compile_is_a_failure() {
        assert_eq!(tally("", false).to_string(), "0 passed, 1 failed");
    }

    #[test]
    fn nothing_run_is_not_good() {
        assert!(!tally("", true).is_good());
        assert!(tally("running 1 test\ntest result: ok. 1 passed; 0 failed; 0 ignored; 0 measured", true).is_good());
    }

    #[test]
    fn lines_that_only_look_alike_do_not_count() {
        let tally =
            tally("running late\nrunning 5 tests at once\ntest result: none\nx test result: ok. 1 passed", true);
        assert_eq!(tally, Tally::default());
    }
}
