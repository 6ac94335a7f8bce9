//! What a token says of itself.

use secrecy::{ExposeSecret, SecretString};

/// The `sub` claim of a JWT, unverified: whose replica may be shown and written with it before the server, which verifies it
/// with every request, has been asked. `None` for an opaque token, such as an API key: it says nothing by itself.
pub(crate) fn subject_of(token: &SecretString) -> Option<String> {
    let payload = token.expose_secret().split('.').nth(1)?;
    let claims: crate::model::Value = serde_json::from_slice(&base64url(payload)?).ok()?;
    claims.get("sub")?.as_str().filter(|subject| !subject.is_empty()).map(str::to_owned)
}

/// RFC 4648 §5, without padding.
fn base64url(text: &str) -> Option<Vec<u8>> {
    let mut bits = 0u32;
    let mut count = 0;
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    for digit in text.bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(((bits >> count) & 0xff) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_subject_is_read_from_a_token_and_from_nothing_else() {
        // {"alg":"HS256"} . {"sub":"alice"} . signature
        let token = SecretString::from("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2ln");
        assert_eq!(subject_of(&token).as_deref(), Some("alice"));
        for other in ["", "a.b", "a.!!.c", "osk_live_1_abc", "a.e30.c"] {
            assert_eq!(subject_of(&SecretString::from(other)), None, "{other}");
        }
    }
}
