//! Declared indexes, and the entries that a record has in them.
//!
//! Every record has exactly one entry in each index of its collection, also where the indexed fields are missing. So an
//! index gives all records in its order. An entry is a key alone: the index's prefix, the encoded value of each indexed
//! field, then the record's id; bytes sort by the first field, then the next, then the id.

use serde::Serialize;

use super::encoding::{component, encode_capped};
use super::filter::field_pointer;
use crate::error::{Error, InvalidCode};
use crate::limits::{MAX_ID_BYTES, MAX_INDEX_PATHS};
use crate::model::{CollectionName, Pointer, RecordId, RecordKey, Scope, Value};
use crate::replica::keys::{self, Generation};
use crate::storage::{Batch, RowKey, Table};

/// An index that the app declares.
///
/// It serves queries that ask for equality on its first fields, then for a range or an order on the next ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IndexDefinition {
    /// The collection whose records it holds.
    pub collection: CollectionName,
    /// Its name, unique within the collection; 1 to 256 bytes without U+0000.
    pub name: String,
    /// The indexed fields, 1 to [`MAX_INDEX_PATHS`], the most significant first.
    pub paths: Vec<Pointer>,
}

impl IndexDefinition {
    /// An index on `fields`, each a JSON Pointer or the plain name of a field at the top level.
    ///
    /// # Errors
    /// `invalid_config` if the name or a field is malformed, or if there are no fields, too many, or one twice.
    pub fn new<F: AsRef<str>>(
        collection: CollectionName,
        name: impl Into<String>,
        fields: impl IntoIterator<Item = F>,
    ) -> Result<Self, Error> {
        let name = name.into();
        let pointer = |field: F| field_pointer(field.as_ref()).map_err(|error| config(&name, &error.to_string()));
        let paths = fields.into_iter().map(pointer).collect::<Result<_, _>>()?;
        let definition = Self { collection, name, paths };
        definition.check()?;
        Ok(definition)
    }

    fn check(&self) -> Result<(), Error> {
        let problem = if self.name.is_empty() || self.name.len() > MAX_ID_BYTES || self.name.contains('\0') {
            "its name has 1 to 256 bytes without U+0000"
        } else if self.paths.is_empty() || self.paths.len() > MAX_INDEX_PATHS {
            "it has 1 to 8 fields"
        } else if self.paths.iter().enumerate().any(|(at, path)| self.paths[..at].contains(path)) {
            "it has a field twice"
        } else {
            return Ok(());
        };
        Err(config(&self.name, problem))
    }

    /// What every entry of this index begins with.
    #[must_use]
    pub fn prefix(&self, scope: &Scope, generation: Generation) -> Vec<u8> {
        keys::index_prefix(scope, generation, &self.collection, &self.name)
    }

    /// The key of the entry of record `id` with this view.
    #[must_use]
    pub fn entry(&self, scope: &Scope, generation: Generation, id: &RecordId, view: &Value) -> Vec<u8> {
        let mut key = self.prefix(scope, generation);
        for path in &self.paths {
            encode_capped(path.find(view), &mut key);
        }
        key.extend(id.as_str().as_bytes());
        key
    }
}

fn config(name: &str, problem: &str) -> Error {
    Error::invalid(InvalidCode::Config, format!("index {name:?}: {problem}"))
}

/// An entry's key, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) id: RecordId,
    /// Length of the part of the key that decides the order of the first `ordered` fields after `equal` ones: up to the
    /// end of the last of them, or of the first whose value was cut.
    pub(super) decided: usize,
    /// Whether that part was cut: entries that share it may differ in order.
    pub(super) cut: bool,
}

impl Entry {
    /// Takes `key` apart, given its index's prefix and number of fields. `None` if it is no such key.
    pub(super) fn parse(key: &[u8], prefix: usize, fields: usize, equal: usize, ordered: usize) -> Option<Self> {
        let mut at = prefix;
        let mut decided = prefix;
        let mut cut = false;
        for field in 0..fields {
            let found = component(key.get(at..)?)?;
            at += found.len;
            if field < equal + ordered && !cut {
                decided = at;
                // Of fields that the query holds equal, all its records have the same value, cut or not.
                cut = found.cut && field >= equal;
            }
        }
        let id = RecordId::new(std::str::from_utf8(&key[at..]).ok()?).ok()?;
        Some(Self { id, decided, cut })
    }
}

/// The indexes of a replica.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndexSet {
    /// By collection and name.
    indexes: Vec<IndexDefinition>,
}

/// The index rows that a change of one record makes and ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndexChange {
    /// Entries to make; their rows are empty.
    pub put: Vec<RowKey>,
    /// Entries to end.
    pub delete: Vec<RowKey>,
}

impl IndexChange {
    /// Adds the change to the write that changes the record.
    pub fn add_to(self, batch: &mut Batch) {
        batch.put.extend(self.put.into_iter().map(|key| (key, Vec::new())));
        batch.delete.extend(self.delete);
    }
}

impl IndexSet {
    /// The set of `definitions`.
    ///
    /// # Errors
    /// `invalid_config` if one is malformed or a name occurs twice in a collection.
    pub fn new(definitions: impl IntoIterator<Item = IndexDefinition>) -> Result<Self, Error> {
        let mut indexes: Vec<IndexDefinition> = Vec::new();
        for definition in definitions {
            definition.check()?;
            let order = |other: &IndexDefinition| {
                other.collection.cmp(&definition.collection).then_with(|| other.name.cmp(&definition.name))
            };
            match indexes.binary_search_by(order) {
                Ok(_) => return Err(config(&definition.name, "the collection has another index of this name")),
                Err(place) => indexes.insert(place, definition),
            }
        }
        Ok(Self { indexes })
    }

    /// The indexes of `collection`, by name.
    #[must_use]
    pub fn of(&self, collection: &CollectionName) -> &[IndexDefinition] {
        let from = self.indexes.partition_point(|index| index.collection < *collection);
        let rest = &self.indexes[from..];
        &rest[..rest.partition_point(|index| index.collection == *collection)]
    }

    /// All indexes, by collection and name.
    pub fn iter(&self) -> impl Iterator<Item = &IndexDefinition> {
        self.indexes.iter()
    }

    /// The set without `definitions`.
    pub(super) fn without(&self, definitions: &[IndexDefinition]) -> Self {
        Self { indexes: self.iter().filter(|index| !definitions.contains(index)).cloned().collect() }
    }

    /// The entries of a record with this view; none if there is no such record.
    #[must_use]
    pub fn entries(
        &self,
        scope: &Scope,
        generation: Generation,
        record: &RecordKey,
        view: Option<&Value>,
    ) -> Vec<RowKey> {
        let Some(view) = view else { return Vec::new() };
        let entry = |definition: &IndexDefinition| RowKey {
            table: Table::Index,
            key: definition.entry(scope, generation, &record.record, view),
        };
        self.of(&record.collection).iter().map(entry).collect()
    }

    /// What has to change when a record's view changes from `old` to `new`.
    ///
    /// To be called once per record and batch, from the view before the batch to the one after it: a batch deletes before
    /// it puts, so two changes of one record in it would not take effect one after the other.
    #[must_use]
    pub fn diff(
        &self,
        scope: &Scope,
        generation: Generation,
        record: &RecordKey,
        old: Option<&Value>,
        new: Option<&Value>,
    ) -> IndexChange {
        let before = self.entries(scope, generation, record, old);
        let after = self.entries(scope, generation, record, new);
        if before.len() != after.len() {
            // One of them is empty.
            return IndexChange { put: after, delete: before };
        }
        let (delete, put) = before.into_iter().zip(after).filter(|(before, after)| before != after).unzip();
        IndexChange { put, delete }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::arbitrary;
    use proptest::prelude::*;
    use serde_json::json;

    fn samples() -> CollectionName {
        CollectionName::new("samples").unwrap()
    }

    fn define(name: &str, fields: &[&str]) -> IndexDefinition {
        IndexDefinition::new(samples(), name, fields).unwrap()
    }

    fn record(id: &str) -> RecordKey {
        RecordKey { collection: samples(), record: RecordId::new(id).unwrap() }
    }

    #[test]
    fn malformed_definitions_are_refused() {
        let refused = [
            ("", vec!["a"]),
            ("a\0", vec!["a"]),
            ("x", vec![]),
            ("x", vec!["a", "/a"]),
            ("x", vec!["/a~"]),
            ("x", vec!["a", "b", "c", "d", "e", "f", "g", "h", "i"]),
        ];
        for (name, fields) in refused {
            let error = IndexDefinition::new(samples(), name, &fields).unwrap_err();
            assert_eq!(error.code(), "invalid_config", "{name} {fields:?}");
        }
        let twice = IndexSet::new([define("x", &["a"]), define("x", &["b"])]);
        assert_eq!(twice.unwrap_err().code(), "invalid_config");
        // A definition that came from elsewhere is checked, too.
        let made_up = IndexDefinition { collection: samples(), name: String::new(), paths: Vec::new() };
        assert_eq!(IndexSet::new([made_up]).unwrap_err().code(), "invalid_config");
    }

    #[test]
    fn a_change_touches_only_the_indexes_of_changed_fields() {
        let set = IndexSet::new([define("by_a", &["a"]), define("by_b", &["b", "a"])]).unwrap();
        let diff = |old: Option<&Value>, new: Option<&Value>| {
            let change = set.diff(&Scope::User, 1, &record("r"), old, new);
            (change.put.len(), change.delete.len())
        };
        let (first, second) = (json!({"a": 1, "b": 1}), json!({"a": 1, "b": 2}));
        assert_eq!(diff(None, Some(&first)), (2, 0));
        assert_eq!(diff(Some(&first), Some(&first)), (0, 0));
        assert_eq!(diff(Some(&first), Some(&second)), (1, 1));
        assert_eq!(diff(Some(&second), None), (0, 2));
        let other = RecordKey { collection: CollectionName::new("other").unwrap(), record: record("r").record };
        assert_eq!(set.diff(&Scope::User, 1, &other, None, Some(&first)), IndexChange::default());
    }

    proptest! {
        #[test]
        fn an_entry_gives_back_its_record(doc in arbitrary::document(), id in "[a-z]{1,5}") {
            let definition = define("i", &["/a", "/c/d", "/b"]);
            let key = definition.entry(&Scope::User, 7, &RecordId::new(&id).unwrap(), &doc);
            let prefix = definition.prefix(&Scope::User, 7).len();
            let entry = Entry::parse(&key, prefix, 3, 1, 2).unwrap();
            prop_assert_eq!(entry.id.as_str(), id.as_str());
            let is_long = |field: &str| doc.pointer(field).and_then(Value::as_str).is_some_and(|text| text.len() > 299);
            prop_assert_eq!(entry.cut, is_long("/c/d") || is_long("/b"));
            prop_assert!(entry.cut || entry.decided + id.len() == key.len());
        }
    }
}
