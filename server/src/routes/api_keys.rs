//! The account's API keys. A key manages none: that takes a token of the account's login.

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use serde::de::DeserializeOwned;
use unisono::protocol::{ApiKey, ApiKeyList, CreatedApiKey, NewApiKey, RenameApiKey, RotateApiKey, ToggleApiKey};

use crate::api_keys::ApiKeys;
use crate::app::AppState;
use crate::auth::Authenticated;
use crate::body::read_json;
use crate::problem::ApiError;
use crate::sync::Principal;

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
    let asked = read(&state, request).await?;
    Ok((StatusCode::CREATED, Json(keys(&state, &principal).create(asked).await?)))
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
    Ok(Json(keys(&state, &principal).list().await?))
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
    let asked = read(&state, request).await?;
    Ok(Json(keys(&state, &principal).rename(&key_id, asked).await?))
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
    keys(&state, &principal).delete(&key_id).await?;
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
    let asked = read_if_any(&state, request).await?;
    Ok(Json(keys(&state, &principal).toggle(&key_id, asked).await?))
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
    let asked = read_if_any(&state, request).await?;
    Ok(Json(keys(&state, &principal).rotate(&key_id, asked).await?))
}

fn keys<'a>(state: &'a AppState, principal: &'a Principal) -> ApiKeys<'a> {
    ApiKeys { service: &state.service, principal }
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
