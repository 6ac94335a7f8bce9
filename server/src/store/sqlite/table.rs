//! The tables, and the checksum that each of their rows carries: a row is written with it, and compared with it when it is
//! read. What a disk changes behind SQLite's back is [`StoreError::Corrupt`], never an answer.

use std::sync::LazyLock;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Row, ToSql};
use unisono::storage::checksum;

use super::connection::store_error;
use crate::store::StoreError;

/// What becomes of a row that is there already.
#[derive(Clone, Copy)]
enum Existing {
    /// It stays, and the write fails.
    Fail,
    /// It stays.
    Keep,
    /// It goes.
    Replace,
    /// All but its first two columns, which name it, are set anew.
    Update,
}

/// A table whose rows have a checksum over their columns.
pub(super) struct Table {
    pub(super) name: &'static str,
    /// The columns that the checksum covers, in its order.
    columns: &'static [&'static str],
    /// A large column that many reads leave out. The last of `columns` is its own checksum.
    apart: Option<&'static str>,
    insert: String,
    /// `SELECT` of `columns` and the checksum.
    select: String,
    /// The same, with `apart`.
    select_whole: String,
    /// Takes over a row of another file, with its checksum, unless it is there.
    pub(super) copy: String,
}

macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident = $table:expr;)+) => {
        $($(#[$doc])* pub(super) static $name: LazyLock<Table> = LazyLock::new(|| $table);)+
        /// Every table of the schema.
        pub(super) fn tables() -> impl Iterator<Item = &'static Table> {
            [$(&*$name),+].into_iter()
        }
    };
}

tables! {
    META = Table::new("meta", &["name", "value"], None, Existing::Replace);
    SCOPE = Table::new("scope", &["id", "key", "epoch", "revision", "highest", "horizon", "records", "tombstones", "bytes",
        "conflicts", "digest", "sync_enabled"], None, Existing::Update);
    /// A feed reads no clocks.
    RECORD = Table::new("record", &["scope", "revision", "collection", "record", "alive", "bucket", "doc", "stamp", "user",
        "device", "schema", "group_id", "floor", "digest", "clocks_sum"], Some("clocks"), Existing::Replace);
    LOG = Table::new("log", &["scope", "revision", "event_id", "payload_hash", "previous", "receipt", "highest", "write"], None,
        Existing::Fail);
    COMMIT = Table::new("commit_point", &["scope", "revision", "nonce", "at_ms"], None, Existing::Fail);
    /// A push reads the answer to the last one only if it is that one again.
    DEVICE = Table::new("device", &["scope", "device", "user", "push_seq", "push_hash", "stamp", "joined", "response_sum"], Some("response"), Existing::Replace);
    EPOCH = Table::new("epoch", &["scope", "number", "epoch", "shared_revision", "revision", "at_ms"], None, Existing::Fail);
    BUCKET = Table::new("bucket", &["scope", "bucket", "digest"], None, Existing::Replace);
    PURGE = Table::new("purge", &["scope", "revision", "up_to"], None, Existing::Keep);
    NOTE_VALUE = Table::new("note_value", &["scope", "note", "sha256", "value"], None, Existing::Fail);
    USER = Table::new("users", &["user_id", "email", "username", "avatar_url", "bio", "preferences", "storage_used",
        "storage_quota", "total_uploads", "total_analyses", "created_at", "updated_at", "last_cleanup"], None, Existing::Replace);
    USAGE = Table::new("usage", &["scope", "collection", "records", "bytes"], None, Existing::Replace);
    API_KEY = Table::new("api_keys", &["key_id", "user_id", "name", "provider", "key_hash", "former_hash", "former_until",
        "permissions", "is_active", "created_at", "updated_at", "last_used", "expires_at"], None, Existing::Replace);
    AUDIT = Table::new("audit", &["id", "scope", "at_ms", "user", "device", "peer", "action", "outcome", "detail", "hash"], None,
        Existing::Fail);
}

impl Table {
    fn new(
        name: &'static str,
        columns: &'static [&'static str],
        apart: Option<&'static str>,
        existing: Existing,
    ) -> Self {
        let listed = columns.join(", ");
        let select = format!("SELECT {listed}, sum FROM {name}");
        let all: Vec<_> = columns.iter().copied().chain(["sum"]).chain(apart).collect();
        let places: Vec<_> = (1..=all.len()).map(|place| format!("?{place}")).collect();
        let (verb, otherwise) = match existing {
            Existing::Fail => ("INSERT", String::new()),
            Existing::Keep => ("INSERT OR IGNORE", String::new()),
            Existing::Replace => ("INSERT OR REPLACE", String::new()),
            Existing::Update => {
                let anew: Vec<_> = all.iter().skip(2).map(|column| format!("{column} = excluded.{column}")).collect();
                ("INSERT", format!(" ON CONFLICT ({}) DO UPDATE SET {}", columns[0], anew.join(", ")))
            }
        };
        let (all, places) = (all.join(", "), places.join(", "));
        let copy = format!("INSERT OR IGNORE INTO {name} ({all}) VALUES ({places})");
        let insert = format!("{verb} INTO {name} ({all}) VALUES ({places}){otherwise}");
        Self { name, columns, apart, insert, select_whole: format!("SELECT {all} FROM {name}"), select, copy }
    }

    /// Writes a row: the values of the columns, and of the one apart. Its checksum is the last value of the columns.
    pub(super) fn write(
        &self,
        connection: &Connection,
        values: &[&dyn ToSql],
        apart: Option<&str>,
    ) -> Result<(), StoreError> {
        let own_sum = apart.map(text_sum);
        let mut statement = connection.prepare_cached(&self.insert).map_err(store_error)?;
        let mut row = Columns::default();
        let mut place = 0;
        let own_sum = own_sum.as_ref().map(|sum| sum as &dyn ToSql);
        for value in values.iter().copied().chain(own_sum) {
            let value = value.to_sql().map_err(store_error)?;
            row.add(match &value {
                ToSqlOutput::Borrowed(value) => *value,
                ToSqlOutput::Owned(value) => ValueRef::from(value),
                _ => return Err(StoreError::Internal("a value of an unknown kind".to_owned())),
            });
            place += 1;
            statement.raw_bind_parameter(place, value).map_err(store_error)?;
        }
        debug_assert_eq!(place, self.columns.len(), "{}", self.name);
        statement.raw_bind_parameter(place + 1, row.sum(self.name)).map_err(store_error)?;
        if let Some(text) = apart {
            statement.raw_bind_parameter(place + 2, text).map_err(store_error)?;
        }
        statement.raw_execute().map(drop).map_err(store_error)
    }

    /// The rows of the table that `rest` (`WHERE …`) names, without the column apart.
    pub(super) fn select(&self, rest: &str) -> String {
        format!("{} {rest}", self.select)
    }

    /// The same, with the column apart as the last.
    pub(super) fn select_whole(&self, rest: &str) -> String {
        format!("{} {rest}", self.select_whole)
    }

    /// Compares a row that [`select`](Self::select) found with its checksum.
    pub(super) fn check(&self, row: &Row<'_>) -> Result<(), StoreError> {
        let mut columns = Columns::default();
        for place in 0..self.columns.len() {
            columns.add(row.get_ref(place).map_err(store_error)?);
        }
        self.compare(columns.sum(self.name), row, self.columns.len())
    }

    /// Compares a row that [`select_whole`](Self::select_whole) found with its checksums.
    pub(super) fn check_whole(&self, row: &Row<'_>) -> Result<(), StoreError> {
        self.check(row)?;
        if self.apart.is_some() {
            let text = row.get_ref(self.columns.len() + 1).map_err(store_error)?;
            let text = text.as_str().map_err(|_| self.damaged())?;
            self.compare(text_sum(text), row, self.columns.len() - 1)?;
        }
        Ok(())
    }

    /// Whether its rows belong to scopes, and go with them; the trail of what was done stays.
    pub(super) fn is_of_scopes(&self) -> bool {
        self.columns.contains(&"scope") && self.name != AUDIT.name
    }

    /// The whole table, from its begin and from its end. No table needs more than three columns to name a row.
    pub(super) fn orders(&self) -> [String; 2] {
        let by: Vec<_> = self.columns.iter().take(3).copied().collect();
        [format!("ORDER BY {}", by.join(", ")), format!("ORDER BY {} DESC", by.join(" DESC, "))]
    }

    /// The value of a table of names and values.
    pub(super) fn value(&self, connection: &Connection, name: &str) -> Result<Option<String>, StoreError> {
        let mut statement = connection.prepare_cached(&self.select("WHERE name = ?1")).map_err(store_error)?;
        let mut rows = statement.query([name]).map_err(store_error)?;
        let Some(row) = rows.next().map_err(store_error)? else { return Ok(None) };
        self.check(row)?;
        row.get(1).map(Some).map_err(store_error)
    }

    fn compare(&self, sum: i64, row: &Row<'_>, place: usize) -> Result<(), StoreError> {
        match row.get_ref(place) {
            Ok(ValueRef::Integer(stored)) if stored == sum => Ok(()),
            _ => Err(self.damaged()),
        }
    }

    /// Without the row's name: it goes to the log.
    fn damaged(&self) -> StoreError {
        StoreError::Corrupt(format!("a row of `{}` does not match its checksum", self.name))
    }
}

/// A row's columns as the checksum takes them: each with its kind and length, so that nothing can move between them.
#[derive(Default)]
struct Columns(Vec<u8>);

impl Columns {
    fn add(&mut self, value: ValueRef<'_>) {
        let (kind, bytes): (u8, &[u8]) = match value {
            ValueRef::Null => (0, &[]),
            ValueRef::Integer(number) => return self.push(1, &number.to_le_bytes()),
            ValueRef::Real(number) => return self.push(2, &number.to_le_bytes()),
            ValueRef::Text(text) => (3, text),
            ValueRef::Blob(bytes) => (4, bytes),
        };
        self.push(kind, bytes);
    }

    fn push(&mut self, kind: u8, bytes: &[u8]) {
        self.0.push(kind);
        self.0.extend((bytes.len() as u64).to_le_bytes());
        self.0.extend(bytes);
    }

    fn sum(&self, table: &str) -> i64 {
        checksum::of(table.as_bytes(), &self.0)
    }
}

fn text_sum(text: &str) -> i64 {
    checksum::of(&[], text.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::schema;
    use super::*;

    fn database() -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::migrate(&mut connection).unwrap();
        connection
    }

    #[test]
    fn every_column_of_every_table_is_covered() {
        let connection = database();
        let text = |sql: &str| -> BTreeSet<String> {
            let mut statement = connection.prepare(sql).unwrap();
            statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
        };
        let stored = text("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'");
        assert_eq!(tables().map(|table| table.name.to_owned()).collect::<BTreeSet<_>>(), stored);
        for table in tables() {
            let stored = text(&format!("SELECT name FROM pragma_table_info('{}')", table.name));
            let covered = table.columns.iter().copied().chain(["sum"]).chain(table.apart);
            assert_eq!(covered.map(str::to_owned).collect::<BTreeSet<_>>(), stored, "{}", table.name);
        }
    }

    #[test]
    fn a_change_of_any_column_is_noticed() {
        let connection = database();
        let digest = [7_u8; 16];
        let values: [&dyn ToSql; 14] = [
            &1,
            &2,
            &"samples",
            &"kick",
            &true,
            &3,
            &"{}",
            &"stamp",
            &"anna",
            &"phone",
            &1,
            &None::<String>,
            &0,
            &digest,
        ];
        RECORD.write(&connection, &values, Some("{}")).unwrap();
        let check = || {
            let mut statement = connection.prepare(&RECORD.select_whole("")).unwrap();
            let mut rows = statement.query([]).unwrap();
            RECORD.check_whole(rows.next().unwrap().unwrap())
        };
        check().unwrap();
        for (column, value) in [
            ("scope", "2"),
            ("revision", "3"),
            ("collection", "'sample'"),
            ("record", "'kicks'"),
            ("alive", "0"),
            ("bucket", "4"),
            ("doc", "'{} '"),
            ("stamp", "'stanp'"),
            ("user", "'anne'"),
            ("device", "''"),
            ("schema", "2"),
            ("group_id", "''"),
            ("floor", "1"),
            ("digest", "zeroblob(16)"),
            ("clocks_sum", "1"),
            ("clocks", "'{ }'"),
            ("sum", "0"),
        ] {
            connection.execute_batch(&format!("SAVEPOINT change; UPDATE record SET {column} = {value}")).unwrap();
            assert_eq!(check().unwrap_err().code(), "storage_corrupt", "{column}");
            connection.execute_batch("ROLLBACK TO change; RELEASE change").unwrap();
        }
        check().unwrap();
    }
}
