//! Kotlin: the generated sources compiled and tested by Maven.

use std::process::Command;

use super::{build, built, generate, library, package, workshop};
use crate::process::{Result, output, program};

/// Generates the sources; the smoke tests, which start the server.
pub fn suite() -> Result<Command> {
    build()?;
    let folder = workshop("kotlin")?;
    let generated = folder.join("generated");
    super::cleared(&generated)?;
    generate("kotlin", &generated)?;
    output(&mut program("mvn", ["--version"]))?;
    eprintln!(
        "\nMaven fetches Kotlin's compiler, its coroutines and JSON, JNA and JUnit from Maven Central into its own repository, once."
    );
    let mut maven = program("mvn", ["--batch-mode", "--no-transfer-progress", "-Dstyle.color=never"]);
    maven.arg("--file").arg(package("kotlin").join("pom.xml"));
    let library = library();
    for (name, value) in [
        ("generated", generated.as_path()),
        ("library", library.parent().unwrap_or(&folder)),
        ("server", &built("unisono-server")),
        ("build", &folder.join("build")),
    ] {
        maven.arg(format!("-Dunisono.{name}={}", value.display()));
    }
    maven.arg("test");
    Ok(maven)
}
