//! Whether a write was kept: it must stand in the record, or be found in the conflict inbox. There is no third way.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::wire::{Change, Edit};

/// A conflict note, as far as the demo reads it.
#[derive(Clone, Debug, Deserialize)]
pub struct Note {
    pub record: String,
    /// The leaf; absent for the record as a whole.
    pub path: Option<String>,
    pub winner: Side,
    pub losers: Vec<Loser>,
}

/// A value that a note tells of.
#[derive(Clone, Debug, Deserialize)]
pub struct Side {
    /// Absent if this side removed it, or if it is kept by reference.
    pub value: Option<Value>,
    pub device: String,
}

/// A value that lost.
#[derive(Clone, Debug, Deserialize)]
pub struct Loser {
    #[serde(flatten)]
    pub side: Side,
    pub rule: String,
}

/// What became of one write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is in the record.
    Stands,
    /// It lost and is in the inbox.
    InInbox,
    /// Some of its fields stand, the others are in the inbox.
    Partly,
    /// It is nowhere.
    Lost,
}

/// The records before and after, and the inbox.
pub struct Judge<'a> {
    pub before: &'a BTreeMap<String, Option<Value>>,
    pub after: &'a BTreeMap<String, Option<Value>>,
    pub notes: &'a [Note],
    /// Sum of all increments per record and path.
    increments: BTreeMap<(&'a str, &'a str), i64>,
}

impl<'a> Judge<'a> {
    pub fn new(
        before: &'a BTreeMap<String, Option<Value>>,
        after: &'a BTreeMap<String, Option<Value>>,
        notes: &'a [Note],
        edits: impl IntoIterator<Item = &'a Edit>,
    ) -> Self {
        let mut increments = BTreeMap::new();
        for edit in edits {
            if let Change::Increment { path, by } = &edit.change {
                *increments.entry((edit.record.as_str(), path.as_str())).or_default() += by;
            }
        }
        Self { before, after, notes, increments }
    }

    pub fn fate(&self, record: &str, change: &Change) -> Fate {
        let after = self.after.get(record).and_then(Option::as_ref);
        match change {
            Change::Set { path, value } => self.fate_of_value(record, path, value),
            Change::Create { doc } => {
                let fields = doc.as_object().into_iter().flatten();
                let fates = fields.map(|(field, value)| self.fate_of_value(record, &format!("/{field}"), value));
                fates.reduce(both).unwrap_or(Fate::Lost)
            }
            // Increments are added up, all of them: there is no loser.
            Change::Increment { path, .. } => {
                let number = |doc: Option<&Value>| doc.and_then(|doc| doc.pointer(path)?.as_i64());
                let before = number(self.before.get(record).and_then(Option::as_ref)).unwrap_or(0);
                let sum = self.increments.get(&(record, path.as_str())).copied().unwrap_or(0);
                if number(after) == before.checked_add(sum) { Fate::Stands } else { Fate::Lost }
            }
            Change::Add { path, values } => {
                let elements = after.and_then(|doc| doc.pointer(path)?.as_array());
                let has = |value: &String| {
                    elements.is_some_and(|elements| elements.iter().any(|element| element.as_str() == Some(value)))
                };
                if values.iter().all(has) { Fate::Stands } else { Fate::Lost }
            }
            Change::Delete if after.is_none() => Fate::Stands,
            Change::Delete => {
                let noted = self.losers(record).any(|(path, loser)| path.is_empty() && loser.side.value.is_none());
                if noted { Fate::InInbox } else { Fate::Lost }
            }
        }
    }

    fn fate_of_value(&self, record: &str, path: &str, value: &Value) -> Fate {
        let after = self.after.get(record).and_then(Option::as_ref);
        if after.and_then(|doc| doc.pointer(path)) == Some(value) {
            return Fate::Stands;
        }
        // A note on the record or on a parent holds the value within.
        let noted = self.losers(record).any(|(noted, loser)| {
            let within = path.strip_prefix(noted).filter(|rest| rest.is_empty() || rest.starts_with('/'));
            within.is_some_and(|within| loser.side.value.as_ref().and_then(|lost| lost.pointer(within)) == Some(value))
        });
        if noted { Fate::InInbox } else { Fate::Lost }
    }

    fn losers(&self, record: &str) -> impl Iterator<Item = (&str, &Loser)> {
        self.notes
            .iter()
            .filter(move |note| note.record == record)
            .flat_map(|note| note.losers.iter().map(|loser| (note.path.as_deref().unwrap_or(""), loser)))
    }
}

fn both(one: Fate, other: Fate) -> Fate {
    match (one, other) {
        (Fate::Lost, _) | (_, Fate::Lost) => Fate::Lost,
        (one, other) if one == other => one,
        _ => Fate::Partly,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn note(record: &str, path: Option<&str>, lost: Value) -> Note {
        let note = json!({
            "record": record, "path": path, "winner": {"device": "b"},
            "losers": [{"value": lost, "device": "a", "rule": "stamp"}],
        });
        serde_json::from_value(note).unwrap()
    }

    fn fates(doc: Value, notes: &[Note], changes: &[Change]) -> Vec<Fate> {
        let before = BTreeMap::from([("r".to_owned(), Some(json!({"plays": 2})))]);
        let after = BTreeMap::from([("r".to_owned(), (!doc.is_null()).then_some(doc))]);
        let edits: Vec<_> = changes.iter().map(|change| Edit { record: "r".into(), change: change.clone() }).collect();
        let judge = Judge::new(&before, &after, notes, &edits);
        changes.iter().map(|change| judge.fate("r", change)).collect()
    }

    fn set(path: &str, value: Value) -> Change {
        Change::Set { path: path.into(), value }
    }

    #[test]
    fn a_value_stands_or_is_in_the_inbox_or_is_lost() {
        let notes = [note("r", Some("/name"), json!("two")), note("other", Some("/name"), json!("three"))];
        let changes = [set("/name", json!("one")), set("/name", json!("two")), set("/name", json!("three"))];
        assert_eq!(fates(json!({"name": "one"}), &notes, &changes), [Fate::Stands, Fate::InInbox, Fate::Lost]);
    }

    #[test]
    fn a_note_on_the_whole_record_holds_its_fields() {
        let changes = [set("/rating", json!(4)), Change::Delete];
        let notes = [note("r", None, json!({"rating": 4}))];
        assert_eq!(fates(Value::Null, &notes, &changes), [Fate::InInbox, Fate::Stands]);
        assert_eq!(fates(Value::Null, &[note("r", Some("/rat"), json!(4))], &changes), [Fate::Lost, Fate::Stands]);
        assert_eq!(fates(json!({}), &[], &changes), [Fate::Lost, Fate::Lost]);
    }

    #[test]
    fn every_increment_counts() {
        let inc = |by| Change::Increment { path: "/plays".into(), by };
        let changes = [inc(3), inc(4)];
        assert_eq!(fates(json!({"plays": 9}), &[], &changes), [Fate::Stands; 2]);
        assert_eq!(fates(json!({"plays": 6}), &[], &changes), [Fate::Lost; 2]);
    }

    #[test]
    fn every_added_element_must_be_there() {
        let add = |tag: &str| Change::Add { path: "/tags".into(), values: vec![tag.into()] };
        let changes = [add("808"), add("dark")];
        assert_eq!(fates(json!({"tags": ["808"]}), &[], &changes), [Fate::Stands, Fate::Lost]);
    }

    #[test]
    fn a_create_may_stand_in_part() {
        let create = Change::Create { doc: json!({"name": "one", "place": "shed"}) };
        let notes = [note("r", Some("/name"), json!("one"))];
        assert_eq!(
            fates(json!({"name": "two", "place": "shed"}), &notes, std::slice::from_ref(&create)),
            [Fate::Partly]
        );
        assert_eq!(fates(json!({"name": "two", "place": "shed"}), &[], &[create]), [Fate::Lost]);
    }
}
