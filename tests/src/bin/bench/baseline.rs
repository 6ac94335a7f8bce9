//! The baseline: what an app would write by hand. A row with the document and a row of an outbox, in one transaction, with
//! prepared statements and the same pragmas as the SDK.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};
use serde_json::json;
use unisono::storage::Durability;

use crate::documents::Document;
use crate::measure::Result;

/// Writes the documents, `together` in each transaction; returns how long that took, without opening and closing.
pub fn write(path: &Path, durability: Durability, documents: &[Document], together: usize) -> Result<Duration> {
    let connection = Connection::open(path)?;
    let synchronous = match durability {
        Durability::Full => "FULL",
        Durability::Normal => "NORMAL",
    };
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.execute_batch(
        "CREATE TABLE record (id TEXT PRIMARY KEY, doc TEXT NOT NULL) WITHOUT ROWID;
         CREATE TABLE outbox (position INTEGER PRIMARY KEY, event TEXT NOT NULL);",
    )?;
    let began = Instant::now();
    for some in documents.chunks(together.max(1)) {
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        for Document { id, doc } in some {
            let doc = doc.to_string();
            let event = json!({"action": "create", "collection": "samples", "record": id}).to_string();
            connection
                .prepare_cached(
                    "INSERT INTO record (id, doc) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET doc = excluded.doc",
                )?
                .execute(params![id, doc])?;
            connection.prepare_cached("INSERT INTO outbox (event) VALUES (?1 || ?2)")?.execute(params![event, doc])?;
        }
        connection.prepare_cached("COMMIT")?.execute([])?;
    }
    let took = began.elapsed();
    connection.close().map_err(|(_, error)| error)?;
    Ok(took)
}
