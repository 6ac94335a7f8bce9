//! The authentication configuration as an operator writes it, with an identity provider that serves its keys.

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::response::Redirect;
use axum::routing::get;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::SecretString;
use serde_json::{Value, json};
use unisono::environment::SharedEnvironment;
use unisono::{Environment, TokioEnvironment};
use unisono_server::auth::{AuthConfig, AuthError, Authenticator, FetchKeys, Grant, JwtSecret, KeyUrl, mint_with};

const EC: &[u8] = include_bytes!("../src/auth/jwt/keys/ec.der");
const SECRET: &str = "a secret of thirty-two bytes or more";

fn key_set() -> String {
    let mut jwk = Jwk::from_encoding_key(&EncodingKey::from_ec_der(EC), Algorithm::ES256).unwrap();
    jwk.common.key_id = Some("e1".to_owned());
    json!({"keys": [jwk]}).to_string()
}

/// An identity provider on this machine; answers its address.
async fn provider() -> String {
    let router = Router::new()
        .route("/keys", get(|| async { key_set() }))
        .route("/moved", get(|| async { Redirect::temporary("/keys") }))
        .route("/long", get(|| async { "x".repeat(300 << 10) }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    #[expect(clippy::disallowed_methods, reason = "a server of the test's own, beside the one that is tested")]
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

fn environment() -> SharedEnvironment {
    Arc::new(TokioEnvironment)
}

fn write(directory: &Path, config: &Value) -> std::path::PathBuf {
    let path = directory.join("auth.json");
    std::fs::write(&path, config.to_string()).unwrap();
    path
}

#[tokio::test]
async fn a_configuration_accepts_a_provider_and_a_backend_whose_secret_has_a_name() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("secret"), SECRET).unwrap();
    std::fs::write(directory.path().join("revoked"), "jti stolen\n").unwrap();
    let path = write(
        directory.path(),
        &json!({"revoked": "revoked", "shared_subjects": ["backend"], "issuers": [
            {"issuer": "idp", "audience": "sync", "jwks": format!("{}/keys", provider().await)},
            {"issuer": "backend", "secrets": [{"kid": "s1", "file": "secret"}]},
        ]}),
    );
    let verifier = AuthConfig::load(&path, &environment()).unwrap();
    let exp = TokioEnvironment.now_ms() / 1000 + 600;
    let header = Header { kid: Some("e1".to_owned()), ..Header::new(Algorithm::ES256) };
    let claims = json!({"sub": "anna", "iss": "idp", "aud": "sync", "exp": exp});
    let token = jsonwebtoken::encode(&header, &claims, &EncodingKey::from_ec_der(EC)).unwrap();
    let anna = verifier.authenticate(&SecretString::from(token)).await.unwrap();
    assert_eq!((anna.subject.as_str(), anna.account()), ("anna", "idp#anna".to_owned()));

    let secret = JwtSecret::new(SECRET).unwrap();
    let minted = |kid: &str, jti: &str| {
        let grant = Grant {
            sub: "bert".into(),
            exp,
            iss: Some("backend".into()),
            jti: Some(jti.to_owned()),
            ..Grant::default()
        };
        mint_with(&secret, Some(kid), &grant).unwrap()
    };
    let shared = verifier.authenticate(&minted("s1", "own")).await.unwrap();
    assert_eq!(shared.account(), "bert", "its issuer is the one whose subjects name accounts by themselves");
    assert_eq!(verifier.authenticate(&minted("s1", "stolen")).await, Err(AuthError::Revoked));
    assert!(verifier.authenticate(&minted("s2", "own")).await.is_err());
}

#[tokio::test]
async fn a_key_set_is_taken_neither_from_elsewhere_nor_without_end() {
    let provider = provider().await;
    let fetch = async |path: &str| KeyUrl::new(&format!("{provider}{path}")).unwrap().fetch().await;
    assert_eq!(fetch("/keys").await, Ok(key_set().into_bytes()));
    for path in ["/moved", "/long", "/nowhere"] {
        assert!(fetch(path).await.is_err(), "{path}");
    }
}

#[test]
fn a_configuration_that_does_not_fit_together_is_refused_with_the_reason() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("short"), "short").unwrap();
    for (config, reason) in [
        (json!({}), "issuers"),
        (json!({"issuers": []}), "has none"),
        (json!({"issuers": [{"issuer": "a"}]}), "either `secrets` or `jwks`"),
        (
            json!({"issuers": [{"issuer": "a", "jwks": "k", "secrets": [{"file": "short"}]}]}),
            "either `secrets` or `jwks`",
        ),
        (json!({"issuers": [{"issuer": "a", "jwks": "k"}, {"issuer": "a", "jwks": "k"}]}), "one twice"),
        (json!({"issuers": [{"issuer": "a#", "jwks": "k"}, {"issuer": "b", "jwks": "k"}]}), "has a `#`"),
        (json!({"issuers": [{"issuer": "a", "jwks": "k"}], "shared_subjects": ["b"]}), "\"b\", which is no issuer"),
        (json!({"issuers": [{"issuer": "a", "jwks": "http://id.example.com/keys"}]}), "not https"),
        (json!({"issuers": [{"issuer": "a", "secrets": [{"file": "short"}]}]}), "at least 32"),
        (json!({"issuers": [{"issuer": "a", "jwks": "k"}], "revoked": "missing"}), "cannot be read"),
        (json!({"issuers": [{"issuer": "a", "jwks": "k"}], "lee_way": 1}), "lee_way"),
    ] {
        let error = AuthConfig::load(&write(directory.path(), &config), &environment()).unwrap_err().to_string();
        assert!(error.contains(reason), "{config}: {error}");
    }
}
