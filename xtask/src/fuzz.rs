//! `cargo xtask fuzz`: the fuzzer on the targets of `tests/fuzz-targets`, for as long as is asked.
//!
//! It starts from the kept corpus and writes what it finds interesting into the cache folder, so that the kept corpus
//! changes on purpose only. An input that breaks a target stays in `fuzz/artifacts/`.

use std::path::Path;
use std::process::Command;

use crate::process::{Result, cache, fail, or_fail, program, root, run, succeeds};
use crate::tools::installed;

/// The version that `fuzz/` was written for.
const CARGO_FUZZ: &str = "0.13.2";
/// Longest input, in bytes: what the targets read makes sense far below it.
const MAX_BYTES: u32 = 16 << 10;

/// How long each target runs; whichever bound comes first ends it.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub executions: Option<u64>,
    pub seconds: u64,
}

/// Runs `target`, or all of them one after the other, and stops at the first that breaks.
pub fn fuzz(target: Option<&str>, bounds: Bounds) -> Result {
    let all = targets()?;
    let chosen: Vec<&str> = match target {
        None => all.iter().map(String::as_str).collect(),
        Some(name) if all.iter().any(|known| known == name) => vec![name],
        Some(name) => return fail(format!("there is no fuzz target `{name}`; there are {}", all.join(", "))),
    };
    if !succeeds(&mut program("rustup", ["run", "nightly", "rustc", "--version"])) {
        return fail("the fuzzer needs a nightly compiler: `rustup toolchain install nightly`");
    }
    let tool = installed("cargo-fuzz", CARGO_FUZZ)?;
    chosen.into_iter().try_for_each(|name| run(&mut command(&tool, name, &working_corpus(name)?, bounds)))
}

/// The targets' names: their files'.
fn targets() -> Result<Vec<String>> {
    let folder = root().join("fuzz").join("fuzz_targets");
    let entries = or_fail(std::fs::read_dir(&folder), folder.display())?;
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        Some(Path::new(&entry.ok()?.file_name()).file_stem()?.to_string_lossy().into_owned())
    };
    let mut names: Vec<_> = entries.filter_map(name).collect();
    names.sort();
    Ok(names)
}

fn working_corpus(name: &str) -> Result<std::path::PathBuf> {
    let folder = cache()?.join("fuzz").join(name);
    or_fail(std::fs::create_dir_all(&folder), folder.display())?;
    Ok(folder)
}

fn command(tool: &Path, name: &str, working: &Path, bounds: Bounds) -> Command {
    let mut command = program("rustup", ["run", "nightly"]);
    // No sanitizer: our crates have no unsafe code, and the C libraries below them would not be built with one.
    command.arg(tool).args(["fuzz", "run", "--fuzz-dir", "fuzz", "--sanitizer", "none", name]).arg(working);
    command.arg(Path::new("fuzz").join("corpus").join(name)).arg("--");
    command.arg(format!("-max_total_time={}", bounds.seconds)).arg(format!("-max_len={MAX_BYTES}"));
    command.args(["-timeout=20", "-rss_limit_mb=2048", "-print_final_stats=1", "-verbosity=0"]);
    if let Some(executions) = bounds.executions {
        command.arg(format!("-runs={executions}"));
    }
    // The cargo that runs us is of another toolchain.
    command.env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN");
    command
}
