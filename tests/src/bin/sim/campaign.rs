//! Many seeds.

use std::io::{IsTerminal, Write};
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use unisono::testing::sim::{Coverage, Failure, Simulation, Violation};
use unisono_tests::sim::History;

use super::Cli;

/// What is known so far.
#[derive(Default)]
struct Found {
    runs: u64,
    compared: u64,
    actions: u64,
    coverage: Coverage,
    failures: Vec<Failure>,
}

/// Runs `seeds` and tells what they came to; `true` if all is well.
pub fn run(cli: &Cli, seeds: Range<u64>) -> bool {
    // A panic fails its run, which tells of it.
    std::panic::set_hook(Box::new(|_| {}));
    let jobs = cli.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get));
    if cli.tests {
        println!("running {} tests", seeds.end - seeds.start);
    }
    let (next, found) = (AtomicU64::new(seeds.start), Mutex::new(Found::default()));
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| work(cli, &seeds, &next, &found));
        }
    });
    drop(std::panic::take_hook());
    let found = found.into_inner().expect("no worker panics outside a run");
    report(cli, &seeds, &found)
}

fn work(cli: &Cli, seeds: &Range<u64>, next: &AtomicU64, found: &Mutex<Found>) {
    let simulation = cli.simulation();
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        let enough = found.lock().expect("no worker panics").failures.len() >= cli.failures;
        if seed >= seeds.end || enough {
            return;
        }
        let twice = cli.twice > 0 && seed.is_multiple_of(cli.twice);
        let outcome = run_one(&simulation, seed, twice);
        let failure = match outcome {
            Ok((actions, coverage)) => {
                let mut found = found.lock().expect("no worker panics");
                found.coverage.add(&coverage);
                found.actions += actions;
                found.compared += u64::from(twice);
                None
            }
            Err(failure) if cli.as_is => Some(*failure),
            Err(failure) => Some(simulation.minimise(&failure)),
        };
        let mut found = found.lock().expect("no worker panics");
        found.runs += 1;
        if let Some(failure) = failure {
            tell(cli, &failure);
            found.failures.push(failure);
        }
        if std::io::stderr().is_terminal() || found.runs.is_multiple_of(500) {
            eprint!("\r{} of {} seeds, {} failed", found.runs, seeds.end - seeds.start, found.failures.len());
            drop(std::io::stderr().flush());
        }
    }
}

/// Runs a seed, and once more to compare if it is to be run `twice`.
fn run_one(simulation: &Simulation, seed: u64, twice: bool) -> Result<(u64, Coverage), Box<Failure>> {
    let report = simulation.run_seed(seed)?;
    if twice {
        let again = simulation.run_seed(seed)?;
        if again.hash != report.hash {
            let differing = report.trace.iter().zip(&again.trace).find(|(first, second)| first != second);
            let violation = Violation::new("run", format!("two runs of seed {seed} differ: {differing:?}"));
            let actions = simulation.plan(&report.config);
            return Err(Box::new(Failure { config: report.config, actions, violation, trace: report.trace }));
        }
    }
    Ok((report.config.actions as u64, report.coverage))
}

fn tell(cli: &Cli, failure: &Failure) {
    let seed = failure.config.seed;
    println!("\nFAILED {failure}replay: cargo xtask sim --seed {seed}\n");
    if let Some(folder) = &cli.keep {
        let file = folder.join(format!("seed-{seed}.json"));
        if let Err(error) = std::fs::write(&file, History::of(failure).to_json()) {
            eprintln!("{}: {error}", file.display());
        }
    }
}

fn report(cli: &Cli, seeds: &Range<u64>, found: &Found) -> bool {
    eprintln!();
    println!("{}", found.coverage);
    println!(
        "seeds {}..{}: {} runs, {} actions, {} run twice with the same trace, {} failed",
        seeds.start,
        seeds.end,
        found.runs,
        found.actions,
        found.compared,
        found.failures.len()
    );
    let missing = if cli.coverage { found.coverage.missing() } else { Vec::new() };
    for name in &missing {
        println!("never met: {name}");
    }
    if cli.tests {
        let failed = found.failures.len() as u64;
        let verdict = if failed == 0 && missing.is_empty() { "ok" } else { "FAILED" };
        // What was never met counts as one failed test.
        let (passed, failed) = (found.runs - failed, failed + u64::from(!missing.is_empty()));
        println!("test result: {verdict}. {passed} passed; {failed} failed; 0 ignored; 0 measured; 0 filtered out");
    }
    found.failures.is_empty() && missing.is_empty()
}
