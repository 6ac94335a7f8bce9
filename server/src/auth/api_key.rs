//! The text of an API key: `unisono_<kind>_<key id>_<secret><checksum>`.
//!
//! The secret is 192 random bits in base62, the checksum the CRC-32 of everything before it. Whoever searches code for leaked
//! keys knows one by its form, and the server refuses what was mistyped or made up without looking anything up. Of the secret
//! the server keeps its SHA-256: it is random, so that nothing slower is needed against guessing.

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use unisono::Environment;
use unisono::model::value::hex;

use crate::store::KeyHash;

/// What every key begins with.
const PREFIX: &str = "unisono_";
/// Characters of a key's id: 96 random bits in hex.
const ID_CHARS: usize = 24;
/// Characters of a secret: 192 bits in base62.
const SECRET_CHARS: usize = 33;
/// Characters of a checksum: 32 bits in base62.
const CHECKSUM_CHARS: usize = 6;

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A key that was just made. Its `Debug` form is redacted.
#[derive(Debug)]
pub(crate) struct FreshKey {
    /// The whole text, which is shown once.
    pub(crate) text: SecretString,
    /// What is kept of the secret.
    pub(crate) hash: KeyHash,
}

/// A new key's id.
pub(crate) fn fresh_id(environment: &dyn Environment) -> String {
    let mut bytes = [0; ID_CHARS / 2];
    environment.random(&mut bytes);
    hex(&bytes)
}

/// A new secret for the key `id` of a kind.
pub(crate) fn fresh(environment: &dyn Environment, kind: &str, id: &str) -> FreshKey {
    let mut bytes = [0; 24];
    environment.random(&mut bytes);
    let secret = base62::<SECRET_CHARS>(&bytes);
    let body = format!("{PREFIX}{kind}_{id}_{secret}");
    let sum = checksum(&body);
    FreshKey { hash: hash(&secret), text: SecretString::from(body + &sum) }
}

/// Whether a credential means to be a key.
pub(crate) fn is_api_key(token: &SecretString) -> bool {
    token.expose_secret().starts_with(PREFIX)
}

/// What a well-formed key says; its checksum is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Presented {
    /// The key's id.
    pub(crate) id: String,
    /// The hash of the secret that came with it.
    pub(crate) hash: KeyHash,
}

/// Reads a key; `None` if it has not the form of one, or its checksum is wrong.
pub(crate) fn read(token: &SecretString) -> Option<Presented> {
    let text = token.expose_secret();
    let (body, sum) = text.split_at_checked(text.len().checked_sub(CHECKSUM_CHARS)?)?;
    if checksum(body) != sum {
        return None;
    }
    let mut parts = body.strip_prefix(PREFIX)?.split('_');
    let (kind, id, secret) = (parts.next()?, parts.next()?, parts.next()?);
    let is_plain =
        |text: &str, length: usize| text.len() == length && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let good = parts.next().is_none() && !kind.is_empty() && is_plain(id, ID_CHARS) && is_plain(secret, SECRET_CHARS);
    good.then(|| Presented { id: id.to_owned(), hash: hash(secret) })
}

fn hash(secret: &str) -> KeyHash {
    Sha256::digest(secret).into()
}

fn checksum(body: &str) -> String {
    base62::<CHECKSUM_CHARS>(&crc32fast::hash(body.as_bytes()).to_be_bytes())
}

/// A big-endian number in `N` digits; as many as it needs at most.
fn base62<const N: usize>(bytes: &[u8]) -> String {
    let mut number = bytes.to_vec();
    let mut digits = [0; N];
    for digit in digits.iter_mut().rev() {
        let mut rest = 0_u32;
        for byte in &mut number {
            let value = (rest << 8) | u32::from(*byte);
            // Below 256, as the rest is below 62.
            *byte = u8::try_from(value / 62).unwrap_or_default();
            rest = value % 62;
        }
        *digit = BASE62[rest as usize];
    }
    digits.iter().map(|digit| char::from(*digit)).collect()
}

#[cfg(test)]
mod tests {
    use unisono::testing::TestEnvironment;

    use super::*;

    fn secret(text: &str) -> SecretString {
        SecretString::from(text)
    }

    #[test]
    fn a_key_reads_back_with_the_hash_that_is_kept() {
        let env = TestEnvironment::new(3);
        let id = fresh_id(&env);
        let key = fresh(&env, "plugin", &id);
        let text = key.text.expose_secret();
        assert!(text.starts_with(&format!("unisono_plugin_{id}_")), "{}", text.len());
        assert_eq!(text.len(), "unisono_plugin_".len() + 24 + 1 + 33 + 6);
        assert_eq!(read(&key.text), Some(Presented { id, hash: key.hash }));
        assert!(is_api_key(&key.text));
    }

    #[test]
    fn keys_are_all_different() {
        let env = TestEnvironment::new(3);
        let keys: std::collections::BTreeSet<_> =
            (0..1_000).map(|_| fresh(&env, "custom", "id").text.expose_secret().to_owned()).collect();
        assert_eq!(keys.len(), 1_000);
    }

    /// Against Python: `zlib.crc32` and `hashlib.sha256`.
    #[test]
    fn checksum_and_hash_are_what_others_compute() {
        let body = "unisono_custom_000102030405060708090a0b_0123456789ABCDEFGHIJKLMNOPQRSTUVW";
        let key = read(&secret(&format!("{body}{}", checksum(body)))).unwrap();
        assert_eq!(key.id, "000102030405060708090a0b");
        assert_eq!(checksum(body), "09JIrL");
        assert_eq!(hex(&key.hash), "2f2dd3cd90df2334a75849e980dcdc20d2b35ef85b965bc43232ced7a16a77b5");
    }

    #[test]
    fn a_number_takes_as_many_digits_as_it_may_need() {
        assert_eq!(base62::<6>(&[0; 4]), "000000");
        assert_eq!(base62::<6>(&[0, 0, 0, 61]), "00000z");
        assert_eq!(base62::<6>(&[0, 0, 0, 62]), "000010");
        assert_eq!(base62::<6>(&[0xff; 4]), "4gfFC3");
        // 2^192 - 1: the first digit is not the greatest, so that nothing was cut off.
        assert!(base62::<33>(&[0xff; 24]).as_bytes()[0] < b'z');
    }

    #[test]
    fn whatever_is_changed_in_a_key_it_is_refused() {
        let env = TestEnvironment::new(3);
        let key = fresh(&env, "custom", &fresh_id(&env));
        let text = key.text.expose_secret();
        for place in 0..text.len() {
            let mut changed = text.as_bytes().to_vec();
            changed[place] = if changed[place] == b'x' { b'y' } else { b'x' };
            assert_eq!(read(&secret(std::str::from_utf8(&changed).unwrap())), None, "at {place}");
        }
        for length in 0..text.len() {
            assert_eq!(read(&secret(&text[..length])), None);
        }
        assert_eq!(read(&secret(&format!("{text}0"))), None);
        assert_eq!(read(&secret("é".repeat(40).as_str())), None);
    }

    #[test]
    fn a_right_checksum_alone_makes_no_key() {
        for body in [
            "unisono_custom_short_secret",
            "unisono__000102030405060708090a0b_0123456789ABCDEFGHIJKLMNOPQRSTUVW",
            "other",
        ] {
            assert_eq!(read(&secret(&format!("{body}{}", checksum(body)))), None, "{body}");
        }
    }

    #[test]
    fn i15_a_key_shows_in_no_debug_output() {
        let env = TestEnvironment::new(3);
        let key = fresh(&env, "custom", "id");
        assert!(!format!("{key:?}").contains(key.text.expose_secret()));
    }
}
