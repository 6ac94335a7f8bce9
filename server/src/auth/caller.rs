//! Who asks, and by what right: found out once, before the route, from the credential alone.

use axum::extract::{FromRequestParts, Request, State};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use unisono::protocol::{Problem, ProblemCode};

use super::api_key::{self, Presented};
use super::bearer::bearer;
use super::{AuthError, Needs};
use crate::app::AppState;
use crate::problem::ApiError;
use crate::rate::{self, Key};
use crate::sync::{KeyGrant, KeyRights, Principal, SyncService};
use crate::telemetry::origin;

/// The caller of a request.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) principal: Principal,
    right: Right,
}

/// By what right somebody asks.
#[derive(Clone, Debug)]
pub(super) enum Right {
    /// A token of the account's login.
    Token,
    /// An API key of the account.
    Key { presented: Presented, rights: KeyRights },
}

impl Caller {
    /// The caller whom [`authorize`] let in.
    pub(super) fn of(parts: &Parts) -> Result<Self, ApiError> {
        let missing = || ApiError::new(ProblemCode::Internal, "The server failed");
        parts.extensions.get().cloned().ok_or_else(missing)
    }

    /// Whether the right still holds: an API key may be taken back while its feed is under way.
    pub(crate) async fn recheck(&self, service: &SyncService) -> Result<(), Problem> {
        match &self.right {
            Right::Token => Ok(()),
            Right::Key { presented, .. } => service.keep_api_key(presented).await,
        }
    }
}

impl FromRequestParts<AppState> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, ApiError> {
        Self::of(parts)
    }
}

/// The layer around a route that needs something: a request whose credential does not give it goes no further, and its body
/// is not read.
pub(crate) async fn authorize(
    State((state, needs)): State<(AppState, Needs)>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let admitted = admit(&state, &parts.headers, needs).await.and_then(|caller| {
        let account = caller.principal.account();
        origin::is_of_account(&account);
        rate::take(&state.rates, Key::Account(account), &parts.extensions).map(|()| caller)
    });
    match admitted {
        Ok(caller) => {
            parts.extensions.insert(caller);
            next.run(Request::from_parts(parts, body)).await
        }
        Err(error) => error.into_response(),
    }
}

async fn admit(state: &AppState, headers: &HeaderMap, needs: Needs) -> Result<Caller, ApiError> {
    let token = bearer(headers)?;
    let caller = if api_key::is_api_key(&token) {
        let malformed = AuthError::Invalid("it is not an API key: a character is missing or wrong");
        let presented = api_key::read(&token).ok_or(malformed)?;
        let KeyGrant { account, rights } = state.service.admit_api_key(&presented).await?;
        // Membership of workspaces is what tokens say; a key has none.
        let principal = Principal::of_account(&account);
        Caller { principal, right: Right::Key { presented, rights } }
    } else {
        Caller { principal: state.authenticator.authenticate(&token).await?, right: Right::Token }
    };
    needs.check(&caller.right)?;
    Ok(caller)
}
