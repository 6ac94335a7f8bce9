//! How much room an account's records take.

use std::collections::BTreeMap;

use super::api_keys::read;
use super::client::SettingsClient;
use crate::error::{ErrorKind, Result};
use crate::merge::CONFLICTS;
use crate::model::{Scope, value};
use crate::protocol::{CollectionStorage, StorageStats};
use crate::replica::rows::RecordRow;
use crate::replica::{Replica, decode, keys};
use crate::storage::{Scan, Table};
use crate::transport::Method;

/// Where the server tells it, below the base path.
const PATH: &str = "/settings/storage";
/// Records looked at in one go.
const PAGE: usize = 256;

/// How much room an account's records take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageUse {
    /// The figures.
    pub stats: StorageStats,
    /// They were summed up from this replica, because no server could be reached: what is unsent counts, what other devices
    /// have sent since the last sync does not, and the quota is not known.
    pub is_estimate: bool,
}

impl SettingsClient {
    /// How much room the account's own records take and may take, as the server counts; as this replica does while no server
    /// can be reached.
    ///
    /// # Errors
    /// Those of credentials; the server's refusals; the storage's.
    pub async fn storage(&self) -> Result<StorageUse> {
        match self.client().ask(Method::Get, PATH, None).await {
            Ok(answer) => Ok(StorageUse { stats: read(&answer)?, is_estimate: false }),
            Err(error) if error.kind() == ErrorKind::Offline => {
                Ok(StorageUse { stats: estimate(&self.client().reader()).await?, is_estimate: true })
            }
            Err(error) => Err(error),
        }
    }
}

async fn estimate(replica: &Replica) -> Result<StorageStats> {
    let prefix = keys::generation_prefix(&Scope::User, replica.generation(&Scope::User).await?);
    let mut scan = Scan::prefix(Table::Record, &prefix).limit(PAGE);
    let mut found = BTreeMap::<String, (u64, u64)>::new();
    loop {
        let rows = replica.storage().scan(scan.clone()).await?;
        let Some(last) = rows.last() else { break };
        scan = scan.after(&last.key);
        for row in &rows {
            let key = keys::record_key_of(&row.key, &prefix).filter(|key| key.collection.as_str() != CONFLICTS);
            let record: RecordRow = decode(&row.value)?;
            if let (Some(key), Some(view)) = (key, record.view()) {
                let (records, bytes) = found.entry(key.collection.to_string()).or_default();
                *records += 1;
                *bytes += value::canonical(view).len() as u64;
            }
        }
    }
    Ok(StorageStats {
        storage_used: found.values().map(|(_, bytes)| bytes).sum(),
        storage_quota: None,
        collections: found
            .into_iter()
            .map(|(collection, (records, bytes))| CollectionStorage { collection, records, bytes })
            .collect(),
    })
}
