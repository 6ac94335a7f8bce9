//! `cargo xtask test`: every test suite of the repository, one total.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use crate::process::{self, Failure, Result, cargo, or_fail, shown};
use crate::tally::Tally;
use crate::{bindings, models, openapi, programs, web};

/// A test suite whose program prints what [`Tally`] reads.
struct Suite {
    name: &'static str,
    /// Makes ready what the suite needs.
    command: fn() -> Result<Command>,
}

/// All suites. Each runs to its end even if one before it failed.
const SUITES: [Suite; 10] = [
    Suite { name: "Rust: unit, integration and documentation tests of every crate", command: rust },
    Suite {
        name: "Simulator: 2,000 seeds, a test each, and every kind of fault and error",
        command: programs::sim_gate,
    },
    Suite { name: "Models: every interleaving of the core's concurrency kernels", command: all_models },
    Suite { name: "OpenAPI: what the document allows and forbids, thrown at the server", command: openapi::suite },
    Suite { name: "IndexedDB: the storage suite in Chromium", command: web::storage_suite },
    Suite { name: "JavaScript: the npm package in Node", command: web::node_suite },
    Suite { name: "JavaScript: the npm package in Chromium", command: web::browser_suite },
    Suite { name: "Python: the package in an environment of its own", command: bindings::python::suite },
    Suite { name: "Kotlin: the generated sources on the JVM", command: bindings::kotlin::suite },
    Suite { name: "Swift: the generated sources", command: bindings::swift::suite },
];

fn rust() -> Result<Command> {
    Ok(cargo(["test", "--workspace", "--all-features", "--locked", "--no-fail-fast"]))
}

fn all_models() -> Result<Command> {
    let mut models = models::cargo("test");
    // With what each model explored.
    models.args(["--no-fail-fast", "--test", "models", "--", "--show-output"]);
    Ok(models)
}

/// Runs all suites, or those whose name has `only` in it. The last line printed is the total.
pub fn run(only: Option<&str>) -> Result {
    let mut tally = Tally::default();
    let done = prepare().and_then(|()| {
        let mut chosen = SUITES.iter().filter(|suite| only.is_none_or(|word| suite.name.contains(word)));
        chosen.try_for_each(|suite| run_suite(suite, &mut tally))
    });
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

/// Fetches the crates that the suites need.
fn prepare() -> Result {
    eprintln!("Fetching the crates that Cargo.lock names (into cargo's own cache; nothing else is installed).");
    process::run(&mut cargo(["fetch", "--locked"]))
}

fn run_suite(suite: &Suite, tally: &mut Tally) -> Result {
    eprintln!("\n{}", suite.name);
    let mut command = match (suite.command)() {
        Ok(command) => command,
        Err(failure) => {
            // It counts, and the next one gets its turn.
            tally.failed += 1;
            failure.report();
            return Ok(());
        }
    };
    let line = shown(&command);
    eprintln!("$ {line}");
    let failed_before = tally.failed;
    // stderr (compiler errors and all) goes straight to the user.
    let mut child = or_fail(command.stdout(Stdio::piped()).spawn(), format!("cannot run `{line}`"))?;
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
