//! The model checks of the core's concurrency kernels (`tests/loom`), which are built with `--cfg loom`.

use std::process::Command;

use crate::process::{self, target_dir};

/// A cargo command for the models. It has a folder of its own for what it builds: with other flags in the common one,
/// everything would be built anew each time.
pub fn cargo(command: &str) -> Command {
    let mut flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    flags.push_str(" --cfg loom");
    let mut cargo = process::cargo([command, "--locked", "--package", "unisono-loom", "--target-dir"]);
    cargo.arg(target_dir().join("loom")).env("RUSTFLAGS", flags.trim_start());
    cargo
}
