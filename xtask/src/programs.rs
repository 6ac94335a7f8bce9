//! The programs that xtask builds and runs for the user: the demo, the benchmarks, the simulator, the campaign of power losses.

use std::process::Command;

use crate::process::{Failure, Result, cargo, or_fail, program, run, shown, target_dir};

/// Builds the server and the demo, then runs the demo.
pub fn demo(release: bool, args: &[String]) -> Result {
    let profile: &[&str] = if release { &["--release"] } else { &[] };
    let mut build = cargo(["build", "--locked", "-p", "unisono-server", "-p", "unisono-examples"]);
    run(build.args(["--bin", "unisono-server", "--bin", "demo"]).args(profile))?;
    // The demo starts the server that lies beside it.
    let mut demo = cargo(["run", "--quiet", "--locked", "-p", "unisono-examples", "--bin", "demo"]);
    hand_over(demo.args(profile).arg("--").args(args))
}

/// Builds the server and the benchmarks, then runs the benchmarks.
pub fn bench(args: &[String]) -> Result {
    let mut build = cargo(["build", "--release", "--locked", "-p", "unisono-server", "-p", "unisono-tests"]);
    run(build.args(["--bin", "unisono-server", "--bin", "bench"]))?;
    // The benchmarks start the server that lies beside them.
    let mut bench = cargo(["run", "--release", "--quiet", "--locked", "-p", "unisono-tests", "--bin", "bench"]);
    hand_over(bench.arg("--").args(args))
}

/// Builds the simulator's runner and runs it.
pub fn sim(args: &[String]) -> Result {
    let mut sim = cargo(["run", "--release", "--quiet", "--locked", "-p", "unisono-tests", "--bin", "sim"]);
    hand_over(sim.arg("--").args(args))
}

/// Builds the power-loss harness and runs its campaign.
pub fn power(args: &[String]) -> Result {
    let mut power = cargo(["run", "--release", "--quiet", "--locked", "-p", "unisono-tests", "--bin", "power"]);
    hand_over(power.args(["--", "campaign"]).args(args))
}

/// A build of these targets with the features and the profile of the Rust suite, so that the other suites compile no
/// dependency again.
pub fn as_tested<const N: usize>(targets: [&str; N]) -> Command {
    let mut build = cargo(["build", "--workspace", "--all-features", "--locked"]);
    build.args(targets);
    build
}

/// The simulator as a test suite: our own crates optimised, over the dependencies that the tests have compiled.
pub fn sim_gate() -> Result<Command> {
    let mut build = as_tested(["--bin", "sim"]);
    for package in ["unisono", "unisono-server", "unisono-tests"] {
        build.arg("--config").arg(format!("profile.dev.package.{package}.opt-level=1"));
    }
    run(&mut build)?;
    let sim = target_dir().join("debug").join(format!("sim{}", std::env::consts::EXE_SUFFIX));
    Ok(program(sim, ["--seeds", "0..2000", "--coverage", "--tests", "--twice", "50"]))
}

/// Runs a program for the user: its exit code becomes ours.
fn hand_over(command: &mut Command) -> Result {
    let line = shown(command);
    let status = or_fail(command.status(), format!("cannot run `{line}`"))?;
    match status.code().map(u8::try_from) {
        Some(Ok(0)) => Ok(()),
        Some(Ok(code)) => Err(Failure::Exit(code)),
        // Ended by a signal, or by a code that has no room in ours.
        _ => Err(Failure::Message(format!("`{line}` ended with {status}"))),
    }
}
