//! What is built for WebAssembly, and the compiler's target for it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{Result, cargo, fail, output, program, run};
use crate::web;

/// The target of browsers and Node.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// Holds everything that is built for wasm to the lints, and the npm package to its size.
pub fn check() -> Result {
    let toolchain = Toolchain::find()?;
    let every = [
        ("unisono", "--no-default-features"),
        ("unisono-wasm", "--all-features"),
        ("unisono-browser-tests", "--no-default-features"),
    ];
    for (package, features) in every {
        let mut clippy = cargo(["clippy", "--locked", "-p", package, features]);
        if package == "unisono-browser-tests" {
            clippy.arg("--tests");
        }
        // What is shared is shared the same way on every target, although nothing is `Send` on this one.
        run(toolchain.apply(&mut clippy).args(["--", "-D", "warnings", "-A", "clippy::arc_with_non_send_sync"]))?;
    }
    web::build()
}

/// Where the standard library for wasm comes from.
pub enum Toolchain {
    /// Installed beside the compiler.
    Installed,
    /// Built from its source.
    FromSource,
}

impl Toolchain {
    /// Uses the target if it is there, else installs it, else falls back to the library's source.
    pub fn find() -> Result<Self> {
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

    /// Makes `command` one for the target.
    pub fn apply<'c>(&self, command: &'c mut Command) -> &'c mut Command {
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
