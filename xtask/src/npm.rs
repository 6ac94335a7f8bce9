//! Tools from npm, at the versions that a package's lock file names, in the cache folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::host;
use crate::process::{Result, cache, fail, or_fail, program, run};

/// The files that say what is installed.
const MANIFESTS: [&str; 2] = ["package.json", "package-lock.json"];

/// An installation of a package's development dependencies.
pub struct Tools {
    modules: PathBuf,
}

impl Tools {
    /// Installs what the package in `folder` needs to be built, unless it is there.
    pub fn installed(folder: &Path) -> Result<Self> {
        host::node()?;
        let place = cache()?.join("npm");
        let modules = place.join("node_modules");
        let is_same = |name: &&str| {
            let (wanted, present) = (std::fs::read(folder.join(name)), std::fs::read(place.join(name)));
            matches!((wanted, present), (Ok(wanted), Ok(present)) if wanted == present)
        };
        if modules.is_dir() && MANIFESTS.iter().all(is_same) {
            return Ok(Self { modules });
        }
        eprintln!("\nInstalling from npm what builds the JavaScript package, into the cache folder.");
        or_fail(std::fs::create_dir_all(&place), "making the cache folder")?;
        for name in MANIFESTS {
            or_fail(std::fs::copy(folder.join(name), place.join(name)), format!("copying {name}"))?;
        }
        let done = run(program("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&place));
        if done.is_err() {
            // Half an installation would be taken for a whole one.
            drop(std::fs::remove_file(place.join(MANIFESTS[0])));
        }
        done.map(|()| Self { modules })
    }

    /// The folder of what is installed.
    pub fn modules(&self) -> &Path {
        &self.modules
    }

    /// A program of these tools.
    pub fn run(&self, name: &str) -> Result<Command> {
        let tool = self.modules.join(".bin").join(name);
        if tool.is_file() { Ok(program(tool, [""; 0])) } else { fail(format!("npm has not installed {name}")) }
    }
}
