//! Conflict notes: what lost, kept where the user can find it.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::clock::Stamp;
use crate::limits::{MAX_NOTE_BYTES, MAX_NOTE_LOSERS, MAX_NOTE_VALUE_BYTES};
use crate::model::{Author, Pointer, RecordId, RecordKey, Revision, Value, value};

/// Why one side lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// By stamp.
    Stamp,
    /// By a policy that the event carried.
    Policy,
    /// A delete met a concurrent update.
    Delete,
    /// A parent was assigned over its children, or a child made a scalar parent an object.
    Parent,
    /// A concurrent create chose the same id.
    Create,
}

/// One side of a conflict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Side {
    /// The value, which may be `null`; absent if this side removed it.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub value: Option<Value>,
    /// When it was written.
    pub stamp: Stamp,
    /// By whom.
    pub by: Author,
    /// The write's revision (for a loser that never took effect, the revision of the event that carried it).
    pub revision: Revision,
}

/// One conflict that a merge decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// The leaf; absent for the record as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<Pointer>,
    /// Who won.
    pub winner: Side,
    /// Who lost.
    pub loser: Side,
    /// Why.
    pub rule: Rule,
    /// The value that both had seen, where known.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub base: Option<Value>,
}

/// Keeps a stored `null` from being read as "absent".
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// The id of the open note on a leaf: a hash of collection, record, path and floor.
#[must_use]
pub fn note_id(key: &RecordKey, path: Option<&Pointer>, floor: Revision) -> RecordId {
    let mut hasher = Sha256::new();
    for part in [key.collection.as_str(), key.record.as_str(), path.map_or("", Pointer::as_str)] {
        // Names and pointers hold no U+0000, so it separates them.
        hasher.update(part.as_bytes());
        hasher.update([0]);
    }
    hasher.update(floor.to_be_bytes());
    RecordId::new(value::hex(&hasher.finalize()[..16])).expect("hex digits are a name")
}

/// The note's document after `decision`, on top of the open note if there is one. Bounded: the newest
/// [`MAX_NOTE_LOSERS`] losers, values above [`MAX_NOTE_VALUE_BYTES`] by reference (`{"sha256", "bytes"}` in `value_ref`), at
/// most [`MAX_NOTE_BYTES`] in all.
///
/// Fields: `collection`, `record`, `path` (absent for the record as a whole), `floor`, `winner` and each of `losers`
/// (`value` or `value_ref`, absent if that side removed it; `stamp`, `user`, `device`, `revision`; losers also `rule`),
/// `base` or `base_ref` where known, `resolved`, `dropped` (losers that had to make room).
///
/// The values behind references are kept beside the note, whole: [`referred`] names them.
#[must_use]
pub fn fold_note(open: Option<&Value>, key: &RecordKey, floor: Revision, decision: &Decision) -> Value {
    let mut losers: Vec<Value> = open.and_then(|note| note.get("losers")?.as_array().cloned()).unwrap_or_default();
    let mut dropped = open.and_then(|note| note.get("dropped")?.as_u64()).unwrap_or(0);
    let mut loser = side(&decision.loser);
    loser["rule"] = serde_json::to_value(decision.rule).expect("a rule serializes");
    // One event may lose several elements of one set: they differ in nothing but the value.
    let told = ["revision", "stamp", "value", "value_ref"];
    losers.retain(|known| told.iter().any(|field| known.get(field) != loser.get(field)));
    losers.push(loser);
    // The text of stamps sorts like the stamps: the newest last.
    losers.sort_by(|a, b| a["stamp"].as_str().cmp(&b["stamp"].as_str()));

    let mut note = json!({
        "collection": key.collection,
        "record": key.record,
        "floor": floor,
        "winner": side(&decision.winner),
        "resolved": false,
    });
    if let Some(path) = &decision.path {
        note["path"] = json!(path);
    }
    // The first decision of a note knew the value before all of them.
    let known = |field| open.and_then(|note| note.get(field));
    match (known("base"), known("base_ref"), &decision.base) {
        (Some(base), _, _) => note["base"] = base.clone(),
        (_, Some(base), _) => note["base_ref"] = base.clone(),
        (_, _, Some(base)) => put_value(&mut note, ("base", "base_ref"), base),
        _ => {}
    }
    loop {
        note["losers"] = Value::Array(losers.clone());
        note["dropped"] = json!(dropped);
        if losers.len() <= MAX_NOTE_LOSERS && (losers.len() == 1 || value::canonical_len(&note) <= MAX_NOTE_BYTES) {
            return note;
        }
        losers.remove(0);
        dropped += 1;
    }
}

fn side(side: &Side) -> Value {
    let mut told = json!({
        "stamp": side.stamp,
        "user": side.by.user,
        "device": side.by.device,
        "revision": side.revision,
    });
    if let Some(value) = &side.value {
        put_value(&mut told, ("value", "value_ref"), value);
    }
    told
}

/// Puts a value, or a reference to it, into the field that says which of the two it is.
fn put_value(into: &mut Value, (whole, reference): (&str, &str), value: &Value) {
    let bytes = value::canonical_len(value);
    if bytes > MAX_NOTE_VALUE_BYTES {
        into[reference] = json!({"sha256": value::hash_hex(value), "bytes": bytes});
    } else {
        into[whole] = value.clone();
    }
}

/// A value to which a note refers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Referred<'n> {
    /// SHA-256 over its canonical form, in hex.
    pub sha256: &'n str,
    /// Length of its canonical form.
    pub bytes: u64,
    /// The write that carried it, for a side; 0 for the base.
    pub revision: Revision,
}

/// The values to which `note` refers: winner's, losers' and base.
#[must_use]
pub fn referred(note: &Value) -> Vec<Referred<'_>> {
    let losers = note.get("losers").and_then(Value::as_array).into_iter().flatten();
    let sides = note.get("winner").into_iter().chain(losers);
    let references = sides.filter_map(|side| Some((side.get("value_ref")?, side.get("revision")?.as_u64()?)));
    let base = note.get("base_ref").map(|base| (base, 0));
    references
        .chain(base)
        .filter_map(|(reference, revision)| {
            let (sha256, bytes) = (reference.get("sha256")?.as_str()?, reference.get("bytes")?.as_u64()?);
            Some(Referred { sha256, bytes, revision })
        })
        .collect()
}

/// The values of `decision`, each of which its note may hold or refer to.
pub fn values_of(decision: &Decision) -> impl Iterator<Item = &Value> {
    [&decision.winner.value, &decision.loser.value, &decision.base].into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CollectionName, DeviceId};

    fn key() -> RecordKey {
        RecordKey { collection: CollectionName::new("samples").unwrap(), record: RecordId::new("a").unwrap() }
    }

    fn made(ms: u64, value: Option<Value>) -> Side {
        let device = DeviceId::new("d").unwrap();
        Side {
            value,
            stamp: Stamp { ms, counter: 0, device: device.clone() },
            by: Author { user: "alice".into(), device },
            revision: ms,
        }
    }

    fn lost(ms: u64, value: Value) -> Decision {
        Decision {
            path: Some(Pointer::top("bpm")),
            winner: made(99, Some(json!(1))),
            loser: made(ms, Some(value)),
            rule: Rule::Stamp,
            base: Some(json!(0)),
        }
    }

    #[test]
    fn a_note_keeps_the_newest_losers_and_counts_the_rest() {
        let mut note = None;
        for ms in [3, 12, 1, 2, 4, 5, 6, 7, 8, 9] {
            note = Some(fold_note(note.as_ref(), &key(), 0, &lost(ms, json!(ms))));
        }
        let note = note.unwrap();
        let kept: Vec<_> = note["losers"].as_array().unwrap().iter().map(|loser| loser["value"].clone()).collect();
        assert_eq!(kept, [3, 4, 5, 6, 7, 8, 9, 12].map(|ms| json!(ms)));
        assert_eq!((&note["dropped"], &note["base"], &note["path"]), (&json!(2), &json!(0), &json!("/bpm")));
    }

    #[test]
    fn large_values_are_kept_by_reference_and_a_note_stays_within_bounds() {
        let large = json!("x".repeat(MAX_NOTE_VALUE_BYTES));
        let note = fold_note(None, &key(), 0, &lost(1, large.clone()));
        assert_eq!(note["losers"][0]["value_ref"]["sha256"], json!(value::hash_hex(&large)));
        let mut note = None;
        for ms in 1..=8 {
            note = Some(fold_note(note.as_ref(), &key(), 0, &lost(ms, json!("x".repeat(16_000)))));
        }
        let mut note = note.unwrap();
        assert!(value::canonical_len(&note) <= MAX_NOTE_BYTES);
        assert!(note["dropped"].as_u64().unwrap() >= 4);
        value::admit_document(&mut note).unwrap();
    }

    #[test]
    fn a_null_that_met_a_conflict_is_still_a_null_when_it_is_read_from_the_log() {
        let decision = Decision { base: Some(json!(null)), ..lost(1, json!(null)) };
        let stored = serde_json::to_string(&decision).unwrap();
        assert_eq!(serde_json::from_str::<Decision>(&stored).unwrap(), decision);
        let removed = Decision { base: None, loser: made(1, None), ..decision };
        let stored = serde_json::to_string(&removed).unwrap();
        assert_eq!(serde_json::from_str::<Decision>(&stored).unwrap(), removed);
    }

    #[test]
    fn the_same_loser_is_noted_once() {
        let once = fold_note(None, &key(), 0, &lost(1, json!(5)));
        assert_eq!(fold_note(Some(&once), &key(), 0, &lost(1, json!(5))), once);
    }

    #[test]
    fn every_element_that_one_event_lost_is_noted() {
        let one = fold_note(None, &key(), 0, &lost(1, json!("x")));
        let both = fold_note(Some(&one), &key(), 0, &lost(1, json!("y")));
        let values: Vec<_> = both["losers"].as_array().unwrap().iter().map(|loser| loser["value"].clone()).collect();
        assert_eq!(values, [json!("x"), json!("y")]);
    }

    #[test]
    fn a_value_of_the_largest_size_is_in_the_note_itself_and_a_larger_one_is_referred_to() {
        let largest = json!("x".repeat(MAX_NOTE_VALUE_BYTES - 2));
        let note = fold_note(None, &key(), 0, &Decision { base: Some(largest.clone()), ..lost(1, largest.clone()) });
        assert_eq!((&note["losers"][0]["value"], &note["base"]), (&largest, &largest));
        assert_eq!(referred(&note), []);
        let larger = json!("x".repeat(MAX_NOTE_VALUE_BYTES - 1));
        let decision = Decision { base: Some(larger.clone()), ..lost(3, larger.clone()) };
        let note = fold_note(None, &key(), 0, &decision);
        let hash = value::hash_hex(&larger);
        let reference = |revision| Referred { sha256: &hash, bytes: MAX_NOTE_VALUE_BYTES as u64 + 1, revision };
        assert_eq!(referred(&note), [reference(3), reference(0)]);
        assert_eq!((note.get("base"), note["losers"][0].get("value")), (None, None));
        // The base of the first decision stays the note's.
        let again = fold_note(Some(&note), &key(), 0, &lost(4, json!(1)));
        assert_eq!(again["base_ref"], note["base_ref"]);
        assert_eq!(again.get("base"), None);
    }

    #[test]
    fn each_leaf_and_each_life_of_a_record_has_a_note_of_its_own() {
        let (bpm, name) = (Pointer::top("bpm"), Pointer::top("name"));
        let ids = [
            note_id(&key(), Some(&bpm), 0),
            note_id(&key(), Some(&name), 0),
            note_id(&key(), Some(&bpm), 4),
            note_id(&key(), None, 0),
        ];
        assert_eq!(ids.iter().collect::<std::collections::BTreeSet<_>>().len(), 4);
        assert_eq!(note_id(&key(), Some(&bpm), 0), ids[0]);
    }
}
