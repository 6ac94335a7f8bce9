//! What the dependencies may be: licences, sources, banned versions, known vulnerabilities (`cargo-deny`).

use std::path::PathBuf;

use crate::process::{Result, cache, cargo, program, run, succeeds};

/// The version that `deny.toml` was written for.
const CARGO_DENY: &str = "0.20.2";

/// Checks the dependencies. Returns a notice for the end of the run if something could not be checked.
pub fn check(advisories: bool) -> Result<Option<String>> {
    let deny = install()?;
    run(&mut program(&deny, ["check", "bans", "licenses", "sources"]))?;
    if !advisories {
        return Ok(Some("NOT CHECKED: known vulnerabilities (the advisory database was not asked for).".to_owned()));
    }
    if run(&mut program(&deny, ["fetch", "db"])).is_err() {
        return Ok(Some(
            "NOT CHECKED: known vulnerabilities (the advisory database, a git repository, cannot be reached)."
                .to_owned(),
        ));
    }
    run(&mut program(&deny, ["check", "--disable-fetch", "advisories"]))?;
    Ok(None)
}

/// The tool's path, after it was built into the cache if it was not there.
fn install() -> Result<PathBuf> {
    let tools = cache()?.join("tools").join(format!("cargo-deny-{CARGO_DENY}"));
    let tool = tools.join("bin").join(format!("cargo-deny{}", std::env::consts::EXE_SUFFIX));
    if !succeeds(&mut program(&tool, ["--version"])) {
        eprintln!("\nInstalling cargo-deny {CARGO_DENY} into the cache folder; this takes some minutes, once.");
        let mut install = cargo(["install", "--locked", "--version", CARGO_DENY, "cargo-deny", "--root"]);
        run(install.arg(&tools))?;
    }
    Ok(tool)
}
