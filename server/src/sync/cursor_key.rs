//! The key under which this server's cursors are signed: HMAC-SHA-256 (RFC 2104), cut to 128 bits.
//!
//! A cursor is evidence: one that proves a commit which the server does not know makes it begin a new history, for every
//! member of the scope. Nobody but the server may be able to make one. The key lies with the data, hence in each backup: what
//! was signed by a future that a restore has undone can still be read.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Bytes of a key.
pub(crate) const KEY_BYTES: usize = 32;
/// Bytes of a signature.
pub(super) const SIGNATURE_BYTES: usize = 16;

/// Signs cursors, and knows its signatures again.
#[derive(Clone)]
pub(crate) struct CursorKey(Hmac<Sha256>);

impl CursorKey {
    pub(crate) fn new(key: [u8; KEY_BYTES]) -> Self {
        Self(Hmac::new_from_slice(&key).expect("HMAC takes a key of any length"))
    }

    /// The signature of `parts`, each with its length before it.
    pub(super) fn sign(&self, parts: &[&[u8]]) -> [u8; SIGNATURE_BYTES] {
        let whole = self.mac(parts).finalize().into_bytes();
        std::array::from_fn(|index| whole[index])
    }

    /// Whether `signature` is that of `parts`; takes as long wherever the two differ.
    pub(super) fn has_signed(&self, parts: &[&[u8]], signature: &[u8]) -> bool {
        signature.len() == SIGNATURE_BYTES && self.mac(parts).verify_truncated_left(signature).is_ok()
    }

    fn mac(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac
    }
}

impl fmt::Debug for CursorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CursorKey")
    }
}

#[cfg(test)]
mod tests {
    use unisono::model::value::hex;

    use super::*;

    /// Against Python's `hmac`: key 00 01 … 1f, and the two parts below after their lengths.
    #[test]
    fn a_signature_is_an_hmac() {
        let key = CursorKey::new(std::array::from_fn(|index| u8::try_from(index).unwrap()));
        assert_eq!(hex(&key.sign(&[b"user:anna", b"body"])), "d6a58a15b45e8e66e3ffba8a8d791d33");
    }

    #[test]
    fn a_signature_holds_for_its_key_and_its_parts_alone() {
        let (one, other) = (CursorKey::new([1; KEY_BYTES]), CursorKey::new([2; KEY_BYTES]));
        let signature = one.sign(&[b"ab", b"c"]);
        assert!(one.has_signed(&[b"ab", b"c"], &signature));
        assert!(!one.has_signed(&[b"a", b"bc"], &signature));
        assert!(!other.has_signed(&[b"ab", b"c"], &signature));
        for (place, bit) in (0..SIGNATURE_BYTES).flat_map(|place| (0..8).map(move |bit| (place, bit))) {
            let mut forged = signature;
            forged[place] ^= 1 << bit;
            assert!(!one.has_signed(&[b"ab", b"c"], &forged));
        }
        assert!(!one.has_signed(&[b"ab", b"c"], &signature[..8]));
        assert!(!one.has_signed(&[b"ab", b"c"], b""));
    }

    #[test]
    fn i15_the_key_shows_in_no_debug_output() {
        assert_eq!(format!("{:?}", CursorKey::new([7; KEY_BYTES])), "CursorKey");
    }
}
