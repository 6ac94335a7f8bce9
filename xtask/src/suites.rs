//! `cargo xtask test`: every test suite of the repository, one total.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use crate::models;
use crate::process::{self, Failure, Result, cargo, or_fail, shown};
use crate::programs;
use crate::tally::Tally;

/// A test suite whose program prints what [`Tally`] reads.
struct Suite {
    name: &'static str,
    command: Command,
}

/// All suites. Each runs to its end even if one before it failed.
fn all() -> Vec<Suite> {
    let mut models = models::cargo("test");
    // With what each model explored.
    models.args(["--no-fail-fast", "--test", "models", "--", "--show-output"]);
    vec![
        Suite {
            name: "Rust: unit, integration and documentation tests of every crate",
            command: cargo(["test", "--workspace", "--all-features", "--locked", "--no-fail-fast"]),
        },
        Suite {
            name: "Simulator: 2,000 seeds, a test each, and every kind of fault and error",
            command: programs::sim_gate(),
        },
        Suite { name: "Models: every interleaving of the core's concurrency kernels", command: models },
    ]
}

/// Runs all suites. The last line printed is the total.
pub fn run() -> Result {
    let mut tally = Tally::default();
    let done = prepare().and_then(|()| all().into_iter().try_for_each(|suite| run_suite(suite, &mut tally)));
    if let Err(failure) = done {
        tally.failed += 1;
        failure.report();
    }
    if tally.ignored > 0 {
        println!("{} ignored", tally.ignored);
    }
    println!("{tally}");
    if tally.is_good() { Ok(()) } else { Err(Failure::Exit(1)) }
}

/// Fetches what the suites need, so that they themselves run without a network.
fn prepare() -> Result {
    eprintln!("Fetching the crates that Cargo.lock names (into cargo's own cache; nothing else is installed).");
    process::run(&mut cargo(["fetch", "--locked"]))
}

fn run_suite(mut suite: Suite, tally: &mut Tally) -> Result {
    let line = shown(&suite.command);
    eprintln!("\n{}\n$ {line}", suite.name);
    let failed_before = tally.failed;
    // stderr (compiler errors and all) goes straight to the user.
    let mut child = or_fail(suite.command.stdout(Stdio::piped()).spawn(), format!("cannot run `{line}`"))?;
    if let Some(output) = child.stdout.take() {
        stream(&mut BufReader::new(output), tally)?;
    }
    let status = or_fail(child.wait(), format!("`{line}`"))?;
    tally.end(failed_before, status.success());
    Ok(())
}

/// Passes the output on, line by line as it comes, counting.
fn stream(output: &mut impl BufRead, tally: &mut Tally) -> Result {
    let mut stdout = std::io::stdout().lock();
    let mut line = Vec::new();
    loop {
        line.clear();
        if or_fail(output.read_until(b'\n', &mut line), "reading the output of the tests")? == 0 {
            return Ok(());
        }
        or_fail(stdout.write_all(&line).and_then(|()| stdout.flush()), "printing the output of the tests")?;
        tally.line(String::from_utf8_lossy(&line).trim_end());
    }
}
