//! Tools from crates.io that a command needs, each at the version that the project was tried with.

use std::path::PathBuf;

use crate::process::{Result, cache, cargo, program, run, succeeds};

/// The path of `name`, a subcommand of cargo, after it was built into the cache folder if it was not there.
pub fn installed(name: &str, version: &str) -> Result<PathBuf> {
    let folder = cache()?.join("tools").join(format!("{name}-{version}"));
    let tool = folder.join("bin").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    if !succeeds(&mut program(&tool, ["--version"])) {
        eprintln!("\nInstalling {name} {version} into the cache folder; this takes some minutes, once.");
        // Not optimised: a tool that runs for seconds is not worth minutes of compiling.
        let install = |how: &[&str]| {
            let mut install = cargo(["install", "--debug", "--version", version, name, "--root"]);
            run(install.arg(&folder).args(how))
        };
        if install(&["--locked"]).is_err() {
            // A mirror of the registry may lack what the tool's own lock file names.
            eprintln!("It cannot be had with its own lock file: trying with the newest crates that there are.");
            install(&[])?;
        }
    }
    Ok(tool)
}
