//! The demo: two devices and a server on a real sample library, through a crash, an offline time and their conflicts.

mod device;
mod device_process;
mod failure;
mod judge;
mod report;
mod screen;
mod script;
mod story;
mod wire;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use unisono_examples::library::Library;
use unisono_examples::server::Server;

use crate::device_process::DeviceArgs;
use crate::failure::{Failure, Result, doing};
use crate::story::Setting;

/// What a shell reports of a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

#[derive(Debug, Parser)]
#[command(
    name = "demo",
    about = "Two devices and a server on a real sample library: offline, in conflict, and in unison again",
    long_about = "Starts unisono-server as a process of its own on a free port, and two devices of one account, each a \
                  process with its own SQLite replica. Device A imports a sample library and both sync. Then the server \
                  is killed and both go on editing, some records on both sides; one device is killed too, and started \
                  again. When the server is back they sync, and the demo shows what was pushed, pulled, merged and set \
                  aside, and verifies that no edit is lost and that both devices, a new third one and the server hold \
                  the same. Exits with 1 if they do not.",
    args_conflicts_with_subcommands = true
)]
struct Cli {
    #[command(flatten)]
    tell: Tell,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Debug, Args)]
struct Tell {
    /// Records to import: more than the library's are made by varying its own [default: the library as it is]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(script::MIN_RECORDS as i64..=1_000_000))]
    records: Option<u32>,
    /// Keep the databases and the server's log in this folder, which must be empty or new
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// The server's program [default: unisono-server beside this one]
    #[arg(long, value_name = "PATH")]
    server: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Be one of the devices
    #[command(hide = true)]
    Device(DeviceArgs),
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let told = match cli.role {
        Some(Role::Device(args)) => device_process::run(args).await.map_err(doing("talking to the demo")),
        None => tell(cli.tell).await,
    };
    match told {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Interrupted) => ExitCode::from(INTERRUPTED),
        Err(failure) => {
            eprintln!("\nThe demo failed: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn tell(args: Tell) -> Result {
    let library = Library::embedded().map_err(|error| Failure::Broken(error.to_string()))?;
    let records = args.records.map_or(library.len(), |records| records as usize);
    let program = args.server.map_or_else(Server::beside_this_program, Ok)?;
    // Gone at the end, whatever the end is.
    let temporary = match args.keep {
        Some(_) => None,
        None => Some(tempfile::tempdir().map_err(doing("making a temporary folder"))?),
    };
    let folder = match (&temporary, args.keep) {
        (Some(temporary), _) => temporary.path().to_owned(),
        (None, folder) => empty(folder.unwrap_or_default())?,
    };
    let server = Server::new(program, folder.join("server"))?;
    let story = story::tell(Setting { folder: &folder, server: &server, records });
    // Dropping the story kills the server and the devices.
    tokio::select! {
        biased;
        interrupted = interrupted() => return interrupted.map_err(doing("waiting for Ctrl-C")).and(Err(Failure::Interrupted)),
        told = story => told?,
    }
    screen::chapter("Yes: every device and the server hold the same, and nothing was lost.");
    if temporary.is_none() {
        screen::say(format_args!("The files are in {}.", folder.display()));
    }
    Ok(())
}

fn empty(folder: PathBuf) -> Result<PathBuf> {
    std::fs::create_dir_all(&folder).map_err(doing("making the folder to keep the files in"))?;
    let mut entries = std::fs::read_dir(&folder).map_err(doing("reading the folder to keep the files in"))?;
    match entries.next() {
        None => Ok(folder),
        Some(_) => Err(Failure::NotEmpty(folder)),
    }
}

/// Ctrl-C, or a polite request to end.
async fn interrupted() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            biased;
            _ = terminate.recv() => Ok(()),
            pressed = tokio::signal::ctrl_c() => pressed,
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}
