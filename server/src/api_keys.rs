//! An account's API keys in the words of the protocol: what is asked is checked, done and told, for the routes and for the
//! loopback alike.

use std::time::Duration;

use secrecy::ExposeSecret;
use unisono::protocol::{
    ApiKey, ApiKeyList, CreatedApiKey, KeyPermission, KeyProvider, NewApiKey, RenameApiKey, RotateApiKey, ToggleApiKey,
};
use unisono::settings::{FieldError, FieldRule};

use crate::problem::ApiError;
use crate::store::ApiKeyRow;
use crate::sync::{KeyDraft, KeyRights, KeyWithSecret, MAX_OVERLAP, Principal, SyncService};

/// Longest name of a key, in characters.
const MAX_NAME_CHARS: usize = 100;

/// The API keys of a caller, who is the account itself: a key manages no keys.
pub(crate) struct ApiKeys<'a> {
    pub(crate) service: &'a SyncService,
    pub(crate) principal: &'a Principal,
}

impl ApiKeys<'_> {
    pub(crate) async fn create(&self, key: NewApiKey) -> Result<CreatedApiKey, ApiError> {
        let NewApiKey { name, provider, permissions, expires_at } = key;
        let mut errors = check_name(&name);
        if permissions.is_empty() {
            errors.push(fault("/permissions", FieldRule::Length, "one or both of read, write"));
        }
        let now_ms = self.service.environment().now_ms();
        if expires_at.is_some_and(|end| end <= now_ms || end > i64::MAX.cast_unsigned()) {
            errors.push(fault("/expires_at", FieldRule::Range, "an instant to come, in milliseconds"));
        }
        refuse(errors)?;
        let rights = KeyRights {
            reads: permissions.contains(&KeyPermission::Read),
            writes: permissions.contains(&KeyPermission::Write),
        };
        let draft = KeyDraft { name, provider: provider.as_str().to_owned(), rights, expires_at };
        Ok(with_secret(self.service.create_api_key(self.principal, draft).await?))
    }

    pub(crate) async fn list(&self) -> Result<ApiKeyList, ApiError> {
        let rows = self.service.api_keys(self.principal).await?;
        Ok(ApiKeyList { api_keys: rows.into_iter().map(without_secret).collect() })
    }

    pub(crate) async fn rename(&self, key_id: &str, RenameApiKey { name }: RenameApiKey) -> Result<ApiKey, ApiError> {
        refuse(check_name(&name))?;
        Ok(without_secret(self.service.rename_api_key(self.principal, key_id, name).await?))
    }

    pub(crate) async fn toggle(&self, key_id: &str, asked: ToggleApiKey) -> Result<ApiKey, ApiError> {
        Ok(without_secret(self.service.toggle_api_key(self.principal, key_id, asked.is_active).await?))
    }

    pub(crate) async fn rotate(&self, key_id: &str, asked: RotateApiKey) -> Result<CreatedApiKey, ApiError> {
        let overlap = Duration::from_secs(asked.overlap_s);
        if overlap > MAX_OVERLAP {
            let allowed = format!("a whole number, 0 to {}", MAX_OVERLAP.as_secs());
            refuse(vec![fault("/overlap_s", FieldRule::Range, &allowed)])?;
        }
        Ok(with_secret(self.service.rotate_api_key(self.principal, key_id, overlap).await?))
    }

    pub(crate) async fn delete(&self, key_id: &str) -> Result<(), ApiError> {
        Ok(self.service.delete_api_key(self.principal, key_id).await?)
    }
}

fn check_name(name: &str) -> Vec<FieldError> {
    let chars = name.chars().count();
    if (1..=MAX_NAME_CHARS).contains(&chars) && !name.chars().any(char::is_control) {
        return Vec::new();
    }
    vec![fault(
        "/name",
        FieldRule::Length,
        &format!("1 to {MAX_NAME_CHARS} characters, none of them a control character"),
    )]
}

fn fault(path: &str, rule: FieldRule, allowed: &str) -> FieldError {
    FieldError { path: path.to_owned(), rule, allowed: allowed.to_owned() }
}

fn refuse(errors: Vec<FieldError>) -> Result<(), ApiError> {
    if errors.is_empty() { Ok(()) } else { Err(ApiError::fields(errors)) }
}

fn permissions(row: &ApiKeyRow) -> Vec<KeyPermission> {
    let named = [(KeyPermission::Read, row.reads), (KeyPermission::Write, row.writes)];
    named.into_iter().filter(|(_, has)| *has).map(|(name, _)| name).collect()
}

fn provider(row: &ApiKeyRow) -> KeyProvider {
    let known = [KeyProvider::Custom, KeyProvider::Plugin, KeyProvider::Integration];
    known.into_iter().find(|known| known.as_str() == row.provider).unwrap_or_default()
}

fn without_secret(row: ApiKeyRow) -> ApiKey {
    let (permissions, provider) = (permissions(&row), provider(&row));
    let ApiKeyRow { key_id, name, is_active, created_at, updated_at, last_used, expires_at, .. } = row;
    ApiKey { key_id, name, provider, permissions, is_active, created_at, updated_at, last_used, expires_at }
}

fn with_secret(KeyWithSecret { row, secret }: KeyWithSecret) -> CreatedApiKey {
    let secret = secret.expose_secret().to_owned();
    let ApiKey { key_id, name, provider, permissions, is_active, created_at, updated_at, last_used: _, expires_at } =
        without_secret(row);
    CreatedApiKey { key_id, name, provider, permissions, is_active, created_at, updated_at, expires_at, secret }
}
