//! The answer to a push: its receipts, with the records that they need.
//!
//! Five hundred small events may all meet another writer's change of one large record. An answer therefore tells each record
//! with the last receipt of a settled event that needs it and with the last of a refused one, and no more records once they
//! come to [`MAX_ANSWER_RECORD_BYTES`]: what is left out, the client pulls. So an answer is never much larger than a page of the
//! feed, whatever was asked.

use std::collections::BTreeMap;

use unisono::limits::MAX_ANSWER_RECORD_BYTES;
use unisono::model::{Receipt, value};

use super::draft::Draft;
use super::judge::Ruling;
use crate::store::StoreError;

/// The receipts of a push.
pub(super) struct Told {
    pub(super) receipts: Vec<Receipt>,
    /// Whether every record that they need is among them.
    pub(super) whole: bool,
}

/// Completes `rulings` with the records' states at the end of the push.
pub(super) fn tell(draft: &mut Draft<'_>, rulings: Vec<Ruling>) -> Result<Told, StoreError> {
    let mut last = BTreeMap::new();
    for (place, ruling) in rulings.iter().enumerate() {
        if let Some(needs) = &ruling.needs {
            // What was applied advances a replica by its record, what conflicts does not: each kind has its own last.
            last.insert((needs.key.clone(), ruling.receipt.status.is_settled()), place);
        }
    }
    let mut told = Told { receipts: Vec::with_capacity(rulings.len()), whole: true };
    let mut bytes = 0;
    for (place, Ruling { mut receipt, needs, .. }) in rulings.into_iter().enumerate() {
        let settled = receipt.status.is_settled();
        if let Some(needs) = needs.filter(|needs| last.get(&(needs.key.clone(), settled)) == Some(&place))
            && let Some(record) = draft.record(&needs.key)?
        {
            if bytes >= MAX_ANSWER_RECORD_BYTES {
                told.whole = false;
            } else {
                bytes += value::canonical_len(&record.doc);
                receipt.record = Some(Box::new(record.to_change(&needs.key)));
                receipt.previous = needs.previous;
            }
        }
        told.receipts.push(receipt);
    }
    Ok(told)
}
