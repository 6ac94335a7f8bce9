//! Query strings.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use unisono::model::Scope;
use utoipa::IntoParams;

use unisono::protocol::ProblemCode;

use crate::problem::ApiError;

/// A query string in its documented form.
#[derive(Debug)]
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(query)) => Ok(Self(query)),
            Err(error) => Err(ApiError::new(ProblemCode::InvalidQuery, "The query has not the documented form")
                .detail(error.body_text())),
        }
    }
}

/// Names the scope that is asked about.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ScopeQuery {
    /// `user` or `workspace:<id>`.
    #[param(value_type = Scope, example = "user")]
    pub(super) scope: Scope,
}

/// Names the scope that is asked about, if any.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct OptionalScopeQuery {
    /// `user` or `workspace:<id>`; `user` if absent.
    #[param(value_type = Option<Scope>, example = "user")]
    pub(super) scope: Option<Scope>,
}
