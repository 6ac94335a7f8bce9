//! Writes batches: all of a group in one transaction, each with its own outcome.

use rusqlite::{Connection, OptionalExtension, Result, params};

use super::checksum;
use super::error::typed;
use super::session::Outcome;
use super::sql::{self, PerTable, Transaction, unsigned};
use crate::storage::{Batch, StorageError, Table, successor};

/// Commits `batches` and says what became of each, in order.
///
/// A stale batch is recognised before it has written anything, so the others need no savepoint against it. Any other
/// failure ends the common transaction (SQLite itself does so when the disk is full); then each batch is tried alone, so
/// that only the guilty one fails.
pub(super) fn commit(connection: &Connection, batches: &[Batch]) -> Vec<Outcome> {
    match together(connection, batches) {
        Ok(outcomes) => outcomes,
        Err(error) if batches.len() == 1 => vec![Err(typed(error))],
        Err(_) => batches.iter().map(|batch| alone(connection, batch)).collect(),
    }
}

fn alone(connection: &Connection, batch: &Batch) -> Outcome {
    together(connection, std::slice::from_ref(batch)).map_err(typed)?.pop().unwrap_or(Ok(()))
}

fn together(connection: &Connection, batches: &[Batch]) -> Result<Vec<Outcome>> {
    let transaction = Transaction::write(connection)?;
    let mut writer = Writer::new(connection);
    let mut outcomes = Vec::with_capacity(batches.len());
    for batch in batches {
        outcomes.push(if writer.is_current(batch)? {
            writer.write(batch)?;
            Ok(())
        } else {
            Err(StorageError::Stale)
        });
    }
    drop(writer);
    transaction.commit()?;
    Ok(outcomes)
}

/// Raises the fence by one and returns it.
pub(super) fn advance_fence(connection: &Connection) -> Result<u64> {
    let transaction = Transaction::write(connection)?;
    let fence = connection
        .prepare_cached("UPDATE fence SET value = value + 1 RETURNING value")?
        .query_row([], |row| unsigned(row, 0))?;
    transaction.commit()?;
    Ok(fence)
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

    /// Whether the rows and the fence are what the batch expects.
    fn is_current(&mut self, batch: &Batch) -> Result<bool> {
        if let Some(expected) = batch.fence {
            let fence: u64 =
                self.connection.prepare_cached("SELECT value FROM fence")?.query_row([], |row| unsigned(row, 0))?;
            if fence != expected {
                return Ok(false);
            }
        }
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
