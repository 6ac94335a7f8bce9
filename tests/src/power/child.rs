//! Runs a workload in a process of its own, under the shim.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;

use super::marks::Mark;
use super::trace::{self, Operation};

/// Which call fails, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// How it fails.
    pub kind: FaultKind,
    /// Whether every later call of its kind fails too, until the child lifts it.
    pub sticky: bool,
    /// The number of the call, of those that can fail so.
    pub at: u64,
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// No room: creating, writing, growing.
    Full,
    /// A flush fails.
    Sync,
    /// The process ends before the call.
    Kill,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            FaultKind::Full => "enospc",
            FaultKind::Sync => "eio",
            FaultKind::Kill => "kill",
        };
        write!(f, "{kind} {} {}", if self.sticky { "sticky" } else { "once" }, self.at)
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || format!("no fault: {text}");
        let mut words = text.split(' ');
        let kind = match words.next() {
            Some("enospc") => FaultKind::Full,
            Some("eio") => FaultKind::Sync,
            Some("kill") => FaultKind::Kill,
            _ => return Err(unknown()),
        };
        let sticky = words.next().ok_or_else(unknown)? == "sticky";
        let at = words.next().and_then(|at| at.parse().ok()).ok_or_else(unknown)?;
        Ok(Self { kind, sticky, at })
    }
}

/// A finished child.
#[derive(Debug)]
pub struct Recorded {
    /// What it did.
    pub operations: Vec<Operation>,
    /// Whether it ended well.
    pub succeeded: bool,
    /// Whether the fault that it was given has struck.
    pub struck: bool,
    /// What it said last, if it did not.
    pub complaint: String,
}

/// Runs `program` with `arguments` and records what it does to the files of `folder`.
///
/// # Errors
/// What keeps it from being run or recorded, in words.
pub fn record(program: &Path, arguments: &[String], folder: &Path) -> Result<Recorded, String> {
    let shim = shim().ok_or("there is no shim for this system")?;
    let folder = folder.canonicalize().map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut log = folder.clone().into_os_string();
    log.push(".log");
    let log = PathBuf::from(log);
    let output = Command::new(program)
        .args(arguments)
        .env("LD_PRELOAD", shim)
        .env("POWER_SHIM_DIR", &folder)
        .env("POWER_SHIM_LOG", &log)
        .output()
        .map_err(|error| format!("{}: {error}", program.display()))?;
    let operations = trace::read(&log).map_err(|error| format!("{}: {error}", log.display()))?;
    drop(std::fs::remove_file(&log));
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    let mut recorded = Recorded { operations, succeeded: output.status.success(), struck: false, complaint };
    let struck = recorded.marks().any(|mark| mark == Mark::Struck);
    recorded.struck = struck;
    Ok(recorded)
}

impl Recorded {
    /// What the child has said.
    ///
    /// # Panics
    /// If it cannot be understood.
    pub fn marks(&self) -> impl Iterator<Item = Mark> + '_ {
        self.operations.iter().filter_map(|operation| match operation {
            Operation::Mark(text) => Some(serde_json::from_str(text).expect("a mark is readable")),
            _ => None,
        })
    }
}

/// Where the build has put the shim.
#[must_use]
pub fn shim() -> Option<&'static Path> {
    option_env!("UNISONO_POWER_SHIM").map(Path::new)
}

/// A folder for files that need not outlive the machine: in memory, where there is such a place.
///
/// # Panics
/// If no folder can be made.
#[must_use]
pub fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a folder for images")
}
