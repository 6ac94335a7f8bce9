//! One commit: the units of work that wait, run one after the other inside one transaction of the storage.
//!
//! A unit that fails is taken out, and the rest is run again without it: nothing that it has changed survives, and failures are
//! rare. A unit that panics fails, and those beside it do not.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use super::keys;
use super::notice::Told;
use super::rows::ReplicaRow;
use super::txn::{Cache, Txn, decode};
use super::writer::Shared;
use crate::error::{Error, Result};
use crate::platform::MaybeSend;
use crate::storage::{Batch, Rows, StorageError, Work};

/// A unit of work that waits for a commit.
pub(super) struct Unit {
    work: Box<dyn UnitWork>,
    caller: oneshot::Sender<Result<()>>,
}

impl Unit {
    /// A unit that does `body`, where its last run's result is to be kept, and whom to tell what became of it.
    pub(super) fn new<T, F>(body: F, output: Arc<Mutex<Option<T>>>, caller: oneshot::Sender<Result<()>>) -> Self
    where
        T: MaybeSend + 'static,
        F: FnMut(&mut Txn<'_>) -> Result<T> + MaybeSend + 'static,
    {
        Self { work: Box::new(Job { body, output }), caller }
    }

    fn run(&mut self, txn: &mut Txn<'_>) -> Result<()> {
        catch_unwind(AssertUnwindSafe(|| self.work.run(txn)))
            .unwrap_or_else(|_| Err(Error::Internal("a unit of work panicked".into())))
    }

    pub(super) fn finish(self, result: Result<()>) {
        // A caller that went away does not want to know.
        drop(self.caller.send(result));
    }
}

/// What a unit does. It may run more than once before it is committed.
trait UnitWork: MaybeSend {
    fn run(&mut self, txn: &mut Txn<'_>) -> Result<()>;
}

/// A caller's closure, and the place for what its last run returned. All else is the same for every closure and result, so
/// that a browser downloads it once.
struct Job<T, F> {
    body: F,
    output: Arc<Mutex<Option<T>>>,
}

impl<T, F> UnitWork for Job<T, F>
where
    T: MaybeSend,
    F: FnMut(&mut Txn<'_>) -> Result<T> + MaybeSend,
{
    fn run(&mut self, txn: &mut Txn<'_>) -> Result<()> {
        let done = (self.body)(txn)?;
        *lock(&self.output) = Some(done);
        Ok(())
    }
}

/// The units of a commit, and what they have come to.
#[derive(Default)]
pub(super) struct Group {
    /// Those that have not failed.
    pub(super) units: Vec<Unit>,
    /// After a run to the end: what to keep in memory once it is committed, and what to tell observers.
    pub(super) done: Option<(Cache, Told)>,
}

/// The work of a [`Group`], as the storage runs it.
pub(super) struct Commit {
    pub(super) shared: Arc<Shared>,
    pub(super) group: Arc<Mutex<Group>>,
}

impl Work for Commit {
    fn run(&mut self, rows: &mut dyn Rows) -> Result<Batch, StorageError> {
        let mut group = lock(&self.group);
        match self.shared.current(rows) {
            Ok(cache) => group.run(&self.shared, &cache, rows),
            Err(error) => {
                if let (StorageError::NotLoaded, Some(cache)) =
                    (&error, self.shared.cached(|cache| Some(cache.clone())))
                {
                    group.ask_ahead(0, &self.shared, &cache, rows);
                }
                Err(error)
            }
        }
    }
}

impl Group {
    fn run(&mut self, shared: &Shared, cache: &Cache, rows: &mut dyn Rows) -> Result<Batch, StorageError> {
        'again: loop {
            let mut txn = shared.begin(rows, cache.clone());
            for index in 0..self.units.len() {
                match self.units[index].run(&mut txn) {
                    Ok(()) => {}
                    Err(Error::Storage(error @ StorageError::NotLoaded)) => {
                        drop(txn);
                        self.ask_ahead(index + 1, shared, cache, rows);
                        return Err(error);
                    }
                    Err(error) => {
                        self.units.remove(index).finish(Err(error));
                        continue 'again;
                    }
                }
            }
            let (batch, cache, told) = txn.finish();
            self.done = Some((cache, told));
            return Ok(batch);
        }
    }

    /// Runs the units from `first` on, each as if it were alone, so that the storage hears of what they read, too, and fetches it
    /// together. What they come to does not count.
    fn ask_ahead(&mut self, first: usize, shared: &Shared, cache: &Cache, rows: &mut dyn Rows) {
        for unit in &mut self.units[first..] {
            drop(unit.run(&mut shared.begin(rows, cache.clone())));
        }
    }
}

/// The number of the last commit; 0 if there was none yet.
pub(super) fn commits(rows: &mut dyn Rows) -> Result<u64, StorageError> {
    let Some(row) = rows.get(&[keys::commits()])?.pop().flatten() else { return Ok(0) };
    let number = row.value.try_into().map_err(|_| StorageError::Corrupt("the number of commits".into()))?;
    Ok(u64::from_be_bytes(number))
}

/// The rows that every unit begins with, as they are after the commit with this number. `None` if the replica is empty.
pub(super) fn load(rows: &mut dyn Rows, commits: u64) -> Result<Option<Cache>, StorageError> {
    let Some(row) = rows.get(&[keys::replica()])?.pop().flatten() else { return Ok(None) };
    let replica: ReplicaRow = decode(&row.value)?;
    Ok(Some(Cache { replica: Arc::new(replica), commits, scopes: Default::default() }))
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Nothing is held across code that may panic half-way through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
