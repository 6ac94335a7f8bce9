//! Unisono for Swift, Kotlin and Python: the library, the sources that call it, and each language's tests.
//!
//! What is generated goes to the folder of what is built, never beside the sources.

pub mod kotlin;
pub mod python;
pub mod swift;

use std::path::{Path, PathBuf};

use crate::process::{Result, fail, or_fail, program, root, run, target_dir};
use crate::programs;

/// The folder of a language's package.
fn package(language: &str) -> PathBuf {
    root().join("bindings").join(language)
}

/// Where a language's sources and builds go, made if it is not there.
pub fn workshop(language: &str) -> Result<PathBuf> {
    let folder = target_dir().join("bindings").join(language);
    or_fail(std::fs::create_dir_all(&folder), format!("making {}", folder.display()))?;
    Ok(folder)
}

/// Builds the library, its generator, and the server that the tests run against.
fn build() -> Result {
    run(&mut programs::as_tested(["--lib", "--bin", "unisono-bindgen", "--bin", "unisono-server"]))
}

/// A program that was built.
pub fn built(name: &str) -> PathBuf {
    target_dir().join("debug").join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

/// The library, to be loaded at run time.
fn library() -> PathBuf {
    let (prefix, suffix) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    target_dir().join("debug").join(format!("{prefix}unisono_ffi{suffix}"))
}

/// Writes the sources that call the library into `folder`.
fn generate(language: &str, folder: &Path) -> Result {
    let mut generator = program(built("unisono-bindgen"), ["generate", "--language", language, "--no-format"]);
    run(generator.arg("--config").arg(root().join("uniffi.toml")).arg("--out-dir").arg(folder).arg(library()))
}

/// Removes a folder and all in it, if it is there.
fn cleared(folder: &Path) -> Result {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            fail(format!("removing {}: {error}", folder.display()))
        }
        _ => Ok(()),
    }
}
