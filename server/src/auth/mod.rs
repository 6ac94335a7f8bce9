//! Who is asking: credentials in, [`Principal`]s out.
//!
//! [`Authenticator`] is the seam; [`JwtVerifier`] checks HS256 tokens. What a caller may do follows from the principal
//! alone, never from anything else in a request.

mod bearer;
mod jwt;
mod secret;

use std::fmt;

use secrecy::SecretString;
use unisono::platform::BoxFuture;
use unisono::protocol::Problem;

pub use bearer::Authenticated;
pub use jwt::{Grant, JwtOptions, JwtVerifier, mint};
pub use secret::{JwtSecret, SecretError};

use crate::sync::Principal;

/// Turns the credential of a request into a principal.
pub trait Authenticator: fmt::Debug + Send + Sync + 'static {
    /// Checks a bearer credential.
    fn authenticate<'a>(&'a self, token: &'a SecretString) -> BoxFuture<'a, Result<Principal, AuthError>>;
}

/// Why a credential was refused. The messages hold nothing of it.
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
}

impl AuthError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing => "auth_required",
            Self::Invalid(_) => "invalid_token",
            Self::Expired => "token_expired",
        }
    }
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        Problem::new(401, error.code(), "Authentication is required").detail(error.to_string())
    }
}
