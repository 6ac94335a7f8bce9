//! Every way in which a token can be wrong; the names follow RFC 8725 and the list of pitfalls.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use futures_util::FutureExt;
use jsonwebtoken::{Algorithm, EncodingKey};

use super::claims::MAX_INSTANT;
use super::*;
use crate::testing::{NOW, SECRET, environment};

const ALGORITHM: Algorithm = Algorithm::HS256;

/// Shared secrets are there at once.
fn verify(verifier: &JwtVerifier, token: &str) -> Result<Principal, AuthError> {
    verifier.verify(token).now_or_never().unwrap()
}

fn secret() -> JwtSecret {
    JwtSecret::new(SECRET).unwrap()
}

fn verifier(options: JwtOptions) -> JwtVerifier {
    JwtVerifier::new(&secret(), options, environment())
}

/// Signs any header and any claims with HS256, whatever the header says.
fn forge_text(header: &str, claims: &str) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, ALGORITHM).unwrap();
    format!("{message}.{signature}")
}

fn forge(header: &Value, claims: &Value) -> String {
    forge_text(&header.to_string(), &claims.to_string())
}

fn hs256() -> Value {
    json!({"alg": "HS256", "typ": "JWT"})
}

fn claims() -> Value {
    json!({"sub": "alice", "exp": NOW + 100})
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn code(token: &str) -> Result<String, &'static str> {
    verify(&verifier(JwtOptions::default()), token).map(|who| who.subject).map_err(|error| error.code())
}

#[test]
fn a_minted_token_is_accepted_and_carries_its_principal() {
    let grant = Grant {
        sub: "alice".into(),
        workspaces: vec!["w1".into(), "w2".into()],
        iat: NOW,
        exp: NOW + 1,
        ..Grant::default()
    };
    let token = mint(&secret(), &grant).unwrap();
    let principal = verify(&verifier(JwtOptions::default()), token.expose_secret()).unwrap();
    assert_eq!((principal.subject.as_str(), principal.workspaces.as_slice()), ("alice", grant.workspaces.as_slice()));
}

#[test]
fn v9_1_2_no_algorithm_but_the_keys_own_is_accepted() {
    assert_eq!(code(&forge(&hs256(), &claims())), Ok("alice".into()));
    for alg in
        ["none", "None", "nOnE", "NONE", "RS256", "ES256", "PS256", "EdDSA", "HS384", "HS512", "hs256", "", "HS256 "]
    {
        let header = json!({"alg": alg, "typ": "JWT"});
        assert_eq!(code(&forge(&header, &claims())), Err("invalid_token"), "{alg}");
        // The same without a signature.
        let bare =
            format!("{}.{}.", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims().to_string()));
        assert_eq!(code(&bare), Err("invalid_token"), "{alg}");
    }
    for header in
        [json!({}), json!({"alg": null}), json!({"alg": 1}), json!({"alg": ["HS256"]}), json!([]), json!(null)]
    {
        assert_eq!(code(&forge(&header, &claims())), Err("invalid_token"), "{header}");
    }
    let twice = forge_text(r#"{"alg":"HS256","alg":"none"}"#, &claims().to_string());
    assert_eq!(code(&twice), Err("invalid_token"));
}

#[test]
fn v9_1_1_a_signature_that_does_not_match_is_refused_before_claims_are_read() {
    let good = forge(&hs256(), &claims());
    let (head, signature) = good.rsplit_once('.').unwrap();
    let other = forge(&hs256(), &with("sub", json!("mallory")));
    let other_head = other.rsplit_once('.').unwrap().0;
    let flipped = format!("{head}.{}{}", if signature.starts_with('A') { 'B' } else { 'A' }, &signature[1..]);
    // Broken claims under a broken signature: the signature is the reason.
    let broken = format!("{}.{}.{signature}", URL_SAFE_NO_PAD.encode(hs256().to_string()), URL_SAFE_NO_PAD.encode("{"));
    for token in [format!("{other_head}.{signature}"), flipped, broken, format!("{head}.")] {
        let error = verify(&verifier(JwtOptions::default()), &token).unwrap_err();
        assert_eq!(error, AuthError::Invalid("its signature does not match"), "{token}");
    }
    let stranger = JwtSecret::new("another-secret-of-thirty-two-bytes").unwrap();
    let grant = Grant { sub: "alice".into(), workspaces: vec![], iat: NOW, exp: NOW + 9, ..Grant::default() };
    assert_eq!(code(mint(&stranger, &grant).unwrap().expose_secret()), Err("invalid_token"));
}

#[test]
fn v9_1_3_keys_that_a_header_brings_or_points_to_are_not_used() {
    let own = b"mallorys-own-secret-of-32-bytes!";
    let jwk = json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode(own)});
    let header = json!({
        "alg": "HS256", "jwk": jwk, "jku": "https://evil.example/keys", "x5u": "https://evil.example/x", "kid": "../../dev/null",
    });
    let message =
        format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims().to_string()));
    let key = EncodingKey::from_secret(own);
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, ALGORITHM).unwrap();
    assert_eq!(code(&format!("{message}.{signature}")), Err("invalid_token"));
    // Signed with the right key, they change nothing.
    assert_eq!(code(&forge(&header, &claims())), Ok("alice".into()));
}

#[test]
fn v9_2_1_expiry_is_required_typed_and_checked_by_the_environments_clock() {
    assert_eq!(code(&forge(&hs256(), &json!({"sub": "alice"}))), Err("invalid_token"));
    for exp in [
        json!((NOW + 100).to_string()),
        json!(NOW as f64 + 100.5),
        json!(-1),
        json!(null),
        json!(true),
        json!([NOW + 100]),
        json!({"at": NOW}),
        json!(u64::MAX),
        json!(MAX_INSTANT + 1),
    ] {
        assert_eq!(code(&forge(&hs256(), &with("exp", exp.clone()))), Err("invalid_token"), "{exp}");
    }
    let huge = forge_text(&hs256().to_string(), r#"{"sub":"alice","exp":1e999}"#);
    assert_eq!(code(&huge), Err("invalid_token"));
    let twice = forge_text(&hs256().to_string(), &format!(r#"{{"sub":"alice","exp":1,"exp":{}}}"#, NOW + 100));
    assert_eq!(code(&twice), Err("invalid_token"));
    assert_eq!(code(&forge(&hs256(), &with("exp", json!(NOW + 1)))), Ok("alice".into()));
    assert_eq!(code(&forge(&hs256(), &with("exp", json!(NOW)))), Err("token_expired"));
    assert_eq!(code(&forge(&hs256(), &with("exp", json!(0)))), Err("token_expired"));
}

#[test]
fn leeway_is_given_to_the_second_and_never_more_than_a_minute() {
    let verifier = verifier(JwtOptions { leeway: 3_600, ..JwtOptions::default() });
    let is_good = |name: &str, at: u64| verify(&verifier, &forge(&hs256(), &with(name, json!(at)))).is_ok();
    assert!(is_good("exp", NOW - 59));
    assert!(!is_good("exp", NOW - 60));
    assert!(is_good("nbf", NOW + 60));
    assert!(!is_good("nbf", NOW + 61));
}

#[test]
fn a_token_is_not_valid_before_its_time() {
    assert_eq!(code(&forge(&hs256(), &with("nbf", json!(NOW)))), Ok("alice".into()));
    assert_eq!(code(&forge(&hs256(), &with("nbf", json!(NOW + 1)))), Err("invalid_token"));
    // CVE-2026-25537: a claim of a wrong type skipped the check.
    for nbf in [json!("99999999999"), json!(null), json!(1.5), json!(-1), json!(u64::MAX)] {
        assert_eq!(code(&forge(&hs256(), &with("nbf", nbf.clone()))), Err("invalid_token"), "{nbf}");
    }
}

#[test]
fn the_subject_is_a_string_that_can_be_an_account() {
    for sub in
        [json!(null), json!(1), json!(""), json!(["alice"]), json!("a\u{0}b"), json!("a\nb"), json!("a".repeat(257))]
    {
        assert_eq!(code(&forge(&hs256(), &with("sub", sub.clone()))), Err("invalid_token"), "{sub}");
    }
    assert_eq!(code(&forge(&hs256(), &json!({"exp": NOW + 1}))), Err("invalid_token"));
    assert!(code(&forge(&hs256(), &with("sub", json!("é".repeat(128))))).is_ok());
}

#[test]
fn workspaces_are_ids() {
    for workspaces in
        [json!("w1"), json!([1]), json!([""]), json!(["a".repeat(257)]), json!(null), json!(vec!["w"; 1_001])]
    {
        assert_eq!(
            code(&forge(&hs256(), &with("workspaces", workspaces.clone()))),
            Err("invalid_token"),
            "{workspaces}"
        );
    }
}

#[test]
fn v9_2_3_audience_and_issuer_are_compared_exactly() {
    let strict = verifier(JwtOptions { issuer: Some("idp".into()), audience: Some("sync".into()), leeway: 0 });
    let is_good = |iss: Option<Value>, aud: Option<Value>| {
        let mut claims = claims();
        iss.into_iter().for_each(|iss| claims["iss"] = iss);
        aud.into_iter().for_each(|aud| claims["aud"] = aud);
        verify(&strict, &forge(&hs256(), &claims)).is_ok()
    };
    let (idp, sync) = (Some(json!("idp")), Some(json!("sync")));
    assert!(is_good(idp.clone(), sync.clone()));
    assert!(is_good(idp.clone(), Some(json!(["other", "sync"]))));
    for aud in [None, Some(json!("other")), Some(json!([])), Some(json!(1)), Some(json!(null)), Some(json!("Sync"))] {
        assert!(!is_good(idp.clone(), aud.clone()), "{aud:?}");
    }
    for iss in [None, Some(json!("other")), Some(json!(["idp"])), Some(json!(null))] {
        assert!(!is_good(iss.clone(), sync.clone()), "{iss:?}");
    }
    // RFC 7519 §4.1.3: a token for someone else is refused by who has no name.
    assert_eq!(code(&forge(&hs256(), &with("aud", json!("other-service")))), Err("invalid_token"));
}

#[test]
fn v9_2_2_other_types_of_token_and_critical_extensions_are_refused() {
    for header in [
        json!({"alg": "HS256", "typ": "at+jwt"}),
        json!({"alg": "HS256", "typ": "dpop+jwt"}),
        json!({"alg": "HS256", "crit": ["b64"], "b64": false}),
        json!({"alg": "HS256", "typ": 7}),
    ] {
        assert_eq!(code(&forge(&header, &claims())), Err("invalid_token"), "{header}");
    }
    assert_eq!(code(&forge(&json!({"alg": "HS256"}), &claims())), Ok("alice".into()));
    assert_eq!(code(&forge(&json!({"alg": "HS256", "typ": "jwt"}), &claims())), Ok("alice".into()));
}

#[test]
fn what_is_no_token_is_refused() {
    let good = forge(&hs256(), &claims());
    for text in
        ["", ".", "..", "a.b", "a.b.c", "a.b.c.d", &format!("{good}.x"), &format!("{good}="), &format!(" {good}")]
    {
        assert_eq!(code(text), Err("invalid_token"), "{text}");
    }
    let trailing = forge_text(&hs256().to_string(), &format!("{}{{}}", claims()));
    assert_eq!(code(&trailing), Err("invalid_token"));
}

#[test]
fn i15_no_message_holds_a_token_or_the_secret() {
    let verifier = verifier(JwtOptions::default());
    let token = forge(&json!({"alg": "HS256", "typ": "canary"}), &with("sub", json!("canary\n")));
    let error = verify(&verifier, &token).unwrap_err();
    assert!(!format!("{error} {error:?} {verifier:?}").contains("canary"));
}
