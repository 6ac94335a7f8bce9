//! The one list of routes.

use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter, on};
use unisono::protocol::{BASE_PATH, ProblemCode};
use utoipa::openapi::path::{HttpMethod, Operation};

use super::{account, api_keys, changes, events, operations, refusals, settings};
use crate::app::AppState;
use crate::auth::Needs;

/// A route: path, method and documentation come from the one `utoipa::path` attribute of its handler; the refusals that do not
/// follow from that are named beside it.
pub(crate) struct Route {
    pub(crate) path: String,
    pub(crate) method: HttpMethod,
    pub(crate) operation: Operation,
    /// What its caller has to be allowed.
    pub(crate) needs: Needs,
    pub(crate) handler: MethodRouter<AppState>,
}

impl Route {
    fn new<P: utoipa::Path, H: Handler<T, AppState>, T: 'static>(needs: Needs, handler: H) -> Self {
        let method = P::methods().into_iter().next().unwrap_or(HttpMethod::Get);
        let filter = match method {
            HttpMethod::Get => MethodFilter::GET,
            HttpMethod::Post => MethodFilter::POST,
            HttpMethod::Put => MethodFilter::PUT,
            HttpMethod::Delete => MethodFilter::DELETE,
            HttpMethod::Options => MethodFilter::OPTIONS,
            HttpMethod::Head => MethodFilter::HEAD,
            HttpMethod::Patch => MethodFilter::PATCH,
            HttpMethod::Trace => MethodFilter::TRACE,
        };
        Self { path: P::path(), method, operation: P::operation(), needs, handler: on(filter, handler) }.refuses(&[])
    }

    /// Documents refusals of its own.
    fn refuses(mut self, codes: &[ProblemCode]) -> Self {
        let speaks_protocol = self.speaks_protocol();
        refusals::document(&mut self.operation, speaks_protocol, codes);
        self
    }

    /// Documents that it answers 503 whatever the store's trouble is.
    fn unready(mut self) -> Self {
        refusals::respond(&mut self.operation, 503, &refusals::UNREADY);
        self
    }

    /// Whether it tells that the server lives, and nothing else.
    pub(crate) fn tells_of_life(&self) -> bool {
        tells_of_life(&self.path)
    }

    /// Whether it tells operators how the server is.
    pub(crate) fn tells_of_state(&self) -> bool {
        matches!(self.path.as_str(), "/readyz" | "/metrics")
    }

    /// Whether it belongs to the sync protocol, whose version is negotiated.
    pub(crate) fn speaks_protocol(&self) -> bool {
        self.path.starts_with(BASE_PATH)
    }
}

/// Whether the route at `path` is answered whatever else is going on.
pub(crate) fn tells_of_life(path: &str) -> bool {
    path == "/healthz"
}

/// What writes to settings are refused for.
const SETTINGS: [ProblemCode; 4] = [
    ProblemCode::InvalidIdempotencyKey,
    ProblemCode::PreconditionFailed,
    ProblemCode::SettingsInvalid,
    ProblemCode::IdReused,
];

/// Every route of the server.
pub(crate) fn table() -> Vec<Route> {
    use ProblemCode::*;
    vec![
        Route::new::<events::__path_push, _, _>(Needs::Write, events::push).refuses(&[
            InvalidCursor,
            MalformedEvent,
            IdentityMismatch,
            ScopeNotFound,
            EpochChanged,
            DeviceForked,
            PushTooLarge,
        ]),
        Route::new::<changes::__path_changes, _, _>(Needs::Read, changes::changes).refuses(&[
            InvalidCursor,
            InvalidRequest,
            ScopeNotFound,
            EpochChanged,
            CursorExpired,
        ]),
        Route::new::<account::__path_status, _, _>(Needs::Read, account::status).refuses(&[ScopeNotFound]),
        Route::new::<account::__path_digest, _, _>(Needs::Read, account::digest).refuses(&[ScopeNotFound]),
        Route::new::<account::__path_value, _, _>(Needs::Read, account::value).refuses(&[ScopeNotFound, ValueNotFound]),
        Route::new::<account::__path_stats, _, _>(Needs::Read, account::stats).refuses(&[ScopeNotFound]),
        Route::new::<account::__path_enable, _, _>(Needs::Write, account::enable),
        Route::new::<account::__path_disable, _, _>(Needs::Write, account::disable),
        Route::new::<account::__path_now, _, _>(Needs::Write, account::now),
        Route::new::<settings::__path_user, _, _>(Needs::Read, settings::user),
        Route::new::<settings::__path_read_user, _, _>(Needs::Read, settings::read_user),
        Route::new::<settings::__path_put_user, _, _>(Needs::Write, settings::put_user).refuses(&SETTINGS),
        Route::new::<settings::__path_preferences, _, _>(Needs::Read, settings::preferences),
        Route::new::<settings::__path_put_preferences, _, _>(Needs::Write, settings::put_preferences)
            .refuses(&SETTINGS),
        Route::new::<settings::__path_patch_preferences, _, _>(Needs::Write, settings::patch_preferences)
            .refuses(&SETTINGS),
        Route::new::<settings::__path_storage, _, _>(Needs::Read, settings::storage),
        Route::new::<api_keys::__path_create, _, _>(Needs::Account, api_keys::create)
            .refuses(&[TooManyApiKeys, SettingsInvalid]),
        Route::new::<api_keys::__path_list, _, _>(Needs::Account, api_keys::list),
        Route::new::<api_keys::__path_rename, _, _>(Needs::Account, api_keys::rename)
            .refuses(&[ApiKeyNotFound, SettingsInvalid]),
        Route::new::<api_keys::__path_delete, _, _>(Needs::Account, api_keys::delete).refuses(&[ApiKeyNotFound]),
        Route::new::<api_keys::__path_toggle, _, _>(Needs::Account, api_keys::toggle).refuses(&[ApiKeyNotFound]),
        Route::new::<api_keys::__path_rotate, _, _>(Needs::Account, api_keys::rotate)
            .refuses(&[ApiKeyNotFound, SettingsInvalid]),
        Route::new::<operations::__path_healthz, _, _>(Needs::Nothing, operations::healthz),
        Route::new::<operations::__path_readyz, _, _>(Needs::Nothing, operations::readyz).unready(),
        Route::new::<operations::__path_metrics, _, _>(Needs::Nothing, operations::metrics),
        Route::new::<operations::__path_document, _, _>(Needs::Nothing, operations::document),
    ]
}
