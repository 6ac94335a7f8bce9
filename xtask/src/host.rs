//! Programs of the system that a command needs: a browser, Node. Where there is a package manager that may be used, they
//! are installed, and it is said.

use std::path::PathBuf;

use crate::process::{Result, fail, output, program, run, succeeds};

/// The oldest Node that runs the package.
const OLDEST_NODE: u32 = 20;

/// Makes sure of a Chromium and its driver.
pub fn chromium() -> Result {
    if has_chromium() {
        return Ok(());
    }
    apt(&["chromium", "chromium-driver"])?;
    if has_chromium() { Ok(()) } else { fail("there is no chromium with a chromedriver") }
}

fn has_chromium() -> bool {
    succeeds(&mut program(chromedriver(), ["--version"]))
}

/// The driver: the one that the variable `CHROMEDRIVER` names, or the system's.
pub fn chromedriver() -> PathBuf {
    std::env::var_os("CHROMEDRIVER").map_or_else(|| PathBuf::from("/usr/bin/chromedriver"), PathBuf::from)
}

/// Makes sure of Node and npm.
pub fn node() -> Result {
    if !succeeds(&mut program("npm", ["--version"])) {
        apt(&["nodejs", "npm"])?;
    }
    let version = output(&mut program("node", ["--version"]))?;
    let major = version.trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_some_and(|major| major >= OLDEST_NODE) {
        return Ok(());
    }
    fail(format!("the JavaScript package needs Node {OLDEST_NODE} or later; this is {version}"))
}

/// Installs packages of a Debian system.
fn apt(packages: &[&str]) -> Result {
    let names = packages.join(" ");
    if !succeeds(&mut program("apt-get", ["--version"])) {
        return fail(format!("please install {names}"));
    }
    eprintln!("\nInstalling {names} with apt-get, once.");
    run(&mut program("apt-get", ["update", "--quiet"]))?;
    let mut install = program("apt-get", ["install", "--yes", "--quiet", "--no-install-recommends"]);
    run(install.args(packages).env("DEBIAN_FRONTEND", "noninteractive"))
}
