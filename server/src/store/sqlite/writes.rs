//! Writing a scope.

use rusqlite::params;
use unisono::merge::StoredRecord;
use unisono::model::{DigestSum, Revision, bucket_of};

use super::connection::store_error;
use super::reads::{ClockColumn, ScopeHandle, get, plain_receipt, signed};
use crate::store::{
    AuditRow, CommitRow, DeviceRow, EpochRow, LogRow, NoteValues, PurgeRow, RecordRow, ScopeBatch, ScopeRow, ScopeTx,
    StoreError,
};

impl ScopeTx for ScopeHandle<'_> {
    fn save(&mut self, batch: ScopeBatch) -> Result<(), StoreError> {
        let id = self.save_scope(&batch.scope)?;
        if let Some(purge) = &batch.purge {
            self.purge(id, purge)?;
        }
        batch.records.into_iter().try_for_each(|row| self.save_record(id, row))?;
        batch.log.iter().try_for_each(|row| self.save_log(id, row))?;
        batch.buckets.iter().try_for_each(|(bucket, digest)| self.save_bucket(id, *bucket, *digest))?;
        batch.values.iter().try_for_each(|values| self.save_values(id, values))?;
        batch.commit.iter().try_for_each(|row| self.save_commit(id, row))?;
        batch.epoch.iter().try_for_each(|row| self.save_epoch(id, row))?;
        batch.device.iter().try_for_each(|(row, response)| self.save_device(id, row, response))?;
        batch.audit.iter().try_for_each(|row| self.save_audit(id, row))
    }

    fn prune_audit(&mut self, before_ms: u64, limit: usize) -> Result<u64, StoreError> {
        let id = self.id()?;
        let before = i64::try_from(before_ms).unwrap_or(i64::MAX);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let sql = "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE scope = ?1 AND at_ms < ?2 LIMIT ?3)";
        let pruned = self.statement(sql)?.execute(params![id, before, limit]).map_err(store_error)?;
        Ok(pruned as u64)
    }
}

impl ScopeHandle<'_> {
    fn run(&self, sql: &str, params: impl rusqlite::Params) -> Result<(), StoreError> {
        self.statement(sql)?.execute(params).map(drop).map_err(store_error)
    }

    fn save_scope(&mut self, row: &ScopeRow) -> Result<i64, StoreError> {
        let highest = row.highest.as_ref().map(ToString::to_string);
        self.run(
            "INSERT INTO scope (key, epoch, revision, highest, horizon, records, tombstones, bytes, conflicts, digest, \
             sync_enabled) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT (key) DO UPDATE SET \
             epoch = ?2, revision = ?3, highest = ?4, horizon = ?5, records = ?6, tombstones = ?7, bytes = ?8, \
             conflicts = ?9, digest = ?10, sync_enabled = ?11",
            params![
                self.key.as_str(),
                row.epoch,
                signed(row.revision),
                highest,
                signed(row.horizon),
                signed(row.records),
                signed(row.tombstones),
                signed(row.bytes),
                signed(row.conflicts),
                row.digest.0.to_be_bytes(),
                row.sync_enabled,
            ],
        )?;
        self.id()
    }

    fn save_record(&self, id: i64, row: RecordRow) -> Result<(), StoreError> {
        let RecordRow { key, record, canonical, digest } = row;
        let StoredRecord {
            doc: _,
            alive,
            revision,
            floor,
            floor_clock,
            floor_yields,
            clocks,
            stamp,
            by,
            schema,
            group,
        } = record;
        self.run(
            "INSERT OR REPLACE INTO record (scope, revision, collection, record, alive, bucket, doc, stamp, user, device, \
             schema, group_id, floor, clocks, digest) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
            params![
                id,
                signed(revision),
                key.collection.as_str(),
                key.record.as_str(),
                alive,
                bucket_of(&key),
                canonical,
                stamp.to_string(),
                by.user,
                by.device.as_str(),
                schema,
                group.as_ref().map(|group| group.as_str()),
                signed(floor),
                json(&ClockColumn { clocks, floor_clock, floor_yields })?,
                digest.0.to_be_bytes(),
            ],
        )
    }

    fn save_log(&self, id: i64, row: &LogRow) -> Result<(), StoreError> {
        let event = &row.write.event.id;
        let plain = plain_receipt(event, row.write.revision, row.write.previous);
        let receipt = if row.receipt == plain { None } else { Some(json(&row.receipt)?) };
        self.run(
            "INSERT INTO log (scope, revision, event_id, payload_hash, previous, receipt, highest, write) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                id,
                signed(row.write.revision),
                event.as_str(),
                row.payload_hash,
                signed(row.write.previous),
                receipt,
                row.highest.to_string(),
                json(&row.write)?,
            ],
        )
    }

    fn save_bucket(&self, id: i64, bucket: u8, digest: DigestSum) -> Result<(), StoreError> {
        self.run(
            "INSERT OR REPLACE INTO bucket (scope, bucket, digest) VALUES (?1, ?2, ?3)",
            params![id, bucket, digest.0.to_be_bytes()],
        )
    }

    fn save_values(&self, id: i64, values: &NoteValues) -> Result<(), StoreError> {
        let note = values.note.as_str();
        let sql = "SELECT sha256 FROM note_value WHERE scope = ?1 AND note = ?2";
        let stored: Vec<String> = self.many(sql, params![id, note], |row| get(row, 0))?;
        for sha256 in stored.iter().filter(|sha256| !values.kept.contains(*sha256)) {
            let sql = "DELETE FROM note_value WHERE scope = ?1 AND note = ?2 AND sha256 = ?3";
            self.run(sql, params![id, note, sha256])?;
        }
        for (sha256, value) in values.fresh.iter().filter(|(sha256, _)| !stored.contains(sha256)) {
            let sql = "INSERT INTO note_value (scope, note, sha256, value) VALUES (?1, ?2, ?3, ?4)";
            self.run(sql, params![id, note, sha256, value])?;
        }
        Ok(())
    }

    fn save_commit(&self, id: i64, row: &CommitRow) -> Result<(), StoreError> {
        self.run(
            "INSERT INTO commit_point (scope, revision, nonce, at_ms) VALUES (?1, ?2, ?3, ?4)",
            params![id, signed(row.revision), signed(row.nonce), signed(row.at_ms)],
        )
    }

    fn save_epoch(&self, id: i64, row: &EpochRow) -> Result<(), StoreError> {
        self.run(
            "INSERT INTO epoch (scope, number, epoch, shared_revision, revision, at_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                id,
                signed(row.number),
                row.epoch,
                signed(row.shared_revision),
                signed(row.revision),
                signed(row.at_ms),
            ],
        )
    }

    fn save_device(&self, id: i64, row: &DeviceRow, response: &str) -> Result<(), StoreError> {
        self.run(
            "INSERT OR REPLACE INTO device (scope, device, user, push_seq, push_hash, stamp, joined, response) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                id,
                row.device.as_str(),
                row.user,
                signed(row.push_seq),
                row.push_hash,
                row.stamp.as_ref().map(ToString::to_string),
                signed(row.joined),
                response,
            ],
        )
    }

    fn save_audit(&self, id: i64, row: &AuditRow) -> Result<(), StoreError> {
        self.run(
            "INSERT INTO audit (scope, at_ms, user, device, action, detail) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                id,
                signed(row.at_ms),
                row.user,
                row.device.as_ref().map(|device| device.as_str()),
                row.action,
                row.detail.to_string(),
            ],
        )
    }

    fn purge(&self, id: i64, row: &PurgeRow) -> Result<(), StoreError> {
        let up_to: Revision = row.up_to;
        self.run("DELETE FROM record WHERE scope = ?1 AND alive = 0 AND revision <= ?2", params![id, signed(up_to)])?;
        self.run(
            "INSERT OR IGNORE INTO purge (scope, revision, up_to) VALUES (?1, ?2, ?3)",
            params![id, signed(row.revision), signed(up_to)],
        )
    }
}

fn json(value: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Internal(format!("a row does not serialize: {error}")))
}
