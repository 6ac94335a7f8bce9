//! The core must build for WebAssembly, and stay small there.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::process::{Result, cargo, fail, or_fail, output, program, run, target_dir};

const TARGET: &str = "wasm32-unknown-unknown";

/// Builds the core for wasm, then a module that uses it, and prints that module's size.
pub fn check() -> Result {
    let toolchain = Toolchain::find()?;
    run(toolchain.apply(&mut cargo(["build", "--locked", "--release", "-p", "unisono", "--no-default-features"])))?;
    // The core alone is a library for the linker, no module: its size would say nothing.
    run(toolchain.apply(&mut cargo(["build", "--locked", "--profile", "wasm-size", "-p", "unisono-wasm-size"])))?;
    let module = target_dir().join(TARGET).join("wasm-size").join("unisono-wasm-size.wasm");
    let bytes = or_fail(std::fs::read(&module), "reading the wasm module")?;
    println!(
        "\nModel, merge and protocol as a wasm module: {} bytes, {} gzipped (before wasm-opt).",
        bytes.len(),
        gzipped(&bytes)?
    );
    Ok(())
}

fn gzipped(bytes: &[u8]) -> Result<usize> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let done = encoder.write_all(bytes).and_then(|()| encoder.finish());
    Ok(or_fail(done, "compressing the wasm module")?.len())
}

/// Where the standard library for wasm comes from.
enum Toolchain {
    /// Installed beside the compiler.
    Installed,
    /// Built from its source.
    FromSource,
}

impl Toolchain {
    /// Uses the target if it is there, else installs it, else falls back to the library's source.
    fn find() -> Result<Self> {
        if installed()? {
            return Ok(Self::Installed);
        }
        eprintln!("\nInstalling the compiler's {TARGET} target with rustup; this can take minutes, once.");
        if run(&mut program("rustup", ["target", "add", TARGET])).is_ok() && installed()? {
            return Ok(Self::Installed);
        }
        if sysroot()?.join("lib/rustlib/src/rust/library").is_dir() && on_path("wasm-ld") {
            eprintln!("rustup cannot fetch it: building the standard library from its source, with wasm-ld as linker.");
            return Ok(Self::FromSource);
        }
        fail(format!(
            "there is no {TARGET} target: rustup cannot fetch it, and the fallback needs the standard library's source \
             and `wasm-ld` (Debian: rustc-web, cargo-web, rust-web-src, lld)"
        ))
    }

    fn apply<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.args(["--target", TARGET]);
        match self {
            Self::Installed => command,
            Self::FromSource => command
                .args(["-Z", "build-std=std,panic_abort"])
                .env("RUSTC_BOOTSTRAP", "1")
                .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", "wasm-ld"),
        }
    }
}

fn rustc(args: [&str; 2]) -> Result<PathBuf> {
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    output(&mut program(compiler, args)).map(PathBuf::from)
}

fn sysroot() -> Result<PathBuf> {
    rustc(["--print", "sysroot"])
}

fn installed() -> Result<bool> {
    Ok(sysroot()?.join("lib/rustlib").join(TARGET).join("lib").is_dir())
}

fn on_path(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| Path::new(&folder).join(name).is_file())
}
