//! Counting tests from what test programs print.

/// What the suites have said so far.
///
/// Rust's harness announces `running N tests` and closes with `test result: …`. An announcement that is never closed is a
/// test program that crashed: it counts as one failure, whatever it had printed before. Programs that can be told what to
/// print print the same. Maven and Swift have totals of their own.
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
        } else if let Some([passed, failed, ignored]) = result(line).or_else(|| maven(line)).or_else(|| swift(line)) {
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

/// The same of `[INFO] Tests run: 4, Failures: 1, Errors: 0, Skipped: 0`, the total of all classes. A class's own line goes on
/// with its time.
fn maven(line: &str) -> Option<[u64; 3]> {
    let (level, counts) = line.split_once(' ')?;
    let count = |part: &str, name: &str| part.trim().strip_prefix(name)?.strip_prefix(": ")?.parse::<u64>().ok();
    let parts: Vec<_> = counts.split(',').collect();
    let [run, failures, errors, skipped] = parts[..] else { return None };
    let failed = count(failures, "Failures")? + count(errors, "Errors")?;
    let ignored = count(skipped, "Skipped")?;
    let passed = count(run, "Tests run")?.checked_sub(failed + ignored)?;
    level.starts_with('[').then_some([passed, failed, ignored])
}

/// The same of Swift Testing's `Test run with 3 tests passed after 0.5 seconds.`, behind a sign. Of a run that failed it does
/// not say how many: the program's end tells that there was one.
fn swift(line: &str) -> Option<[u64; 3]> {
    let (_, run) = line.split_once("Test run with ")?;
    let mut words = run.split(' ');
    let count = words.next()?.parse::<u64>().ok()?;
    (matches!(words.next()?, "test" | "tests") && words.find(|word| matches!(*word, "passed" | "failed"))? == "passed")
        .then_some([count, 0, 0])
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
    fn other_harnesses_count_too() {
        let maven = tally(
            "[INFO] Tests run: 3, Failures: 0, Errors: 0, Skipped: 0, Time elapsed: 1 s -- in A\n[ERROR] Tests run: 5, Failures: 1, \
             Errors: 1, Skipped: 1",
            false,
        );
        assert_eq!((maven.passed, maven.failed, maven.ignored), (2, 2, 1));
        assert_eq!(
            tally("\u{2714} Test run with 3 tests passed after 0.5 seconds.", true).to_string(),
            "3 passed, 0 failed"
        );
        let swift = tally("\u{2718} Test run with 3 tests failed after 0.5 seconds with 1 issue.", false);
        assert_eq!(swift.to_string(), "0 passed, 1 failed");
        assert_eq!(tally("Test run with 0 tests passed after 0.1 seconds.", true).to_string(), "0 passed, 0 failed");
    }

    #[test]
    fn lines_that_only_look_alike_do_not_count() {
        let tally =
            tally("running late\nrunning 5 tests at once\ntest result: none\nx test result: ok. 1 passed", true);
        assert_eq!(tally, Tally::default());
    }
}
