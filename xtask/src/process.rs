//! Running other programs from the repository's root.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Why a command of xtask ends early.
#[derive(Debug)]
pub enum Failure {
    /// To be said on stderr.
    Message(String),
    /// The program that was run for the user ended with this code and has said why itself.
    Exit(u8),
}

impl Failure {
    /// Says what is to be said, and gives the process's exit code.
    pub fn report(self) -> ExitCode {
        match self {
            Self::Message(message) => {
                eprintln!("xtask: {message}");
                ExitCode::FAILURE
            }
            Self::Exit(code) => ExitCode::from(code),
        }
    }
}

pub type Result<T = ()> = std::result::Result<T, Failure>;

/// A failure with these words.
pub fn fail<T>(message: impl Into<String>) -> Result<T> {
    Err(Failure::Message(message.into()))
}

/// Words for an error of the operating system.
pub fn or_fail<T, E: std::fmt::Display>(result: std::result::Result<T, E>, doing: impl std::fmt::Display) -> Result<T> {
    result.map_err(|error| Failure::Message(format!("{doing}: {error}")))
}

/// The repository's root: cargo runs xtask with its package's folder in the environment.
pub fn root() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&package).parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// Where cargo puts what it builds.
pub fn target_dir() -> PathBuf {
    root().join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// Where downloaded tools are kept: `$XDG_CACHE_HOME/unisono` or `~/.cache/unisono`.
pub fn cache() -> Result<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    match absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache"))) {
        Some(cache) => Ok(cache.join("unisono")),
        None => fail("neither XDG_CACHE_HOME nor HOME names a folder to keep tools in"),
    }
}

/// The cargo that runs us.
pub fn cargo(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    program(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()), args)
}

/// A program that will run in the repository's root.
pub fn program(name: impl AsRef<OsStr>, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = Command::new(name);
    command.args(args).current_dir(root());
    command
}

/// The command as a user would type it, with the variables that it sets.
pub fn shown(command: &Command) -> String {
    let name = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let mut text = String::new();
    for (variable, value) in command.get_envs().filter_map(|(name, value)| Some((name, value?))) {
        text.push_str(&format!("{}='{}' ", variable.to_string_lossy(), value.to_string_lossy()));
    }
    text.push_str(&name.to_string_lossy());
    for arg in command.get_args() {
        text.push(' ');
        text.push_str(&arg.to_string_lossy());
    }
    text
}

/// Runs the command to its end, its output going where ours goes; an unsuccessful end is a failure.
pub fn run(command: &mut Command) -> Result {
    let line = shown(command);
    eprintln!("\n$ {line}");
    let status = or_fail(command.status(), format!("cannot run `{line}`"))?;
    if status.success() { Ok(()) } else { fail(format!("`{line}` failed ({status})")) }
}

/// Whether the command runs and ends well; shows nothing of it.
pub fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// What the command prints, without the white space around it.
pub fn output(command: &mut Command) -> Result<String> {
    let line = shown(command);
    let output = or_fail(command.output(), format!("cannot run `{line}`"))?;
    if !output.status.success() {
        return fail(format!("`{line}` failed: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    let text = or_fail(String::from_utf8(output.stdout), format!("`{line}` prints"))?;
    Ok(text.trim().to_owned())
}
