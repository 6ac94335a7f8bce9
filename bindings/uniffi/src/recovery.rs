//! What to do when opening fails with `storage_corrupt`.

use std::sync::Arc;

use unisono::TokioEnvironment;
use unisono::recovery::RecoveryReport;
use unisono::storage::SqliteStorage;

use crate::Result;
use crate::executor::Executor;

/// Makes a new replica of what can be read of the damaged one at `path`, and puts it in its place; the damaged file is kept
/// aside. Open it afterwards as usual; the next sync fetches the records anew. Nobody may have it open.
#[uniffi::export]
pub async fn recover(path: String) -> Result<RecoveryReport> {
    let executor = Executor::of_this_process()?;
    executor.run(async move { SqliteStorage::recover(path, Arc::new(TokioEnvironment)).await }).await
}
