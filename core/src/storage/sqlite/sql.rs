//! The statements, and the transaction that holds them together.

use std::sync::LazyLock;

use rusqlite::{CachedStatement, Connection, Error, Result, Row};

use crate::storage::Table;

/// More than all statements of one connection.
pub(super) const STATEMENT_CACHE: usize = 128;

/// One table's statements.
#[derive(Debug)]
pub(super) struct TableSql {
    pub(super) get: String,
    pub(super) put: String,
    pub(super) delete: String,
    pub(super) clear: String,
    pub(super) clear_to_end: String,
    pub(super) scan: String,
    pub(super) scan_to_end: String,
    pub(super) scan_reverse: String,
    pub(super) scan_reverse_from_end: String,
}

impl TableSql {
    fn new(table: Table) -> Self {
        let name = table.name();
        let scan = |upper: &str, order: &str| {
            format!("SELECT key, value, sum FROM {name} WHERE key >= ?1{upper} ORDER BY key {order} LIMIT ?2")
        };
        Self {
            get: format!("SELECT value, sum FROM {name} WHERE key = ?1"),
            // The version counts how often the row was put: of two copies in a damaged file, it tells the newer.
            put: format!(
                "INSERT INTO {name} (key, value, version, sum) VALUES (?1, ?2, 1, ?3) \
                 ON CONFLICT (key) DO UPDATE SET value = excluded.value, version = version + 1, sum = excluded.sum"
            ),
            delete: format!("DELETE FROM {name} WHERE key = ?1"),
            clear: format!("DELETE FROM {name} WHERE key >= ?1 AND key < ?2"),
            clear_to_end: format!("DELETE FROM {name} WHERE key >= ?1"),
            scan: scan(" AND key < ?3", "ASC"),
            scan_to_end: scan("", "ASC"),
            scan_reverse: scan(" AND key < ?3", "DESC"),
            scan_reverse_from_end: scan("", "DESC"),
        }
    }
}

/// The statements of `table`.
pub(super) fn of(table: Table) -> &'static TableSql {
    static ALL: LazyLock<[TableSql; Table::ALL.len()]> = LazyLock::new(|| Table::ALL.map(TableSql::new));
    &ALL[table as usize]
}

/// One kind of statement for every table, prepared when first needed: a batch of many rows looks each up once.
pub(super) struct PerTable<'c> {
    connection: &'c Connection,
    text: fn(&'static TableSql) -> &'static str,
    slots: [Option<CachedStatement<'c>>; Table::ALL.len()],
}

impl<'c> PerTable<'c> {
    pub(super) fn new(connection: &'c Connection, text: fn(&'static TableSql) -> &'static str) -> Self {
        Self { connection, text, slots: [const { None }; Table::ALL.len()] }
    }

    /// The statement for `table`.
    pub(super) fn of(&mut self, table: Table) -> Result<&mut CachedStatement<'c>> {
        let slot = &mut self.slots[table as usize];
        match slot {
            Some(statement) => Ok(statement),
            None => Ok(slot.insert(self.connection.prepare_cached((self.text)(of(table)))?)),
        }
    }
}

/// A count; SQLite itself knows signed integers only.
pub(super) fn unsigned(row: &Row<'_>, column: usize) -> Result<u64> {
    let value: i64 = row.get(column)?;
    u64::try_from(value).map_err(|_| Error::IntegralValueOutOfRange(column, value))
}

/// A transaction that is rolled back unless it is committed.
pub(super) struct Transaction<'c>(&'c Connection);

impl<'c> Transaction<'c> {
    /// Begins to read: everything read until the end is one snapshot.
    pub(super) fn read(connection: &'c Connection) -> Result<Self> {
        Self::begin(connection, "BEGIN")
    }

    /// Begins to write.
    pub(super) fn write(connection: &'c Connection) -> Result<Self> {
        Self::begin(connection, "BEGIN IMMEDIATE")
    }

    fn begin(connection: &'c Connection, how: &str) -> Result<Self> {
        // Left behind only by a panic; nobody has been told that it happened.
        if !connection.is_autocommit() {
            connection.execute_batch("ROLLBACK")?;
        }
        connection.prepare_cached(how)?.execute([])?;
        Ok(Self(connection))
    }

    /// Makes what was written durable. After an error nothing of it is left.
    pub(super) fn commit(self) -> Result<()> {
        self.0.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        // SQLite has ended the transaction itself after a commit and after some errors. Should this fail, the next
        // transaction tries again.
        if !self.0.is_autocommit() {
            drop(self.0.prepare_cached("ROLLBACK").and_then(|mut statement| statement.execute([])));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_table_finds_its_own_statements() {
        for table in Table::ALL {
            assert!(of(table).get.contains(&format!(" FROM {} ", table.name())));
        }
    }
}
