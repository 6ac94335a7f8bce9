//! Queries: a filter, an order, and how much of the answer is wanted.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::encoding::{encode, whole_component};
use super::filter::{Filter, field_pointer, invalid};
use crate::error::Error;
use crate::limits::MAX_ORDER_PATHS;
use crate::model::value::{hex, unhex};
use crate::model::{Basis, CollectionName, Pointer, RecordId, Revision, Seen, Value};

/// A query on one collection. Records come ordered by the given fields, then by id.
///
/// Making one never fails; what is wrong with it is reported when it is run.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    pub(super) collection: CollectionName,
    pub(super) filter: Filter,
    pub(super) order: Vec<OrderBy>,
    pub(super) limit: Option<usize>,
    pub(super) after: Option<Continuation>,
    defect: Option<String>,
}

/// One field of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OrderBy {
    pub(super) path: Pointer,
    pub(super) descending: bool,
}

impl Query {
    /// All records of `collection`, by id.
    #[must_use]
    pub fn new(collection: CollectionName) -> Self {
        Self { collection, filter: Filter::default(), order: Vec::new(), limit: None, after: None, defect: None }
    }

    /// Wants only records that `filter` wants, too.
    #[must_use]
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filter = self.filter.and(filter);
        self
    }

    /// Orders by the field `path`, the least first; after the fields that were given before. Records without the field
    /// come first.
    #[must_use]
    pub fn order_by(self, path: impl AsRef<str>) -> Self {
        self.ordered(path.as_ref(), false)
    }

    /// Orders by the field `path`, the greatest first; after the fields that were given before. Records that agree in all
    /// fields come by id in the direction of the last field, so that a descending order is the ascending one reversed.
    #[must_use]
    pub fn order_by_desc(self, path: impl AsRef<str>) -> Self {
        self.ordered(path.as_ref(), true)
    }

    /// At most `limit` records, at least 1.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Goes on after the page that gave `continuation`. The query's order must be the same; its filter may differ.
    #[must_use]
    pub fn after(mut self, continuation: Continuation) -> Self {
        self.after = Some(continuation);
        self
    }

    /// The collection asked.
    #[must_use]
    pub fn collection(&self) -> &CollectionName {
        &self.collection
    }

    fn ordered(mut self, path: &str, descending: bool) -> Self {
        match field_pointer(path) {
            Ok(path) => self.order.push(OrderBy { path, descending }),
            Err(error) => self.defect = self.defect.or(Some(error.to_string())),
        }
        self
    }

    /// Whether the query can be run.
    ///
    /// # Errors
    /// `invalid_query` if the filter cannot be used, an order's field is malformed or one of too many, the limit is 0, or
    /// the continuation belongs to another order.
    pub fn check(&self) -> Result<(), Error> {
        self.filter.check()?;
        if let Some(defect) = &self.defect {
            return Err(invalid(defect));
        }
        if self.order.len() > MAX_ORDER_PATHS {
            return Err(invalid(format!("a query's order has at most {MAX_ORDER_PATHS} fields")));
        }
        if self.limit == Some(0) {
            return Err(invalid("a query's limit is at least 1"));
        }
        self.position().map(drop)
    }

    /// Where the page begins: after this place in the order.
    pub(super) fn position(&self) -> Result<Option<OrderKey>, Error> {
        self.after.as_ref().map(|after| after.decode(&self.order)).transpose()
    }
}

/// Whether records that agree in all fields of `order` come by descending id.
pub(super) fn ties_descend(order: &[OrderBy]) -> bool {
    order.last().is_some_and(|last| last.descending)
}

/// A record's place in an order, as bytes that sort so: each field's encoding (inverted where descending), then the id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct OrderKey(pub(super) Vec<u8>);

impl OrderKey {
    pub(super) fn of(order: &[OrderBy], doc: &Value, id: &RecordId) -> Self {
        let mut key = Vec::new();
        let descending = |descending: bool, part: &mut [u8]| {
            if descending {
                part.iter_mut().for_each(|byte| *byte = !*byte);
            }
        };
        for OrderBy { path, descending: inverted } in order {
            let start = key.len();
            encode(path.find(doc), &mut key);
            descending(*inverted, &mut key[start..]);
        }
        let start = key.len();
        key.extend(id.as_str().as_bytes());
        // Ends the id, so that inverted ids sort in reverse even where one begins another.
        key.push(0);
        descending(ties_descend(order), &mut key[start..]);
        Self(key)
    }

    /// The encoded fields (no longer inverted) and the id; `None` if the bytes do not fit the order.
    pub(super) fn parts(&self, order: &[OrderBy]) -> Option<(Vec<Vec<u8>>, RecordId)> {
        let upright = |inverted: bool, bytes: &[u8]| -> Vec<u8> {
            bytes.iter().map(|byte| if inverted { !*byte } else { *byte }).collect()
        };
        let mut rest = self.0.as_slice();
        let mut fields = Vec::with_capacity(order.len());
        for by in order {
            let mut field = upright(by.descending, rest);
            let len = whole_component(&field)?;
            field.truncate(len);
            rest = &rest[len..];
            fields.push(field);
        }
        let id = upright(ties_descend(order), rest);
        let id = RecordId::new(std::str::from_utf8(id.strip_suffix(&[0])?).ok()?).ok()?;
        Some((fields, id))
    }
}

/// Where the next page begins. Opaque, and good for as long as one likes: it names a place in the order, not a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Continuation(String);

impl Continuation {
    /// The form is the order's hash, so that it cannot be mistaken for a place in another order, and the place.
    pub(super) fn encode(order: &[OrderBy], key: &OrderKey) -> Self {
        Self(format!("{}{}", order_hash(order), hex(&key.0)))
    }

    fn decode(&self, order: &[OrderBy]) -> Result<OrderKey, Error> {
        let key = self.0.strip_prefix(&order_hash(order)).and_then(unhex).map(OrderKey);
        key.filter(|key| key.parts(order).is_some())
            .ok_or_else(|| invalid("the continuation does not belong to a query with this order"))
    }
}

impl fmt::Display for Continuation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<String> for Continuation {
    /// Takes any text; what is no continuation is refused when the query is run.
    fn from(text: String) -> Self {
        Self(text)
    }
}

fn order_hash(order: &[OrderBy]) -> String {
    let mut hash = Sha256::new();
    for OrderBy { path, descending } in order {
        hash.update(path.as_str());
        hash.update([0, u8::from(*descending)]);
    }
    hex(&hash.finalize()[..4])
}

/// A record as the app sees it: confirmed state with its own unsettled writes on top. A write can name it as what its writer has
/// seen: then it is concurrent with whatever came after this read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "uniffi", derive(uniffi::Record))]
#[cfg_attr(feature = "wasm", derive(tsify::Tsify))]
pub struct Record {
    /// Its id.
    pub id: RecordId,
    /// Its document.
    pub doc: Value,
    /// The confirmed revision; 0 if the server has not told of the record yet.
    pub revision: Revision,
    /// Where its sync stands.
    pub state: RecordState,
    /// What the read shows of the confirmed state, for writes that name it as what they have seen. Opaque.
    pub basis: Basis,
}

impl Record {
    /// This read, for a write that names it.
    #[must_use]
    pub fn seen(&self) -> Seen {
        Seen { id: self.id.clone(), basis: self.basis.clone() }
    }
}

/// The state of one record's sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "uniffi", derive(uniffi::Enum))]
#[cfg_attr(feature = "wasm", derive(tsify::Tsify))]
#[serde(rename_all = "snake_case")]
pub enum RecordState {
    /// The server has acknowledged what the app sees.
    Synced,
    /// Events wait to be sent or answered.
    Pending,
    /// An event was refused and waits for the app.
    Parked,
    /// An open conflict note tells of a value that lost.
    Conflicted,
}

/// A part of a query's answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "uniffi", derive(uniffi::Record))]
#[cfg_attr(feature = "wasm", derive(tsify::Tsify))]
pub struct QueryPage {
    /// The records, in the query's order.
    pub records: Vec<Record>,
    /// Where the rest begins; absent if this was all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Continuation>,
}

#[cfg(test)]
mod tests {
    use super::super::filter::eq;
    use super::*;
    use crate::query::{arbitrary, compare};
    use proptest::prelude::*;
    use serde_json::json;
    use std::cmp::Ordering;

    fn query() -> Query {
        Query::new(CollectionName::new("samples").unwrap())
    }

    #[test]
    fn a_query_that_cannot_be_run_says_so() {
        let defective = [
            query().filter(eq("", 1)),
            query().order_by("/a~"),
            query().limit(0),
            (0..9).fold(query(), |query, i| query.order_by(format!("f{i}"))),
            query().after("nonsense".to_owned().into()),
            query().after(String::new().into()),
        ];
        for query in defective {
            assert_eq!(query.check().unwrap_err().code(), "invalid_query", "{query:?}");
        }
        query().filter(eq("a", 1)).order_by("a").order_by_desc("/b/c").limit(1).check().unwrap();
    }

    #[test]
    fn a_continuation_is_bound_to_its_order() {
        let (ascending, descending) = (query().order_by("a"), query().order_by_desc("a"));
        let key = OrderKey::of(&ascending.order, &json!({"a": 1}), &RecordId::new("r").unwrap());
        let token = Continuation::encode(&ascending.order, &key);
        ascending.clone().filter(eq("b", 1)).after(token.clone()).check().unwrap();
        assert!(descending.after(token.clone()).check().is_err());
        let mut cut_off = token.to_string();
        cut_off.truncate(cut_off.len() - 4);
        assert!(ascending.after(cut_off.into()).check().is_err());
    }

    proptest! {
        #[test]
        fn order_keys_sort_as_the_order_says(
            a in arbitrary::document(), b in arbitrary::document(), a_id in "[ab]{1,2}", b_id in "[ab]{1,2}",
            first in any::<bool>(), second in any::<bool>(),
        ) {
            let mut query = query();
            for (path, descending) in [("/a", first), ("/c/d", second)] {
                query = query.ordered(path, descending);
            }
            let directed = |by: &OrderBy, found: Ordering| if by.descending { found.reverse() } else { found };
            let by_field = |by: &OrderBy| {
                let found = match (by.path.find(&a), by.path.find(&b)) {
                    (Some(a), Some(b)) => compare(a, b),
                    (a, b) => a.is_some().cmp(&b.is_some()),
                };
                directed(by, found)
            };
            let expected = by_field(&query.order[0])
                .then_with(|| by_field(&query.order[1]))
                .then_with(|| directed(&query.order[1], a_id.cmp(&b_id)));
            let key = |doc, id: &str| OrderKey::of(&query.order, doc, &RecordId::new(id).unwrap());
            prop_assert_eq!(key(&a, &a_id).cmp(&key(&b, &b_id)), expected);

            let continuation = Continuation::encode(&query.order, &key(&a, &a_id));
            prop_assert_eq!(continuation.decode(&query.order).unwrap(), key(&a, &a_id));
            let (fields, id) = key(&a, &a_id).parts(&query.order).unwrap();
            prop_assert_eq!((fields.len(), id.as_str()), (2, a_id.as_str()));
        }
    }
}
