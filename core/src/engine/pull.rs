//! Pulling: the change feed, chunk by chunk, each with its cursor in one commit.

use std::sync::Arc;

use super::forget::prune_settled;
use super::generation::swap;
use super::runtime::{Engine, ScopeRuntime};
use super::session::SyncReport;
use crate::environment::timeout;
use crate::error::{Error, Result};
use crate::events::ClientEvent;
use crate::model::{ChangeKind, RecordKey, Scope};
use crate::protocol::ChangesRequest;
use crate::queue::{Confirmed, confirm, finish_settled};
use crate::replica::Txn;
use crate::replica::keys::Generation;
use crate::replica::lineage::Lineage;
use crate::transport::{Chunk, TransportError};

/// Changes that are gathered into one commit, so that a first sync does not pay for one per chunk.
const COMMIT_CHANGES: usize = 4_000;

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
        let mut gathered: Vec<Chunk> = Vec::new();
        let mut count = 0;
        loop {
            let next = timeout(&*self.environment, self.options.deadline, feed.next()).await;
            let next = next.unwrap_or_else(|| Err(TransportError::Unreachable("the feed stands still".into())));
            runtime.step();
            let (ended, failed) = match next {
                Ok(Some(chunk)) => {
                    count += chunk.changes.len();
                    let ended = chunk.trailer.is_some();
                    gathered.push(chunk);
                    (ended, None)
                }
                Ok(None) => (true, None),
                // What came whole is kept.
                Err(error) => (true, Some(error)),
            };
            if ended || count >= COMMIT_CHANGES {
                let trailer = gathered.last().and_then(|chunk| chunk.trailer.clone());
                if let Some(trailer) = &trailer {
                    self.check_server(&trailer.server_id).await?;
                    self.learn_time(trailer.server_now, before).await?;
                }
                // A group may be cut here: the status says so before anybody can see it, and goes on saying so should the
                // sync end now.
                let whole = trailer.as_ref().is_some_and(|trailer| !trailer.more);
                runtime.memory().consistent &= whole;
                let pulled = self.apply_chunks(scope, std::mem::take(&mut gathered)).await?;
                count = 0;
                report.pulled += pulled;
                runtime.memory().consistent = whole;
                runtime.step();
                self.tell_progress(scope, runtime, pulled, trailer.as_ref().and_then(|trailer| trailer.total));
                if let Some(trailer) = trailer {
                    return Ok(Pulled { more: trailer.more, digest: trailer.digest });
                }
            }
            if let Some(error) = failed {
                return Err(error.into());
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
        self.writer()
            .run(move |txn| {
                let (scope, chunks) = (scope.clone(), chunks.clone());
                Box::pin(async move { apply_chunks(txn, &scope, &chunks).await })
            })
            .await
    }
}

async fn apply_chunks(txn: &mut Txn, scope: &Scope, chunks: &[Chunk]) -> Result<u64> {
    let row = txn.scope(scope).await?;
    let building = row.building.as_ref().map(|building| building.generation);
    let generation = building.unwrap_or(row.generation);
    let mut pulled = 0;
    for chunk in chunks {
        let keys: Vec<_> = chunk.changes.iter().map(crate::model::Change::key).collect();
        txn.load_records(scope, generation, &keys).await?;
        let included = Included::of(txn, scope, chunk.included).await?;
        for (change, key) in chunk.changes.iter().zip(&keys) {
            receive_stamp(txn, &change.stamp);
            let row = txn.record(scope, generation, key).await?;
            if change.revision < row.revision {
                continue;
            }
            let news = change.revision > row.revision;
            let live = building.is_none() && !row.pending.is_empty();
            if news {
                pulled += 1;
                confirm(txn, scope, generation, key, Confirmed::of(change)).await?;
                if live {
                    included.absorb(txn, scope, generation, key).await?;
                    finish_settled(txn, scope, generation, key, change.revision).await?;
                }
            }
            // The feed goes upwards: once it has told of a delete, nothing older of the record can come.
            if !live && change.kind != ChangeKind::Put {
                txn.record_mut(scope, generation, key).await?.revision = 0;
            }
        }
        let newest = chunk.changes.iter().map(|change| change.revision).max().unwrap_or(0);
        let row = txn.scope_mut(scope).await?;
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
            row.backup_revision = trailer.backup_revision;
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
                    swap(txn, scope, trailer.included, trailer.revision).await?;
                }
            }
            if let Some(stamp) = &trailer.hlc {
                receive_stamp(txn, stamp);
            }
            prune_settled(txn, scope, trailer.backup_revision).await?;
        }
    }
    Ok(pulled)
}

fn receive_stamp(txn: &mut Txn, stamp: &crate::clock::Stamp) {
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
    async fn of(txn: &mut Txn, scope: &Scope, push_seq: u64) -> Result<Self> {
        let row = txn.scope(scope).await?;
        let in_flight = row.in_flight.as_ref().filter(|push| push.push_seq <= push_seq);
        let positions = in_flight.map(|push| push.positions.clone()).unwrap_or_default();
        Ok(Self { push_seq, lineage: row.lineage.clone(), positions })
    }

    /// Takes those events out of the record's overlay, so that no effect shows twice; they stay unsettled until their
    /// receipts come.
    async fn absorb(&self, txn: &mut Txn, scope: &Scope, generation: Generation, key: &RecordKey) -> Result<()> {
        let pending = txn.record(scope, generation, key).await?.pending.clone();
        txn.load_entries(scope, &pending).await?;
        for position in pending {
            let Some(entry) = txn.entry(scope, position).await? else { continue };
            let contained = entry.sent.are_held(&self.lineage, self.push_seq) || self.positions.contains(&position);
            if contained
                && !entry.absorbed
                && let Some(entry) = txn.entry_mut(scope, position).await?
            {
                entry.absorbed = true;
                // Its content has been seen by the server.
                entry.frozen = true;
            }
        }
        Ok(())
    }
}
