//! The check of a whole file: its structure as SQLite sees it, and every row's checksum.
//!
//! When a row is read, its checksum tells that it is sound; but that one is missed, because a search went astray in a damaged
//! tree, shows here only.

use rusqlite::{Connection, Row};

use super::connection::store_error;
use super::schema;
use super::table::{Table, tables};
use crate::store::StoreError;

/// Most findings of one kind that are told.
const MOST: usize = 20;

/// What is wrong with a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Damage {
    /// Damage of the structure: rows may be missed without a sign, so nothing that the file says can be relied on.
    pub structure: Vec<String>,
    /// Rows that do not match their checksums, by table. The others can be relied on.
    pub rows: Vec<String>,
}

impl Damage {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.structure.is_empty() && self.rows.is_empty()
    }

    /// Everything, in words.
    pub fn all(&self) -> impl Iterator<Item = &String> {
        self.structure.iter().chain(&self.rows)
    }
}

/// Looks at everything, and changes nothing.
pub(super) fn whole(connection: &Connection) -> Result<Damage, StoreError> {
    let mut damage = Damage::default();
    let look = |damage: &mut Damage| {
        if !schema::is_ours(connection)? {
            damage.structure.push("the tables are not those of this version".to_owned());
            return Ok(());
        }
        structure(connection, &mut damage.structure)?;
        tables().try_for_each(|table| rows(connection, table, damage))
    };
    match look(&mut damage) {
        Err(StoreError::Corrupt(text)) => damage.structure.push(text),
        result => result?,
    }
    Ok(damage)
}

fn structure(connection: &Connection, found: &mut Vec<String>) -> Result<(), StoreError> {
    let mut statement = connection.prepare(&format!("PRAGMA integrity_check({MOST})")).map_err(store_error)?;
    let mut rows = statement.query([]).map_err(store_error)?;
    while let Some(row) = rows.next().map_err(store_error)? {
        // Not as text: it may quote what is damaged.
        let line = row.get_ref(0).map_err(store_error)?.as_bytes().unwrap_or_default().to_vec();
        let line = String::from_utf8_lossy(&line).into_owned();
        if line != "ok" {
            found.push(line);
        }
    }
    Ok(())
}

fn rows(connection: &Connection, table: &Table, damage: &mut Damage) -> Result<(), StoreError> {
    let mut statement = connection.prepare(&table.select_whole("")).map_err(store_error)?;
    let mut rows = statement.query([]).map_err(store_error)?;
    let (mut count, mut first) = (0_u64, String::new());
    while let Some(row) = rows.next().map_err(store_error)? {
        if table.check_whole(row).is_err() {
            if count == 0 {
                first = place(row);
            }
            count += 1;
        }
    }
    if count > 0 {
        damage
            .rows
            .push(format!("{count} rows of `{}` do not match their checksums, the first at {first}", table.name));
    }
    Ok(())
}

/// Where a row is, by the numbers at its begin (scope and revision, mostly): names are not for the log.
fn place(row: &Row<'_>) -> String {
    let numbers: Vec<_> =
        (0..2).map_while(|place| row.get::<_, i64>(place).ok()).map(|number| number.to_string()).collect();
    format!("({})", numbers.join(", "))
}
