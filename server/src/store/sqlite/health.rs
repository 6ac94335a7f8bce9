//! What a store has met since it was opened, and whether it can be written now.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::check::Damage;
use crate::store::StoreError;

/// How long an answer to whether the store can be written is good.
const FRESH: Duration = Duration::from_secs(1);
/// How long the writer may take for a row of its own before it counts as stuck.
pub(super) const STUCK: Duration = Duration::from_secs(5);
/// Bytes that have to be free: a row alone may still fit into the write-ahead log of a full disk.
const ROOM: usize = 256 << 10;

/// What a store has met.
#[derive(Debug, Default)]
pub(super) struct Health {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// How often damage was met, and what the first was.
    damaged: u64,
    first: Option<String>,
    /// Whether the structure is damaged: nothing is read or written any more.
    condemned: bool,
    /// Since when a probe is under way.
    probing: Option<Duration>,
    /// When the last one ended, and how.
    probed: Option<(Duration, Result<(), StoreError>)>,
}

/// What is to be done to learn whether the store can be written.
pub(super) enum Probe {
    /// Nothing.
    Known(Result<(), StoreError>),
    /// It is to be tried.
    Due,
}

impl Health {
    fn state(&self) -> MutexGuard<'_, State> {
        // Whoever panics holds it for no more than an assignment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a job's outcome if it met damage.
    pub(super) fn noted<T>(&self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        // Its log has the request that met it.
        if let Err(StoreError::Corrupt(text)) = &outcome {
            self.damaged(text);
        }
        outcome
    }

    /// Notes what a check of the whole file found.
    pub(super) fn found(&self, damage: &Damage) {
        for text in damage.all() {
            tracing::error!(
                code = "storage_corrupt",
                cause = text,
                "the database is damaged: see `unisono-server verify`"
            );
            self.damaged(text);
        }
        self.state().condemned |= !damage.structure.is_empty();
    }

    fn damaged(&self, text: &str) {
        let mut state = self.state();
        state.damaged += 1;
        state.first.get_or_insert_with(|| text.to_owned());
    }

    /// How often damage was met.
    pub(super) fn damages(&self) -> u64 {
        self.state().damaged
    }

    /// Refuses everything once the structure is known to be damaged.
    pub(super) fn trusted(&self) -> Result<(), StoreError> {
        let state = self.state();
        match &state.first {
            Some(first) if state.condemned => Err(StoreError::Corrupt(first.clone())),
            _ => Ok(()),
        }
    }

    /// What is known at the instant `now`.
    pub(super) fn probe(&self, now: Duration) -> Probe {
        let mut state = self.state();
        if let Some(first) = &state.first {
            let text = format!("{first} (met {} times since the start)", state.damaged);
            return Probe::Known(Err(StoreError::Corrupt(text)));
        }
        if let Some(since) = state.probing {
            let stuck = now.saturating_sub(since) >= STUCK;
            let last = || state.probed.as_ref().map_or(Ok(()), |(_, outcome)| outcome.clone());
            return Probe::Known(if stuck { Err(stuck_writer()) } else { last() });
        }
        match &state.probed {
            Some((at, outcome)) if now.saturating_sub(*at) < FRESH => Probe::Known(outcome.clone()),
            _ => {
                state.probing = Some(now);
                Probe::Due
            }
        }
    }

    /// A probe has ended.
    pub(super) fn probed(&self, now: Duration, outcome: Result<(), StoreError>) -> Result<(), StoreError> {
        let mut state = self.state();
        state.probing = None;
        state.probed = Some((now, outcome.clone()));
        outcome
    }
}

pub(super) fn stuck_writer() -> StoreError {
    StoreError::Io(format!("the writer has not finished for {} s", STUCK.as_secs()))
}

/// Whether some bytes can be written beside the database.
pub(super) fn room(path: &Path) -> Result<(), StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".probe");
    let name = Path::new(&name);
    let written = File::create(name).and_then(|mut file| file.write_all(&vec![0; ROOM]));
    let removed = fs::remove_file(name);
    written.and(removed).map_err(|error| match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => StoreError::Full(error.to_string()),
        _ => StoreError::Io(error.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn known(health: &Health, now: Duration) -> Option<Result<(), StoreError>> {
        match health.probe(now) {
            Probe::Known(outcome) => Some(outcome),
            Probe::Due => None,
        }
    }

    #[test]
    fn one_probe_runs_at_a_time_and_its_answer_is_good_for_a_second() {
        let health = Health::default();
        assert_eq!(known(&health, SECOND), None);
        assert_eq!(known(&health, SECOND), Some(Ok(())), "one is under way");
        let full = Err(StoreError::Full("no space".to_owned()));
        assert_eq!(health.probed(2 * SECOND, full.clone()), full);
        assert_eq!(known(&health, 2 * SECOND), Some(full));
        assert_eq!(known(&health, 3 * SECOND), None, "it is tried again");
        assert_eq!(health.probed(3 * SECOND, Ok(())), Ok(()));
        assert_eq!(known(&health, 3 * SECOND), Some(Ok(())));
    }

    #[test]
    fn a_writer_that_does_not_finish_is_stuck_until_it_does() {
        let health = Health::default();
        assert_eq!(known(&health, Duration::ZERO), None);
        assert_eq!(known(&health, STUCK - Duration::from_millis(1)), Some(Ok(())));
        assert_eq!(known(&health, STUCK), Some(Err(stuck_writer())));
        assert_eq!(health.probed(STUCK, Ok(())), Ok(()));
        assert_eq!(known(&health, STUCK), Some(Ok(())));
    }

    #[test]
    fn damage_of_a_row_is_told_for_ever_and_damage_of_the_structure_ends_all_service() {
        let health = Health::default();
        let met: Result<(), _> = Err(StoreError::Corrupt("a row".to_owned()));
        assert_eq!(health.noted(met.clone()), met);
        assert_eq!((health.damages(), health.trusted()), (1, Ok(())));
        assert!(matches!(known(&health, SECOND), Some(Err(StoreError::Corrupt(text))) if text.starts_with("a row")));
        health.found(&Damage { structure: vec!["a page".to_owned()], rows: Vec::new() });
        assert_eq!((health.damages(), health.trusted().unwrap_err().code()), (2, "storage_corrupt"));
    }

    #[test]
    fn room_is_looked_for_beside_the_database_and_left_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(room(&folder.path().join("server.db")), Ok(()));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        assert_eq!(room(&folder.path().join("none/server.db")).unwrap_err().code(), "storage_io");
    }
}
