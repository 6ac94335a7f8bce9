//! Writes a batch, in one transaction.

use rusqlite::{Connection, OptionalExtension, Result, params};

use super::checksum;
use super::error::typed;
use super::session::Outcome;
use super::sql::{self, PerTable, Transaction, unsigned};
use crate::storage::{Batch, StorageError, Table, successor};

/// Commits `batch`, unless it is stale.
pub(super) fn commit(connection: &Connection, batch: &Batch) -> Outcome {
    let write = || {
        let transaction = Transaction::write(connection)?;
        let mut writer = Writer::new(connection);
        if !writer.is_current(batch)? {
            return Ok(Err(StorageError::Stale));
        }
        writer.write(batch)?;
        drop(writer);
        transaction.commit()?;
        Ok(Ok(()))
    };
    write().map_err(typed)?
}

struct Writer<'c> {
    connection: &'c Connection,
    version: PerTable<'c>,
    put: PerTable<'c>,
    delete: PerTable<'c>,
}

impl<'c> Writer<'c> {
    fn new(connection: &'c Connection) -> Self {
        Self {
            connection,
            version: PerTable::new(connection, |sql| &sql.version),
            put: PerTable::new(connection, |sql| &sql.put),
            delete: PerTable::new(connection, |sql| &sql.delete),
        }
    }

    /// Whether the rows are what the batch expects.
    fn is_current(&mut self, batch: &Batch) -> Result<bool> {
        for (row, expected) in &batch.expect {
            let version: Option<u64> =
                self.version.of(row.table)?.query_row([row.key.as_slice()], |row| unsigned(row, 0)).optional()?;
            if version.unwrap_or(0) != *expected {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn write(&mut self, batch: &Batch) -> Result<()> {
        for prefix in &batch.clear {
            self.clear(prefix.table, &prefix.key)?;
        }
        for row in &batch.delete {
            self.delete.of(row.table)?.execute([row.key.as_slice()])?;
        }
        for (row, value) in &batch.put {
            self.put.of(row.table)?.execute(params![row.key, value, checksum::of(&row.key, value)])?;
        }
        Ok(())
    }

    fn clear(&self, table: Table, prefix: &[u8]) -> Result<()> {
        let sql = sql::of(table);
        match successor(prefix) {
            Some(end) => self.connection.prepare_cached(&sql.clear)?.execute([prefix, end.as_slice()])?,
            None => self.connection.prepare_cached(&sql.clear_to_end)?.execute([prefix])?,
        };
        Ok(())
    }
}
