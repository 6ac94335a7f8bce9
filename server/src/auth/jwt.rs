//! HS256 tokens (RFC 7519, by the rules of RFC 8725).
//!
//! The key decides the algorithm, not the token: whatever else a header names is refused, and keys that a header brings or
//! points to are not looked at. The signature is checked before a claim is read; claims of a wrong type are refused, not
//! skipped; the clock is the environment's.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize};
use unisono::environment::SharedEnvironment;
use unisono::limits::MAX_ID_BYTES;
use unisono::model::Scope;
use unisono::platform::BoxFuture;

use super::{AuthError, Authenticator, JwtSecret};
use crate::sync::Principal;

/// The only algorithm of a shared secret here.
const ALGORITHM: Algorithm = Algorithm::HS256;
/// Largest difference of clocks that is forgiven, in seconds.
const MAX_LEEWAY: u64 = 60;
/// Latest instant that a token may name, in seconds (the year 9999): sums with it cannot overflow.
const MAX_INSTANT: u64 = 253_402_300_799;
/// Most workspaces in one token.
const MAX_WORKSPACES: usize = 1_000;

/// What a verifier asks of a token beyond its signature.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JwtOptions {
    /// The `iss` that it must have.
    pub issuer: Option<String>,
    /// The `aud` that it must be meant for. Without it, a token that names an audience is refused, as it is meant for
    /// someone else.
    pub audience: Option<String>,
    /// Difference of clocks that is forgiven, in seconds; at most 60.
    pub leeway: u64,
}

/// Checks tokens that a shared secret signed.
pub struct JwtVerifier {
    key: DecodingKey,
    validation: Validation,
    options: JwtOptions,
    environment: SharedEnvironment,
}

impl std::fmt::Debug for JwtVerifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JwtVerifier").field("options", &self.options).finish_non_exhaustive()
    }
}

/// The claims that count; others are ignored. `present` keeps `null` from passing for absent.
#[derive(Deserialize)]
struct Claims {
    sub: String,
    exp: u64,
    #[serde(default, deserialize_with = "present")]
    nbf: Option<u64>,
    #[serde(default, deserialize_with = "present")]
    iss: Option<String>,
    #[serde(default, deserialize_with = "present")]
    aud: Option<Audience>,
    #[serde(default)]
    workspaces: Vec<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    fn names(&self, audience: &str) -> bool {
        match self {
            Self::One(one) => one == audience,
            Self::Many(many) => many.iter().any(|one| one == audience),
        }
    }
}

fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl JwtVerifier {
    /// A verifier for tokens signed with `secret`.
    #[must_use]
    pub fn new(secret: &JwtSecret, options: JwtOptions, environment: SharedEnvironment) -> Self {
        let mut validation = Validation::new(ALGORITHM);
        // The library checks the signature; the claims are checked here, by the environment's clock and by their types.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        let options = JwtOptions { leeway: options.leeway.min(MAX_LEEWAY), ..options };
        Self { key: DecodingKey::from_secret(secret.bytes()), validation, options, environment }
    }

    fn verify(&self, token: &str) -> Result<Principal, AuthError> {
        let invalid = AuthError::Invalid;
        let token = jsonwebtoken::decode::<Claims>(token, &self.key, &self.validation).map_err(|error| {
            use jsonwebtoken::errors::ErrorKind;
            invalid(match error.kind() {
                ErrorKind::InvalidSignature => "its signature does not match",
                ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName => "its algorithm is not HS256",
                _ => "it is not a JWT with a string `sub`, an integer `exp` and well-typed claims",
            })
        })?;
        if token.header.typ.is_some_and(|typ| !typ.eq_ignore_ascii_case("JWT")) {
            return Err(invalid("its `typ` is not JWT"));
        }
        if token.header.crit.is_some() {
            return Err(invalid("it has critical extensions"));
        }
        self.check(token.claims)
    }

    fn check(&self, claims: Claims) -> Result<Principal, AuthError> {
        let invalid = AuthError::Invalid;
        let now = self.environment.now_ms() / 1000;
        if claims.exp > MAX_INSTANT || claims.nbf.is_some_and(|nbf| nbf > MAX_INSTANT) {
            return Err(invalid("its `exp` or `nbf` is beyond the year 9999"));
        }
        if claims.exp + self.options.leeway <= now {
            return Err(AuthError::Expired);
        }
        if claims.nbf.is_some_and(|nbf| nbf > now + self.options.leeway) {
            return Err(invalid("it is not valid yet"));
        }
        if self.options.issuer.is_some() && claims.iss != self.options.issuer {
            return Err(invalid("its `iss` is not this server's issuer"));
        }
        match (&self.options.audience, &claims.aud) {
            (None, None) => {}
            (Some(ours), Some(named)) if named.names(ours) => {}
            (Some(_), _) => return Err(invalid("its `aud` is not this server's audience")),
            (None, Some(_)) => return Err(invalid("it names an audience, and this server has none configured")),
        }
        if claims.sub.is_empty() || claims.sub.len() > MAX_ID_BYTES || claims.sub.chars().any(char::is_control) {
            return Err(invalid("its `sub` is empty, longer than 256 bytes, or has control characters"));
        }
        if claims.workspaces.len() > MAX_WORKSPACES
            || claims.workspaces.iter().any(|workspace| Scope::workspace(workspace).is_err())
        {
            return Err(invalid("its `workspaces` are more than 1000, or one is no workspace id"));
        }
        Ok(Principal { subject: claims.sub, workspaces: claims.workspaces })
    }
}

impl Authenticator for JwtVerifier {
    fn authenticate<'a>(&'a self, token: &'a SecretString) -> BoxFuture<'a, Result<Principal, AuthError>> {
        Box::pin(async move { self.verify(token.expose_secret()) })
    }
}

/// What a minted token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Grant {
    /// The account.
    pub sub: String,
    /// The workspaces that it is a member of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub workspaces: Vec<String>,
    /// When it was made, in seconds since the Unix epoch.
    pub iat: u64,
    /// When it ends, in seconds since the Unix epoch.
    pub exp: u64,
    /// Who made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// Whom it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aud: Option<String>,
}

/// Signs a token.
///
/// # Errors
/// If the crypto library fails.
pub fn mint(secret: &JwtSecret, grant: &Grant) -> Result<SecretString, jsonwebtoken::errors::Error> {
    let key = EncodingKey::from_secret(secret.bytes());
    jsonwebtoken::encode(&Header::new(ALGORITHM), grant, &key).map(SecretString::from)
}

#[cfg(test)]
mod tests;
