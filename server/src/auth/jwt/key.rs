//! Keys that check signatures. Each has one algorithm, which the key decides, never a token.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

use super::super::JwtSecret;

/// Most keys of one issuer that are tried.
const MAX_KEYS: usize = 32;
/// Shortest modulus of an RSA key, in bytes (RFC 7518 §3.3: 2,048 bits).
const MIN_RSA_BYTES: usize = 256;

/// A key with its algorithm.
#[derive(Clone)]
pub(super) struct Key {
    /// Its name; without one it is tried whatever a token names.
    pub(super) kid: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(super) decoding: DecodingKey,
}

/// The form of a key set (RFC 7517). Keys are read one by one, so that one of an unknown kind harms no other.
#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Value>,
}

impl Key {
    /// A shared secret: HS256.
    pub(super) fn shared(secret: &JwtSecret, kid: Option<String>) -> Self {
        Self { kid, algorithm: Algorithm::HS256, decoding: DecodingKey::from_secret(secret.bytes()) }
    }

    /// Whether a token that names `kid` may have been signed with it.
    pub(super) fn answers_to(&self, kid: Option<&str>) -> bool {
        match (kid, &self.kid) {
            (Some(named), Some(own)) => named == own,
            _ => true,
        }
    }

    /// A public key for RS256, ES256 or EdDSA; `None` for every other: one that is shared, weak, or for another use.
    fn public(jwk: &Jwk) -> Option<Self> {
        if jwk.common.public_key_use.as_ref().is_some_and(|purpose| *purpose != PublicKeyUse::Signature) {
            return None;
        }
        let (algorithm, name) = match &jwk.algorithm {
            AlgorithmParameters::RSA(rsa) => {
                let modulus = URL_SAFE_NO_PAD.decode(&rsa.n).ok()?;
                let bytes = modulus.iter().skip_while(|byte| **byte == 0).count();
                (bytes >= MIN_RSA_BYTES).then_some((Algorithm::RS256, KeyAlgorithm::RS256))?
            }
            AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => {
                (Algorithm::ES256, KeyAlgorithm::ES256)
            }
            AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
                (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
            }
            _ => return None,
        };
        if jwk.common.key_algorithm.is_some_and(|stated| stated != name) {
            return None;
        }
        Some(Self { kid: jwk.common.key_id.clone(), algorithm, decoding: DecodingKey::from_jwk(jwk).ok()? })
    }

    /// The usable keys of a key set; `None` if it is none, or has no usable key.
    pub(super) fn read_set(text: &[u8]) -> Option<Vec<Self>> {
        let set: KeySet = serde_json::from_slice(text).ok()?;
        let jwks = set.keys.into_iter().filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
        let keys: Vec<_> = jwks.filter_map(|jwk| Self::public(&jwk)).take(MAX_KEYS).collect();
        (!keys.is_empty()).then_some(keys)
    }
}
