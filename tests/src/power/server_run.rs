//! Records the server's workload and loses the power of it.

use std::path::{Path, PathBuf};

use unisono::storage::Durability;

use super::child::{Fault, Recorded, record, scratch};
use super::disk::Disk;
use super::history::promises_all;
use super::losses::{Range, Tally, lose_power};
use super::server_check::{self, Answers};
use super::trace::Operation;

/// How the child works.
#[derive(Clone, Copy, Debug)]
pub struct Server {
    /// The durability of its database.
    pub durability: Durability,
    /// The whole workload.
    pub long: bool,
    /// What fails.
    pub fault: Option<Fault>,
}

impl Server {
    /// The whole workload, as it should be.
    #[must_use]
    pub fn sound(durability: Durability) -> Self {
        Self { durability, long: true, fault: None }
    }

    /// Runs it with `program`, the `power` binary.
    ///
    /// # Errors
    /// What keeps it from being run.
    pub fn run(self, program: &Path) -> Result<Recorded, String> {
        self.run_in(program, scratch().path())
    }

    /// Runs it until its fault kills it, and holds what is really left to the promises. Returns whether the fault has struck.
    ///
    /// # Errors
    /// The first promise that is broken; what keeps it from being run.
    pub fn killed(self, program: &Path) -> Result<bool, String> {
        let folder = scratch();
        let recorded = self.run_in(program, folder.path())?;
        let mut answers = Answers::default();
        recorded.marks().for_each(|mark| answers.note(&mark));
        server_check::check(&place(folder.path()), &answers, true)?;
        Ok(!recorded.succeeded)
    }

    fn run_in(self, program: &Path, folder: &Path) -> Result<Recorded, String> {
        let place = place(folder);
        std::fs::create_dir(&place).map_err(|error| error.to_string())?;
        let mut arguments = vec!["server".to_owned(), place.display().to_string()];
        if self.durability == Durability::Normal {
            arguments.extend(["--durability".to_owned(), "normal".to_owned()]);
        }
        if !self.long {
            arguments.push("--short".to_owned());
        }
        if let Some(fault) = self.fault {
            arguments.extend(["--fault".to_owned(), fault.to_string()]);
        }
        record(program, &arguments, &place)
    }
}

fn place(folder: &Path) -> PathBuf {
    folder.join("server")
}

/// Loses power at each moment of a record, and holds every image to what `promised` promises. Stops after `enough`
/// violations.
#[must_use]
pub fn losses(operations: &[Operation], promised: Durability, range: Range, enough: usize) -> Tally {
    let check = |folder: &Path, answers: &Answers, survival| {
        server_check::check(folder, answers, promises_all(promised, survival))
    };
    lose_power(Disk::default(), operations, range, enough, &mut Answers::default(), Answers::note, check)
}
