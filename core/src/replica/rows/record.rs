//! Records, and the digests of all of them.

use serde::de::{Error as _, MapAccess};
use serde::{Serialize, Serializer};

use super::is_false;
use crate::clock::Stamp;
use crate::model::{Author, Basis, Covered, DigestSum, RecordKey, Revision, Value};
use crate::reading;
use crate::replica::keys::Generation;

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
    #[serde(rename = "p", skip_serializing_if = "Vec::is_empty", serialize_with = "as_runs")]
    pub pending: Vec<u64>,
    /// Where those of them that are in the view cover the confirmed state.
    #[serde(rename = "c", skip_serializing_if = "Covered::is_empty")]
    pub covered: Covered,
    /// One of them was refused and waits for the app.
    #[serde(rename = "k", skip_serializing_if = "is_false")]
    pub parked: bool,
}

reading::fields!(RecordRow {
    revision as "r" = 0, doc as "d" = None, by as "b" = None, ghost as "g" = None, overlay as "v" by reading::present = None,
    pending as "p" by of_runs = Vec::new(), covered as "c" = Covered::default(), parked as "k" = false,
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

    /// Whether the record shows for its unsettled events' sake alone: another writer has deleted it.
    #[must_use]
    pub fn is_ghost(&self) -> bool {
        self.doc.is_none() && self.ghost.is_some()
    }

    /// What a reader sees of the confirmed state, in the scope's copy `generation`.
    #[must_use]
    pub fn basis(&self, generation: Generation) -> Basis {
        let base = match self.revision {
            // Made here, and not confirmed yet: its maker had seen that there was none.
            0 => self.covered.whole.unwrap_or(0),
            revision if self.is_ghost() => self.covered.lowest(revision),
            revision => revision,
        };
        Basis { base, generation, covered: self.covered.clone() }
    }

    /// The record is gone. Pending updates go on being shown on what it was before it went.
    pub fn vanish(&mut self) {
        if let Some(last) = self.doc.take().filter(|_| !self.pending.is_empty()) {
            self.ghost = Some(last);
        }
    }

    /// Whether the row says nothing and can go. The revision of a delete says something only as long as older changes of the
    /// record may come: the feed goes upwards, and stands at `fed`.
    #[must_use]
    pub fn is_vacant(&self, fed: Revision) -> bool {
        self.revision <= fed && self.doc.is_none() && self.pending.is_empty()
    }

    /// The confirmed state's share of the digest.
    #[must_use]
    pub fn digest(&self, key: &RecordKey) -> Option<DigestSum> {
        self.doc.as_ref().map(|doc| crate::model::digest_of(key, self.revision, doc))
    }
}

/// Most positions that a record's row is believed to have.
const MAX_PENDING: u64 = 1 << 22;

/// Positions as runs, each its first one and how many follow each other: what is written on one record again and again makes no
/// longer row.
fn as_runs<S: Serializer>(positions: &[u64], serializer: S) -> Result<S::Ok, S::Error> {
    let mut runs: Vec<u64> = Vec::new();
    for position in positions {
        match runs.as_mut_slice() {
            [.., first, count] if *first + *count == *position => *count += 1,
            _ => runs.extend([*position, 1]),
        }
    }
    runs.serialize(serializer)
}

fn of_runs<'de, A: MapAccess<'de>>(place: &mut Option<Vec<u64>>, fields: &mut A) -> Result<(), A::Error> {
    let runs: Vec<u64> = fields.next_value()?;
    let (pairs, rest) = runs.as_chunks::<2>();
    let sum = pairs.iter().fold(0_u64, |sum, [_, count]| sum.saturating_add(*count));
    if !rest.is_empty() || sum > MAX_PENDING || pairs.iter().any(|[first, count]| first.checked_add(*count).is_none()) {
        return Err(A::Error::custom("positions that are no runs"));
    }
    *place = Some(pairs.iter().flat_map(|[first, count]| *first..first + count).collect());
    Ok(())
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
