//! The server within an app of one's own: its routes beside the app's, and the app's sessions as credentials.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use axum::routing::get;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tower::ServiceExt;
use unisono::TokioEnvironment;
use unisono::platform::BoxFuture;
use unisono_server::auth::{AuthError, Authenticator};
use unisono_server::{AppOptions, Principal, ServiceOptions, SqliteStore, SyncService, app};

/// The sessions of an app that has logins of its own.
#[derive(Debug)]
struct Sessions(HashMap<&'static str, &'static str>);

impl Authenticator for Sessions {
    fn authenticate<'a>(&'a self, token: &'a SecretString) -> BoxFuture<'a, Result<Principal, AuthError>> {
        Box::pin(async move {
            let account = self.0.get(token.expose_secret()).ok_or(AuthError::Invalid("there is no such session"))?;
            Ok(Principal { workspaces: vec!["band".to_owned()], ..Principal::new(account) })
        })
    }
}

/// The app's own routes, with the server's under `/sync-server` and, for clients that know no prefix, at the root.
async fn own_app() -> Router {
    let environment = Arc::new(TokioEnvironment);
    let store = SqliteStore::in_memory().unwrap();
    let service = SyncService::open(store, environment.clone(), ServiceOptions::default()).await.unwrap();
    let sessions = Arc::new(Sessions(HashMap::from([("session-of-anna", "anna")])));
    let server = app(service, AppOptions::new(sessions, environment));
    Router::new().route("/", get(|| async { "the app's own page" })).nest("/sync-server", server.clone()).merge(server)
}

async fn ask(app: &Router, path: &str, session: Option<&str>) -> (StatusCode, Vec<u8>) {
    let mut request = Request::get(path);
    if let Some(session) = session {
        request = request.header("authorization", format!("Bearer {session}"));
    }
    let answer = app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let status = answer.status();
    (status, to_bytes(answer.into_body(), 1 << 20).await.unwrap().to_vec())
}

#[tokio::test]
async fn an_app_mounts_the_server_with_its_own_sessions_as_credentials() {
    let app = own_app().await;
    for prefix in ["", "/sync-server"] {
        let path = format!("{prefix}/api/v1/sync/status?scope=workspace:band");
        let (status, body) = ask(&app, &path, Some("session-of-anna")).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["account"], "anna");
        for session in [None, Some("session-of-nobody")] {
            let (status, body) = ask(&app, &path, session).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED);
            assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["code"], "auth_required");
        }
    }
    assert_eq!(ask(&app, "/", None).await, (StatusCode::OK, b"the app's own page".to_vec()));
    let (status, body) = ask(&app, "/sync-server/nowhere", None).await;
    assert_eq!(
        (status, serde_json::from_slice::<Value>(&body).unwrap()["code"].as_str()),
        (StatusCode::NOT_FOUND, Some("not_found"))
    );
}
