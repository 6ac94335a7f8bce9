//! The Python package: installed as a user installs it, then tested.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{build, built, library, package, workshop};
use crate::process::{Result, fail, output, program, run};

/// Installs the package with pip into an environment of its own; its tests, which start the server.
pub fn suite() -> Result<Command> {
    build()?;
    let python = environment(&workshop("python")?)?;
    eprintln!("\nInstalling the package into it, and mypy; pip fetches setuptools for the build.");
    let install = ["-m", "pip", "--disable-pip-version-check", "install", "--quiet"];
    run(program(&python, install).arg("--requirement").arg(package("python").join("tests").join("requirements.txt")))?;
    let mut pip = program(&python, install);
    pip.arg("--force-reinstall");
    pip.env("UNISONO_LIBRARY", library()).env("UNISONO_BINDGEN", built("unisono-bindgen"));
    run(pip.arg(package("python")))?;
    let mut tests = program(&python, ["-m", "tests"]);
    tests.current_dir(package("python")).env("UNISONO_SERVER", built("unisono-server"));
    Ok(tests)
}

/// The interpreter of a virtual environment in `folder`, made if it is not there.
pub fn environment(folder: &Path) -> Result<PathBuf> {
    let supported = "import sys; print(sys.version_info >= (3, 9))";
    if output(&mut program("python3", ["-c", supported]))? != "True" {
        return fail("python3 is older than 3.9");
    }
    let folder = folder.join("environment");
    let python = folder.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    if !python.is_file() {
        eprintln!("\nMaking a Python environment in the folder of what is built.");
        run(program("python3", ["-m", "venv"]).arg(&folder))?;
    }
    Ok(python)
}
