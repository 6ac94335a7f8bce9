//! Digests: whether two replicas hold the same records, told in 16 bytes.
//!
//! A record's share is the first 16 bytes of SHA-256 over its name, revision and canonical document. Shares are added
//! modulo 2^128, so that a change costs one subtraction and one addition, whatever the size of the scope.

use std::fmt;

use sha2::{Digest, Sha256};

use super::{RecordKey, Revision, Value, value};
use crate::limits::DIGEST_BUCKETS;

/// A sum of shares, modulo 2^128. Shown as 32 hex digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DigestSum(pub u128);

impl DigestSum {
    /// Adds a share.
    pub fn add(&mut self, share: DigestSum) {
        self.0 = self.0.wrapping_add(share.0);
    }

    /// Takes a share away.
    pub fn subtract(&mut self, share: DigestSum) {
        self.0 = self.0.wrapping_sub(share.0);
    }

    /// Reads 32 hex digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == 32).then(|| u128::from_str_radix(text, 16).ok()).flatten().map(Self)
    }
}

impl fmt::Display for DigestSum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

fn name_hasher(key: &RecordKey) -> Sha256 {
    let mut hasher = Sha256::new();
    for part in [key.collection.as_str(), key.record.as_str()] {
        // Names have at most 256 bytes.
        #[expect(clippy::cast_possible_truncation, reason = "names are bounded")]
        hasher.update((part.len() as u32).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    hasher
}

/// The bucket that a record belongs to, below [`DIGEST_BUCKETS`].
#[must_use]
pub fn bucket_of(key: &RecordKey) -> u8 {
    const { assert!(DIGEST_BUCKETS == 256) };
    name_hasher(key).finalize()[0]
}

/// A live record's share.
#[must_use]
pub fn digest_of(key: &RecordKey, revision: Revision, doc: &Value) -> DigestSum {
    digest_of_canonical(key, revision, &value::canonical(doc))
}

/// [`digest_of`] for a document whose canonical bytes are at hand.
#[must_use]
pub fn digest_of_canonical(key: &RecordKey, revision: Revision, canonical: &[u8]) -> DigestSum {
    let mut hasher = name_hasher(key);
    hasher.update(revision.to_be_bytes());
    hasher.update(canonical);
    let hash = hasher.finalize();
    let mut head = [0; 16];
    head.copy_from_slice(&hash[..16]);
    DigestSum(u128::from_be_bytes(head))
}
