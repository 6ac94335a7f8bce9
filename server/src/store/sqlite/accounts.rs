//! The tables of accounts: users, usage and API keys.

use rusqlite::{Connection, Row, params};
use unisono::model::CollectionName;

use super::connection::store_error;
use super::reads::{ScopeHandle, get, number, parsed, signed};
use super::table::{API_KEY, USAGE, USER};
use crate::store::{ApiKeyRow, KeyChange, StoreError, UsageRow, UserRow};

impl ScopeHandle<'_> {
    /// The account whose private scope this is, if it is one.
    fn account(&self) -> Option<&str> {
        self.key.owner()
    }

    pub(super) fn read_user(&self) -> Result<Option<UserRow>, StoreError> {
        let Some(account) = self.account() else { return Ok(None) };
        self.one(&USER, "WHERE user_id = ?1", [account], user_row)
    }

    pub(super) fn read_usage(&mut self, collections: &[CollectionName]) -> Result<Vec<Option<UsageRow>>, StoreError> {
        let id = self.id()?;
        let read = |collection: &CollectionName| {
            self.one(&USAGE, "WHERE scope = ?1 AND collection = ?2", params![id, collection.as_str()], usage_row)
        };
        collections.iter().map(read).collect()
    }

    pub(super) fn read_collections(&mut self) -> Result<Vec<UsageRow>, StoreError> {
        let id = self.id()?;
        self.many(&USAGE, "WHERE scope = ?1 ORDER BY collection", [id], usage_row)
    }

    pub(super) fn read_api_keys(&self) -> Result<Vec<ApiKeyRow>, StoreError> {
        let Some(account) = self.account() else { return Ok(Vec::new()) };
        self.many(&API_KEY, "WHERE user_id = ?1 ORDER BY created_at, key_id", [account], api_key_row)
    }

    pub(super) fn save_user(&self, row: &UserRow) -> Result<(), StoreError> {
        let values = params![
            row.user_id,
            row.email,
            row.username,
            row.avatar_url,
            row.bio,
            row.preferences,
            signed(row.storage_used),
            row.storage_quota.map(signed),
            signed(row.total_uploads),
            signed(row.total_analyses),
            signed(row.created_at),
            signed(row.updated_at),
            row.last_cleanup.map(signed),
        ];
        USER.write(self.connection, values, None)
    }

    /// A collection of which nothing is left takes no row.
    pub(super) fn save_usage(&self, id: i64, row: &UsageRow) -> Result<(), StoreError> {
        if row.records == 0 {
            let sql = "DELETE FROM usage WHERE scope = ?1 AND collection = ?2";
            return self.run(sql, params![id, row.collection.as_str()]);
        }
        let values = params![id, row.collection.as_str(), signed(row.records), signed(row.bytes)];
        USAGE.write(self.connection, values, None)
    }

    pub(super) fn save_key(&self, change: &KeyChange) -> Result<(), StoreError> {
        let row = match change {
            KeyChange::Put(row) => row,
            KeyChange::Drop(key_id) => return self.run("DELETE FROM api_keys WHERE key_id = ?1", [key_id]),
        };
        let permissions = u8::from(row.reads) | (u8::from(row.writes) << 1);
        let (former_hash, former_until) = row.former.unzip();
        let values = params![
            row.key_id,
            row.user_id,
            row.name,
            row.provider,
            row.key_hash,
            former_hash,
            former_until.map(signed),
            permissions,
            row.is_active,
            signed(row.created_at),
            signed(row.updated_at),
            row.last_used.map(signed),
            row.expires_at.map(signed),
        ];
        API_KEY.write(self.connection, values, None)
    }
}

/// The key of an id, whosever it is.
pub(super) fn api_key(connection: &Connection, key_id: &str) -> Result<Option<ApiKeyRow>, StoreError> {
    let mut statement = connection.prepare_cached(&API_KEY.select("WHERE key_id = ?1")).map_err(store_error)?;
    let mut rows = statement.query([key_id]).map_err(store_error)?;
    let Some(row) = rows.next().map_err(store_error)? else { return Ok(None) };
    API_KEY.check(row)?;
    api_key_row(row).map(Some)
}

/// Deletes an account's row, and its keys.
pub(super) fn delete(connection: &Connection, account: &str) -> Result<(), StoreError> {
    for table in [&*USER, &*API_KEY] {
        connection
            .execute(&format!("DELETE FROM {} WHERE user_id = ?1", table.name), [account])
            .map_err(store_error)?;
    }
    Ok(())
}

fn user_row(row: &Row<'_>) -> Result<UserRow, StoreError> {
    Ok(UserRow {
        user_id: get(row, 0)?,
        email: get(row, 1)?,
        username: get(row, 2)?,
        avatar_url: get(row, 3)?,
        bio: get(row, 4)?,
        preferences: get(row, 5)?,
        storage_used: number(row, 6)?,
        storage_quota: optional_number(row, 7)?,
        total_uploads: number(row, 8)?,
        total_analyses: number(row, 9)?,
        created_at: number(row, 10)?,
        updated_at: number(row, 11)?,
        last_cleanup: optional_number(row, 12)?,
    })
}

fn usage_row(row: &Row<'_>) -> Result<UsageRow, StoreError> {
    Ok(UsageRow { collection: parsed(row, 1)?, records: number(row, 2)?, bytes: number(row, 3)? })
}

fn api_key_row(row: &Row<'_>) -> Result<ApiKeyRow, StoreError> {
    let permissions: u8 = get(row, 7)?;
    Ok(ApiKeyRow {
        key_id: get(row, 0)?,
        user_id: get(row, 1)?,
        name: get(row, 2)?,
        provider: get(row, 3)?,
        key_hash: get(row, 4)?,
        former: get::<Option<_>>(row, 5)?.zip(optional_number(row, 6)?),
        reads: permissions & 1 != 0,
        writes: permissions & 2 != 0,
        is_active: get(row, 8)?,
        created_at: number(row, 9)?,
        updated_at: number(row, 10)?,
        last_used: optional_number(row, 11)?,
        expires_at: optional_number(row, 12)?,
    })
}

fn optional_number(row: &Row<'_>, column: usize) -> Result<Option<u64>, StoreError> {
    get::<Option<i64>>(row, column).map(|number| number.map(i64::cast_unsigned))
}
