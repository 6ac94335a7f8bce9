//! Digests: comparing the replica with the server, and repairing what differs, bucket by bucket.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::runtime::{Engine, ScopeRuntime};
use super::session::SyncReport;
use crate::clock::HybridClock;
use crate::environment::timeout;
use crate::error::{Error, Result};
use crate::limits::DIGEST_BUCKETS;
use crate::model::{Change, DigestSum, RecordKey, Scope, bucket_of};
use crate::protocol::{ChangesRequest, DigestResponse, Trailer};
use crate::queue::{Confirmed, confirm, finish_settled};
use crate::replica::rows::{DigestRow, RecordRow};
use crate::replica::{Notice, Txn, decode, keys};
use crate::storage::{Scan, Table};
use crate::transport::wire::percent_encode;
use crate::transport::{Method, TransportError};

/// A bucket is repaired at most this often, in milliseconds: a fault that a repair does not mend must not become a load.
const REPAIR_INTERVAL_MS: u64 = 3_600_000;
/// Rows that are read at a time.
const PAGE: usize = 1_000;

impl Engine {
    /// Compares the replica with the server's digest at the end of a pull, and repairs the buckets that differ.
    pub(super) async fn check_digest(
        &self,
        scope: &Scope,
        runtime: &ScopeRuntime,
        theirs: &str,
        report: &mut SyncReport,
    ) -> Result<()> {
        let ours = self.reader().digest(scope).await?;
        if DigestSum::parse(theirs).is_none_or(|theirs| theirs == ours.total()) {
            return Ok(());
        }
        let answer: DigestResponse = self.fetch_digest(scope).await?;
        if answer.buckets.len() != DIGEST_BUCKETS {
            return Err(Error::Protocol("a digest has 256 buckets".into()));
        }
        let now = HybridClock::new(self.reader().snapshot().clock).corrected(self.environment.now_ms());
        let row = self.reader().scope(scope).await?;
        for (bucket, theirs) in (0..=u8::MAX).zip(&answer.buckets) {
            let differs = DigestSum::parse(theirs) != Some(ours.0[usize::from(bucket)]);
            let rested = row.repaired.get(&bucket).is_none_or(|last| now >= last.saturating_add(REPAIR_INTERVAL_MS));
            if differs && rested {
                self.repair(scope, bucket, now).await?;
                report.repaired += 1;
                runtime.step();
            }
        }
        Ok(())
    }

    async fn fetch_digest(&self, scope: &Scope) -> Result<DigestResponse> {
        let mut path = "/sync/digest?scope=".to_owned();
        percent_encode(&scope.to_string(), &mut path);
        let response = self
            .call(|context| {
                let path = &path;
                async move { self.transport.request(&context, Method::Get, path, None).await }
            })
            .await?;
        serde_json::from_slice(&response.body)
            .map_err(|error| TransportError::Malformed(format!("digest: {error}")).into())
    }

    /// Computes the digest from the stored records and keeps it, so that damage shows at the next comparison. Returns whether
    /// it differed. The caller keeps syncs away.
    pub(super) async fn renew_digest(&self, scope: &Scope) -> Result<bool> {
        let digest = recompute(&self.reader(), scope).await?;
        if digest == self.reader().digest(scope).await? {
            return Ok(false);
        }
        let scope = scope.clone();
        self.writer()
            .run(move |txn| {
                let (scope, digest) = (scope.clone(), digest.clone());
                Box::pin(async move {
                    let generation = txn.scope(&scope).await?.generation;
                    *txn.digest_mut(&scope, generation).await? = digest;
                    Ok(true)
                })
            })
            .await
    }

    /// Pulls one bucket anew and makes the replica equal to it.
    async fn repair(&self, scope: &Scope, bucket: u8, now: u64) -> Result<()> {
        let row = self.reader().scope(scope).await?;
        let mut request = ChangesRequest {
            epoch: row.epoch.clone(),
            seen: row.seen.clone(),
            bucket: Some(bucket),
            ..ChangesRequest::from_start(scope.clone())
        };
        let mut changes = Vec::new();
        loop {
            let trailer = self.read_bucket(&request, &mut changes).await?;
            if !trailer.more {
                break;
            }
            request.cursor = Some(trailer.cursor);
        }
        let scope = scope.clone();
        let changes = Arc::new(changes);
        self.writer()
            .run(move |txn| {
                let (scope, changes) = (scope.clone(), changes.clone());
                Box::pin(async move { replace_bucket(txn, &scope, bucket, &changes, now).await })
            })
            .await
    }
}

impl Engine {
    /// One request of a bucket's feed.
    async fn read_bucket(&self, request: &ChangesRequest, changes: &mut Vec<Change>) -> Result<Trailer> {
        let mut feed = self.call(|context| async move { self.transport.changes(&context, request).await }).await?;
        loop {
            let next = timeout(&*self.environment, self.options.deadline, feed.next()).await;
            match next.unwrap_or_else(|| Err(TransportError::Unreachable("the feed stands still".into())))? {
                Some(chunk) => {
                    changes.extend(chunk.changes);
                    if let Some(trailer) = chunk.trailer {
                        return Ok(trailer);
                    }
                }
                None => return Err(Error::Protocol("the feed ended without a trailer".into())),
            }
        }
    }
}

async fn replace_bucket(txn: &mut Txn, scope: &Scope, bucket: u8, changes: &[Change], now: u64) -> Result<()> {
    let generation = txn.scope(scope).await?.generation;
    let mut keep = BTreeSet::new();
    keep.extend(changes.iter().map(Change::key).filter(|key| bucket_of(key) == bucket));
    // What the server does not have goes; what it has is taken as it says.
    for key in local_keys(txn, scope, bucket).await? {
        let row = txn.record_mut(scope, generation, &key).await?;
        if !keep.contains(&key) {
            row.vanish();
            (row.revision, row.by) = (0, None);
            finish_settled(txn, scope, generation, &key, 0).await?;
        }
    }
    // The sum is made from what is held now, so that an error in the sum itself is mended too.
    txn.digest_mut(scope, generation).await?.0[usize::from(bucket)] = DigestSum::default();
    for change in changes.iter().filter(|change| bucket_of(&change.key()) == bucket) {
        let key = change.key();
        let row = txn.record_mut(scope, generation, &key).await?;
        // Not subtracted from a sum that does not hold it.
        (row.doc, row.revision) = (None, 0);
        confirm(txn, scope, generation, &key, Confirmed::of(change)).await?;
        finish_settled(txn, scope, generation, &key, change.revision).await?;
    }
    txn.scope_mut(scope).await?.repaired.insert(bucket, now);
    txn.notify(|| Notice::Repaired { scope: scope.clone(), bucket });
    Ok(())
}

/// The records of a bucket that the replica holds.
async fn local_keys(txn: &mut Txn, scope: &Scope, bucket: u8) -> Result<Vec<RecordKey>> {
    let generation = txn.scope(scope).await?.generation;
    let prefix = keys::generation_prefix(scope, generation);
    let mut scan = Scan::prefix(Table::Record, &prefix).limit(PAGE);
    let mut found = Vec::new();
    loop {
        let rows = txn.scan_stored(scan.clone()).await?;
        let Some(last) = rows.last() else { return Ok(found) };
        scan = scan.after(&last.key);
        found.extend(
            rows.iter().filter_map(|row| keys::record_key_of(&row.key, &prefix)).filter(|key| bucket_of(key) == bucket),
        );
    }
}

/// The digest of the generation that is read, computed from its rows.
async fn recompute(reader: &crate::replica::Replica, scope: &Scope) -> Result<DigestRow> {
    let prefix = keys::generation_prefix(scope, reader.generation(scope).await?);
    let mut scan = Scan::prefix(Table::Record, &prefix).limit(PAGE);
    let mut digest = DigestRow::default();
    loop {
        let rows = reader.storage().scan(scan.clone()).await?;
        let Some(last) = rows.last() else { return Ok(digest) };
        scan = scan.after(&last.key);
        for row in &rows {
            let Some(key) = keys::record_key_of(&row.key, &prefix) else { continue };
            if let Some(share) = decode::<RecordRow>(&row.value)?.digest(&key) {
                digest.0[usize::from(bucket_of(&key))].add(share);
            }
        }
    }
}
