//! Records, and the digests of all of them.

use serde::{Serialize, Serializer};

use crate::clock::Stamp;
use crate::model::{Author, DigestSum, RecordKey, Revision, Value};
use crate::reading;

/// A record: what the server has acknowledged, and what the app sees.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RecordRow {
    /// The confirmed revision; 0 if the server has never told of the record.
    #[serde(rename = "r")]
    pub revision: Revision,
    /// The confirmed document; absent if the record is unknown or deleted.
    #[serde(rename = "d", skip_serializing_if = "Option::is_none")]
    pub doc: Option<Value>,
    /// The confirmed state's stamp and author.
    #[serde(rename = "b", skip_serializing_if = "Option::is_none")]
    pub by: Option<(Stamp, Author)>,
    /// The document before a delete by another writer, on which pending updates go on being shown.
    #[serde(rename = "g", skip_serializing_if = "Option::is_none")]
    pub ghost: Option<Value>,
    /// Present while events are pending: the view, `null` for a pending delete.
    #[serde(rename = "v", skip_serializing_if = "Option::is_none", serialize_with = "nullable")]
    pub overlay: Option<Option<Value>>,
    /// Positions of the unsettled events on this record, in queue order.
    #[serde(rename = "p", skip_serializing_if = "Vec::is_empty")]
    pub pending: Vec<u64>,
}

reading::fields!(RecordRow {
    revision as "r" = 0, doc as "d" = None, by as "b" = None, ghost as "g" = None, overlay as "v" by reading::present = None,
    pending as "p" = Vec::new(),
});

impl RecordRow {
    /// What the app sees: confirmed state plus unsettled events; `None` if there is no such record.
    #[must_use]
    pub fn view(&self) -> Option<&Value> {
        match &self.overlay {
            Some(view) => view.as_ref(),
            None => self.doc.as_ref(),
        }
    }

    /// The record is gone. Pending updates go on being shown on what it was before it went.
    pub fn vanish(&mut self) {
        if let Some(last) = self.doc.take().filter(|_| !self.pending.is_empty()) {
            self.ghost = Some(last);
        }
    }

    /// Whether the row says nothing and can go.
    #[must_use]
    pub fn is_vacant(&self) -> bool {
        self.revision == 0 && self.doc.is_none() && self.pending.is_empty()
    }

    /// The confirmed state's share of the digest.
    #[must_use]
    pub fn digest(&self, key: &RecordKey) -> Option<DigestSum> {
        self.doc.as_ref().map(|doc| crate::model::digest_of(key, self.revision, doc))
    }
}

/// Tells "absent" from "null" in JSON.
#[expect(clippy::ref_option, reason = "serde's serialize_with passes a reference")]
fn nullable<S: Serializer>(overlay: &Option<Option<Value>>, serializer: S) -> Result<S::Ok, S::Error> {
    overlay.as_ref().and_then(Option::as_ref).serialize(serializer)
}

/// The digest of a generation, by bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DigestRow(pub Vec<DigestSum>);

impl Default for DigestRow {
    fn default() -> Self {
        Self(vec![DigestSum::default(); crate::limits::DIGEST_BUCKETS])
    }
}

impl DigestRow {
    /// The sum over all buckets.
    #[must_use]
    pub fn total(&self) -> DigestSum {
        self.0.iter().fold(DigestSum::default(), |mut total, sum| {
            total.add(*sum);
            total
        })
    }

    /// The stored form: 16 bytes a bucket, big-endian.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|sum| sum.0.to_be_bytes()).collect()
    }

    /// Reads the stored form.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (sums, rest) = bytes.as_chunks::<16>();
        let sums: Vec<_> = sums.iter().map(|sum| DigestSum(u128::from_be_bytes(*sum))).collect();
        (sums.len() == crate::limits::DIGEST_BUCKETS && rest.is_empty()).then_some(Self(sums))
    }
}
