//! A transaction: work reads on the writer's connection, and what it returns is written.

use rusqlite::{Connection, Result, params};

use super::checksum;
use super::error::typed;
use super::read::Reader;
use super::sql::{self, PerTable, Transaction};
use crate::storage::{Batch, StorageError, Table, Work, successor};

/// What a transaction has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// It is committed.
    Committed,
    /// There was nothing to write.
    Empty,
    /// Nothing is written: it wants a flush, and this connection's commits are not flushed.
    NeedsFlush,
}

/// Runs `work` in a transaction, and commits what it returns. `flushes` tells whether the commit is flushed to the medium.
pub(super) fn transact(
    connection: &Connection,
    work: &mut dyn Work,
    flushes: bool,
) -> std::result::Result<Ended, StorageError> {
    let transaction = Transaction::write(connection).map_err(typed)?;
    let batch = work.run(&mut Reader::new(connection))?;
    if batch.is_empty() {
        return Ok(Ended::Empty);
    }
    if batch.durable && !flushes {
        return Ok(Ended::NeedsFlush);
    }
    Writer::new(connection).write(&batch).and_then(|()| transaction.commit()).map_err(typed)?;
    Ok(Ended::Committed)
}

struct Writer<'c> {
    connection: &'c Connection,
    put: PerTable<'c>,
    delete: PerTable<'c>,
}

impl<'c> Writer<'c> {
    fn new(connection: &'c Connection) -> Self {
        Self {
            connection,
            put: PerTable::new(connection, |sql| &sql.put),
            delete: PerTable::new(connection, |sql| &sql.delete),
        }
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
