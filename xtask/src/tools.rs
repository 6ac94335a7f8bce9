//! Tools from crates.io that a command needs, each at the version that the project was tried with.

use std::path::PathBuf;

use crate::process::{Result, cache, cargo, program, run, succeeds};

/// The path of `name`, a subcommand of cargo, after it was built into the cache folder if it was not there.
pub fn installed(name: &str, version: &str) -> Result<PathBuf> {
    let folder = cache()?.join("tools").join(format!("{name}-{version}"));
    let tool = folder.join("bin").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    if !succeeds(&mut program(&tool, ["--version"])) {
        eprintln!("\nInstalling {name} {version} into the cache folder; this takes some minutes, once.");
        let mut install = cargo(["install", "--locked", "--version", version, name, "--root"]);
        run(install.arg(&folder))?;
    }
    Ok(tool)
}
