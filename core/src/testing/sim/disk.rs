//! The disk of a simulated device: what survives which end of a process, and every way in which it fails.
//!
//! A write is acknowledged when `apply` returns. At durability `full` it is on the medium then. At `normal` it is in the
//! system's cache: it survives the end of the process, and a loss of power keeps any number of the oldest unflushed writes
//! and loses the rest, as a write-ahead log does; a batch that asks for it is flushed with all before it. No loss ever keeps a
//! part of a write.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use tokio::sync::watch;

use crate::platform::BoxFuture;
use crate::storage::{Batch, Durability, MemoryStorage, Row, RowKey, Scan, Storage, StorageError};

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
    tail: Vec<Unflushed>,
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
}

#[derive(Clone)]
enum Unflushed {
    Batch(Batch),
    Fence,
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
        medium.died = Arc::new(watch::Sender::new(false));
        if medium.hasty && medium.tail.pop().is_some() {
            let (live, tail) = (medium.flushed.deep_copy(), std::mem::take(&mut medium.tail));
            write_all(&live, tail).now_or_never().expect("in memory nothing is waited for");
            (medium.flushed, medium.live) = (live.deep_copy(), live);
        }
        medium.live = medium.live.reopen();
        Self { medium: Arc::clone(&self.medium), boot: medium.boot }
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

    async fn written(&self, write: Unflushed) {
        let asked = matches!(&write, Unflushed::Batch(batch) if batch.durable);
        let flush = {
            let mut medium = self.lock();
            if medium.flushes {
                return;
            }
            medium.tail.push(write);
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

    async fn write<F, W>(&self, write: Unflushed, apply: impl FnOnce(MemoryStorage) -> F) -> Result<W, StorageError>
    where
        F: Future<Output = Result<W, StorageError>>,
    {
        let live = self.alive().await;
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
                if apply(live).await.is_ok() {
                    self.written(write).await;
                }
                self.die().await
            }
            None => {
                let done = apply(live).await?;
                self.written(write).await;
                Ok(done)
            }
        }
    }

    async fn readable(&self) -> Result<MemoryStorage, StorageError> {
        let live = self.alive().await;
        let failure = {
            let mut medium = self.lock();
            if medium.calm { None } else { medium.failing_reads.pop_front() }
        };
        failure.map_or(Ok(live), Err)
    }
}

async fn write_all(storage: &MemoryStorage, writes: impl IntoIterator<Item = Unflushed>) {
    for write in writes {
        // Each was applied once already, on the same content.
        match write {
            Unflushed::Batch(batch) => drop(storage.apply(batch).await),
            Unflushed::Fence => drop(storage.advance_fence().await),
        }
    }
}

impl Storage for SimDisk {
    fn durability(&self) -> Durability {
        self.lock().durability
    }

    fn get(&self, keys: Vec<RowKey>) -> BoxFuture<'_, Result<Vec<Option<Row>>, StorageError>> {
        Box::pin(async move { self.readable().await?.get(keys).await })
    }

    fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Vec<Row>, StorageError>> {
        Box::pin(async move { self.readable().await?.scan(scan).await })
    }

    fn apply(&self, batch: Batch) -> BoxFuture<'_, Result<(), StorageError>> {
        Box::pin(async move {
            let write = Unflushed::Batch(batch.clone());
            self.write(write, |live| async move { live.apply(batch).await }).await
        })
    }

    fn advance_fence(&self) -> BoxFuture<'_, Result<u64, StorageError>> {
        Box::pin(async move { self.write(Unflushed::Fence, |live| async move { live.advance_fence().await }).await })
    }

    fn size(&self) -> BoxFuture<'_, Result<u64, StorageError>> {
        Box::pin(async move { self.alive().await.size().await })
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
mod tests {
    use super::*;
    use crate::storage::Table;
    use crate::testing::block_on;

    impl crate::testing::storage_suite::Replica for SimDisk {
        type Storage = Self;

        fn open(&self) -> BoxFuture<'_, Self> {
            Box::pin(async { self.boot() })
        }
    }

    crate::storage_suite!(full, SimDisk::new(Durability::Full));
    crate::storage_suite!(normal, SimDisk::new(Durability::Normal));

    fn put(key: &[u8]) -> Batch {
        let row = RowKey { table: Table::Record, key: key.to_vec() };
        Batch { put: vec![(row, Vec::new())], ..Batch::default() }
    }

    fn keys(disk: &SimDisk) -> Vec<Vec<u8>> {
        let rows = block_on(disk.contents().scan(Scan::prefix(Table::Record, b""))).unwrap();
        rows.into_iter().map(|row| row.key).collect()
    }

    fn written(durability: Durability) -> SimDisk {
        let disk = SimDisk::new(durability).boot();
        for key in [b"a", b"b", b"c", b"d"] {
            block_on(disk.apply(put(key))).unwrap();
        }
        disk
    }

    #[test]
    fn a_full_disk_survives_a_loss_of_power_and_a_normal_one_keeps_the_oldest_writes() {
        let full = written(Durability::Full);
        assert_eq!((block_on(full.lose_power(0)), keys(&full).len()), (0, 4));
        let normal = written(Durability::Normal);
        assert_eq!(block_on(normal.lose_power(128)), 2);
        assert_eq!(keys(&normal), [b"a", b"b"]);
        block_on(normal.boot().apply(Batch { durable: true, ..put(b"e") })).unwrap();
        assert_eq!((block_on(normal.lose_power(0)), keys(&normal).len()), (0, 3));
        let lying = SimDisk::without_flushes().boot();
        block_on(lying.apply(put(b"a"))).unwrap();
        assert_eq!((lying.durability(), block_on(lying.lose_power(0))), (Durability::Full, 1));
    }

    #[test]
    fn a_process_dies_before_or_after_its_write_and_does_nothing_more() {
        use futures_util::FutureExt;
        for after in [false, true] {
            let disk = written(Durability::Normal);
            disk.crash_at(2, after);
            block_on(disk.apply(put(b"e"))).unwrap();
            assert_eq!(disk.apply(put(b"f")).now_or_never(), None, "the process is dead");
            assert!(disk.is_dead() && disk.died().now_or_never().is_some());
            assert_eq!(disk.apply(put(b"g")).now_or_never(), None);
            assert_eq!(keys(&disk).len(), if after { 6 } else { 5 });
            let next = disk.boot();
            assert!(!next.is_dead());
            assert_eq!(disk.apply(put(b"h")).now_or_never(), None, "the former process stays dead");
            block_on(next.apply(put(b"i"))).unwrap();
        }
    }

    #[test]
    fn a_disk_fails_as_it_is_told_and_can_be_set_back() {
        let disk = written(Durability::Full);
        let copy = disk.copy();
        disk.fail(true, StorageError::Io("simulated".into()));
        disk.set_full(true);
        assert_eq!(block_on(disk.apply(put(b"e"))).unwrap_err().code(), "storage_io");
        assert_eq!(block_on(disk.apply(put(b"e"))).unwrap_err().code(), "storage_full");
        disk.heal();
        block_on(disk.apply(put(b"e"))).unwrap();
        disk.put_back(&copy);
        assert_eq!(keys(&disk.boot()).len(), 4);
        disk.wipe();
        assert!(keys(&disk.boot()).is_empty());
    }
}
