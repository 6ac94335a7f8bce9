//! The credential of a request.

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use secrecy::SecretString;

use super::{AuthError, Caller};
use crate::app::AppState;
use crate::problem::ApiError;
use crate::sync::Principal;

/// Longest credential that is looked at, in bytes.
const MAX_TOKEN_BYTES: usize = 8 << 10;

/// The principal of a request, whom the layer around its route has let in (`authorize`).
#[derive(Clone, Debug)]
pub struct Authenticated(pub Principal);

impl FromRequestParts<AppState> for Authenticated {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, ApiError> {
        Ok(Self(Caller::of(parts)?.principal))
    }
}

/// The bearer credential of a request.
pub(super) fn bearer(headers: &HeaderMap) -> Result<SecretString, AuthError> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(AuthError::Missing)?;
    if values.next().is_some() {
        return Err(AuthError::Invalid("there is more than one Authorization header"));
    }
    let text = value.to_str().map_err(|_| AuthError::Invalid("it has characters that no token has"))?;
    let (scheme, token) = text.split_once(' ').ok_or(AuthError::Missing)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(AuthError::Missing);
    }
    let token = token.trim();
    if token.is_empty() {
        return Err(AuthError::Missing);
    }
    if token.len() > MAX_TOKEN_BYTES {
        return Err(AuthError::Invalid("it is longer than 8 KiB"));
    }
    Ok(SecretString::from(token))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use secrecy::ExposeSecret;

    fn read(values: &[&str]) -> Result<String, &'static str> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        bearer(&headers).map(|token| token.expose_secret().to_owned()).map_err(|error| error.code())
    }

    #[test]
    fn only_one_bearer_credential_of_bounded_length_is_looked_at() {
        assert_eq!(read(&["Bearer abc"]), Ok("abc".into()));
        assert_eq!(read(&["bearer  abc "]), Ok("abc".into()));
        for missing in [vec![], vec![""], vec!["Bearer"], vec!["Bearer "], vec!["Basic YTpi"], vec!["abc"]] {
            assert_eq!(read(&missing), Err("missing_token"), "{missing:?}");
        }
        assert_eq!(read(&["Bearer a", "Bearer b"]), Err("invalid_token"));
        assert_eq!(read(&[&format!("Bearer {}", "a".repeat(MAX_TOKEN_BYTES + 1))]), Err("invalid_token"));
    }
}
