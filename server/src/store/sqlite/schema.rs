//! The schema and its migrations.
//!
//! A record lies at its latest revision, so that the change feed is a walk along one tree; the log lies by revision, and a
//! log row names the record's revision before it, so that one record's history is a chain of point reads. Every row carries
//! a checksum (`table.rs`); a large column that many reads leave out stands last.

use std::sync::OnceLock;

use rusqlite::{Connection, TransactionBehavior};

use super::connection::store_error;
use crate::store::StoreError;

/// One step each; a step never changes once released.
const MIGRATIONS: [&str; 3] = [
    r"
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL, sum INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE scope (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, epoch TEXT NOT NULL, revision INTEGER NOT NULL, highest TEXT,
    horizon INTEGER NOT NULL, records INTEGER NOT NULL, tombstones INTEGER NOT NULL, bytes INTEGER NOT NULL,
    conflicts INTEGER NOT NULL, digest BLOB NOT NULL, sync_enabled INTEGER NOT NULL,
    sum INTEGER NOT NULL
) STRICT;
CREATE TABLE record (
    scope INTEGER NOT NULL, revision INTEGER NOT NULL, collection TEXT NOT NULL, record TEXT NOT NULL,
    alive INTEGER NOT NULL, bucket INTEGER NOT NULL, doc TEXT NOT NULL, stamp TEXT NOT NULL, user TEXT NOT NULL,
    device TEXT NOT NULL, schema INTEGER NOT NULL, group_id TEXT, floor INTEGER NOT NULL, digest BLOB NOT NULL,
    clocks_sum INTEGER NOT NULL, sum INTEGER NOT NULL, clocks TEXT NOT NULL, PRIMARY KEY (scope, revision)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX record_name ON record (scope, collection, record);
CREATE INDEX record_tombstone ON record (scope, revision) WHERE alive = 0;
CREATE TABLE log (
    scope INTEGER NOT NULL, revision INTEGER NOT NULL, event_id TEXT NOT NULL, payload_hash TEXT NOT NULL,
    previous INTEGER NOT NULL, receipt TEXT, highest TEXT NOT NULL, write TEXT NOT NULL, sum INTEGER NOT NULL,
    PRIMARY KEY (scope, revision)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX log_event ON log (scope, event_id);
CREATE TABLE commit_point (
    scope INTEGER NOT NULL, revision INTEGER NOT NULL, nonce INTEGER NOT NULL, at_ms INTEGER NOT NULL,
    sum INTEGER NOT NULL, PRIMARY KEY (scope, revision)
) STRICT, WITHOUT ROWID;
CREATE INDEX commit_time ON commit_point (scope, at_ms, revision);
CREATE TABLE device (
    scope INTEGER NOT NULL, device TEXT NOT NULL, user TEXT NOT NULL, push_seq INTEGER NOT NULL, push_hash TEXT NOT NULL,
    stamp TEXT, joined INTEGER NOT NULL, response_sum INTEGER NOT NULL, sum INTEGER NOT NULL, response TEXT NOT NULL,
    PRIMARY KEY (scope, device)
) STRICT, WITHOUT ROWID;
CREATE TABLE epoch (
    scope INTEGER NOT NULL, number INTEGER NOT NULL, epoch TEXT NOT NULL, shared_revision INTEGER NOT NULL,
    revision INTEGER NOT NULL, at_ms INTEGER NOT NULL, sum INTEGER NOT NULL, PRIMARY KEY (scope, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE bucket (
    scope INTEGER NOT NULL, bucket INTEGER NOT NULL, digest BLOB NOT NULL, sum INTEGER NOT NULL,
    PRIMARY KEY (scope, bucket)
) STRICT, WITHOUT ROWID;
CREATE TABLE purge (
    scope INTEGER NOT NULL, revision INTEGER NOT NULL, up_to INTEGER NOT NULL, sum INTEGER NOT NULL,
    PRIMARY KEY (scope, revision, up_to)
) STRICT, WITHOUT ROWID;
CREATE TABLE audit (
    id INTEGER PRIMARY KEY, scope INTEGER NOT NULL, at_ms INTEGER NOT NULL, user TEXT NOT NULL, device TEXT, peer TEXT,
    action TEXT NOT NULL, outcome TEXT NOT NULL, detail TEXT NOT NULL, hash TEXT NOT NULL, sum INTEGER NOT NULL
) STRICT;
CREATE INDEX audit_scope ON audit (scope, id);
",
    r"
CREATE TABLE note_value (
    scope INTEGER NOT NULL, note TEXT NOT NULL, sha256 TEXT NOT NULL, value TEXT NOT NULL, sum INTEGER NOT NULL,
    UNIQUE (scope, note, sha256)
) STRICT;
",
    r"
CREATE TABLE users (
    user_id TEXT PRIMARY KEY, email TEXT, username TEXT, avatar_url TEXT, bio TEXT, preferences TEXT,
    storage_used INTEGER NOT NULL, storage_quota INTEGER, total_uploads INTEGER NOT NULL, total_analyses INTEGER NOT NULL,
    created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, last_cleanup INTEGER, sum INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX users_email ON users (email) WHERE email IS NOT NULL;
CREATE INDEX users_username ON users (username) WHERE username IS NOT NULL;
CREATE TABLE usage (
    scope INTEGER NOT NULL, collection TEXT NOT NULL, records INTEGER NOT NULL, bytes INTEGER NOT NULL,
    sum INTEGER NOT NULL, PRIMARY KEY (scope, collection)
) STRICT, WITHOUT ROWID;
CREATE TABLE api_keys (
    key_id TEXT PRIMARY KEY, user_id TEXT NOT NULL, name TEXT NOT NULL, provider TEXT NOT NULL, key_hash BLOB NOT NULL,
    former_hash BLOB, former_until INTEGER, permissions INTEGER NOT NULL, is_active INTEGER NOT NULL,
    created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, last_used INTEGER, expires_at INTEGER, sum INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX api_keys_user ON api_keys (user_id, created_at, key_id);
",
];

/// The newest schema version that this build knows.
#[expect(clippy::cast_possible_wrap, reason = "a handful of migrations")]
pub(super) const VERSION: i64 = MIGRATIONS.len() as i64;

/// Brings the database up to [`VERSION`], in one transaction with the version's stamp; a killed migration starts over.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(store_error)?;
    let found: i64 = tx.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(store_error)?;
    let done = usize::try_from(found).ok().filter(|done| *done <= MIGRATIONS.len());
    let Some(done) = done else {
        return Err(StoreError::NewerSchema { found, known: VERSION });
    };
    for step in &MIGRATIONS[done..] {
        tx.execute_batch(step).map_err(store_error)?;
    }
    tx.pragma_update(None, "user_version", VERSION).map_err(store_error)?;
    tx.commit().map_err(store_error)
}

/// Name, table and text of each table and index.
type Description = Vec<(String, String, Option<String>)>;

/// Whether the tables and indexes are those that the migrations make, to the letter.
pub(super) fn is_ours(connection: &Connection) -> Result<bool, StoreError> {
    static OURS: OnceLock<Description> = OnceLock::new();
    if OURS.get().is_none() {
        let mut ours = Connection::open_in_memory().map_err(store_error)?;
        migrate(&mut ours)?;
        // Whoever comes first: they are all the same.
        drop(OURS.set(described(&ours)?));
    }
    Ok(OURS.get() == Some(&described(connection)?))
}

fn described(connection: &Connection) -> Result<Description, StoreError> {
    let mut statement = connection
        .prepare("SELECT name, tbl_name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite!_stat%' ESCAPE '!' ORDER BY name")
        .map_err(store_error)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).map_err(store_error)?;
    rows.collect::<Result<_, _>>().map_err(store_error)
}
