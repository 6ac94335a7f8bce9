//! Recovery ([`crate::recovery`]) of a database that holds what cannot be read.

use std::path::PathBuf;
use std::sync::Arc;

use js_sys::Array;
use wasm_bindgen::{JsCast, JsValue};

use super::connection::{Access, Connection, request, store};
use super::store::{IndexedDbOptions, IndexedDbStorage};
use super::{rows, transact, transaction};
use crate::environment::SharedEnvironment;
use crate::error::Result;
use crate::model::Value;
use crate::recovery::{RecoveryReport, rebuild};
use crate::replica::decode;
use crate::storage::{Batch, MemoryStorage, Row, RowKey, Scan, Storage, StorageError, Table};

impl IndexedDbStorage {
    /// Makes a new replica of what can be read of the damaged one `name`, and puts it in its place, in one transaction. Open it
    /// afterwards as usual; the next sync fetches the records anew. What could be read is kept in a replica of the name that the
    /// report tells.
    ///
    /// Nobody may have the replica open. It takes room for a second database, and memory for both.
    ///
    /// # Errors
    /// `already_open`; `not_a_replica` and `newer_schema` where the database says so; `storage_unavailable` if there is none;
    /// `storage_full`, and what else writing meets: then the damaged one is as it was.
    pub async fn recover(name: &str, environment: SharedEnvironment) -> Result<RecoveryReport> {
        let storage = IndexedDbOptions::default().existing().open(name).await?;
        let recovered = replace(&storage, name, environment).await;
        storage.close().await?;
        recovered
    }
}

async fn replace(damaged: &IndexedDbStorage, name: &str, environment: SharedEnvironment) -> Result<RecoveryReport> {
    let connection = damaged.connection().await?;
    let (rows, damaged_rows) = salvage(&connection).await?;
    let aside = format!("{name}.damaged-{}", environment.now_ms());
    let kept = IndexedDbStorage::open(&aside).await?;
    let put = rows.iter().map(|(table, row)| (RowKey { table: *table, key: row.key.clone() }, row.value.clone()));
    let keeping = kept.apply(Batch { put: put.collect(), durable: true, ..Batch::default() }).await;
    kept.close().await?;
    keeping?;
    let sound: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let saved = rebuild(&sound, environment, rows.into_iter().map(|(_, row)| row).collect()).await?;
    let mut put = Vec::new();
    for table in Table::ALL {
        let rows = sound.scan(Scan::prefix(table, b"")).await?;
        put.extend(rows.into_iter().map(|row| (RowKey { table, key: row.key }, row.value)));
    }
    transact::replace(connection, put).await?;
    Ok(RecoveryReport { kept_aside: PathBuf::from(aside), damaged_rows, ..saved })
}

/// Every row that can be read, and the number of those that cannot.
async fn salvage(connection: &Connection) -> Result<(Vec<(Table, Row)>, u64), StorageError> {
    let transaction = connection.transaction(Table::ALL.iter().map(|table| table.name()), Access::Read)?;
    let mut requests = Vec::new();
    for table in Table::ALL {
        let store = store(&transaction, table.name())?;
        let every = JsValue::UNDEFINED;
        requests.push(request(store.get_all_keys_with_key(&every))?);
        requests.push(request(store.get_all_with_key(&every))?);
    }
    let read = |results: &[JsValue]| {
        let (mut found, mut damaged) = (Vec::new(), 0);
        for (table, told) in Table::ALL.into_iter().zip(results.chunks_exact(2)) {
            let (keys, values) = (told[0].unchecked_ref::<Array>(), told[1].unchecked_ref::<Array>());
            for (key, stored) in keys.iter().zip(values.iter()) {
                let text = !matches!(table, Table::Meta | Table::Index);
                let row = rows::row(rows::bytes(&key), &stored);
                if !text || decode::<Value>(&row.value).is_ok() {
                    found.push((table, row));
                } else {
                    damaged += 1;
                }
            }
        }
        Ok((found, damaged))
    };
    transaction::run(transaction, requests, read).await
}
