//! The OpenAPI document against the server that serves it.

use std::process::Command;

use crate::bindings::{built, python, workshop};
use crate::process::{Result, program, root, run};
use crate::programs;

/// The generator of requests in an environment of its own; it starts the server.
pub fn suite() -> Result<Command> {
    run(&mut programs::as_tested(["--bin", "unisono-server"]))?;
    let python = python::environment(&workshop("openapi")?)?;
    let folder = root().join("tests").join("openapi");
    eprintln!("\nInstalling schemathesis into it, at the version that tests/openapi/requirements.txt names.");
    let mut pip = program(&python, ["-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--requirement"]);
    run(pip.arg(folder.join("requirements.txt")))?;
    let mut tests = program(&python, [folder.join("run.py")]);
    tests.arg(built("unisono-server"));
    Ok(tests)
}
