//! The disk of a simulated device: what survives which end of a process, and every way in which it fails.
//!
//! A write is acknowledged when `apply` returns. At durability `full` it is on the medium then. At `normal` it is in the
//! system's cache: it survives the end of the process, and a loss of power keeps any number of the oldest unflushed writes
//! and loses the rest, as a write-ahead log does; a batch that asks for it is flushed with all before it. No loss ever keeps a
//! part of a write.
//!
//! A disk that [takes time](SimDisk::take_time) waits before a write takes effect, and once more before it is acknowledged, so
//! that things happen during a commit.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::watch;

use crate::environment::SharedEnvironment;
use crate::platform::BoxFuture;
use crate::storage::{Batch, Durability, MemoryStorage, Row, RowKey, Rows, Scan, Storage, StorageError, Work};
use crate::testing::SeededRandom;

/// Writes after which the system flushes its cache by itself.
const FLUSH_EVERY: usize = 24;

/// A device's disk with one replica on it. Clones are the same disk, as one process has it open; when the process has ended,
/// what is left of its clones does nothing any more.
#[derive(Clone)]
pub struct SimDisk {
    medium: Arc<Mutex<Medium>>,
    /// Which process this clone belongs to.
    boot: u64,
}

struct Medium {
    durability: Durability,
    /// What a disk claims and what it does differ where a flush was forgotten.
    flushes: bool,
    /// The last write that was acknowledged ends with its process.
    hasty: bool,
    live: MemoryStorage,
    flushed: MemoryStorage,
    /// What was written since the last flush.
    tail: Vec<Batch>,
    boot: u64,
    /// Counts whatever may have changed the content, or who uses it.
    changes: u64,
    /// Tells the process that it has died.
    died: Arc<watch::Sender<bool>>,
    crash: Option<Crash>,
    full: bool,
    /// Reads do not fail at the moment: it is a check that reads.
    calm: bool,
    failing_reads: VecDeque<StorageError>,
    failing_writes: VecDeque<StorageError>,
    pace: Pace,
    /// Rows that were read and written.
    rows: u64,
}

/// How long writes take.
#[derive(Default)]
struct Pace {
    /// The longest wait before a write takes effect, and before it is acknowledged.
    longest_ms: u64,
    /// Waits so far: each is of another length.
    waits: u64,
    /// Who waits; absent before the disk is opened.
    environment: Option<SharedEnvironment>,
    /// Writes that have taken effect and are not acknowledged.
    unacknowledged: usize,
}

/// The process ends at a write.
#[derive(Clone, Copy, Debug)]
struct Crash {
    writes: u64,
    after: bool,
}

/// A copy of the disk's file.
#[derive(Clone, Debug)]
pub struct DiskCopy(MemoryStorage);

impl SimDisk {
    /// An empty disk.
    #[must_use]
    pub fn new(durability: Durability) -> Self {
        Self::made(durability, durability == Durability::Full, false)
    }

    /// A disk whose backend acknowledges a write before it has made it: for tests that must notice it.
    #[must_use]
    pub fn acknowledging_early(durability: Durability) -> Self {
        Self::made(durability, false, true)
    }

    /// A disk whose backend promises `full` and forgets to flush: for tests that must notice it.
    #[must_use]
    pub fn without_flushes() -> Self {
        Self::made(Durability::Full, false, false)
    }

    fn made(durability: Durability, flushes: bool, hasty: bool) -> Self {
        let medium = Medium {
            durability,
            flushes,
            hasty,
            live: MemoryStorage::new(),
            flushed: MemoryStorage::new(),
            tail: Vec::new(),
            boot: 0,
            changes: 0,
            died: Arc::new(watch::Sender::new(false)),
            crash: None,
            full: false,
            calm: false,
            failing_reads: VecDeque::new(),
            failing_writes: VecDeque::new(),
            pace: Pace::default(),
            rows: 0,
        };
        Self { medium: Arc::new(Mutex::new(medium)), boot: 0 }
    }

    fn lock(&self) -> MutexGuard<'_, Medium> {
        self.medium.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the disk for a new process; the one before it has ended, whether it knows or not.
    #[must_use]
    pub fn boot(&self) -> Self {
        let mut medium = self.lock();
        medium.boot += 1;
        medium.changes += 1;
        medium.crash = None;
        medium.pace.unacknowledged = 0;
        medium.died = Arc::new(watch::Sender::new(false));
        if medium.hasty && medium.tail.pop().is_some() {
            let (live, tail) = (medium.flushed.deep_copy(), std::mem::take(&mut medium.tail));
            write_all(&live, tail).now_or_never().expect("in memory nothing is waited for");
            (medium.flushed, medium.live) = (live.deep_copy(), live);
        }
        medium.live = medium.live.reopen();
        Self { medium: Arc::clone(&self.medium), boot: medium.boot }
    }

    /// From now on a write takes up to twice `longest`; no time at all, if that is zero.
    pub fn take_time(&self, longest: Duration) {
        self.lock().pace.longest_ms = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
    }

    /// Whether a write has taken effect that nobody was told of yet: what a client says of itself is older than its records.
    #[must_use]
    pub fn is_committing(&self) -> bool {
        self.lock().pace.unacknowledged > 0
    }

    /// Completes when the process that has this disk open dies at a write.
    pub fn died(&self) -> impl Future<Output = ()> + use<> {
        let mut died = self.lock().died.subscribe();
        async move {
            if died.wait_for(|died| *died).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Whether the process that has this disk open has died at a write.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        *self.lock().died.borrow()
    }

    /// Whether the disk fails, or will at one of the next calls.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        let medium = self.lock();
        medium.full || !medium.failing_reads.is_empty() || !medium.failing_writes.is_empty()
    }

    /// The process dies at its `writes`th write from now on (the next one is the first), just before or after it took
    /// effect.
    pub fn crash_at(&self, writes: u64, after: bool) {
        self.lock().crash = Some(Crash { writes: writes.max(1), after });
    }

    /// From now on there is no room, or there is again.
    pub fn set_full(&self, full: bool) {
        self.lock().full = full;
    }

    /// A coming write, or else read, fails.
    pub fn fail(&self, write: bool, error: StorageError) {
        let mut medium = self.lock();
        if write { medium.failing_writes.push_back(error) } else { medium.failing_reads.push_back(error) }
    }

    /// For as long as it is calm no read fails: a check may look without meeting the fault that waits for the client.
    pub fn set_calm(&self, calm: bool) {
        self.lock().calm = calm;
    }

    /// Nothing fails any more.
    pub fn heal(&self) {
        let mut medium = self.lock();
        medium.full = false;
        medium.failing_reads.clear();
        medium.failing_writes.clear();
        medium.crash = None;
    }

    /// The power goes: of the unflushed writes the oldest are left, `kept` of 256. Returns how many are lost.
    pub async fn lose_power(&self, kept: u8) -> usize {
        let (flushed, tail) = {
            let mut medium = self.lock();
            (medium.flushed.clone(), std::mem::take(&mut medium.tail))
        };
        if self.lock().flushes {
            return 0;
        }
        let keep = tail.len() * usize::from(kept) / 256;
        let lost = tail.len() - keep;
        write_all(&flushed, tail.into_iter().take(keep)).await;
        let mut medium = self.lock();
        medium.live = flushed.deep_copy();
        medium.changes += 1;
        lost
    }

    /// The store is gone, and the next process finds an empty one.
    pub fn wipe(&self) {
        self.put_back(&DiskCopy(MemoryStorage::new()));
    }

    /// Puts other bytes in the place of a row, as a fault of the disk would.
    pub async fn overwrite(&self, row: RowKey, value: Vec<u8>) {
        let batch = Batch { put: vec![(row, value)], ..Batch::default() };
        let live = {
            let mut medium = self.lock();
            medium.changes += 1;
            medium.live.clone()
        };
        if live.apply(batch.clone()).await.is_ok() {
            self.written(batch).await;
        }
    }

    /// Rows that were read and written so far.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.lock().rows
    }

    /// A copy of the file as a running system shows it.
    #[must_use]
    pub fn copy(&self) -> DiskCopy {
        DiskCopy(self.lock().live.deep_copy())
    }

    /// Puts a copy in the place of the file.
    pub fn put_back(&self, copy: &DiskCopy) {
        let mut medium = self.lock();
        medium.live = copy.0.deep_copy();
        medium.flushed = copy.0.deep_copy();
        medium.tail.clear();
        medium.changes += 1;
    }

    /// A number that is another one whenever the content, or the process that uses it, may be.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.lock().changes
    }

    /// The rows as they are, whatever the disk's state: for checks.
    #[must_use]
    pub fn contents(&self) -> MemoryStorage {
        self.lock().live.deep_copy()
    }

    async fn flush(&self) {
        let (flushed, tail) = {
            let mut medium = self.lock();
            (medium.flushed.clone(), std::mem::take(&mut medium.tail))
        };
        write_all(&flushed, tail).await;
    }

    async fn written(&self, batch: Batch) {
        let asked = batch.durable;
        let flush = {
            let mut medium = self.lock();
            if medium.flushes {
                return;
            }
            medium.tail.push(batch);
            let lies = medium.durability == Durability::Full;
            (asked && !lies) || medium.tail.len() >= FLUSH_EVERY
        };
        if flush {
            self.flush().await;
        }
    }

    /// A process that has ended waits for ever.
    async fn alive(&self) -> MemoryStorage {
        let alive = {
            let medium = self.lock();
            (medium.boot == self.boot && !*medium.died.borrow()).then(|| medium.live.clone())
        };
        match alive {
            Some(live) => live,
            None => std::future::pending().await,
        }
    }

    /// Counts a write down to the crash; `Some` if this is the one.
    fn doomed(&self) -> Option<bool> {
        let mut medium = self.lock();
        let crash = medium.crash.as_mut()?;
        crash.writes -= 1;
        let after = (crash.writes == 0).then_some(crash.after)?;
        medium.crash = None;
        Some(after)
    }

    async fn die(&self) -> ! {
        self.lock().died.send_replace(true);
        std::future::pending().await
    }

    /// Runs `work` on what `live` holds. Returns what it writes, and how many rows it has read.
    fn run(&self, live: &MemoryStorage, work: &mut dyn Work) -> Result<(Batch, usize), StorageError> {
        let mut read = 0;
        let batch = live.rehearse(&mut |rows: &mut dyn Rows| {
            let mut failing = FailingRows { rows, disk: self, read: 0 };
            let batch = work.run(&mut failing);
            read = failing.read;
            batch
        })?;
        Ok((batch, read))
    }

    /// Writes, at once and as one, what work has returned that has just run on `live`.
    async fn write(&self, live: MemoryStorage, batch: Batch) -> Result<(), StorageError> {
        let failure = {
            let mut medium = self.lock();
            medium.changes += 1;
            let failure = medium.failing_writes.pop_front();
            failure.or_else(|| medium.full.then(|| StorageError::Full("simulated".to_owned())))
        };
        if let Some(error) = failure {
            return Err(error);
        }
        match self.doomed() {
            Some(false) => self.die().await,
            Some(true) => {
                if live.apply(batch.clone()).await.is_ok() {
                    self.written(batch).await;
                }
                self.die().await
            }
            None => {
                live.apply(batch.clone()).await?;
                self.written(batch).await;
                let _unacknowledged = Unacknowledged::new(self);
                self.wait().await;
                Ok(())
            }
        }
    }

    /// Lets as much time pass as the next step of a write takes.
    async fn wait(&self) {
        let wait = {
            let mut medium = self.lock();
            medium.pace.waits += 1;
            let (pace, waits) = (&medium.pace, medium.pace.waits);
            let drawn = SeededRandom::stream(waits, pace.longest_ms).below(pace.longest_ms + 1);
            pace.environment.clone().filter(|_| drawn > 0).map(|environment| (environment, drawn))
        };
        if let Some((environment, ms)) = wait {
            environment.sleep(Duration::from_millis(ms)).await;
        }
    }

    fn count(&self, rows: usize) {
        self.lock().rows += rows as u64;
    }

    async fn readable(&self) -> Result<MemoryStorage, StorageError> {
        let live = self.alive().await;
        self.read()?;
        Ok(live)
    }

    /// Fails if this is a read that fails.
    fn read(&self) -> Result<(), StorageError> {
        let mut medium = self.lock();
        let failure = if medium.calm { None } else { medium.failing_reads.pop_front() };
        failure.map_or(Ok(()), Err)
    }
}

/// The rows of a transaction, on a disk whose reads may fail.
struct FailingRows<'r> {
    rows: &'r mut dyn Rows,
    disk: &'r SimDisk,
    read: usize,
}

impl Rows for FailingRows<'_> {
    fn get(&mut self, keys: &[RowKey]) -> Result<Vec<Option<Row>>, StorageError> {
        self.disk.read()?;
        self.read += keys.len();
        self.rows.get(keys)
    }

    fn scan(&mut self, scan: &Scan) -> Result<Vec<Row>, StorageError> {
        self.disk.read()?;
        let rows = self.rows.scan(scan)?;
        self.read += rows.len();
        Ok(rows)
    }
}

/// A write has taken effect, and is not acknowledged while this lives.
struct Unacknowledged<'d>(&'d SimDisk);

impl<'d> Unacknowledged<'d> {
    fn new(disk: &'d SimDisk) -> Self {
        disk.lock().pace.unacknowledged += 1;
        Self(disk)
    }
}

impl Drop for Unacknowledged<'_> {
    fn drop(&mut self) {
        let mut medium = self.0.lock();
        // A later process has begun to count anew.
        if medium.boot == self.0.boot {
            medium.pace.unacknowledged -= 1;
        }
    }
}

async fn write_all(storage: &MemoryStorage, batches: impl IntoIterator<Item = Batch>) {
    for batch in batches {
        // Each was applied once already, on the same content.
        drop(storage.apply(batch).await);
    }
}

impl Storage for SimDisk {
    fn attach(&self, environment: SharedEnvironment) {
        self.lock().pace.environment = Some(environment);
    }

    fn get(&self, keys: Vec<RowKey>) -> BoxFuture<'_, Result<Vec<Option<Row>>, StorageError>> {
        Box::pin(async move {
            self.count(keys.len());
            self.readable().await?.get(keys).await
        })
    }

    fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Vec<Row>, StorageError>> {
        Box::pin(async move {
            let rows = self.readable().await?.scan(scan).await?;
            self.count(rows.len());
            Ok(rows)
        })
    }

    fn transact(&self, mut work: Box<dyn Work>) -> BoxFuture<'_, Result<(), StorageError>> {
        Box::pin(async move {
            let live = self.alive().await;
            let (batch, read) = self.run(&live, &mut *work)?;
            if batch.is_empty() {
                self.count(read);
                return Ok(());
            }
            // A commit takes time; what its work has read may be old by then.
            self.wait().await;
            let live = self.alive().await;
            let (batch, read) = self.run(&live, &mut *work)?;
            self.count(read + batch.put.len() + batch.delete.len());
            if batch.is_empty() { Ok(()) } else { self.write(live, batch).await }
        })
    }

    fn suspend(&self) -> BoxFuture<'_, Result<(), StorageError>> {
        Box::pin(async move {
            let live = self.alive().await;
            self.flush().await;
            live.suspend().await
        })
    }

    fn resume(&self) -> BoxFuture<'_, Result<(), StorageError>> {
        Box::pin(async move { self.alive().await.resume().await })
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StorageError>> {
        Box::pin(async move {
            let live = self.alive().await;
            self.flush().await;
            live.close().await
        })
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let medium = self.lock();
        f.debug_struct("SimDisk")
            .field("durability", &medium.durability)
            .field("unflushed", &medium.tail.len())
            .field("boot", &self.boot)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
