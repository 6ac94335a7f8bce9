//! API keys: credentials that an account makes for programs, and takes back.
//!
//! A key is looked up in the store with each request, and for each part of a feed that is under way: no copy of it is kept
//! that could outlive a change. All changes are made under the lock of the account's private scope, with an audit row.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Value, json};
use subtle::ConstantTimeEq;
use unisono::protocol::{Problem, ProblemCode};

use super::caller::Caller;
use super::history::present;
use super::principal::Principal;
use super::service::{SyncService, millis};
use crate::auth::AuthError;
use crate::auth::api_key::{FreshKey, Presented, fresh, fresh_id};
use crate::store::{self, ApiKeyRow, KeyChange, KeyHash, ScopeBatch, StoreError, UserRow, Verdict};

/// Most keys of an account.
pub const MAX_API_KEYS: usize = 50;
/// Longest time for which a secret may go on beside the one that replaced it.
pub const MAX_OVERLAP: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How often `last_used` is written at most.
const USE_INTERVAL_MS: u64 = 60_000;

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyRights {
    /// Read records and settings.
    pub reads: bool,
    /// Write them. The answers to writes tell records, so whoever may write may read.
    pub writes: bool,
}

/// A key that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyDraft {
    /// What its user calls it.
    pub name: String,
    /// `custom`, `plugin` or `integration`.
    pub provider: String,
    /// What it may do.
    pub rights: KeyRights,
    /// From when on it is not good any more, in milliseconds.
    pub expires_at: Option<u64>,
}

/// A key with its text, which is nowhere else.
#[derive(Debug)]
pub struct KeyWithSecret {
    /// What is kept.
    pub row: ApiKeyRow,
    /// What its user has to keep.
    pub secret: SecretString,
}

/// A key that was found good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyGrant {
    /// Whose it is.
    pub(crate) account: String,
    pub(crate) rights: KeyRights,
}

impl SyncService {
    /// Makes a key. Its secret is in the answer, and cannot be had again.
    ///
    /// # Errors
    /// `409 too_many_api_keys`, and the store's troubles.
    pub async fn create_api_key(&self, principal: &Principal, draft: KeyDraft) -> Result<KeyWithSecret, Problem> {
        let (key_id, now_ms) = (fresh_id(&*self.shared.environment), self.shared.environment.now_ms());
        let FreshKey { text: secret, hash } = fresh(&*self.shared.environment, &draft.provider, &key_id);
        let KeyDraft { name, provider, rights, expires_at } = draft;
        let row = ApiKeyRow {
            key_id,
            user_id: principal.account(),
            name,
            provider,
            key_hash: hash,
            former: None,
            reads: rights.reads,
            writes: rights.writes,
            is_active: true,
            created_at: now_ms,
            updated_at: now_ms,
            last_used: None,
            expires_at,
        };
        let made = row.clone();
        self.change_keys(principal, move |keys| {
            if keys.len() >= MAX_API_KEYS {
                let problem =
                    Problem::of(ProblemCode::TooManyApiKeys, "the account has as many API keys as it may have");
                return Err(problem.detail(format!("{MAX_API_KEYS}; delete one that is not used")));
            }
            let detail = json!({"change": "create", "key_id": made.key_id, "permissions": permissions(rights)});
            Ok((KeyChange::Put(Box::new(made)), detail, ()))
        })
        .await?;
        Ok(KeyWithSecret { row, secret })
    }

    /// The account's keys, oldest first.
    ///
    /// # Errors
    /// The store's troubles.
    pub async fn api_keys(&self, principal: &Principal) -> Result<Vec<ApiKeyRow>, Problem> {
        Ok(store::read(&*self.shared.store, principal.user_scope(), |reads| reads.api_keys()).await?)
    }

    /// Renames a key.
    ///
    /// # Errors
    /// `404 api_key_not_found`, and the store's troubles.
    pub async fn rename_api_key(
        &self,
        principal: &Principal,
        key_id: &str,
        name: String,
    ) -> Result<ApiKeyRow, Problem> {
        Ok(self.change_key(principal, key_id, "rename", move |key| key.name = name).await?.0)
    }

    /// Switches a key on or off, or over if `active` does not say to what.
    ///
    /// # Errors
    /// `404 api_key_not_found`, and the store's troubles.
    pub async fn toggle_api_key(
        &self,
        principal: &Principal,
        key_id: &str,
        active: Option<bool>,
    ) -> Result<ApiKeyRow, Problem> {
        let toggle = move |key: &mut ApiKeyRow| key.is_active = active.unwrap_or(!key.is_active);
        Ok(self.change_key(principal, key_id, "toggle", toggle).await?.0)
    }

    /// Gives a key a new secret. The one before stays good for `overlap` (at most [`MAX_OVERLAP`]), the one before that ends now.
    ///
    /// # Errors
    /// `404 api_key_not_found`, and the store's troubles.
    pub async fn rotate_api_key(
        &self,
        principal: &Principal,
        key_id: &str,
        overlap: Duration,
    ) -> Result<KeyWithSecret, Problem> {
        let environment = Arc::clone(&self.shared.environment);
        let overlap_ms = millis(overlap.min(MAX_OVERLAP));
        let rotate = move |key: &mut ApiKeyRow| {
            let FreshKey { text, hash } = fresh(&*environment, &key.provider, &key.key_id);
            let until = environment.now_ms().saturating_add(overlap_ms);
            let former = std::mem::replace(&mut key.key_hash, hash);
            key.former = (overlap_ms > 0).then_some((former, until));
            text
        };
        let (row, secret) = self.change_key(principal, key_id, "rotate", rotate).await?;
        Ok(KeyWithSecret { row, secret })
    }

    /// Deletes a key.
    ///
    /// # Errors
    /// `404 api_key_not_found`, and the store's troubles.
    pub async fn delete_api_key(&self, principal: &Principal, key_id: &str) -> Result<(), Problem> {
        let key_id = key_id.to_owned();
        self.change_keys(principal, move |keys| {
            let key = keys.into_iter().find(|key| key.key_id == key_id).ok_or_else(not_found)?;
            let detail = json!({"change": "delete", "key_id": key.key_id});
            Ok((KeyChange::Drop(key.key_id), detail, ()))
        })
        .await
    }

    async fn change_key<T: Send + 'static>(
        &self,
        principal: &Principal,
        key_id: &str,
        name: &'static str,
        change: impl FnOnce(&mut ApiKeyRow) -> T + Send + 'static,
    ) -> Result<(ApiKeyRow, T), Problem> {
        let (key_id, environment) = (key_id.to_owned(), Arc::clone(&self.shared.environment));
        self.change_keys(principal, move |keys| {
            let mut key = keys.into_iter().find(|key| key.key_id == key_id).ok_or_else(not_found)?;
            let result = change(&mut key);
            key.updated_at = environment.now_ms();
            let detail = json!({"change": name, "key_id": key.key_id, "is_active": key.is_active});
            Ok((KeyChange::Put(Box::new(key.clone())), detail, (key, result)))
        })
        .await
    }

    /// Lets `change` decide over the account's keys, and writes what it decides with an audit row.
    async fn change_keys<T: Send + 'static>(
        &self,
        principal: &Principal,
        change: impl FnOnce(Vec<ApiKeyRow>) -> Result<(KeyChange, Value, T), Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let (environment, caller) = (Arc::clone(&self.shared.environment), Caller::new(&principal.account(), None));
        let counts = Arc::clone(&self.shared.counts);
        let written = store::write(&*self.shared.store, principal.user_scope(), move |tx| {
            let (made, detail, result) = match change(tx.api_keys()?) {
                Ok(change) => change,
                Err(problem) => return Ok((Verdict::Discard, Err(problem))),
            };
            let scope = present(tx, &*environment, &counts)?;
            let now_ms = environment.now_ms();
            let user = if tx.user()?.is_none() { Some(UserRow::new(caller.user.clone(), now_ms)) } else { None };
            let audit = vec![caller.audit(now_ms, "api_key", detail)];
            tx.save(ScopeBatch { user, keys: vec![made], audit, ..ScopeBatch::new(scope) })?;
            Ok((Verdict::Commit, Ok(result)))
        });
        written.await?
    }

    /// Whether a presented key is good now, and for what. Remembers that it was used, at most once a minute.
    pub(crate) async fn admit_api_key(&self, presented: &Presented) -> Result<KeyGrant, Problem> {
        let row = self.good_key(presented).await?;
        let now_ms = self.shared.environment.now_ms();
        if is_due(row.last_used, now_ms) {
            // What a key may do does not depend on whether its use can be written down.
            if let Err(error) = self.note_use(&row, now_ms).await {
                tracing::warn!(code = error.code(), "the use of an API key was not noted");
            }
        }
        let rights = KeyRights { reads: row.reads, writes: row.writes };
        Ok(KeyGrant { account: row.user_id, rights })
    }

    /// Whether a key that was admitted is still good.
    pub(crate) async fn keep_api_key(&self, presented: &Presented) -> Result<(), Problem> {
        self.good_key(presented).await.map(drop)
    }

    async fn good_key(&self, presented: &Presented) -> Result<ApiKeyRow, Problem> {
        let row = self.shared.store.api_key(presented.id.clone()).await?;
        Ok(judge(row, &presented.hash, self.shared.environment.now_ms())?)
    }

    async fn note_use(&self, row: &ApiKeyRow, now_ms: u64) -> Result<(), StoreError> {
        let (scope, key_id) = (store::ScopeKey::account(&row.user_id), row.key_id.clone());
        store::write(&*self.shared.store, scope, move |tx| {
            // Found out anew: others have used it meanwhile, or it was changed.
            let key = tx.api_keys()?.into_iter().find(|key| key.key_id == key_id);
            let key = key.filter(|key| is_due(key.last_used, now_ms));
            let (Some(key), Some(scope)) = (key, tx.scope()?) else { return Ok((Verdict::Discard, ())) };
            let used = KeyChange::Put(Box::new(ApiKeyRow { last_used: Some(now_ms), ..key }));
            tx.save(ScopeBatch { keys: vec![used], ..ScopeBatch::new(scope) })?;
            Ok((Verdict::Commit, ()))
        })
        .await
    }
}

/// Whether a use is to be written down. A clock that was set back writes again.
fn is_due(last_used: Option<u64>, now_ms: u64) -> bool {
    last_used.is_none_or(|last| now_ms.abs_diff(last) >= USE_INTERVAL_MS)
}

/// Whether `row` is what the secret with this hash opens. Nobody learns anything of a key without its secret.
fn judge(row: Option<ApiKeyRow>, hash: &KeyHash, now_ms: u64) -> Result<ApiKeyRow, AuthError> {
    let unknown = AuthError::Invalid("there is no such API key");
    let row = row.ok_or(unknown.clone())?;
    let is_current = row.key_hash.ct_eq(hash);
    let is_former = row.former.map_or(0.into(), |(former, until)| former.ct_eq(hash) & u8::from(now_ms < until).into());
    if !bool::from(is_current | is_former) {
        return Err(unknown);
    }
    if !row.is_active {
        return Err(AuthError::Invalid("the API key is switched off"));
    }
    if row.expires_at.is_some_and(|end| end <= now_ms) {
        return Err(AuthError::Expired);
    }
    Ok(row)
}

fn not_found() -> Problem {
    Problem::of(ProblemCode::ApiKeyNotFound, "the account has no such API key")
}

fn permissions(rights: KeyRights) -> Vec<&'static str> {
    let named = [("read", rights.reads), ("write", rights.writes)];
    named.into_iter().filter(|(_, has)| *has).map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000_000;

    fn row() -> ApiKeyRow {
        ApiKeyRow {
            key_id: "k".into(),
            user_id: "anna".into(),
            name: "n".into(),
            provider: "custom".into(),
            key_hash: [1; 32],
            former: Some(([2; 32], NOW + 1)),
            reads: true,
            writes: false,
            is_active: true,
            created_at: 0,
            updated_at: 0,
            last_used: None,
            expires_at: Some(NOW + 1),
        }
    }

    fn code(row: Option<ApiKeyRow>, hash: u8, now_ms: u64) -> Result<(), String> {
        judge(row, &[hash; 32], now_ms).map(drop).map_err(|error| error.to_string())
    }

    #[test]
    fn a_key_is_good_by_its_secret_while_it_is_on_and_has_not_expired() {
        let unknown = Err("the token is not accepted: there is no such API key".to_owned());
        assert_eq!(code(Some(row()), 1, NOW), Ok(()));
        assert_eq!(code(None, 1, NOW), unknown);
        assert_eq!(code(Some(row()), 3, NOW), unknown);
        let off = ApiKeyRow { is_active: false, ..row() };
        assert_eq!(
            code(Some(off.clone()), 1, NOW),
            Err("the token is not accepted: the API key is switched off".into())
        );
        // Without the secret it looks like none.
        assert_eq!(code(Some(off), 3, NOW), unknown);
        assert_eq!(code(Some(row()), 1, NOW + 1), Err("the token has expired".into()));
        assert_eq!(code(Some(ApiKeyRow { expires_at: None, ..row() }), 1, u64::MAX), Ok(()));
    }

    #[test]
    fn the_secret_before_a_rotation_is_good_to_the_end_of_the_overlap() {
        let key = ApiKeyRow { expires_at: None, ..row() };
        assert_eq!(code(Some(key.clone()), 2, NOW), Ok(()));
        assert!(code(Some(key.clone()), 2, NOW + 1).is_err());
        assert_eq!(code(Some(key.clone()), 1, NOW + 1), Ok(()));
        assert!(code(Some(ApiKeyRow { former: None, ..key }), 2, NOW).is_err());
    }

    #[test]
    fn a_use_is_written_once_a_minute() {
        assert!(is_due(None, NOW));
        assert!(!is_due(Some(NOW), NOW));
        assert!(!is_due(Some(NOW), NOW + 59_999));
        assert!(is_due(Some(NOW), NOW + 60_000));
        assert!(is_due(Some(NOW), 0), "the clock was set back");
    }
}
