//! Digests: comparing the replica with the server, and repairing what differs, bucket by bucket.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::part::Part;
use super::runtime::{Engine, ScopeRuntime};
use super::session::SyncReport;
use crate::clock::HybridClock;
use crate::error::{Error, Result};
use crate::limits::DIGEST_BUCKETS;
use crate::model::{DigestSum, RecordKey, Scope, bucket_of};
use crate::protocol::{ChangesRequest, DigestResponse};
use crate::queue::finish_settled;
use crate::replica::rows::{DigestRow, RecordRow};
use crate::replica::{Notice, Txn, decode, keys};
use crate::storage::{Scan, Table};
use crate::transport::TransportError;
use crate::transport::wire::percent_encode;

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
        serde_json::from_slice(&self.fetch(&path).await?)
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
                let generation = txn.scope(&scope)?.generation;
                txn.digest_mut(&scope, generation)?.clone_from(&digest);
                Ok(true)
            })
            .await
    }

    /// Pulls one bucket anew and makes the replica equal to it: what the server has is taken part by part, and what it does not
    /// have goes at the end. What is held meanwhile are the bucket's names.
    async fn repair(&self, scope: &Scope, bucket: u8, now: u64) -> Result<()> {
        let row = self.reader().scope(scope).await?;
        let request = ChangesRequest {
            epoch: row.epoch.clone(),
            seen: row.seen.clone(),
            bucket: Some(bucket),
            limit: Some(self.options.pull_limit),
            ..ChangesRequest::from_start(scope.clone())
        };
        let mut part = Part::Bucket { bucket, named: BTreeSet::new() };
        self.read_part(request, &mut part).await?;
        let Part::Bucket { named, .. } = part else { return Ok(()) };
        let scope = scope.clone();
        let named = Arc::new(named);
        self.writer().run(move |txn| finish_bucket(txn, &scope, bucket, &named, now)).await
    }
}

/// Removes from a bucket what the server has not `named`, and sums up what is held then, so that an error in the sum itself is
/// repaired too.
fn finish_bucket(txn: &mut Txn<'_>, scope: &Scope, bucket: u8, named: &BTreeSet<RecordKey>, now: u64) -> Result<()> {
    let generation = txn.scope(scope)?.generation;
    let prefix = keys::generation_prefix(scope, generation);
    let mut scan = Scan::prefix(Table::Record, &prefix).limit(PAGE);
    let mut sum = DigestSum::default();
    loop {
        let rows = txn.scan_stored(&scan)?;
        let Some(last) = rows.last() else { break };
        scan = scan.after(&last.key);
        for row in &rows {
            let Some(key) = keys::record_key_of(&row.key, &prefix).filter(|key| bucket_of(key) == bucket) else {
                continue;
            };
            if named.contains(&key) {
                if let Some(share) = decode::<RecordRow>(&row.value)?.digest(&key) {
                    sum.add(share);
                }
                continue;
            }
            let row = txn.record_mut(scope, generation, &key)?;
            row.vanish();
            (row.revision, row.by) = (0, None);
            finish_settled(txn, scope, generation, &key, 0)?;
        }
    }
    txn.digest_mut(scope, generation)?.0[usize::from(bucket)] = sum;
    txn.scope_mut(scope)?.repaired.insert(bucket, now);
    txn.notify(|| Notice::Repaired { scope: scope.clone(), bucket });
    Ok(())
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::{Author, Change, ChangeKind, CollectionName, DeviceId, RecordId, Revision};
    use crate::protocol::Cursor;
    use crate::query::IndexSet;
    use crate::replica::Writer;
    use crate::storage::MemoryStorage;
    use crate::testing::TestEnvironment;
    use crate::transport::Chunk;

    fn part(kind: ChangeKind, revision: Revision) -> Vec<Chunk> {
        let change = Change {
            kind,
            collection: CollectionName::new("samples").unwrap(),
            record: RecordId::new("kick").unwrap(),
            revision,
            doc: (kind == ChangeKind::Put).then(|| json!({"n": revision})),
            stamp: "019a3f2c11d0-0003-d1".parse().unwrap(),
            by: Author { user: "alice".into(), device: DeviceId::new("d1").unwrap() },
            schema: 1,
            group: None,
        };
        vec![Chunk { changes: vec![change], cursor: Cursor("c".into()), included: 0, trailer: None }]
    }

    /// A bucket's feed is read part by part: of a record that changes meanwhile it tells twice.
    #[test]
    fn a_repaired_bucket_has_the_sum_of_what_it_holds() {
        for (last, held) in [(ChangeKind::Put, 1), (ChangeKind::Delete, 0)] {
            let environment = TestEnvironment::new(1);
            environment.block_on(async {
                let storage = Arc::new(MemoryStorage::new());
                let writer =
                    Writer::open(storage.clone(), environment.shared(), Arc::new(IndexSet::default())).await.unwrap();
                let parts = [part(ChangeKind::Put, 5), part(last, 200)];
                let key = parts[0][0].changes[0].key();
                let bucket = bucket_of(&key);
                for part in parts {
                    let part = Arc::new(part);
                    let take = writer.run(move |txn| crate::engine::part::repair(txn, &Scope::User, &part));
                    take.await.unwrap();
                }
                let named = Arc::new(BTreeSet::from([key]));
                let finish = writer.run(move |txn| finish_bucket(txn, &Scope::User, bucket, &named, 1));
                finish.await.unwrap();
                let stored = writer.reader().digest(&Scope::User).await.unwrap();
                let recomputed = recompute(&writer.reader(), &Scope::User).await.unwrap();
                assert_eq!(stored.total(), recomputed.total(), "what is compared with the server's, and what is held");
                assert_eq!(recomputed != DigestRow::default(), held == 1);
            });
        }
    }
}
