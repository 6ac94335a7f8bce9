//! What the dependencies may be: licences, sources, banned versions, known vulnerabilities (`cargo-deny`).

use crate::process::{Result, program, run};
use crate::tools::installed;

/// The version that `deny.toml` was written for.
const CARGO_DENY: &str = "0.20.2";

/// Checks the dependencies. Returns a notice for the end of the run if something could not be checked.
pub fn check(advisories: bool) -> Result<Option<String>> {
    let deny = installed("cargo-deny", CARGO_DENY)?;
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
