//! Several issuers, several keys, published keys, revoked tokens. The private keys beside this file sign nothing but these tests.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use unisono::environment::Environment;
use unisono::model::Scope;
use unisono::testing::TestEnvironment;

use super::*;

const RSA: &[u8] = include_bytes!("keys/rsa.der");
const WEAK_RSA: &[u8] = include_bytes!("keys/rsa-weak.der");
const EC: &[u8] = include_bytes!("keys/ec.der");
const ED: &[u8] = include_bytes!("keys/ed.der");
const OLD: &str = "the-old-secret-of-thirty-two-bytes!!";
const NEW: &str = "the-new-secret-of-thirty-two-bytes!!";

fn private(algorithm: Algorithm) -> EncodingKey {
    match algorithm {
        Algorithm::RS256 => EncodingKey::from_rsa_der(RSA),
        Algorithm::ES256 => EncodingKey::from_ec_der(EC),
        Algorithm::EdDSA => EncodingKey::from_ed_der(ED),
        _ => EncodingKey::from_secret(NEW.as_bytes()),
    }
}

fn jwk(algorithm: Algorithm, kid: &str) -> Value {
    let mut jwk = Jwk::from_encoding_key(&private(algorithm), algorithm).unwrap();
    jwk.common.key_id = Some(kid.to_owned());
    serde_json::to_value(jwk).unwrap()
}

fn set(keys: &[Value]) -> String {
    json!({"keys": keys}).to_string()
}

struct World {
    environment: TestEnvironment,
}

impl World {
    fn new() -> Self {
        Self { environment: TestEnvironment::new(1) }
    }

    fn now(&self) -> u64 {
        self.environment.now_ms() / 1000
    }

    fn claims(&self, issuer: &str) -> Value {
        json!({"sub": "alice", "exp": self.now() + 100_000, "iss": issuer})
    }

    fn options(issuer: &str) -> JwtOptions {
        JwtOptions { issuer: Some(issuer.to_owned()), audience: None, leeway: 0 }
    }

    fn published<F: FetchKeys>(&self, issuer: &str, source: &Arc<F>) -> Issuer {
        let source: Arc<dyn FetchKeys> = source.clone();
        Issuer::with_published(Self::options(issuer), source, self.environment.shared())
    }

    fn verifier(&self, issuers: Vec<Issuer>) -> JwtVerifier {
        JwtVerifier::of_issuers(issuers, None, self.environment.shared())
    }

    fn verify(&self, verifier: &JwtVerifier, token: &str) -> Result<String, AuthError> {
        self.environment.block_on(verifier.verify(token)).map(|principal| principal.subject)
    }
}

/// A key server that answers as it is told; when it has nothing more to say, it fails.
#[derive(Debug, Default)]
struct Script {
    answers: Mutex<VecDeque<String>>,
    asked: AtomicUsize,
}

impl Script {
    fn of(answers: &[String]) -> Arc<Self> {
        Arc::new(Self { answers: Mutex::new(answers.iter().cloned().collect()), asked: AtomicUsize::new(0) })
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

impl FetchKeys for Script {
    fn fetch(&self) -> BoxFuture<'_, Result<Vec<u8>, String>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let answer = self.answers.lock().unwrap().pop_front();
        Box::pin(async move { answer.map(String::into_bytes).ok_or_else(|| "down".to_owned()) })
    }
}

/// A key server that answers when it is let.
#[derive(Debug)]
struct Slow {
    answer: String,
    lets: Semaphore,
    asked: AtomicUsize,
}

impl Slow {
    fn new(answer: String) -> Arc<Self> {
        Arc::new(Self { answer, lets: Semaphore::new(0), asked: AtomicUsize::new(0) })
    }
}

impl FetchKeys for Slow {
    fn fetch(&self) -> BoxFuture<'_, Result<Vec<u8>, String>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Box::pin(async {
            self.lets.acquire().await.map_err(|error| error.to_string())?.forget();
            Ok(self.answer.clone().into_bytes())
        })
    }
}

fn sign(algorithm: Algorithm, kid: Option<&str>, claims: &Value) -> String {
    sign_with(&private(algorithm), algorithm, kid, claims)
}

fn sign_with(key: &EncodingKey, algorithm: Algorithm, kid: Option<&str>, claims: &Value) -> String {
    jsonwebtoken::encode(&Header { kid: kid.map(str::to_owned), ..Header::new(algorithm) }, claims, key).unwrap()
}

#[test]
fn published_keys_of_three_kinds_are_accepted_each_for_its_own_algorithm() {
    let world = World::new();
    let kinds = [(Algorithm::RS256, "r"), (Algorithm::ES256, "e"), (Algorithm::EdDSA, "d")];
    let source = Script::of(&[set(&kinds.map(|(algorithm, kid)| jwk(algorithm, kid)))]);
    let verifier = world.verifier(vec![world.published("idp", &source)]);
    for (algorithm, kid) in kinds {
        let claims = world.claims("idp");
        assert_eq!(world.verify(&verifier, &sign(algorithm, Some(kid), &claims)), Ok("alice".into()), "{algorithm:?}");
        assert_eq!(world.verify(&verifier, &sign(algorithm, None, &claims)), Ok("alice".into()), "{algorithm:?}");
        for (_, other) in kinds.iter().filter(|(_, other)| *other != kid) {
            let error = world.verify(&verifier, &sign(algorithm, Some(other), &claims)).unwrap_err();
            assert_eq!(error, AuthError::Invalid("its algorithm is not that of its key"));
        }
    }
    assert_eq!(source.asked(), 1);
}

#[test]
fn v9_1_2_a_public_key_is_never_taken_for_a_shared_secret() {
    let world = World::new();
    let public = jwk(Algorithm::RS256, "r");
    let verifier = world.verifier(vec![world.published("idp", &Script::of(&[set(std::slice::from_ref(&public))]))]);
    for secret in [public["n"].as_str().unwrap().to_owned(), public.to_string(), String::new()] {
        for kid in [None, Some("r")] {
            let key = EncodingKey::from_secret(secret.as_bytes());
            let forged = sign_with(&key, Algorithm::HS256, kid, &world.claims("idp"));
            assert!(world.verify(&verifier, &forged).is_err());
        }
    }
}

#[test]
fn keys_that_are_shared_weak_for_another_use_or_of_another_algorithm_are_left_out() {
    let good = jwk(Algorithm::ES256, "e");
    let with = |name: &str, value: Value| {
        let mut key = good.clone();
        key[name] = value;
        key
    };
    let weak = Jwk::from_encoding_key(&EncodingKey::from_rsa_der(WEAK_RSA), Algorithm::RS256);
    let weak = weak.map_or_else(|_| json!({"kty": "RSA", "n": "AQAB", "e": "AQAB"}), |key| json!(key));
    for left_out in [
        json!({"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA", "kid": "o"}),
        weak,
        with("use", json!("enc")),
        with("alg", json!("ES384")),
        with("crv", json!("P-384")),
        json!({"kty": "future"}),
        json!(7),
    ] {
        assert!(Key::read_set(set(std::slice::from_ref(&left_out)).as_bytes()).is_none(), "{left_out}");
        // It harms no other.
        assert_eq!(Key::read_set(set(&[left_out, good.clone()]).as_bytes()).unwrap().len(), 1);
    }
    for text in ["", "{}", "[]", r#"{"keys":{}}"#, "<html>"] {
        assert!(Key::read_set(text.as_bytes()).is_none(), "{text}");
    }
    let many = vec![good; 100];
    assert_eq!(Key::read_set(set(&many).as_bytes()).unwrap().len(), 32);
}

#[test]
fn an_unknown_key_is_asked_for_at_most_once_a_minute() {
    let world = World::new();
    let (before, after) = (set(&[jwk(Algorithm::ES256, "1")]), set(&[jwk(Algorithm::EdDSA, "2")]));
    let source = Script::of(&[before.clone(), before, after]);
    let verifier = world.verifier(vec![world.published("idp", &source)]);
    let claims = world.claims("idp");
    let (first, second) = (sign(Algorithm::ES256, Some("1"), &claims), sign(Algorithm::EdDSA, Some("2"), &claims));
    assert!(world.verify(&verifier, &first).is_ok());
    for _ in 0..100 {
        assert_eq!(
            world.verify(&verifier, &second),
            Err(AuthError::Invalid("it names a key that its issuer does not have"))
        );
    }
    assert_eq!(source.asked(), 1, "the first fetch was less than a minute ago");
    world.environment.advance(Duration::from_secs(60));
    assert!(world.verify(&verifier, &second).is_err());
    assert_eq!(source.asked(), 2);
    world.environment.advance(Duration::from_secs(59));
    assert!(world.verify(&verifier, &second).is_err());
    assert_eq!(source.asked(), 2);
    world.environment.advance(Duration::from_secs(1));
    assert!(world.verify(&verifier, &second).is_ok());
    assert!(world.verify(&verifier, &first).is_err(), "its key is published no more");
}

#[test]
fn the_last_good_keys_hold_while_the_issuer_is_down() {
    let world = World::new();
    let source = Script::of(&[set(&[jwk(Algorithm::ES256, "1")]), "<html>".to_owned()]);
    let verifier = world.verifier(vec![world.published("idp", &source)]);
    let token = sign(Algorithm::ES256, Some("1"), &world.claims("idp"));
    for asked in 1..=4 {
        assert!(world.verify(&verifier, &token).is_ok());
        assert_eq!(source.asked(), asked, "an old set is asked for again");
        world.environment.advance(Duration::from_secs(600));
    }
}

#[test]
fn without_any_keys_yet_nothing_is_said_about_a_token() {
    let world = World::new();
    let source = Script::of(&[]);
    let verifier = world.verifier(vec![world.published("idp", &source)]);
    let token = sign(Algorithm::ES256, Some("1"), &world.claims("idp"));
    assert_eq!(world.verify(&verifier, &token), Err(AuthError::Unavailable));
    assert_eq!(world.verify(&verifier, &token), Err(AuthError::Unavailable));
    assert_eq!(source.asked(), 1);
    let problem = unisono::protocol::Problem::from(AuthError::Unavailable);
    assert_eq!((problem.status, problem.retry_after), (503, Some(5)));
}

#[test]
fn a_caller_who_goes_away_takes_the_keys_from_nobody() {
    let world = World::new();
    let source = Slow::new(set(&[jwk(Algorithm::ES256, "1")]));
    let verifier = world.verifier(vec![world.published("idp", &source)]);
    let token = sign(Algorithm::ES256, Some("1"), &world.claims("idp"));
    assert!(verifier.verify(&token).now_or_never().is_none(), "it waits, and is given up");
    world.environment.run_until_idle();
    let (mut first, mut second) = (Box::pin(verifier.verify(&token)), Box::pin(verifier.verify(&token)));
    assert!(first.as_mut().now_or_never().is_none() && second.as_mut().now_or_never().is_none());
    source.lets.add_permits(1);
    assert!(world.environment.block_on(first).is_ok() && world.environment.block_on(second).is_ok());
    assert_eq!(source.asked.load(Ordering::Relaxed), 1, "all have waited for one fetch");
}

#[test]
fn a_key_that_is_held_does_not_wait_for_a_fresher_set_that_somebody_else_fetches() {
    let world = World::new();
    let source = Slow::new(set(&[jwk(Algorithm::ES256, "1")]));
    let verifier = world.verifier(vec![world.published("idp", &source)]);
    let token = |kid| sign(Algorithm::ES256, Some(kid), &world.claims("idp"));
    source.lets.add_permits(1);
    assert!(world.verify(&verifier, &token("1")).is_ok());
    world.environment.advance(Duration::from_secs(60));
    let unknown = token("2");
    let mut unknown = Box::pin(verifier.verify(&unknown));
    assert!(unknown.as_mut().now_or_never().is_none());
    assert!(verifier.verify(&token("1")).now_or_never().unwrap().is_ok());
}

#[test]
fn an_issuer_that_never_answers_is_given_up_after_five_seconds() {
    let world = World::new();
    let source = Slow::new(String::new());
    let verifier = world.verifier(vec![world.published("idp", &source)]);
    let token = sign(Algorithm::ES256, Some("1"), &world.claims("idp"));
    let begun = world.environment.monotonic();
    assert_eq!(world.verify(&verifier, &token), Err(AuthError::Unavailable));
    assert_eq!(world.environment.monotonic() - begun, Duration::from_secs(5));
}

#[test]
fn an_issuers_keys_sign_for_that_issuer_only() {
    let world = World::new();
    let backend = Issuer::with_secrets(World::options("backend"), &[(None, JwtSecret::new(NEW).unwrap())]);
    let source = Script::of(&[set(&[jwk(Algorithm::ES256, "1")])]);
    let verifier = world.verifier(vec![backend, world.published("idp", &source)]);
    let shared = |issuer: &str| sign(Algorithm::HS256, None, &world.claims(issuer));
    let published = |issuer: &str| sign(Algorithm::ES256, Some("1"), &world.claims(issuer));
    assert!(world.verify(&verifier, &shared("backend")).is_ok());
    assert!(world.verify(&verifier, &published("idp")).is_ok());
    for forged in [shared("idp"), published("backend"), shared("stranger"), shared(""), published("IDP")] {
        assert!(world.verify(&verifier, &forged).is_err());
    }
    let nameless = sign(Algorithm::HS256, None, &json!({"sub": "alice", "exp": world.now() + 9}));
    assert!(world.verify(&verifier, &nameless).is_err());
}

#[test]
fn the_same_subject_of_two_issuers_is_two_accounts_unless_they_are_said_to_share_it() {
    let world = World::new();
    let issuer = |name: &str| Issuer::with_secrets(World::options(name), &[(None, JwtSecret::new(NEW).unwrap())]);
    let who = |issuers: Vec<Issuer>, iss: &str, claims: Value| {
        let mut all = world.claims(iss);
        claims.as_object().unwrap().iter().for_each(|(name, value)| all[name] = value.clone());
        let verifier = world.verifier(issuers);
        world.environment.block_on(verifier.verify(&sign(Algorithm::HS256, None, &all))).unwrap()
    };
    let own = || vec![issuer("https://a"), issuer("https://b")];
    let of = |principal: &Principal| (principal.subject.clone(), principal.account());
    let (a, b) = (who(own(), "https://a", json!({})), who(own(), "https://b", json!({})));
    // The name by which devices know the account is the same, the account is not.
    assert_eq!(
        (of(&a), of(&b)),
        (("alice".into(), "https://a#alice".into()), ("alice".into(), "https://b#alice".into()))
    );
    let band = json!({"workspaces": ["band"]});
    let scopes = own()
        .into_iter()
        .zip(["https://a", "https://b"])
        .map(|(_, iss)| who(own(), iss, band.clone()).scope_key(&Scope::workspace("band").unwrap()).unwrap());
    assert_eq!(scopes.collect::<std::collections::BTreeSet<_>>().len(), 2, "nor is a workspace of the same name");

    let shared = || own().into_iter().map(Issuer::sharing_subjects).chain([issuer("https://c")]).collect::<Vec<_>>();
    for iss in ["https://a", "https://b"] {
        assert_eq!(who(shared(), iss, json!({})).account(), "alice");
        let forged = who(shared(), iss, json!({"sub": "https://c#alice"}));
        assert_ne!(forged.account(), who(shared(), "https://c", json!({})).account());
    }
    assert_eq!(who(shared(), "https://c", json!({})).account(), "https://c#alice");
    assert_eq!(who(vec![issuer("https://a")], "https://a", json!({})).account(), "alice", "alone");
}

#[test]
fn a_secret_is_replaced_while_tokens_of_both_are_good() {
    let world = World::new();
    let named = |kid: &str, text: &str| (Some(kid.to_owned()), JwtSecret::new(text).unwrap());
    let both = Issuer::with_secrets(World::options("backend"), &[named("new", NEW), named("old", OLD)]);
    let verifier = world.verifier(vec![both]);
    let old = EncodingKey::from_secret(OLD.as_bytes());
    let claims = world.claims("backend");
    let by_old = |kid| sign_with(&old, Algorithm::HS256, kid, &claims);
    for good in [by_old(Some("old")), by_old(None), sign(Algorithm::HS256, Some("new"), &claims)] {
        assert!(world.verify(&verifier, &good).is_ok());
    }
    for kid in ["new", "older", "", "../old", "old\u{0}", "' OR 1=1"] {
        assert!(world.verify(&verifier, &by_old(Some(kid))).is_err(), "{kid:?}");
    }
    let one = Issuer::with_secrets(World::options("backend"), &[named("new", NEW)]);
    assert!(world.verify(&world.verifier(vec![one]), &by_old(Some("old"))).is_err());
}

#[test]
fn revoked_tokens_and_sessions_are_refused_as_the_file_says_by_now() {
    let world = World::new();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("revoked");
    std::fs::write(&path, "# none yet\n\n").unwrap();
    let revocations = Revocations::open(&path, world.environment.shared()).unwrap();
    let issuer = Issuer::with_secrets(World::options("backend"), &[(None, JwtSecret::new(NEW).unwrap())]);
    let verifier = JwtVerifier::of_issuers(vec![issuer], Some(revocations), world.environment.shared());
    let token = |jti: &str, sid: &str| {
        let mut claims = world.claims("backend");
        (claims["jti"], claims["sid"]) = (json!(jti), json!(sid));
        sign(Algorithm::HS256, None, &claims)
    };
    assert!(world.verify(&verifier, &token("t1", "s1")).is_ok());
    std::fs::write(&path, "jti t1\nsid s2\n").unwrap();
    assert!(world.verify(&verifier, &token("t1", "s1")).is_ok(), "it is looked at every five seconds");
    world.environment.advance(Duration::from_secs(5));
    assert_eq!(world.verify(&verifier, &token("t1", "s1")), Err(AuthError::Revoked));
    assert_eq!(world.verify(&verifier, &token("t2", "s2")), Err(AuthError::Revoked));
    assert!(world.verify(&verifier, &token("s2", "t1")).is_ok(), "ids of one kind are not those of the other");

    for broken in ["nonsense line\n", "jti\n"] {
        std::fs::write(&path, broken).unwrap();
        world.environment.advance(Duration::from_secs(5));
        assert_eq!(world.verify(&verifier, &token("t1", "s1")), Err(AuthError::Revoked), "the last list holds");
        assert!(Revocations::open(&path, world.environment.shared()).is_err());
    }
    // A claim of a wrong type does not pass for one that is absent.
    let mut claims = world.claims("backend");
    claims["jti"] = json!(null);
    assert!(world.verify(&verifier, &sign(Algorithm::HS256, None, &claims)).is_err());
}

#[test]
fn i15_credentials_in_a_key_address_do_not_show() {
    let secret = "https://us3r:canary@id.example.com/keys?token=canary#canary";
    assert_eq!(format!("{:?}", KeyUrl::new(secret).unwrap()), "KeyUrl(https://id.example.com/keys)");
    for wrong in [&secret.replace("https", "ftp"), "https://us3r:canary@:x/canary", "canary"] {
        let error = KeyUrl::new(wrong).unwrap_err();
        assert!(!error.contains("canary") && !error.contains("us3r"), "{error}");
    }
}

#[test]
fn a_key_address_is_https_or_on_this_machine() {
    assert!(KeyUrl::new("https://id.example.com/keys").is_ok());
    assert!(KeyUrl::new("http://127.0.0.1:1/keys").is_ok());
    for url in ["http://id.example.com/keys", "http://localhost.evil.example/", "file:///etc/passwd", "ftp://a", "keys"]
    {
        assert!(KeyUrl::new(url).is_err(), "{url}");
    }
}
