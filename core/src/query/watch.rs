//! What changed between two answers to one query.
//!
//! A watch runs its query again when a record changed that may matter to it ([`Watched::is_affected`]), and tells the app
//! the difference ([`diff`]).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::query::{OrderKey, Query, QueryPage, Record};
use crate::model::{CollectionName, RecordId, Value};

/// A difference between an old and a new list of records.
///
/// `from` and the index of a removal count in the old list, all others in the new one. To turn the old list into the new
/// one: take out what was removed or moved, from the last to the first; then put in what was inserted or moved, from the
/// first to the last; then replace what was updated. [`patch`] does so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "uniffi", derive(uniffi::Enum))]
#[cfg_attr(feature = "wasm", derive(tsify::Tsify))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Change {
    /// A record left the list.
    Removed {
        /// Where it was in the old list.
        index: usize,
        /// Which one.
        id: RecordId,
    },
    /// A record came into the list.
    Inserted {
        /// Where it is in the new list.
        index: usize,
        /// The record.
        record: Record,
    },
    /// A record changed its place among those that stayed; it may have changed otherwise, too.
    Moved {
        /// Where it was in the old list.
        from: usize,
        /// Where it is in the new list.
        to: usize,
        /// The record as it is now.
        record: Record,
    },
    /// A record changed and kept its place among those that stayed.
    Updated {
        /// Where it is in the new list.
        index: usize,
        /// The record as it is now.
        record: Record,
    },
}

/// The changes that turn `old` into `new`: removals by old index, then all others by new index. As few records as possible
/// are said to have moved. Neither list may name a record twice.
#[must_use]
pub fn diff(old: &[Record], new: &[Record]) -> Vec<Change> {
    let mut in_old = BTreeMap::new();
    in_old.extend(old.iter().enumerate().map(|(i, record)| (&record.id, i)));
    let origins: Vec<Option<usize>> = new.iter().map(|record| in_old.get(&record.id).copied()).collect();
    let mut stayed = vec![false; old.len()];
    origins.iter().flatten().for_each(|from| stayed[*from] = true);
    let in_place = longest_ascending(&origins);

    let removed = old.iter().enumerate().filter(|(index, _)| !stayed[*index]);
    let mut changes: Vec<Change> =
        removed.map(|(index, record)| Change::Removed { index, id: record.id.clone() }).collect();
    for (index, record) in new.iter().enumerate() {
        changes.extend(match origins[index] {
            None => Some(Change::Inserted { index, record: record.clone() }),
            Some(from) if !in_place[index] => Some(Change::Moved { from, to: index, record: record.clone() }),
            Some(from) if old[from] != *record => Some(Change::Updated { index, record: record.clone() }),
            Some(_) => None,
        });
    }
    changes
}

/// Marks the members of a longest ascending subsequence of the numbers that are there.
fn longest_ascending(numbers: &[Option<usize>]) -> Vec<bool> {
    // `ends[n]`: where the ascending sequence of length n + 1 with the least end ends.
    let mut ends: Vec<usize> = Vec::new();
    let mut previous: Vec<Option<usize>> = vec![None; numbers.len()];
    for (place, number) in numbers.iter().enumerate() {
        if number.is_none() {
            continue;
        }
        let length = ends.partition_point(|end| numbers[*end] < *number);
        previous[place] = length.checked_sub(1).map(|shorter| ends[shorter]);
        if length == ends.len() {
            ends.push(place);
        } else {
            ends[length] = place;
        }
    }
    let mut member = vec![false; numbers.len()];
    let mut next = ends.last().copied();
    while let Some(place) = next {
        member[place] = true;
        next = previous[place];
    }
    member
}

/// Turns the old list into the new one, given the changes of [`diff`]. Changes that do not fit the list are left out.
pub fn patch(list: &mut Vec<Record>, changes: &[Change]) {
    let mut leaving: Vec<usize> = Vec::new();
    let mut coming: Vec<(usize, &Record)> = Vec::new();
    for change in changes {
        match change {
            Change::Removed { index, .. } => leaving.push(*index),
            Change::Inserted { index, record } => coming.push((*index, record)),
            Change::Moved { from, to, record } => {
                leaving.push(*from);
                coming.push((*to, record));
            }
            Change::Updated { .. } => {}
        }
    }
    let mut gone = vec![false; list.len()];
    leaving.into_iter().for_each(|index| {
        if let Some(gone) = gone.get_mut(index) {
            *gone = true;
        }
    });
    let mut staying = std::mem::take(list).into_iter().zip(gone).filter(|(_, gone)| !gone).map(|(record, _)| record);
    coming.sort_by_key(|(index, _)| *index);
    for (index, record) in coming {
        while list.len() < index
            && let Some(next) = staying.next()
        {
            list.push(next);
        }
        list.push(record.clone());
    }
    list.extend(staying);
    for change in changes {
        if let Change::Updated { index, record } = change
            && let Some(place) = list.get_mut(*index)
        {
            place.clone_from(record);
        }
    }
}

/// A query and how far its present answer reaches.
#[derive(Clone, Debug)]
pub struct Watched {
    query: Query,
    /// The place of the last record of a full page: what comes after it does not matter.
    end: Option<OrderKey>,
}

impl Watched {
    /// Watches `query`, whose present answer is `page`.
    #[must_use]
    pub fn new(query: Query, page: &QueryPage) -> Self {
        let full = query.limit.is_some_and(|limit| page.records.len() >= limit);
        let last = page.records.last().filter(|_| full);
        let end = last.map(|record| OrderKey::of(&query.order, &record.doc, &record.id));
        Self { query, end }
    }

    /// The query.
    #[must_use]
    pub fn query(&self) -> &Query {
        &self.query
    }

    /// Whether the change of one record's view from `old` to `new` may change the answer: the record is or becomes one
    /// that the query wants, and its place is or was within the page's reach. Also where both are equal, since the record's
    /// revision or its writes' state may have changed.
    #[must_use]
    pub fn is_affected(
        &self,
        collection: &CollectionName,
        id: &RecordId,
        old: Option<&Value>,
        new: Option<&Value>,
    ) -> bool {
        let within = |doc: &Value| {
            let key = || OrderKey::of(&self.query.order, doc, id);
            self.query.filter.matches(doc) && self.end.as_ref().is_none_or(|end| key() <= *end)
        };
        *self.query.collection() == *collection && [old, new].into_iter().flatten().any(within)
    }
}

#[cfg(test)]
mod tests {
    use super::super::filter::eq;
    use super::*;
    use crate::model::Basis;
    use crate::query::RecordState;
    use proptest::prelude::*;
    use serde_json::json;

    fn record(id: &str, n: u64) -> Record {
        let basis = Basis { base: n, ..Basis::default() };
        Record {
            id: RecordId::new(id).unwrap(),
            doc: json!({ "n": n }),
            revision: n,
            state: RecordState::Synced,
            basis,
        }
    }

    fn list(names: &str) -> Vec<Record> {
        names.chars().map(|name| record(&name.to_string(), 0)).collect()
    }

    fn names(changes: &[Change]) -> Vec<String> {
        let name = |change: &Change| match change {
            Change::Removed { index, id } => format!("-{id}@{index}"),
            Change::Inserted { index, record } => format!("+{}@{index}", record.id),
            Change::Moved { from, to, record } => format!("{}@{from}>{to}", record.id),
            Change::Updated { index, record } => format!("!{}@{index}", record.id),
        };
        changes.iter().map(name).collect()
    }

    #[test]
    fn a_difference_names_as_few_records_as_possible() {
        assert_eq!(names(&diff(&list("abc"), &list("abc"))), [""; 0]);
        assert_eq!(names(&diff(&list("abc"), &list("axc"))), ["-b@1", "+x@1"]);
        assert_eq!(names(&diff(&list("abcde"), &list("bcdea"))), ["a@0>4"]);
        assert_eq!(names(&diff(&list("abcd"), &list("dabc"))), ["d@3>0"]);
        let mut new = list("abc");
        new[1] = record("b", 1);
        assert_eq!(names(&diff(&list("abc"), &new)), ["!b@1"]);
    }

    #[test]
    fn a_change_has_one_json_form() {
        let change = Change::Moved { from: 1, to: 0, record: record("a", 2) };
        let json = json!({
            "kind": "moved", "from": 1, "to": 0,
            "record": {
                "id": "a", "doc": {"n": 2}, "revision": 2, "state": "synced", "basis": {"base": 2, "generation": 0},
            },
        });
        assert_eq!(serde_json::to_value(&change).unwrap(), json);
        assert_eq!(serde_json::from_value::<Change>(json).unwrap(), change);
    }

    #[test]
    fn changes_that_do_not_fit_are_left_out_without_harm() {
        let mut records = list("a");
        let stray = [
            Change::Removed { index: 9, id: RecordId::new("x").unwrap() },
            Change::Updated { index: 9, record: record("x", 1) },
        ];
        patch(&mut records, &stray);
        assert_eq!(records, list("a"));
    }

    #[test]
    fn only_changes_within_reach_affect_a_watch() {
        let samples = CollectionName::new("samples").unwrap();
        let query = Query::new(samples.clone()).filter(eq("kind", "kick")).order_by("n").limit(2);
        let doc = |n: u64| json!({"kind": "kick", "n": n});
        let page = |numbers: &[u64]| QueryPage {
            records: numbers.iter().map(|n| Record { doc: doc(*n), ..record(&format!("r{n}"), 0) }).collect(),
            next: None,
        };
        let affected = |watched: &Watched, old: Option<Value>, new: Option<Value>| {
            watched.is_affected(&samples, &RecordId::new("r").unwrap(), old.as_ref(), new.as_ref())
        };
        let full = Watched::new(query.clone(), &page(&[1, 5]));
        assert!(affected(&full, None, Some(doc(3))));
        assert!(affected(&full, Some(doc(1)), Some(doc(9))));
        assert!(affected(&full, Some(doc(9)), Some(doc(2))));
        assert!(affected(&full, Some(doc(2)), None));
        assert!(affected(&full, Some(doc(2)), Some(json!({"kind": "snare"}))));
        assert!(!affected(&full, Some(doc(7)), Some(doc(8))));
        assert!(!affected(&full, None, Some(json!({"kind": "snare", "n": 1}))));
        let other = CollectionName::new("other").unwrap();
        assert!(!full.is_affected(&other, &RecordId::new("r").unwrap(), None, Some(&doc(1))));
        // A page with room takes in every record.
        assert!(affected(&Watched::new(query, &page(&[1])), None, Some(doc(9))));
    }

    proptest! {
        #[test]
        fn the_difference_turns_old_into_new(
            old in prop::sample::subsequence((0u8..12).collect::<Vec<_>>(), 0..12).prop_shuffle(),
            new in prop::sample::subsequence((0u8..12).collect::<Vec<_>>(), 0..12).prop_shuffle(),
            touched in prop::collection::btree_set(0u8..12, 0..4),
        ) {
            let version = |name: u8| u64::from(touched.contains(&name));
            let old: Vec<Record> = old.iter().map(|name| record(&name.to_string(), 0)).collect();
            let new: Vec<Record> = new.iter().map(|name| record(&name.to_string(), version(*name))).collect();
            let changes = diff(&old, &new);
            let mut patched = old.clone();
            patch(&mut patched, &changes);
            prop_assert_eq!(patched, new);
        }
    }
}
