//! `POST /sync/events`.

use axum::Json;
use axum::extract::{Request, State};
use serde_json::value::RawValue;
use unisono::model::SyncEvent;
use unisono::protocol::{ProblemCode, PushRequest, PushResponse};

use crate::app::AppState;
use crate::auth::Authenticated;
use crate::body::read_json;
use crate::problem::ApiError;
use crate::telemetry::origin;

/// Push events.
///
/// Applies a device's events in request order and answers with one receipt per event. A repeated push is answered as
/// before. Bodies may be gzip or zstd.
#[utoipa::path(
    post,
    path = "/api/v1/sync/events",
    tag = "sync",
    security(("bearer" = [])),
    request_body = PushRequest<SyncEvent>,
    responses(
        (status = 200, description = "One receipt per event.", body = PushResponse),
    ),
)]
pub(super) async fn push(
    State(state): State<AppState>,
    Authenticated(principal): Authenticated,
    request: Request,
) -> Result<Json<PushResponse>, ApiError> {
    let (parts, body) = request.into_parts();
    let request: PushRequest<Box<RawValue>> = read_json(&parts.headers, body, &state.body, &*state.environment).await?;
    origin::is_of_device(request.device_id.as_str());
    if request.events.len() > state.body.events {
        return Err(ApiError::new(ProblemCode::PushTooLarge, "The push has too many events")
            .detail(format!("more than {}", state.body.events)));
    }
    let response = state.service.push(&principal, request).await?;
    response.receipts.iter().for_each(|receipt| state.metrics.judged(receipt.status));
    Ok(Json(response))
}
