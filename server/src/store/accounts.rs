//! The rows of accounts: users, what their collections hold, and API keys.
//!
//! An account lives with its private scope: its rows are written under that scope's lock, in the transactions of its events.

use unisono::model::CollectionName;

/// An account. `username`, `email`, `avatar_url` and `bio` are those of the record `$settings/profile`, `preferences` is the
/// record `$settings/preferences`: copies, written in the transaction that changes the record. The record is the truth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRow {
    /// The account, as credentials name it.
    pub user_id: String,
    /// The profile's.
    pub email: Option<String>,
    /// The profile's.
    pub username: Option<String>,
    /// The profile's.
    pub avatar_url: Option<String>,
    /// The profile's.
    pub bio: Option<String>,
    /// What the user has set, as canonical JSON; no defaults.
    pub preferences: Option<String>,
    /// Canonical bytes of the live records in the account's private scope, without conflict notes, which the server makes.
    /// Kept up to date in the transaction of each event.
    pub storage_used: u64,
    /// Most bytes that `storage_used` may come to; the server's own limit if absent.
    pub storage_quota: Option<u64>,
    /// Records ever created in the private scope.
    pub total_uploads: u64,
    /// What the app that hosts the server has analysed for the account: [`SyncService::count_analyses`] adds to it.
    ///
    /// [`SyncService::count_analyses`]: crate::SyncService::count_analyses
    pub total_analyses: u64,
    /// When its first event came, in the server's milliseconds.
    pub created_at: u64,
    /// When the row was last written, in the server's milliseconds.
    pub updated_at: u64,
    /// When something of its private scope was last dropped because it had passed its horizon, in the server's milliseconds.
    pub last_cleanup: Option<u64>,
}

impl UserRow {
    /// An account of which nothing is known yet.
    #[must_use]
    pub fn new(user_id: String, at_ms: u64) -> Self {
        Self {
            user_id,
            email: None,
            username: None,
            avatar_url: None,
            bio: None,
            preferences: None,
            storage_used: 0,
            storage_quota: None,
            total_uploads: 0,
            total_analyses: 0,
            created_at: at_ms,
            updated_at: at_ms,
            last_cleanup: None,
        }
    }
}

/// What a collection of a scope holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageRow {
    /// The collection.
    pub collection: CollectionName,
    /// Live records.
    pub records: u64,
    /// Their canonical bytes.
    pub bytes: u64,
}

/// The SHA-256 of an API key's secret, all that is kept of it.
pub type KeyHash = [u8; 32];

/// An API key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKeyRow {
    /// Its public part.
    pub key_id: String,
    /// Whose it is.
    pub user_id: String,
    /// What its user calls it.
    pub name: String,
    /// `custom`, `plugin` or `integration`.
    pub provider: String,
    /// The hash of the secret.
    pub key_hash: KeyHash,
    /// The hash of the secret before the last rotation, and the instant up to which it is good, in the server's milliseconds.
    pub former: Option<(KeyHash, u64)>,
    /// Whether it may read.
    pub reads: bool,
    /// Whether it may write.
    pub writes: bool,
    /// Whether it is switched on.
    pub is_active: bool,
    /// When it was made, in the server's milliseconds.
    pub created_at: u64,
    /// When its user last changed it, in the server's milliseconds.
    pub updated_at: u64,
    /// When it was last used, to the minute, in the server's milliseconds.
    pub last_used: Option<u64>,
    /// From when on it is not good any more, in the server's milliseconds.
    pub expires_at: Option<u64>,
}

/// What becomes of an API key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyChange {
    /// It is made, or replaced.
    Put(Box<ApiKeyRow>),
    /// The key of this id is deleted.
    Drop(String),
}
