//! The account's API keys. A key manages none: that takes a token of the account's login.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use secrecy::ExposeSecret;
use serde::de::DeserializeOwned;
use unisono::protocol::{
    ApiKey, ApiKeyList, CreatedApiKey, KeyPermission, KeyProvider, NewApiKey, RenameApiKey, RotateApiKey, ToggleApiKey,
};
use unisono::settings::{FieldError, FieldRule};

use crate::app::AppState;
use crate::auth::Authenticated;
use crate::body::read_json;
use crate::problem::ApiError;
use crate::store::ApiKeyRow;
use crate::sync::{KeyDraft, KeyRights, KeyWithSecret, MAX_OVERLAP};

/// Longest name of a key, in characters.
const MAX_NAME_CHARS: usize = 100;

/// Make an API key.
///
/// Its secret is in this answer alone: the server keeps a hash. At most 50 keys an account.
#[utoipa::path(
    post,
    path = "/api/v1/settings/api-keys",
    tag = "settings",
    security(("bearer" = [])),
    request_body(content = NewApiKey, example = json!({"name": "Sampler plugin", "provider": "plugin", "permissions": ["read", "write"]})),
    responses(
        (status = 201, description = "The key, with its secret.", body = CreatedApiKey, example = json!({
            "key_id": "5b1f7c0e9a3d42c18f60e7aa", "name": "Sampler plugin", "provider": "plugin",
            "permissions": ["read", "write"], "is_active": true, "created_at": 1_761_996_444_190_u64,
            "updated_at": 1_761_996_444_190_u64,
            "secret": "unisono_plugin_5b1f7c0e9a3d42c18f60e7aa_…",
        })),
    ),
)]
pub(super) async fn create(
    State(state): State<AppState>,
    Authenticated(principal): Authenticated,
    request: Request,
) -> Result<(StatusCode, Json<CreatedApiKey>), ApiError> {
    let NewApiKey { name, provider, permissions, expires_at } = read(&state, request).await?;
    let mut errors = check_name(&name);
    if permissions.is_empty() {
        errors.push(fault("/permissions", FieldRule::Length, "one or both of read, write"));
    }
    if expires_at.is_some_and(|end| end <= state.environment.now_ms() || end > i64::MAX.cast_unsigned()) {
        errors.push(fault("/expires_at", FieldRule::Range, "an instant to come, in milliseconds"));
    }
    refuse(errors)?;
    let rights = KeyRights {
        reads: permissions.contains(&KeyPermission::Read),
        writes: permissions.contains(&KeyPermission::Write),
    };
    let draft = KeyDraft { name, provider: provider.as_str().to_owned(), rights, expires_at };
    let made = state.service.create_api_key(&principal, draft).await?;
    Ok((StatusCode::CREATED, Json(with_secret(made))))
}

/// List the API keys.
///
/// Oldest first, without secrets.
#[utoipa::path(
    get,
    path = "/api/v1/settings/api-keys",
    tag = "settings",
    security(("bearer" = [])),
    responses(
        (status = 200, description = "The keys.", body = ApiKeyList),
    ),
)]
pub(super) async fn list(
    State(state): State<AppState>,
    Authenticated(principal): Authenticated,
) -> Result<Json<ApiKeyList>, ApiError> {
    let rows = state.service.api_keys(&principal).await?;
    Ok(Json(ApiKeyList { api_keys: rows.into_iter().map(without_secret).collect() }))
}

/// Rename an API key.
#[utoipa::path(
    patch,
    path = "/api/v1/settings/api-keys/{key_id}",
    tag = "settings",
    security(("bearer" = [])),
    params(("key_id" = String, Path, description = "The key's id.", example = "5b1f7c0e9a3d42c18f60e7aa")),
    request_body(content = RenameApiKey, example = json!({"name": "Old sampler"})),
    responses(
        (status = 200, description = "The key.", body = ApiKey),
    ),
)]
pub(super) async fn rename(
    State(state): State<AppState>,
    Authenticated(principal): Authenticated,
    Path(key_id): Path<String>,
    request: Request,
) -> Result<Json<ApiKey>, ApiError> {
    let RenameApiKey { name } = read(&state, request).await?;
    refuse(check_name(&name))?;
    Ok(Json(without_secret(state.service.rename_api_key(&principal, &key_id, name).await?)))
}

/// Delete an API key.
///
/// It stops at once; a feed that it reads breaks off.
#[utoipa::path(
    delete,
    path = "/api/v1/settings/api-keys/{key_id}",
    tag = "settings",
    security(("bearer" = [])),
    params(("key_id" = String, Path, description = "The key's id.", example = "5b1f7c0e9a3d42c18f60e7aa")),
    responses(
        (status = 204, description = "It is gone."),
    ),
)]
pub(super) async fn delete(
    State(state): State<AppState>,
    Authenticated(principal): Authenticated,
    Path(key_id): Path<String>,
) -> Result<StatusCode, ApiError> {
    state.service.delete_api_key(&principal, &key_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Switch an API key on or off.
///
/// Without a body it is switched over. A key that is off stops at once; a feed that it reads breaks off.
#[utoipa::path(
    put,
    path = "/api/v1/settings/api-keys/{key_id}/toggle",
    tag = "settings",
    security(("bearer" = [])),
    params(("key_id" = String, Path, description = "The key's id.", example = "5b1f7c0e9a3d42c18f60e7aa")),
    request_body(content = Option<ToggleApiKey>, example = json!({"is_active": false})),
    responses(
        (status = 200, description = "The key.", body = ApiKey),
    ),
)]
pub(super) async fn toggle(
    State(state): State<AppState>,
    Authenticated(principal): Authenticated,
    Path(key_id): Path<String>,
    request: Request,
) -> Result<Json<ApiKey>, ApiError> {
    let ToggleApiKey { is_active } = read_if_any(&state, request).await?;
    Ok(Json(without_secret(state.service.toggle_api_key(&principal, &key_id, is_active).await?)))
}

/// Give an API key a new secret.
///
/// The secret before it stays good for `overlap_s` seconds, so that programs can change over one by one.
#[utoipa::path(
    post,
    path = "/api/v1/settings/api-keys/{key_id}/rotate",
    tag = "settings",
    security(("bearer" = [])),
    params(("key_id" = String, Path, description = "The key's id.", example = "5b1f7c0e9a3d42c18f60e7aa")),
    request_body(content = Option<RotateApiKey>, example = json!({"overlap_s": 3_600})),
    responses(
        (status = 200, description = "The key, with its new secret.", body = CreatedApiKey),
    ),
)]
pub(super) async fn rotate(
    State(state): State<AppState>,
    Authenticated(principal): Authenticated,
    Path(key_id): Path<String>,
    request: Request,
) -> Result<Json<CreatedApiKey>, ApiError> {
    let RotateApiKey { overlap_s } = read_if_any(&state, request).await?;
    let overlap = Duration::from_secs(overlap_s);
    if overlap > MAX_OVERLAP {
        let allowed = format!("a whole number, 0 to {}", MAX_OVERLAP.as_secs());
        refuse(vec![fault("/overlap_s", FieldRule::Range, &allowed)])?;
    }
    Ok(Json(with_secret(state.service.rotate_api_key(&principal, &key_id, overlap).await?)))
}

async fn read<T: DeserializeOwned>(state: &AppState, request: Request) -> Result<T, ApiError> {
    let (parts, body) = request.into_parts();
    read_json(&parts.headers, body, &state.body, &*state.environment).await
}

/// Reads a body that may be left out.
async fn read_if_any<T: DeserializeOwned + Default>(state: &AppState, request: Request) -> Result<T, ApiError> {
    let headers = request.headers();
    let announced = headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0");
    if !announced && !headers.contains_key(TRANSFER_ENCODING) && !headers.contains_key(CONTENT_TYPE) {
        return Ok(T::default());
    }
    read(state, request).await
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
