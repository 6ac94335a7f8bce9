//! Signing tokens, for development and for backends without an identity provider.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::SecretString;
use serde::Serialize;

use super::super::JwtSecret;

/// What a minted token says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
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
    /// Its id, by which it can be taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
}

/// Signs a token (HS256). `kid` names the secret, for servers that have several.
///
/// # Errors
/// If the crypto library fails.
pub fn mint_with(
    secret: &JwtSecret,
    kid: Option<&str>,
    grant: &Grant,
) -> Result<SecretString, jsonwebtoken::errors::Error> {
    let header = Header { kid: kid.map(str::to_owned), ..Header::new(Algorithm::HS256) };
    jsonwebtoken::encode(&header, grant, &EncodingKey::from_secret(secret.bytes())).map(SecretString::from)
}

/// Signs a token (HS256) with an unnamed secret.
///
/// # Errors
/// If the crypto library fails.
pub fn mint(secret: &JwtSecret, grant: &Grant) -> Result<SecretString, jsonwebtoken::errors::Error> {
    mint_with(secret, None, grant)
}
