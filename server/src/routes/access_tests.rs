//! Every route against every kind of caller, generated from the table of routes.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use secrecy::ExposeSecret;
use serde_json::json;

use super::table;
use super::tests::{Answer, name_of, request, send, service};
use crate::app::{AppOptions, app};
use crate::auth::{Grant, JwtOptions, JwtSecret, JwtVerifier, Needs, mint};
use crate::sync::{KeyDraft, KeyRights, Principal, SettingsEdit, SettingsWrite, SyncService};
use crate::testing::{NOW, SECRET, environment};

/// Stands in what anna has stored; nobody else may see it.
const CANARY: &str = "canary-of-anna";

struct World {
    app: Router,
    /// Anna's credentials, by kind, and bert's token.
    callers: Vec<(&'static str, Option<String>)>,
    /// The id of a key of anna's.
    key_id: String,
}

fn token(user: &str, issuer: &str, exp: u64) -> Option<String> {
    let grant = Grant {
        sub: user.into(),
        workspaces: Vec::new(),
        iat: NOW - 60,
        exp,
        iss: Some(issuer.into()),
        aud: None,
        jti: None,
    };
    Some(mint(&JwtSecret::new(SECRET).unwrap(), &grant).unwrap().expose_secret().to_owned())
}

async fn key(service: &SyncService, reads: bool, writes: bool) -> (String, String) {
    let draft = KeyDraft {
        name: CANARY.into(),
        provider: "custom".into(),
        rights: KeyRights { reads, writes },
        expires_at: None,
    };
    let made = service.create_api_key(&anna(), draft).await.unwrap();
    (made.row.key_id, made.secret.expose_secret().to_owned())
}

fn anna() -> Principal {
    Principal::new("anna")
}

impl World {
    async fn new() -> Self {
        let service = service().await;
        let jwt = JwtOptions { issuer: Some("login".into()), ..JwtOptions::default() };
        let verifier = JwtVerifier::new(&JwtSecret::new(SECRET).unwrap(), jwt, environment());
        let options = AppOptions::new(Arc::new(verifier), environment());
        let edit = SettingsEdit::Patch(json!({"bio": CANARY}));
        let document = unisono::settings::Document::Profile;
        service.write_settings(&anna(), SettingsWrite { document, edit, only_at: None, event: None }).await.unwrap();
        // Whoever may change keys changes this one, by which nobody asks.
        let (key_id, _) = key(&service, true, true).await;
        let (_, reader) = key(&service, true, false).await;
        let (_, writer) = key(&service, false, true).await;
        let (off_id, off) = key(&service, true, true).await;
        service.toggle_api_key(&anna(), &off_id, Some(false)).await.unwrap();
        let (gone_id, gone) = key(&service, true, true).await;
        service.delete_api_key(&anna(), &gone_id).await.unwrap();
        let mistyped = format!("{}x", &writer[..writer.len() - 1]);
        let callers = vec![
            ("nobody", None),
            ("expired token", token("anna", "login", NOW - 1)),
            ("token of another issuer", token("anna", "elsewhere", NOW + 60)),
            ("mistyped key", Some(mistyped)),
            ("key that is off", Some(off)),
            ("deleted key", Some(gone)),
            ("reading key", Some(reader)),
            ("writing key", Some(writer)),
            ("token", token("anna", "login", NOW + 60)),
            ("another's token", token("bert", "login", NOW + 60)),
        ];
        Self { app: app(service, options), callers, key_id }
    }

    fn path(&self, template: &str) -> String {
        let query = if template.contains("/sync/") { "?scope=user" } else { "" };
        template.replace("{key_id}", &self.key_id) + query
    }

    async fn ask(&self, method: &str, path: &str, credential: Option<&str>, body: Body) -> Answer {
        let authorization = credential.map(|credential| format!("Bearer {credential}"));
        let mut headers = vec![(CONTENT_TYPE, "application/json")];
        headers.extend(authorization.as_deref().map(|value| (AUTHORIZATION, value)));
        send(&self.app, request(method, path, &headers, body)).await
    }
}

/// A body that nobody may look at.
fn unread() -> Body {
    let part = |_: &mut std::task::Context<'_>| -> std::task::Poll<Option<Result<Bytes, io::Error>>> {
        panic!("the body was read")
    };
    Body::from_stream(futures_util::stream::poll_fn(part))
}

/// What a caller gets who may not: status and code. `None` for who may.
fn refusal(caller: &str, needs: Needs) -> Option<(u16, &'static str)> {
    match (caller, needs) {
        (_, Needs::Nothing) => None,
        (
            "nobody" | "expired token" | "token of another issuer" | "mistyped key" | "key that is off" | "deleted key",
            _,
        ) => Some((401, "auth_required")),
        ("reading key", Needs::Write | Needs::Account) | ("writing key", Needs::Account) => Some((403, "forbidden")),
        _ => None,
    }
}

#[tokio::test]
async fn api2_every_route_lets_in_exactly_whom_it_is_for() {
    let world = World::new().await;
    let mut cases = 0;
    // What changes least comes first: a key that is deleted on the way is not there for those who come later.
    let mut routes = table();
    routes.sort_by_key(|route| name_of(&route.method) == "DELETE");
    for route in routes {
        let (method, path) = (name_of(&route.method), world.path(&route.path));
        assert_eq!(route.needs == Needs::Nothing, !route.path.starts_with("/api/"), "{}", route.path);
        for (caller, credential) in &world.callers {
            cases += 1;
            let case = format!("{caller}: {method} {path}");
            match refusal(caller, route.needs) {
                Some((status, code)) => {
                    let answer = world.ask(&method, &path, credential.as_deref(), unread()).await;
                    assert_eq!(answer.refused(), (status, code.into()), "{case}");
                }
                None => {
                    let answer = world.ask(&method, &path, credential.as_deref(), Body::from(r#"{"name": "x"}"#)).await;
                    let status = answer.status.as_u16();
                    assert!(status < 500 && status != 401 && status != 403, "{case}: {status}");
                    if *caller == "another's token" {
                        assert!(!String::from_utf8_lossy(&answer.body).contains(CANARY), "{case}");
                        assert_eq!(status == 404, route.path.contains("{key_id}"), "{case}: {status}");
                    }
                }
            }
        }
    }
    assert_eq!(cases, table().len() * world.callers.len());
}

#[tokio::test]
async fn a_method_that_a_path_does_not_have_is_told_whoever_asks() {
    let world = World::new().await;
    let known: BTreeSet<_> = table().iter().map(|route| (name_of(&route.method), route.path.clone())).collect();
    for (_, template) in &known {
        let path = world.path(template);
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            if known.contains(&(method.to_owned(), template.clone())) || method == "HEAD" {
                continue;
            }
            for (caller, credential) in &world.callers {
                let answer = world.ask(method, &path, credential.as_deref(), unread()).await;
                assert_eq!(answer.refused(), (405, "method_not_allowed".into()), "{caller}: {method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn the_openapi_document_says_what_each_route_needs() {
    let document: serde_json::Value = serde_json::from_str(super::openapi::text()).unwrap();
    for route in table() {
        let method = name_of(&route.method).to_lowercase();
        let operation = &document["paths"][&route.path][&method];
        assert_eq!(operation["x-permission"], route.needs.name(), "{method} {}", route.path);
    }
}
