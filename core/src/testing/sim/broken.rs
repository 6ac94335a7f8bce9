//! Deliberately broken variants: each breaks one promise in one place, so that it can be seen that the checks notice it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::device::Variant;
use super::disk::SimDisk;
use super::host::{Backup, Host};
use crate::environment::SharedEnvironment;
use crate::merge::LoggedWrite;
use crate::model::{DeviceId, EventId, Revision, Scope};
use crate::platform::BoxFuture;
use crate::protocol::{ChangesRequest, Cursor, PushRequest, PushResponse};
use crate::storage::{Batch, Durability, Row, RowKey, Rows, Scan, Storage, StorageError, Table, Work};
use crate::transport::{ChangeReader, Method, RequestContext, Response, Transport, TransportError};

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The device acknowledges a write before it is committed: the end of the process loses it.
    AckBeforeCommit,
    /// The device keeps the cursor of a page before the page.
    CursorBeforePage,
    /// The server does not know an event again.
    NoDedupe,
    /// The server takes the events of a push from the last to the first.
    WrongLaneOrder,
    /// Of concurrent writes the one that arrives last wins on the server.
    LastArrivalWins,
    /// The device promises to survive a loss of power, and flushes nothing.
    ForgottenFlush,
}

impl Broken {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::AckBeforeCommit,
        Self::CursorBeforePage,
        Self::NoDedupe,
        Self::WrongLaneOrder,
        Self::LastArrivalWins,
        Self::ForgottenFlush,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AckBeforeCommit => "ack-before-commit",
            Self::CursorBeforePage => "cursor-before-page",
            Self::NoDedupe => "no-dedupe",
            Self::WrongLaneOrder => "wrong-lane-order",
            Self::LastArrivalWins => "last-arrival-wins",
            Self::ForgottenFlush => "forgotten-flush",
        }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Variant for Broken {
    fn disk(&self, durability: Durability) -> SimDisk {
        match self {
            Self::AckBeforeCommit => SimDisk::acknowledging_early(durability),
            Self::ForgottenFlush if durability == Durability::Full => SimDisk::without_flushes(),
            _ => SimDisk::new(durability),
        }
    }

    fn storage(&self, disk: SimDisk) -> Arc<dyn Storage> {
        if *self == Self::CursorBeforePage { Arc::new(CursorFirst(disk)) } else { Arc::new(disk) }
    }

    fn host(&self, host: Arc<dyn Host>) -> Arc<dyn Host> {
        match self {
            Self::NoDedupe | Self::WrongLaneOrder | Self::LastArrivalWins => {
                Arc::new(BrokenHost { host, broken: *self, seen: Arc::default() })
            }
            _ => host,
        }
    }
}

/// Writes each batch in two: positions and cursors first.
#[derive(Debug)]
struct CursorFirst(SimDisk);

impl Storage for CursorFirst {
    fn attach(&self, environment: SharedEnvironment) {
        self.0.attach(environment);
    }

    fn get(&self, keys: Vec<RowKey>) -> BoxFuture<'_, Result<Vec<Option<Row>>, StorageError>> {
        self.0.get(keys)
    }

    fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Vec<Row>, StorageError>> {
        self.0.scan(scan)
    }

    fn transact(&self, work: Box<dyn Work>) -> BoxFuture<'_, Result<(), StorageError>> {
        Box::pin(async move {
            let rest = Arc::new(Mutex::new(None));
            self.0.transact(Box::new(Split { work, rest: rest.clone() })).await?;
            let rest = rest.lock().unwrap_or_else(PoisonError::into_inner).take();
            match rest {
                Some(rest) => self.0.apply(rest).await,
                None => Ok(()),
            }
        })
    }

    fn suspend(&self) -> BoxFuture<'_, Result<(), StorageError>> {
        self.0.suspend()
    }

    fn resume(&self) -> BoxFuture<'_, Result<(), StorageError>> {
        self.0.resume()
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StorageError>> {
        self.0.close()
    }
}

/// Work whose batch is written without what its second half holds.
struct Split {
    work: Box<dyn Work>,
    /// The records of a pulled page.
    rest: Arc<Mutex<Option<Batch>>>,
}

impl Work for Split {
    fn run(&mut self, rows: &mut dyn Rows) -> Result<Batch, StorageError> {
        let mut batch = self.work.run(rows)?;
        let is_position = |row: &RowKey| row.table == Table::Meta;
        let page = batch.put.iter().any(|(row, _)| row.table == Table::Record);
        // A write of the app is left whole: this is about pages.
        let pulled = batch.put.iter().all(|(row, _)| !matches!(row.table, Table::Event | Table::Outcome));
        let mut rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        *rest = None;
        if !(pulled && page && batch.clear.is_empty()) {
            return Ok(batch);
        }
        let positions = batch.put.extract_if(.., |(row, _)| is_position(row)).collect();
        *rest = Some(batch);
        Ok(Batch { put: positions, ..Batch::default() })
    }
}

/// A server that takes pushes in another way than it should.
#[derive(Debug)]
struct BrokenHost {
    host: Arc<dyn Host>,
    broken: Broken,
    seen: Arc<Mutex<Seen>>,
}

/// What a broken server remembers.
#[derive(Debug, Default)]
struct Seen {
    pushes: BTreeSet<(DeviceId, u64)>,
    events: BTreeSet<EventId>,
    copies: u64,
    newest_ms: u64,
}

impl Host for BrokenHost {
    fn transport(&self) -> Arc<dyn Transport> {
        Arc::new(BrokenServer { inner: self.host.transport(), broken: self.broken, seen: Arc::clone(&self.seen) })
    }

    fn restart(&self) -> BoxFuture<'_, Result<(), String>> {
        self.host.restart()
    }

    fn backup(&self) -> BoxFuture<'_, Result<Backup, String>> {
        self.host.backup()
    }

    fn restore<'a>(&'a self, backup: &'a Backup) -> BoxFuture<'a, Result<(), String>> {
        // The events of the lost history are new to it, as they are to a sound server.
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Seen::default();
        self.host.restore(backup)
    }

    fn collect_garbage(&self) -> BoxFuture<'_, Result<u64, String>> {
        self.host.collect_garbage()
    }

    fn log<'a>(
        &'a self,
        account: &'a str,
        scope: &'a Scope,
        after: Revision,
    ) -> BoxFuture<'a, Result<Vec<LoggedWrite>, String>> {
        self.host.log(account, scope, after)
    }

    fn forged_cursor(&self, account: &str, scope: &Scope, epoch: &str, revision: Revision) -> Option<Cursor> {
        self.host.forged_cursor(account, scope, epoch, revision)
    }

    fn replay_differences<'a>(
        &'a self,
        account: &'a str,
        scope: &'a Scope,
    ) -> BoxFuture<'a, Result<Vec<String>, String>> {
        self.host.replay_differences(account, scope)
    }
}

#[derive(Debug)]
struct BrokenServer {
    inner: Arc<dyn Transport>,
    broken: Broken,
    seen: Arc<Mutex<Seen>>,
}

impl BrokenServer {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The push as the server takes it, and the names that its events had.
    fn twist(&self, request: &PushRequest) -> (PushRequest, BTreeMap<EventId, EventId>) {
        let (mut request, mut names) = (request.clone(), BTreeMap::new());
        let mut seen = self.seen();
        match self.broken {
            Broken::WrongLaneOrder => request.events.reverse(),
            Broken::LastArrivalWins => {
                for event in &mut request.events {
                    if event.stamp.ms <= seen.newest_ms {
                        event.stamp.ms = seen.newest_ms + 1;
                        event.ops.iter_mut().for_each(|op| op.stamp = None);
                    }
                    seen.newest_ms = event.stamp.ms;
                }
            }
            _ => {
                if seen.pushes.contains(&(request.device_id.clone(), request.push_seq)) {
                    seen.copies += 1;
                    let copy = format!("{}~{}", request.device_id, seen.copies);
                    request.device_id = DeviceId::new(&copy).unwrap_or(request.device_id);
                }
                for event in &mut request.events {
                    if seen.events.contains(&event.id) {
                        seen.copies += 1;
                        if let Ok(copy) = EventId::new(format!("{}~{}", event.id, seen.copies)) {
                            let name = std::mem::replace(&mut event.id, copy.clone());
                            names.insert(copy, name);
                        }
                    }
                }
            }
        }
        (request, names)
    }
}

impl Transport for BrokenServer {
    fn push<'a>(
        &'a self,
        context: &'a RequestContext,
        request: &'a PushRequest,
    ) -> BoxFuture<'a, Result<PushResponse, TransportError>> {
        Box::pin(async move {
            let (twisted, names) = self.twist(request);
            let mut response = self.inner.push(context, &twisted).await?;
            let mut seen = self.seen();
            seen.pushes.insert((request.device_id.clone(), request.push_seq));
            for receipt in &mut response.receipts {
                if let Some(name) = names.get(&receipt.id) {
                    receipt.id = name.clone();
                }
                if receipt.status.is_settled() {
                    seen.events.insert(receipt.id.clone());
                }
            }
            drop(seen);
            Ok(response)
        })
    }

    fn changes<'a>(
        &'a self,
        context: &'a RequestContext,
        request: &'a ChangesRequest,
    ) -> BoxFuture<'a, Result<Box<dyn ChangeReader>, TransportError>> {
        self.inner.changes(context, request)
    }

    fn request<'a>(
        &'a self,
        context: &'a RequestContext,
        method: Method,
        path: &'a str,
        body: Option<Vec<u8>>,
    ) -> BoxFuture<'a, Result<Response, TransportError>> {
        self.inner.request(context, method, path, body)
    }
}
