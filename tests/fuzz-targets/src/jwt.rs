//! Tokens: nothing that the secret did not sign comes in, and what it did sign comes in only as the claims allow.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use secrecy::SecretString;
use serde_json::Value;
use serde_json::value::RawValue;
use unisono::environment::Environment;
use unisono::testing::TestEnvironment;
use unisono_server::Principal;
use unisono_server::auth::{AuthError, Authenticator, Grant, JwtOptions, JwtSecret, JwtVerifier, mint};

use crate::bytes::Bytes;

const SECRET: &str = "a secret of the fuzzer's, long enough to be one";
const OTHER: &str = "another secret, which the verifier has never seen";

/// Options and a way to make a token, then text: any text as a token, a header and claims (a line feed between them) under
/// a wrong or under the right signature, or a token that the server itself mints.
///
/// # Panics
/// If one is accepted that must not be, or refused that must not be.
pub fn jwt(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let env = TestEnvironment::new(1);
    let options = JwtOptions {
        issuer: bytes.once_in(4).then(|| "issuer".to_owned()),
        audience: bytes.once_in(4).then(|| "audience".to_owned()),
        leeway: u64::from(bytes.byte()),
    };
    let secret = JwtSecret::new(SECRET).expect("it is long enough");
    let verifier = JwtVerifier::new(&secret, options.clone(), env.shared());
    let now = env.now_ms() / 1000;
    let verify = |token: String| env.block_on(async { verifier.authenticate(&SecretString::from(token)).await });
    match bytes.below(4) {
        0 => refused(verify(text(bytes.rest()))),
        1 => refused(verify(signed(&text(bytes.rest()), OTHER))),
        2 => {
            let content = text(bytes.rest());
            match verify(signed(&content, SECRET)) {
                Ok(principal) => check(&content, &principal, &options, now),
                Err(error) => refused(Err(error)),
            }
        }
        _ => {
            let grant = grant(&mut bytes, &options, now);
            let token = mint(&secret, &grant).expect("it is signed");
            let answer = env.block_on(async { verifier.authenticate(&token).await });
            let good = grant.exp + options.leeway.min(60) > now
                && (options.issuer.is_none() || grant.iss == options.issuer)
                && grant.aud == options.audience;
            let principal = Principal { workspaces: grant.workspaces, ..Principal::new(&grant.sub) };
            assert_eq!(answer.ok(), good.then_some(principal));
        }
    }
}

fn refused(answer: Result<Principal, AuthError>) {
    match answer {
        Ok(principal) => panic!("{principal:?} came in without a signature"),
        Err(error) => assert!(["invalid_token", "token_expired"].contains(&error.code()), "{error}"),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Header and claims as they stand, signed with HS256 whatever the header says.
fn signed(content: &str, secret: &str) -> String {
    let (header, claims) = content.split_once('\n').unwrap_or((content, ""));
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let key = EncodingKey::from_secret(secret.as_bytes());
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).expect("it is signed");
    format!("{message}.{signature}")
}

/// What must hold of header and claims that were accepted.
fn check(content: &str, principal: &Principal, options: &JwtOptions, now: u64) {
    let (header, claims) = content.split_once('\n').expect("a header and claims");
    let header = members(header, &["alg", "typ", "crit"]);
    let claims = members(claims, &["sub", "exp", "nbf", "iss", "aud", "workspaces"]);
    assert_eq!(header["alg"], "HS256");
    assert!(header["typ"].is_null() || header["typ"].as_str().is_some_and(|typ| typ.eq_ignore_ascii_case("JWT")));
    assert!(header["crit"].is_null());
    let leeway = options.leeway.min(60);
    assert!(claims["exp"].as_u64().is_some_and(|exp| exp + leeway > now));
    if let Some(nbf) = claims.get("nbf") {
        assert!(nbf.as_u64().is_some_and(|nbf| nbf <= now + leeway));
    }
    if let Some(issuer) = &options.issuer {
        assert_eq!(claims["iss"], issuer.as_str());
    }
    match (&options.audience, claims.get("aud")) {
        (None, aud) => assert_eq!(aud, None),
        (Some(audience), Some(Value::Array(many))) => assert!(many.iter().any(|one| one == audience.as_str())),
        (Some(audience), aud) => assert_eq!(aud, Some(&Value::from(audience.as_str()))),
    }
    assert_eq!(claims["sub"], principal.subject.as_str());
    assert!((1..=256).contains(&principal.subject.len()) && !principal.subject.chars().any(char::is_control));
    let workspaces = claims.get("workspaces").cloned().unwrap_or_else(|| Value::Array(Vec::new()));
    assert_eq!(workspaces, Value::from(principal.workspaces.clone()));
}

/// The object with those members of a text that are looked at; others may be what no parser can hold.
fn members(text: &str, names: &[&str]) -> Value {
    let raw: BTreeMap<String, &RawValue> = serde_json::from_str(text).expect("what was accepted is a JSON object");
    let known = raw.into_iter().filter(|(name, _)| names.contains(&name.as_str()));
    known.map(|(name, value)| (name, serde_json::from_str::<Value>(value.get()).expect("a value"))).collect()
}

fn grant(bytes: &mut Bytes<'_>, options: &JwtOptions, now: u64) -> Grant {
    Grant {
        sub: format!("account {}", bytes.byte()),
        workspaces: (0..bytes.below(4)).map(|number| format!("w{number}")).collect(),
        iat: now,
        exp: (now + u64::from(bytes.byte())).saturating_sub(128),
        iss: bytes.of(&[options.issuer.clone(), None, Some("stranger".to_owned())]).clone(),
        aud: bytes.of(&[options.audience.clone(), None, Some("stranger".to_owned())]).clone(),
        jti: None,
    }
}
