//! How much room an account's records take.

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
#[cfg_attr(feature = "uniffi", derive(uniffi::Record))]
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
                Ok(StorageUse { stats: self.storage_estimate().await?, is_estimate: true })
            }
            Err(error) => Err(error),
        }
    }

    /// The figures as this replica counts them, whether or not a server can be reached.
    ///
    /// # Errors
    /// `closed`; the storage's.
    pub async fn storage_estimate(&self) -> Result<StorageStats> {
        self.client().check_shown()?;
        estimate(&self.client().reader()).await
    }
}

async fn estimate(replica: &Replica) -> Result<StorageStats> {
    let prefix = keys::generation_prefix(&Scope::User, replica.generation(&Scope::User).await?);
    let mut scan = Scan::prefix(Table::Record, &prefix).limit(PAGE);
    let mut collections = Vec::<CollectionStorage>::new();
    loop {
        let rows = replica.storage().scan(scan.clone()).await?;
        let Some(last) = rows.last() else { break };
        scan = scan.after(&last.key);
        for row in &rows {
            let key = keys::record_key_of(&row.key, &prefix).filter(|key| key.collection.as_str() != CONFLICTS);
            let record: RecordRow = decode(&row.value)?;
            let (Some(key), Some(view)) = (key, record.view()) else { continue };
            let name = key.collection.as_str();
            // The records of a collection come one after the other.
            if collections.last().is_none_or(|last| last.collection != name) {
                collections.push(CollectionStorage { collection: name.to_owned(), records: 0, bytes: 0 });
            }
            if let Some(collection) = collections.last_mut() {
                collection.records += 1;
                collection.bytes += value::canonical_len(view) as u64;
            }
        }
    }
    let storage_used = collections.iter().map(|collection| collection.bytes).sum();
    Ok(StorageStats { storage_used, storage_quota: None, collections })
}
