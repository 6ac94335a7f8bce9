//! The small requests of an account: status, digest, lost values, statistics, switches.

use axum::Json;
use axum::extract::State;
use unisono::protocol::{DigestResponse, StatsResponse, StatusResponse, SyncSwitch, ValueRequest, ValueResponse};

use super::query::{Asked, OptionalScopeQuery, ScopeQuery};
use crate::app::AppState;
use crate::auth::Authenticated;
use crate::problem::ApiError;

type Answer<T> = Result<Json<T>, ApiError>;

/// Clocks, identity and state of a scope.
///
/// The first request of a client: it measures the offset of its clock with it.
#[utoipa::path(
    get,
    path = "/api/v1/sync/status",
    tag = "sync",
    security(("bearer" = [])),
    params(OptionalScopeQuery),
    responses(
        (status = 200, description = "The scope's state.", body = StatusResponse),
    ),
)]
pub(super) async fn status(
    State(state): State<AppState>,
    Authenticated(principal): Authenticated,
    Asked(query): Asked<OptionalScopeQuery>,
) -> Answer<StatusResponse> {
    Ok(Json(state.service.status(&principal, query.scope).await?))
}

/// The digest of a scope, by buckets.
#[utoipa::path(
    get,
    path = "/api/v1/sync/digest",
    tag = "sync",
    security(("bearer" = [])),
    params(ScopeQuery),
    responses(
        (status = 200, description = "The digest at the named position.", body = DigestResponse),
    ),
)]
pub(super) async fn digest(
    State(state): State<AppState>,
    Authenticated(principal): Authenticated,
    Asked(query): Asked<ScopeQuery>,
) -> Answer<DigestResponse> {
    Ok(Json(state.service.digest(&principal, query.scope).await?))
}

/// A value that lost, and that its conflict note only refers to.
///
/// Kept as long as the note refers to it.
#[utoipa::path(
    get,
    path = "/api/v1/sync/values",
    tag = "sync",
    security(("bearer" = [])),
    params(ValueRequest),
    responses(
        (status = 200, description = "The value, whole.", body = ValueResponse),
    ),
)]
pub(super) async fn value(
    State(state): State<AppState>,
    Authenticated(principal): Authenticated,
    Asked(request): Asked<ValueRequest>,
) -> Answer<ValueResponse> {
    Ok(Json(state.service.value(&principal, request).await?))
}

/// What a scope holds, in numbers.
#[utoipa::path(
    get,
    path = "/api/v1/sync/stats",
    tag = "sync",
    security(("bearer" = [])),
    params(ScopeQuery),
    responses(
        (status = 200, description = "The numbers.", body = StatsResponse),
    ),
)]
pub(super) async fn stats(
    State(state): State<AppState>,
    Authenticated(principal): Authenticated,
    Asked(query): Asked<ScopeQuery>,
) -> Answer<StatsResponse> {
    Ok(Json(state.service.stats(&principal, query.scope).await?))
}

/// Switch the account's sync on.
#[utoipa::path(
    post,
    path = "/api/v1/sync/enable",
    tag = "sync",
    security(("bearer" = [])),
    responses(
        (status = 200, description = "It is on.", body = SyncSwitch),
    ),
)]
pub(super) async fn enable(
    State(state): State<AppState>,
    Authenticated(principal): Authenticated,
) -> Answer<SyncSwitch> {
    Ok(Json(state.service.set_enabled(&principal, true).await?))
}

/// Switch the account's sync off.
///
/// Devices hear of it with their settings, which go on syncing. Pushes are accepted all the same.
#[utoipa::path(
    post,
    path = "/api/v1/sync/disable",
    tag = "sync",
    security(("bearer" = [])),
    responses(
        (status = 200, description = "It is off.", body = SyncSwitch),
    ),
)]
pub(super) async fn disable(
    State(state): State<AppState>,
    Authenticated(principal): Authenticated,
) -> Answer<SyncSwitch> {
    Ok(Json(state.service.set_enabled(&principal, false).await?))
}

/// Ask the account's connected devices to sync.
#[utoipa::path(
    post,
    path = "/api/v1/sync/now",
    tag = "sync",
    security(("bearer" = [])),
    responses(
        (status = 200, description = "They were told.", body = SyncSwitch),
    ),
)]
pub(super) async fn now(State(state): State<AppState>, Authenticated(principal): Authenticated) -> Answer<SyncSwitch> {
    Ok(Json(state.service.sync_now(&principal).await?))
}
