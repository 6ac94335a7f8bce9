//! Who is asking: credentials in, [`Principal`]s out.
//!
//! [`Authenticator`] is the seam: an app with sessions of its own implements it, and mounts [`app`](crate::app) in its own router.
//! [`JwtVerifier`] checks signed tokens of one or several issuers. What a caller may do follows from the principal alone, never from
//! anything else in a request.

pub(crate) mod api_key;
mod bearer;
mod caller;
mod config;
mod jwt;
mod needs;
mod secret;

use std::fmt;

use secrecy::SecretString;
use unisono::platform::BoxFuture;
use unisono::protocol::{Problem, ProblemCode};

pub use bearer::Authenticated;
pub(crate) use caller::{Caller, authorize};
pub use config::{AuthConfig, AuthConfigError};
pub use jwt::{FetchKeys, Grant, Issuer, JwtOptions, JwtVerifier, KeyFile, KeyUrl, Revocations, mint, mint_with};
pub(crate) use needs::Needs;
pub use secret::{JwtSecret, SecretError};

use crate::sync::Principal;

/// Seconds after which a credential that cannot be checked may be sent again.
const RETRY_AFTER: u64 = 5;

/// Turns the credential of a request into a principal.
///
/// The server asks once for each request, before it reads a body, and keeps nothing: a credential that is refused from now on is
/// refused with the next request. An implementation that asks elsewhere (a session table, an identity provider) should cache for
/// moments and bound how long it waits.
///
/// ```
/// use secrecy::{ExposeSecret, SecretString};
/// use unisono::platform::BoxFuture;
/// use unisono_server::Principal;
/// use unisono_server::auth::{AuthError, Authenticator};
///
/// /// Accepts the session ids of an app.
/// #[derive(Debug)]
/// struct Sessions(std::collections::HashMap<String, String>);
///
/// impl Authenticator for Sessions {
///     fn authenticate<'a>(&'a self, token: &'a SecretString) -> BoxFuture<'a, Result<Principal, AuthError>> {
///         Box::pin(async move {
///             let account = self.0.get(token.expose_secret()).ok_or(AuthError::Invalid("there is no such session"))?;
///             Ok(Principal::new(account))
///         })
///     }
/// }
/// ```
pub trait Authenticator: fmt::Debug + Send + Sync + 'static {
    /// Checks a bearer credential: the text after `Bearer`, of 1 to 8,192 bytes.
    ///
    /// # Errors
    /// Why it is refused. Only the log tells that; [`AuthError::Unavailable`] alone asks the client to come back with the same.
    fn authenticate<'a>(&'a self, token: &'a SecretString) -> BoxFuture<'a, Result<Principal, AuthError>>;
}

/// Why a credential was refused, for the log: callers are told the same of all of these, so that nobody learns by trying what
/// is right about a credential. The messages hold nothing of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// None was sent.
    #[error("send `Authorization: Bearer <token>`")]
    Missing,
    /// It is not what it should be.
    #[error("the token is not accepted: {0}")]
    Invalid(&'static str),
    /// It was good once.
    #[error("the token has expired")]
    Expired,
    /// It was taken back.
    #[error("the token was revoked")]
    Revoked,
    /// It cannot be checked for now.
    #[error("the token cannot be checked: the keys of its issuer cannot be had")]
    Unavailable,
}

impl AuthError {
    /// The reason in a word, for logs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing => "missing_token",
            Self::Invalid(_) => "invalid_token",
            Self::Expired => "token_expired",
            Self::Revoked => "token_revoked",
            Self::Unavailable => "keys_unavailable",
        }
    }
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        tracing::info!(reason = error.code(), cause = %error, "a credential was refused");
        match error {
            AuthError::Unavailable => Problem {
                retry_after: Some(RETRY_AFTER),
                ..Problem::of(ProblemCode::Unavailable, "Credentials cannot be checked for now")
            },
            _ => Problem::of(ProblemCode::AuthRequired, "Authentication is required"),
        }
    }
}
