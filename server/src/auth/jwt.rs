//! Signed tokens (RFC 7519, by the rules of RFC 8725).
//!
//! An issuer's key decides the algorithm, not the token: whatever else a header names is refused, and keys that a header brings
//! or points to are not looked at. An issuer's tokens are checked with that issuer's keys only. The signature is checked before a
//! claim is believed; claims of a wrong type are refused, not skipped; the clock is the environment's.

mod claims;
mod key;
mod mint;
mod published;
mod revoked;

use std::fmt;
use std::sync::Arc;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Header, Validation};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use unisono::environment::SharedEnvironment;
use unisono::platform::BoxFuture;

pub use mint::{Grant, mint, mint_with};
pub use published::{FetchKeys, KeyFile, KeyUrl};
pub use revoked::Revocations;

use super::{AuthError, Authenticator, JwtSecret};
use crate::sync::Principal;
use claims::{Claims, Demands};
use key::Key;
use published::Published;

/// Largest difference of clocks that is forgiven, in seconds.
const MAX_LEEWAY: u64 = 60;

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

/// Whoever signs tokens, and the keys that prove it.
#[derive(Clone, Debug)]
pub struct Issuer {
    demands: Demands,
    keys: Keys,
    shares_subjects: bool,
}

#[derive(Clone)]
enum Keys {
    Shared(Arc<[Key]>),
    Published(Arc<Published>),
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shared(keys) => write!(f, "{} shared secrets", keys.len()),
            Self::Published(published) => published.fmt(f),
        }
    }
}

impl Issuer {
    /// One that signs with shared secrets (HS256), each with its name (`kid`) or without one. While a secret is replaced there are
    /// two: the old one stays until the last token that it signed has expired.
    #[must_use]
    pub fn with_secrets(options: JwtOptions, secrets: &[(Option<String>, JwtSecret)]) -> Self {
        let keys = secrets.iter().map(|(kid, secret)| Key::shared(secret, kid.clone())).collect();
        Self { demands: demands(options), keys: Keys::Shared(keys), shares_subjects: false }
    }

    /// One that publishes its public keys (RS256, ES256 or EdDSA, as each key says). They are fetched at the first token, every ten
    /// minutes, and at most once a minute for a token that names an unknown one; if that fails, the last good ones hold.
    #[must_use]
    pub fn with_published(options: JwtOptions, keys: Arc<dyn FetchKeys>, environment: SharedEnvironment) -> Self {
        let keys = Keys::Published(Arc::new(Published::new(keys, environment)));
        Self { demands: demands(options), keys, shares_subjects: false }
    }

    /// Says that its `sub` alone names the account, and its `workspaces` the workspaces, also where there are several issuers:
    /// it shares them with all others of which that is said.
    #[must_use]
    pub fn sharing_subjects(self) -> Self {
        Self { shares_subjects: true, ..self }
    }

    async fn keys(&self, kid: Option<&str>) -> Result<Arc<[Key]>, AuthError> {
        match &self.keys {
            Keys::Shared(keys) => Ok(keys.clone()),
            Keys::Published(published) => published.keys(kid).await.ok_or(AuthError::Unavailable),
        }
    }
}

fn demands(options: JwtOptions) -> Demands {
    let JwtOptions { issuer, audience, leeway } = options;
    Demands { issuer, audience, leeway: leeway.min(MAX_LEEWAY) }
}

/// Checks signed tokens of one or several issuers.
#[derive(Debug)]
pub struct JwtVerifier {
    issuers: Vec<Issuer>,
    revocations: Option<Revocations>,
    environment: SharedEnvironment,
}

/// What is read before the signature is checked, to choose the keys that check it.
#[derive(Default, Deserialize)]
struct Origin {
    iss: Option<String>,
}

impl JwtVerifier {
    /// A verifier for tokens signed with `secret`.
    #[must_use]
    pub fn new(secret: &JwtSecret, options: JwtOptions, environment: SharedEnvironment) -> Self {
        let issuer = Issuer::with_secrets(options, &[(None, secret.clone())]);
        Self { issuers: vec![issuer], revocations: None, environment }
    }

    /// A verifier for the tokens of several issuers, which their names (`iss`, without `#`) tell apart. An issuer without a name
    /// signs all tokens, and has to be the only one; of two with one name the first counts. The same `sub` of two issuers is two
    /// accounts, unless both [share their subjects](Issuer::sharing_subjects).
    #[must_use]
    pub fn of_issuers(issuers: Vec<Issuer>, revocations: Option<Revocations>, environment: SharedEnvironment) -> Self {
        Self { issuers, revocations, environment }
    }

    async fn verify(&self, token: &str) -> Result<Principal, AuthError> {
        let header = jsonwebtoken::decode_header(token)
            .map_err(|_| AuthError::Invalid("it is not a JWT with a known algorithm"))?;
        let issuer = self.issuer(token)?;
        let keys = issuer.keys(header.kid.as_deref()).await?;
        let claims = checked(token, &header, &keys)?;
        if header.typ.is_some_and(|typ| !typ.eq_ignore_ascii_case("JWT")) {
            return Err(AuthError::Invalid("its `typ` is not JWT"));
        }
        if header.crit.is_some() {
            return Err(AuthError::Invalid("it has critical extensions"));
        }
        let (jti, sid) = (claims.jti.clone(), claims.sid.clone());
        let mut principal = claims.admit(&issuer.demands, self.environment.now_ms() / 1000)?;
        if self.issuers.len() > 1 && !issuer.shares_subjects {
            principal.issuer.clone_from(&issuer.demands.issuer);
        }
        match &self.revocations {
            Some(revocations) if revocations.hold(jti.as_deref(), sid.as_deref()) => Err(AuthError::Revoked),
            _ => Ok(principal),
        }
    }

    /// The issuer that a token names. What it names is not believed: only that issuer's keys are tried, and the claim is read
    /// again once the signature is good.
    fn issuer(&self, token: &str) -> Result<&Issuer, AuthError> {
        if let [only] = self.issuers.as_slice() {
            return Ok(only);
        }
        let named = jsonwebtoken::dangerous::insecure_decode_claims::<Origin>(token).unwrap_or_default().iss;
        let found = self.issuers.iter().find(|issuer| named.is_some() && issuer.demands.issuer == named);
        found.ok_or(AuthError::Invalid("its `iss` is none of this server's issuers"))
    }
}

/// The claims of a token, once one of the keys that it may mean has proved its signature.
fn checked(token: &str, header: &Header, keys: &[Key]) -> Result<Claims, AuthError> {
    let mut refusal = "it names a key that its issuer does not have";
    for key in keys.iter().filter(|key| key.answers_to(header.kid.as_deref())) {
        if key.algorithm != header.alg {
            refusal = "its algorithm is not that of its key";
            continue;
        }
        let mut validation = Validation::new(key.algorithm);
        // The library checks the signature; the claims are checked here, by the environment's clock and by their types.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        match jsonwebtoken::decode::<Claims>(token, &key.decoding, &validation) {
            Ok(token) => return Ok(token.claims),
            Err(error) if *error.kind() == ErrorKind::InvalidSignature => refusal = "its signature does not match",
            Err(_) => {
                return Err(AuthError::Invalid(
                    "it is not a JWT with a string `sub`, an integer `exp` and well-typed claims",
                ));
            }
        }
    }
    Err(AuthError::Invalid(refusal))
}

impl Authenticator for JwtVerifier {
    fn authenticate<'a>(&'a self, token: &'a SecretString) -> BoxFuture<'a, Result<Principal, AuthError>> {
        Box::pin(self.verify(token.expose_secret()))
    }
}

#[cfg(test)]
mod issuers;
#[cfg(test)]
mod tests;
