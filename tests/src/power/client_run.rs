//! Records the client's workload and loses the power of it.

use std::path::{Path, PathBuf};

use unisono::storage::Durability;

use super::child::{Fault, Recorded, record, scratch};
use super::client_check;
use super::disk::{Disk, Survival};
use super::history::History;
use super::losses::{Range, Tally, lose_power};
use super::observed::Acknowledge;
use super::trace::Operation;

/// How the child works.
#[derive(Clone, Copy, Debug)]
pub struct Child {
    /// The durability of its replica.
    pub durability: Durability,
    /// When it acknowledges.
    pub acknowledge: Acknowledge,
    /// The whole workload.
    pub long: bool,
    /// What fails.
    pub fault: Option<Fault>,
}

impl Child {
    /// The whole workload, as it should be.
    #[must_use]
    pub fn sound(durability: Durability) -> Self {
        Self { durability, acknowledge: Acknowledge::After, long: true, fault: None }
    }

    /// Runs it with `program`, the `power` binary.
    ///
    /// # Errors
    /// What keeps it from being run.
    pub fn run(self, program: &Path) -> Result<Recorded, String> {
        self.run_in(program, scratch().path())
    }

    fn run_in(self, program: &Path, folder: &Path) -> Result<Recorded, String> {
        let place = place(folder);
        std::fs::create_dir(&place).map_err(|error| error.to_string())?;
        record(program, &self.arguments(&place), &place)
    }

    /// Runs it until its fault kills it, and holds what is really left to the promises. Returns whether the fault has struck.
    ///
    /// # Errors
    /// The first promise that is broken; what keeps it from being run.
    pub fn killed(self, program: &Path) -> Result<bool, String> {
        let folder = scratch();
        let recorded = self.run_in(program, folder.path())?;
        let mut history = History::default();
        recorded.marks().for_each(|mark| history.note(&mark));
        client_check::check(&place(folder.path()), &history, self.durability, Survival::Kept)?;
        Ok(!recorded.succeeded)
    }

    fn arguments(self, folder: &Path) -> Vec<String> {
        let mut arguments = vec!["client".to_owned(), folder.display().to_string()];
        if self.durability == Durability::Normal {
            arguments.extend(["--durability".to_owned(), "normal".to_owned()]);
        }
        if !self.long {
            arguments.push("--short".to_owned());
        }
        if self.acknowledge == Acknowledge::Before {
            arguments.push("--hasty".to_owned());
        }
        if let Some(fault) = self.fault {
            arguments.extend(["--fault".to_owned(), fault.to_string()]);
        }
        arguments
    }
}

fn place(folder: &Path) -> PathBuf {
    folder.join("replica")
}

/// Loses power at each moment of a record, and holds every image to what `promised` promises. Stops after `enough`
/// violations.
#[must_use]
pub fn losses(operations: &[Operation], promised: Durability, range: Range, enough: usize) -> Tally {
    let check = |folder: &Path, history: &History, survival| {
        // While a file is made under a failing disk there is nothing to lose yet, and it may have to be made again.
        let nothing_yet = history.is_empty() && operations.iter().any(Operation::is_failed_sync);
        if nothing_yet { Ok(()) } else { client_check::check(folder, history, promised, survival) }
    };
    lose_power(Disk::default(), operations, range, enough, &mut History::default(), History::note, check)
}
