//! `cargo xtask check`: everything but the tests that must hold before a merge.

use crate::process::{Result, cargo, run};
use crate::{links, machine_paths, models, supply_chain, wasm};

/// Runs the steps in order of cost and stops at the first that fails.
pub fn run_all(advisories: bool) -> Result {
    machine_paths::check()?;
    links::check()?;
    run(&mut cargo(["fmt", "--all", "--check"]))?;
    run(&mut cargo(["clippy", "--workspace", "--all-targets", "--all-features", "--locked", "--", "-D", "warnings"]))?;
    // As apps build them: without what other members of the workspace ask of them.
    for package in ["unisono", "unisono-server"] {
        run(&mut cargo(["clippy", "-p", package, "--locked", "--", "-D", "warnings"]))?;
    }
    run(models::cargo("clippy").args(["--all-targets", "--", "-D", "warnings"]))?;
    run(cargo(["doc", "--workspace", "--no-deps", "--all-features", "--locked"]).env("RUSTDOCFLAGS", "-D warnings"))?;
    wasm::check()?;
    let notice = supply_chain::check(advisories)?;
    eprintln!("\nAll checks passed.");
    if let Some(notice) = notice {
        eprintln!("{notice}");
    }
    Ok(())
}
