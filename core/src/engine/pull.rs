//! Pulling: the change feed, chunk by chunk, each with its cursor in one commit.
//!
//! What is held of a feed is bounded, whatever the server sends: by number, by weight, and by what brings nothing.

use std::sync::Arc;

use super::forget::prune_settled;
use super::generation::swap;
use super::runtime::{Engine, ScopeRuntime};
use super::session::SyncReport;
use crate::environment::timeout;
use crate::error::{Error, Result};
use crate::events::ClientEvent;
use crate::model::value::canonical_len;
use crate::model::{ChangeKind, RecordKey, Scope};
use crate::protocol::{ChangesRequest, Trailer};
use crate::queue::{Confirmed, confirm, finish_settled, keep_lost_values};
use crate::replica::Txn;
use crate::replica::keys::Generation;
use crate::replica::lineage::Lineage;
use crate::transport::{Chunk, TransportError};

/// Changes that are gathered into one commit, so that a first sync does not pay for one per chunk.
const COMMIT_CHANGES: usize = 4_000;
/// Bytes of documents that are gathered into one commit; the last chunk may come on top.
const COMMIT_BYTES: usize = 4 << 20;
/// Chunks without a change that a request of the feed may have in a row. A server that has nothing to tell ends the feed.
const MAX_IDLE_CHUNKS: usize = 1_000;

/// A server that says that there is more has to move on.
pub(super) fn goes_on(request: &ChangesRequest, trailer: &Trailer) -> Result<()> {
    if trailer.more && request.cursor.as_ref() == Some(&trailer.cursor) {
        return Err(Error::Protocol("the feed says that there is more, and stands still".into()));
    }
    Ok(())
}

/// Chunks that are about to be committed.
#[derive(Default)]
pub(super) struct Gathered {
    chunks: Vec<Chunk>,
    changes: usize,
    bytes: usize,
    /// Chunks without a change since the last one with some.
    idle: usize,
}

impl Gathered {
    /// Adds a chunk.
    ///
    /// # Errors
    /// `protocol` if the feed brings nothing, again and again.
    pub(super) fn add(&mut self, chunk: Chunk) -> Result<()> {
        let documents = chunk.changes.iter().filter_map(|change| change.doc.as_ref());
        self.bytes += documents.map(canonical_len).sum::<usize>();
        self.changes += chunk.changes.len();
        self.idle = if chunk.changes.is_empty() { self.idle + 1 } else { 0 };
        if self.idle > MAX_IDLE_CHUNKS {
            return Err(Error::Protocol("the feed goes on and on without a change".into()));
        }
        // A position that nothing leads up to takes the place of the one before.
        if self.idle > 1 {
            self.chunks.pop();
        }
        self.chunks.push(chunk);
        Ok(())
    }

    /// Whether there is enough for a commit.
    pub(super) fn is_enough(&self) -> bool {
        self.changes >= COMMIT_CHANGES || self.bytes >= COMMIT_BYTES
    }

    /// The chunks, to be committed.
    pub(super) fn take(&mut self) -> Vec<Chunk> {
        (self.changes, self.bytes) = (0, 0);
        std::mem::take(&mut self.chunks)
    }
}

/// How a request of the feed ended.
#[derive(Debug)]
pub(super) struct Pulled {
    /// More was there.
    pub more: bool,
    /// The server's digest at the end, if nothing more was there.
    pub digest: Option<String>,
}

impl Engine {
    /// One request of the feed.
    pub(super) async fn pull_once(
        &self,
        scope: &Scope,
        runtime: &ScopeRuntime,
        report: &mut SyncReport,
    ) -> Result<Pulled> {
        let row = self.reader().scope(scope).await?;
        let cursor = match &row.building {
            Some(building) => building.cursor.clone(),
            None => row.cursor.clone(),
        };
        let request = ChangesRequest {
            epoch: row.epoch.clone(),
            cursor,
            seen: row.seen.clone(),
            limit: Some(self.options.pull_limit),
            device: Some(self.reader().replica().await?.device.clone()),
            ..ChangesRequest::from_start(scope.clone())
        };
        let before = self.environment.now_ms();
        let mut feed = self
            .call(|context| {
                let request = &request;
                async move { self.transport.changes(&context, request).await }
            })
            .await?;
        let mut gathered = Gathered::default();
        loop {
            let next = timeout(&*self.environment, self.options.deadline, feed.next()).await;
            let next = next.unwrap_or_else(|| Err(TransportError::Unreachable("the feed stands still".into())));
            runtime.step();
            let (ended, failed) = match next {
                Ok(Some(chunk)) => {
                    let ended = chunk.trailer.is_some();
                    match gathered.add(chunk) {
                        Ok(()) => (ended, None),
                        Err(error) => (true, Some(error)),
                    }
                }
                Ok(None) => (true, None),
                // What came whole is kept.
                Err(error) => (true, Some(error.into())),
            };
            if ended || gathered.is_enough() {
                let trailer = gathered.chunks.last().and_then(|chunk| chunk.trailer.clone());
                if let Some(trailer) = &trailer {
                    self.check_server(&trailer.server_id).await?;
                    self.learn_time(trailer.server_now, before).await?;
                }
                // A group may be cut here: the status says so before anybody can see it, and goes on saying so should the
                // sync end now.
                let whole = trailer.as_ref().is_some_and(|trailer| !trailer.more);
                runtime.memory().consistent &= whole;
                let pulled = self.apply_chunks(scope, gathered.take()).await?;
                report.pulled += pulled;
                runtime.memory().consistent = whole;
                runtime.step();
                self.tell_progress(scope, runtime, pulled, trailer.as_ref().and_then(|trailer| trailer.total));
                if let Some(trailer) = trailer {
                    goes_on(&request, &trailer)?;
                    return Ok(Pulled { more: trailer.more, digest: trailer.digest });
                }
            }
            if let Some(error) = failed {
                return Err(error);
            }
            if ended {
                return Err(Error::Protocol("the feed ended without a trailer".into()));
            }
        }
    }

    fn tell_progress(&self, scope: &Scope, runtime: &ScopeRuntime, pulled: u64, total: Option<u64>) {
        if pulled == 0 && total.is_none() {
            return;
        }
        let progress = {
            let mut memory = runtime.memory();
            memory.progress.pulled += pulled;
            memory.progress.total = total.or(memory.progress.total);
            memory.progress
        };
        if pulled > 0 {
            self.announce(ClientEvent::Progress { scope: scope.clone(), progress });
        }
    }

    /// Commits chunks; returns how many changes were new.
    async fn apply_chunks(&self, scope: &Scope, chunks: Vec<Chunk>) -> Result<u64> {
        if chunks.is_empty() {
            return Ok(0);
        }
        let scope = scope.clone();
        let chunks = Arc::new(chunks);
        self.writer().run(move |txn| apply_chunks(txn, &scope, &chunks)).await
    }
}

fn apply_chunks(txn: &mut Txn<'_>, scope: &Scope, chunks: &[Chunk]) -> Result<u64> {
    let row = txn.scope(scope)?;
    let building = row.building.as_ref().map(|building| building.generation);
    let generation = building.unwrap_or(row.generation);
    let mut pulled = 0;
    for chunk in chunks {
        let included = Included::of(txn, scope, chunk.included)?;
        pulled += apply_changes(txn, scope, generation, chunk, &included)?;
        let newest = chunk.changes.iter().map(|change| change.revision).max().unwrap_or(0);
        let row = txn.scope_mut(scope)?;
        match &mut row.building {
            Some(building) => building.cursor = Some(chunk.cursor.clone()),
            None => {
                row.pulled = row.pulled.max(newest);
                row.cursor = Some(chunk.cursor.clone());
                row.consistent = false;
            }
        }
        if let Some(trailer) = &chunk.trailer {
            row.epoch = Some(trailer.epoch.clone());
            row.membership.answered();
            // What every backup holds, they go on holding, although a server that was killed may count ages from earlier.
            let mut backed_up = row.backup_revision.max(trailer.backup_revision);
            if !trailer.more {
                // A history that was restored from before all backups has not come so far yet.
                backed_up = backed_up.min(trailer.revision);
            }
            row.backup_revision = backed_up;
            if !trailer.more {
                // The end of an earlier page may be older than what a receipt has proved.
                row.seen = Some(trailer.cursor.clone());
                // None was sent since: of a push that was given up, and of those that a lost history held, this history
                // holds what it holds now. (One that is still on its way to it names that lost history.)
                let was_in_doubt = std::mem::take(&mut row.in_doubt);
                if building.is_some() || was_in_doubt {
                    row.lineage.follow(row.push_seq, trailer.included);
                }
                row.consistent = true;
                row.complete = true;
                row.known_revision = trailer.revision;
                if building.is_some() {
                    swap(txn, scope, trailer.included, trailer.revision)?;
                }
            }
            if let Some(stamp) = &trailer.hlc {
                receive_stamp(txn, stamp);
            }
            prune_settled(txn, scope, backed_up)?;
        }
    }
    Ok(pulled)
}

/// Takes a chunk's changes; returns how many were new.
fn apply_changes(
    txn: &mut Txn<'_>,
    scope: &Scope,
    generation: Generation,
    chunk: &Chunk,
    included: &Included,
) -> Result<u64> {
    let building = txn.scope(scope)?.building.is_some();
    let keys: Vec<_> = chunk.changes.iter().map(crate::model::Change::key).collect();
    txn.load_lanes(scope, generation, &keys)?;
    for change in &chunk.changes {
        keep_lost_values(txn, scope, change)?;
    }
    let mut pulled = 0;
    for (change, key) in chunk.changes.iter().zip(&keys) {
        receive_stamp(txn, &change.stamp);
        let row = txn.record(scope, generation, key)?;
        if change.revision < row.revision {
            continue;
        }
        let news = change.revision > row.revision;
        let live = !building && !row.pending.is_empty();
        if news {
            pulled += 1;
            confirm(txn, scope, generation, key, Confirmed::of(change))?;
            if live {
                included.absorb(txn, scope, generation, key)?;
                finish_settled(txn, scope, generation, key, change.revision)?;
            }
        }
        // The feed goes upwards: once it has told of a delete, nothing older of the record can come.
        if !live && change.kind != ChangeKind::Put {
            txn.record_mut(scope, generation, key)?.revision = 0;
        }
    }
    Ok(pulled)
}

/// Takes the changes of a part of the feed, whose end is no position of the pull's.
pub(super) fn apply_part(txn: &mut Txn<'_>, scope: &Scope, chunks: &[Chunk]) -> Result<u64> {
    let generation = txn.scope(scope)?.generation;
    let mut pulled = 0;
    for chunk in chunks {
        let included = Included::of(txn, scope, chunk.included)?;
        pulled += apply_changes(txn, scope, generation, chunk, &included)?;
    }
    Ok(pulled)
}

fn receive_stamp(txn: &mut Txn<'_>, stamp: &crate::clock::Stamp) {
    let replica = txn.replica_mut();
    let mut clock = crate::clock::HybridClock::new(replica.clock);
    clock.receive(stamp);
    replica.clock = clock.state();
}

/// Which of the unsettled events a chunk's records contain already.
struct Included {
    push_seq: u64,
    lineage: Lineage,
    /// The push in flight, if the chunk was read after it took effect.
    positions: Vec<u64>,
}

impl Included {
    fn of(txn: &mut Txn<'_>, scope: &Scope, push_seq: u64) -> Result<Self> {
        let row = txn.scope(scope)?;
        let in_flight = row.in_flight.as_ref().filter(|push| push.push_seq <= push_seq);
        let positions = in_flight.map(|push| push.positions.clone()).unwrap_or_default();
        Ok(Self { push_seq, lineage: row.lineage.clone(), positions })
    }

    /// Takes those events out of the record's overlay, so that no effect shows twice; they stay unsettled until their
    /// receipts come.
    fn absorb(&self, txn: &mut Txn<'_>, scope: &Scope, generation: Generation, key: &RecordKey) -> Result<()> {
        let pending = txn.record(scope, generation, key)?.pending.clone();
        txn.load_entries(scope, &pending)?;
        for position in pending {
            let Some(entry) = txn.entry(scope, position)? else { continue };
            let contained = entry.sent.are_held(&self.lineage, self.push_seq) || self.positions.contains(&position);
            if contained
                && !entry.absorbed
                && let Some(entry) = txn.entry_mut(scope, position)?
            {
                entry.absorbed = true;
                // Its content has been seen by the server.
                entry.frozen = true;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::{Author, Change, DeviceId};
    use crate::protocol::Cursor;

    fn chunk(cursor: usize, changes: usize, text: usize) -> Chunk {
        let change = Change {
            kind: ChangeKind::Put,
            collection: "samples".parse().unwrap(),
            record: "kick".parse().unwrap(),
            revision: 1,
            doc: Some(json!({"text": "x".repeat(text)})),
            stamp: "019a3f2c11d0-0003-d1".parse().unwrap(),
            by: Author { user: "alice".into(), device: DeviceId::new("d1").unwrap() },
            schema: 1,
            group: None,
        };
        let cursor = Cursor(format!("c{cursor}"));
        Chunk { changes: vec![change; changes], cursor, included: 0, trailer: None }
    }

    #[test]
    fn i13_a_commit_is_bounded_by_changes_and_by_bytes() {
        let mut gathered = Gathered::default();
        gathered.add(chunk(1, COMMIT_CHANGES - 1, 0)).unwrap();
        assert!(!gathered.is_enough());
        gathered.add(chunk(2, 1, 0)).unwrap();
        assert!(gathered.is_enough());
        assert_eq!(gathered.take().len(), 2);
        assert!(!gathered.is_enough());
        gathered.add(chunk(3, 4, COMMIT_BYTES / 4)).unwrap();
        assert!(gathered.is_enough());
    }

    #[test]
    fn i13_positions_without_changes_are_not_collected_and_end_at_last() {
        let mut gathered = Gathered::default();
        gathered.add(chunk(0, 1, 0)).unwrap();
        for cursor in 1..=MAX_IDLE_CHUNKS {
            gathered.add(chunk(cursor, 0, 0)).unwrap();
        }
        assert_eq!(gathered.add(chunk(0, 0, 0)).unwrap_err().code(), "protocol");
        let cursors: Vec<_> = gathered.take().into_iter().map(|chunk| chunk.cursor.0).collect();
        assert_eq!(cursors, ["c0".to_owned(), format!("c{MAX_IDLE_CHUNKS}")], "what came with changes, and the last");
        // A change in between, and they are counted anew.
        gathered.add(chunk(1, 1, 0)).unwrap();
        gathered.add(chunk(2, 0, 0)).unwrap();
        assert_eq!(gathered.take().len(), 2);
    }

    #[test]
    fn a_feed_that_stands_still_is_no_feed() {
        let mut request = ChangesRequest::from_start(Scope::User);
        let mut trailer = Trailer {
            cursor: Cursor("c1".into()),
            revision: 0,
            more: true,
            epoch: "e1".into(),
            included: 0,
            hlc: None,
            backup_revision: 0,
            server_now: 1,
            server_id: "s".into(),
            total: None,
            digest: None,
        };
        assert!(goes_on(&request, &trailer).is_ok());
        request.cursor = Some(trailer.cursor.clone());
        assert_eq!(goes_on(&request, &trailer).unwrap_err().code(), "protocol");
        trailer.more = false;
        assert!(goes_on(&request, &trailer).is_ok());
    }
}
