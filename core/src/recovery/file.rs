//! Recovery of a file.

use std::path::Path;
use std::sync::Arc;

use super::{RecoveryReport, rebuild};
use crate::environment::SharedEnvironment;
use crate::error::Result;
use crate::storage::sqlite::{self, Quarantine};
use crate::storage::{SqliteStorage, Storage};

impl SqliteStorage {
    /// Makes a new replica of what can be read of the damaged one at `path`, and puts it in its place. Open it afterwards as
    /// usual; the next sync fetches the records anew.
    ///
    /// Nobody may have the replica open. It takes room for a second file, and memory for both.
    ///
    /// # Errors
    /// `already_open`; `not_a_replica` and `newer_schema` where the file says so; `storage_unavailable` if there is no file;
    /// `storage_full`, and what else writing a new file meets: then the damaged one is still where it was.
    pub async fn recover(path: impl AsRef<Path>, environment: SharedEnvironment) -> Result<RecoveryReport> {
        let (path, lock) = sqlite::take(path.as_ref())?;
        let quarantine = Quarantine::of(&path);
        quarantine.finish(&lock)?;
        let log_lost = lock.log_lost(&path);
        let salvage = sqlite::salvage(&path)?;
        let place = quarantine.workplace()?;
        let storage: Arc<dyn Storage> = Arc::new(SqliteStorage::open(&place)?);
        let rebuilt = rebuild(&storage, environment, salvage.rows).await;
        let closed = storage.close().await;
        let saved = rebuilt?;
        closed?;
        let kept_aside = quarantine.install(&place, &lock)?;
        Ok(RecoveryReport { kept_aside, damaged_rows: salvage.damaged, log_lost, ..saved })
    }
}
