//! Writing a scope.

use rusqlite::{ToSql, params};
use unisono::merge::StoredRecord;
use unisono::model::{DigestSum, Revision, bucket_of};

use super::audit;
use super::connection::store_error;
use super::reads::{ClockColumn, ScopeHandle, get, plain_receipt, signed};
use super::table::{BUCKET, COMMIT, DEVICE, EPOCH, LOG, NOTE_VALUE, PURGE, RECORD, SCOPE, Table, USAGE};
use crate::store::{
    CommitRow, DeviceRow, EpochRow, LogRow, NoteValues, PurgeRow, RecordRow, ScopeBatch, ScopeRow, ScopeTx, StoreError,
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
        batch.user.iter().try_for_each(|row| self.save_user(row))?;
        batch.usage.iter().try_for_each(|row| self.save_usage(id, row))?;
        batch.keys.iter().try_for_each(|change| self.save_key(change))?;
        batch.audit.iter().try_for_each(|row| audit::append(self.connection, id, row))
    }

    fn reset(&mut self, cut: Option<Revision>) -> Result<(), StoreError> {
        let id = self.id()?;
        for table in [&*RECORD, &*BUCKET, &*USAGE] {
            self.run(&format!("DELETE FROM {} WHERE scope = ?1", table.name), [id])?;
        }
        let Some(cut) = cut else { return Ok(()) };
        for table in [&*LOG, &*COMMIT, &*PURGE] {
            let sql = format!("DELETE FROM {} WHERE scope = ?1 AND revision > ?2", table.name);
            self.run(&sql, params![id, signed(cut)])?;
        }
        self.run("DELETE FROM device WHERE scope = ?1", [id])
    }
}

impl ScopeHandle<'_> {
    pub(super) fn run(&self, sql: &str, params: impl rusqlite::Params) -> Result<(), StoreError> {
        self.statement(sql)?.execute(params).map(drop).map_err(store_error)
    }

    fn put(&self, table: &Table, values: &[&dyn ToSql]) -> Result<(), StoreError> {
        table.write(self.connection, values, None)
    }

    fn save_scope(&mut self, row: &ScopeRow) -> Result<i64, StoreError> {
        let id = match self.id()? {
            0 => self.free_scope_id()?,
            id => id,
        };
        let highest = row.highest.as_ref().map(ToString::to_string);
        let values = params![
            id,
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
        ];
        self.put(&SCOPE, values)?;
        self.id()
    }

    fn free_scope_id(&self) -> Result<i64, StoreError> {
        let found = self.each("SELECT coalesce(max(id), 0) + 1 FROM scope", [], |row| get(row, 0))?;
        found.first().copied().ok_or_else(|| StoreError::Internal("a count without a row".to_owned()))
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
        let values = params![
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
            digest.0.to_be_bytes(),
        ];
        let clocks = json(&ClockColumn { clocks, floor_clock, floor_yields })?;
        RECORD.write(self.connection, values, Some(&clocks))
    }

    fn save_log(&self, id: i64, row: &LogRow) -> Result<(), StoreError> {
        let event = &row.write.event.id;
        let plain = plain_receipt(event, row.write.revision, row.write.previous);
        let receipt = if row.receipt == plain { None } else { Some(json(&row.receipt)?) };
        self.put(
            &LOG,
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
        self.put(&BUCKET, params![id, bucket, digest.0.to_be_bytes()])
    }

    fn save_values(&self, id: i64, values: &NoteValues) -> Result<(), StoreError> {
        let note = values.note.as_str();
        let sql = "SELECT sha256 FROM note_value WHERE scope = ?1 AND note = ?2";
        let stored: Vec<String> = self.each(sql, params![id, note], |row| get(row, 0))?;
        for sha256 in stored.iter().filter(|sha256| !values.kept.contains(*sha256)) {
            let sql = "DELETE FROM note_value WHERE scope = ?1 AND note = ?2 AND sha256 = ?3";
            self.run(sql, params![id, note, sha256])?;
        }
        for (sha256, value) in values.fresh.iter().filter(|(sha256, _)| !stored.contains(sha256)) {
            self.put(&NOTE_VALUE, params![id, note, sha256, value])?;
        }
        Ok(())
    }

    fn save_commit(&self, id: i64, row: &CommitRow) -> Result<(), StoreError> {
        self.put(&COMMIT, params![id, signed(row.revision), signed(row.nonce), signed(row.at_ms)])
    }

    fn save_epoch(&self, id: i64, row: &EpochRow) -> Result<(), StoreError> {
        self.put(
            &EPOCH,
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
        let values = params![
            id,
            row.device.as_str(),
            row.user,
            signed(row.push_seq),
            row.push_hash,
            row.stamp.as_ref().map(ToString::to_string),
            signed(row.joined),
        ];
        DEVICE.write(self.connection, values, Some(response))
    }

    fn purge(&self, id: i64, row: &PurgeRow) -> Result<(), StoreError> {
        let up_to: Revision = row.up_to;
        self.run("DELETE FROM record WHERE scope = ?1 AND alive = 0 AND revision <= ?2", params![id, signed(up_to)])?;
        self.put(&PURGE, params![id, signed(row.revision), signed(up_to)])
    }
}

fn json(value: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Internal(format!("a row does not serialize: {error}")))
}
