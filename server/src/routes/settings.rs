//! The account's settings as documents: profile, preferences, storage.

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use unisono::protocol::StorageStats;
use unisono::settings::{Document, FieldError, FieldRule, check_values};

use super::headers::{IdempotencyKey, IfMatch, etag};
use crate::app::AppState;
use crate::auth::Authenticated;
use crate::body::read_json;
use crate::problem::ApiError;
use crate::store::UserRow;
use crate::sync::{Principal, SettingsEdit, SettingsState, SettingsWrite};

/// Members of a user's document that the server tells and nobody writes.
const TOLD: [&str; 8] = [
    "user_id",
    "storage_used",
    "storage_quota",
    "total_uploads",
    "total_analyses",
    "created_at",
    "updated_at",
    "last_cleanup",
];

type Answer = Result<Response, ApiError>;

/// Read the user.
///
/// The profile, and what the server counts for the account. Times are milliseconds since the Unix epoch.
#[utoipa::path(
    get,
    path = "/api/v1/settings/user",
    tag = "settings",
    security(("bearer" = [])),
    responses(
        (status = 200, description = "The user.", body = Object, content_type = "application/json",
            headers(("ETag" = String, description = "The profile's revision, in quotes.")),
            example = json!({"user_id": "alice", "username": "Alice", "email": "alice@example.com", "avatar_url": null, "bio": null,
                "storage_used": 52_310, "storage_quota": null, "total_uploads": 41, "total_analyses": 0,
                "created_at": 1_761_996_444_190_u64, "updated_at": 1_761_996_444_190_u64, "last_cleanup": null})),
    ),
)]
pub(super) async fn user(State(state): State<AppState>, Authenticated(principal): Authenticated) -> Answer {
    let profile = state.service.settings(&principal, &Document::Profile).await?;
    tell_user(&state, &principal, &profile).await
}

/// Read the user, as older clients do.
///
/// The same as `GET`; a body is not looked at.
#[utoipa::path(
    post,
    path = "/api/v1/settings/user",
    tag = "settings",
    security(("bearer" = [])),
    responses(
        (status = 200, description = "The user.", body = Object, content_type = "application/json",
            headers(("ETag" = String, description = "The profile's revision, in quotes."))),
    ),
)]
pub(super) async fn read_user(state: State<AppState>, caller: Authenticated) -> Answer {
    user(state, caller).await
}

/// Replace the profile.
///
/// Its known fields become those of the body; the ones that are absent or null are cleared. Unknown fields stay as they are.
/// What the server counts is ignored. Reaches the account's devices.
#[utoipa::path(
    put,
    path = "/api/v1/settings/user",
    tag = "settings",
    security(("bearer" = [])),
    params(
        ("If-Match" = Option<String>, Header, description = "The ETag that was read: refused with 412 if it is not the present one."),
        ("Idempotency-Key" = Option<String>, Header, description = "Names the request: sent again, it takes no second effect."),
    ),
    request_body(content = Object, content_type = "application/json",
        example = json!({"username": "Alice", "email": "alice@example.com", "bio": "Drums and bass."})),
    responses(
        (status = 200, description = "The user afterwards.", body = Object, content_type = "application/json",
            headers(("ETag" = String, description = "The profile's revision, in quotes."))),
    ),
)]
pub(super) async fn put_user(
    State(state): State<AppState>,
    Authenticated(principal): Authenticated,
    condition: IfMatch,
    key: IdempotencyKey,
    request: Request,
) -> Answer {
    let mut body = read_body(&state, request).await?;
    TOLD.iter().for_each(|name| drop(body.remove(*name)));
    let profile = write(&state, &principal, Document::Profile, SettingsEdit::Put, body, condition, key).await?;
    tell_user(&state, &principal, &profile).await
}

async fn tell_user(state: &AppState, principal: &Principal, profile: &SettingsState) -> Answer {
    let UserRow {
        user_id,
        storage_used,
        storage_quota,
        total_uploads,
        total_analyses,
        created_at,
        updated_at,
        last_cleanup,
        ..
    } = state.service.storage(principal).await?.user;
    let mut document = Map::new();
    for field in Document::Profile.fields() {
        document.insert(field.path[1..].to_owned(), Value::Null);
    }
    if let Value::Object(fields) = &profile.stored {
        document.extend(fields.clone());
    }
    let told: [Value; TOLD.len()] = [
        json!(user_id),
        json!(storage_used),
        json!(storage_quota),
        json!(total_uploads),
        json!(total_analyses),
        json!(created_at),
        json!(updated_at),
        json!(last_cleanup),
    ];
    document.extend(TOLD.into_iter().map(str::to_owned).zip(told));
    Ok(([etag(profile.revision)], Json(document)).into_response())
}

/// Read the preferences.
///
/// The document that holds: what the user has chosen over the defaults.
#[utoipa::path(
    get,
    path = "/api/v1/settings/preferences",
    tag = "settings",
    security(("bearer" = [])),
    responses(
        (status = 200, description = "The preferences.", body = Object, content_type = "application/json",
            headers(("ETag" = String, description = "The record's revision, in quotes.")),
            example = json!({"ui": {"theme": "dark", "language": "en", "compact": false}, "cloud_sync": {"enabled": true, "interval_s": 60}})),
    ),
)]
pub(super) async fn preferences(State(state): State<AppState>, Authenticated(principal): Authenticated) -> Answer {
    let preferences = state.service.settings(&principal, &Document::Preferences).await?;
    Ok(tell_preferences(&preferences))
}

/// Replace the preferences.
///
/// Known fields become those of the body; the ones that are absent or null go back to their defaults. Unknown fields stay as they
/// are. Only what differs from what holds is stored. Reaches the account's devices.
#[utoipa::path(
    put,
    path = "/api/v1/settings/preferences",
    tag = "settings",
    security(("bearer" = [])),
    params(
        ("If-Match" = Option<String>, Header, description = "The ETag that was read: refused with 412 if it is not the present one."),
        ("Idempotency-Key" = Option<String>, Header, description = "Names the request: sent again, it takes no second effect."),
    ),
    request_body(content = Object, content_type = "application/json", example = json!({"ui": {"theme": "dark"}})),
    responses(
        (status = 200, description = "The preferences afterwards.", body = Object, content_type = "application/json",
            headers(("ETag" = String, description = "The record's revision, in quotes."))),
    ),
)]
pub(super) async fn put_preferences(
    State(state): State<AppState>,
    Authenticated(principal): Authenticated,
    condition: IfMatch,
    key: IdempotencyKey,
    request: Request,
) -> Answer {
    let body = read_body(&state, request).await?;
    let written = write(&state, &principal, Document::Preferences, SettingsEdit::Put, body, condition, key).await?;
    Ok(tell_preferences(&written))
}

/// Change preferences.
///
/// An RFC 7396 merge patch over the document that holds; null takes a choice back. Only what differs from what holds is stored.
/// Reaches the account's devices.
#[utoipa::path(
    patch,
    path = "/api/v1/settings/preferences",
    tag = "settings",
    security(("bearer" = [])),
    params(
        ("If-Match" = Option<String>, Header, description = "The ETag that was read: refused with 412 if it is not the present one."),
        ("Idempotency-Key" = Option<String>, Header, description = "Names the request: sent again, it takes no second effect."),
    ),
    request_body(content = Object, content_type = "application/merge-patch+json", example = json!({"ui": {"theme": null, "compact": true}})),
    responses(
        (status = 200, description = "The preferences afterwards.", body = Object, content_type = "application/json",
            headers(("ETag" = String, description = "The record's revision, in quotes."))),
    ),
)]
pub(super) async fn patch_preferences(
    State(state): State<AppState>,
    Authenticated(principal): Authenticated,
    condition: IfMatch,
    key: IdempotencyKey,
    request: Request,
) -> Answer {
    let body = read_body(&state, request).await?;
    let written = write(&state, &principal, Document::Preferences, SettingsEdit::Patch, body, condition, key).await?;
    Ok(tell_preferences(&written))
}

fn tell_preferences(preferences: &SettingsState) -> Response {
    ([etag(preferences.revision)], Json(preferences.effective(&Document::Preferences))).into_response()
}

/// What the account stores.
///
/// In canonical bytes, by collection. The inbox of conflicts is listed and does not count.
#[utoipa::path(
    get,
    path = "/api/v1/settings/storage",
    tag = "settings",
    security(("bearer" = [])),
    responses(
        (status = 200, description = "The numbers.", body = StorageStats),
    ),
)]
pub(super) async fn storage(
    State(state): State<AppState>,
    Authenticated(principal): Authenticated,
) -> Result<Json<StorageStats>, ApiError> {
    Ok(Json(state.service.storage(&principal).await?.to_stats()))
}

async fn read_body(state: &AppState, request: Request) -> Result<Map<String, Value>, ApiError> {
    let (parts, body) = request.into_parts();
    match read_json(&parts.headers, body, &state.body, &*state.environment).await? {
        Value::Object(fields) => Ok(fields),
        _ => {
            let error = FieldError { path: String::new(), rule: FieldRule::Type, allowed: "an object".to_owned() };
            Err(ApiError::fields(vec![error]))
        }
    }
}

async fn write(
    state: &AppState,
    principal: &Principal,
    document: Document,
    edit: impl FnOnce(Value) -> SettingsEdit,
    body: Map<String, Value>,
    IfMatch(only_at): IfMatch,
    IdempotencyKey(event): IdempotencyKey,
) -> Result<SettingsState, ApiError> {
    let body = Value::Object(body);
    let errors = check_values(document.fields(), &body);
    if !errors.is_empty() {
        return Err(ApiError::fields(errors));
    }
    Ok(state.service.write_settings(principal, SettingsWrite { document, edit: edit(body), only_at, event }).await?)
}
