//! What the server knows of an account, and what its storage holds.

use std::sync::Arc;

use unisono::protocol::{CollectionStorage, Problem, StorageStats};

use super::history::present;
use super::principal::Principal;
use super::service::SyncService;
use crate::store::{self, ScopeBatch, ScopeKey, UsageRow, UserRow, Verdict};

/// What an account stores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storage {
    /// The account's row, with `storage_used` and `storage_quota`.
    pub user: UserRow,
    /// What each collection of its private scope holds, by name; the inbox of conflicts too, which does not count.
    pub collections: Vec<UsageRow>,
}

impl Storage {
    /// The numbers as the protocol tells them.
    #[must_use]
    pub fn to_stats(&self) -> StorageStats {
        let told = |row: &UsageRow| CollectionStorage {
            collection: row.collection.to_string(),
            records: row.records,
            bytes: row.bytes,
        };
        StorageStats {
            storage_used: self.user.storage_used,
            storage_quota: self.user.storage_quota,
            collections: self.collections.iter().map(told).collect(),
        }
    }
}

impl SyncService {
    /// What is stored for the caller's account: one read, whatever it holds.
    ///
    /// # Errors
    /// The store's troubles.
    pub async fn storage(&self, principal: &Principal) -> Result<Storage, Problem> {
        let (account, now_ms) = (principal.account(), self.shared.environment.now_ms());
        let read = store::read(&*self.shared.store, principal.user_scope(), move |reads| {
            let user = reads.user()?.unwrap_or_else(|| UserRow::new(account, now_ms));
            Ok(Storage { user, collections: reads.collections()? })
        });
        Ok(read.await?)
    }

    /// Limits what the account named `account` may store, in canonical bytes; `None` for the server's own limit. For whoever
    /// hosts the server: no route does it.
    ///
    /// # Errors
    /// The store's troubles.
    pub async fn set_quota(&self, account: &str, quota: Option<u64>) -> Result<(), Problem> {
        self.change_user(account, move |user| user.storage_quota = quota).await
    }

    /// Adds to the analyses counted for the account named `account`. For whoever hosts the server: no route does it.
    ///
    /// # Errors
    /// The store's troubles.
    pub async fn count_analyses(&self, account: &str, count: u64) -> Result<(), Problem> {
        self.change_user(account, move |user| user.total_analyses = user.total_analyses.saturating_add(count)).await
    }

    async fn change_user(
        &self,
        account: &str,
        change: impl FnOnce(&mut UserRow) + Send + 'static,
    ) -> Result<(), Problem> {
        let (environment, key, name) =
            (Arc::clone(&self.shared.environment), ScopeKey::account(account), account.to_owned());
        let counts = Arc::clone(&self.shared.counts);
        let written = store::write(&*self.shared.store, key, move |tx| {
            let now_ms = environment.now_ms();
            let scope = present(tx, &*environment, &counts)?;
            let mut user = tx.user()?.unwrap_or_else(|| UserRow::new(name, now_ms));
            change(&mut user);
            user.updated_at = now_ms;
            tx.save(ScopeBatch { user: Some(user), ..ScopeBatch::new(scope) })?;
            Ok((Verdict::Commit, ()))
        });
        Ok(written.await?)
    }
}
