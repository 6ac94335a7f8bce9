//! Events: one local mutation each, with its action and field operations.

use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{CollectionName, DeviceId, EventId, GroupId, Pointer, RecordId, RecordKey, Revision, Value, value};
use crate::clock::Stamp;
use crate::error::{Error, InvalidCode};
use crate::limits::MAX_OPS_PER_EVENT;
use crate::reading::{self, FromFields};

/// What an event does to its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "uniffi", derive(uniffi::Enum))]
#[cfg_attr(feature = "wasm", derive(tsify::Tsify))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum SyncAction {
    /// Sets all leaves of `doc`.
    Create,
    /// Applies `ops`.
    Update,
    /// Deletes the record.
    Delete,
}

reading::names!(SyncAction { Create "create", Update "update", Delete "delete" });

/// How an event meets concurrent writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "uniffi", derive(uniffi::Enum))]
#[cfg_attr(feature = "wasm", derive(tsify::Tsify))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Leaf by leaf.
    #[default]
    Merge,
    /// Only if nothing that it touches was changed after `base` by another writer.
    Strict,
}

reading::names!(Mode { Merge "merge", Strict "strict" });

/// Who wins a conflict; set on the client, per collection and field, and carried by the event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "uniffi", derive(uniffi::Enum))]
#[cfg_attr(feature = "wasm", derive(tsify::Tsify))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// The later stamp, then the greater device id.
    #[default]
    LastWriteWins,
    /// This event loses every concurrent leaf.
    ServerWins,
    /// This event wins every concurrent leaf.
    ClientWins,
    /// A delete beats a concurrent update (the default, said explicitly).
    DeleteWins,
    /// A concurrent update keeps the record alive.
    UpdateWins,
}

reading::names!(Policy {
    LastWriteWins "last_write_wins",
    ServerWins "server_wins",
    ClientWins "client_wins",
    DeleteWins "delete_wins",
    UpdateWins "update_wins",
});

/// One field operation.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "uniffi", derive(uniffi::Record))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Op {
    /// The field.
    pub path: Pointer,
    /// What is done to it.
    #[serde(flatten)]
    pub kind: OpKind,
    /// Overrides the event's base: an earlier unsettled event of this device touched this path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Revision>,
    /// Overrides the event's stamp: this op was folded from another event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stamp: Option<Stamp>,
}

reading::fields!(Op {
    path, op, value by reading::present = None, by = None, values = None, edit = None, base = None, stamp = None,
} => Self { path, kind: OpKind::of(op, value, by, values, edit)?, base, stamp });

/// The kinds of field operation.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "uniffi", derive(uniffi::Enum))]
#[cfg_attr(feature = "wasm", derive(tsify::Tsify))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum OpKind {
    /// Assigns a leaf (or, with an object, the whole subtree).
    Set {
        /// The new value.
        value: Value,
    },
    /// Removes a field.
    Unset,
    /// Adds to a 64-bit integer; an absent field counts as 0.
    Inc {
        /// The increment, which may be negative.
        by: i64,
    },
    /// Adds elements to an array used as a set.
    Add {
        /// The elements.
        values: Vec<Value>,
    },
    /// Removes elements from an array used as a set.
    Remove {
        /// The elements.
        values: Vec<Value>,
    },
    /// Edits a text.
    Text {
        /// The edit.
        edit: TextEdit,
    },
}

reading::fields!(OpKind { op, value by reading::present = None, by = None, values = None, edit = None } =>
    Self::of(op, value, by, values, edit)?);

/// The names of the kinds.
#[derive(Clone, Copy)]
enum OpName {
    Set,
    Unset,
    Inc,
    Add,
    Remove,
    Text,
}

reading::names!(OpName {
    Set "set",
    Unset "unset",
    Inc "inc",
    Add "add",
    Remove "remove",
    Text "text",
});

impl OpKind {
    /// The kind of that name, with those of the fields that it has.
    fn of<E: serde::de::Error>(
        name: OpName,
        value: Option<Value>,
        by: Option<i64>,
        values: Option<Vec<Value>>,
        edit: Option<TextEdit>,
    ) -> Result<Self, E> {
        let missing = E::missing_field;
        Ok(match name {
            OpName::Set => Self::Set { value: value.ok_or_else(|| missing("value"))? },
            OpName::Unset => Self::Unset,
            OpName::Inc => Self::Inc { by: by.ok_or_else(|| missing("by"))? },
            OpName::Add => Self::Add { values: values.ok_or_else(|| missing("values"))? },
            OpName::Remove => Self::Remove { values: values.ok_or_else(|| missing("values"))? },
            OpName::Text => Self::Text { edit: edit.ok_or_else(|| missing("edit"))? },
        })
    }
}

/// A text edit in the form of `ot-text-unicode`: components that walk the old text in Unicode code points.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "wasm", derive(tsify::Tsify))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(transparent)]
pub struct TextEdit(pub Vec<TextComponent>);

/// One step of a [`TextEdit`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "uniffi", derive(uniffi::Enum))]
#[cfg_attr(feature = "wasm", derive(tsify::Tsify))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum TextComponent {
    /// Skips this many code points.
    Skip(u64),
    /// Inserts text here.
    Insert(String),
    /// Deletes code points.
    Delete {
        /// How many.
        d: u64,
    },
}

impl<'de> Deserialize<'de> for TextComponent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Component;

        impl<'de> Visitor<'de> for Component {
            type Value = TextComponent;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a count, a text or a deletion")
            }

            fn visit_u64<E>(self, count: u64) -> Result<TextComponent, E> {
                Ok(TextComponent::Skip(count))
            }

            fn visit_str<E>(self, text: &str) -> Result<TextComponent, E> {
                Ok(TextComponent::Insert(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<TextComponent, A::Error> {
                Deletion::from_fields(fields).map(|Deletion { d }| TextComponent::Delete { d })
            }
        }

        deserializer.deserialize_any(Component)
    }
}

struct Deletion {
    d: u64,
}

reading::fields!(Deletion { d });

impl TextEdit {
    /// Checks the form: no empty component, no two alike in a row, no trailing skip, no U+0000.
    ///
    /// # Errors
    /// `invalid_text_edit`.
    pub fn validate(&self) -> Result<(), Error> {
        let fail = |why| Err(Error::invalid(InvalidCode::TextEdit, format!("text edit {why}")));
        for component in &self.0 {
            match component {
                TextComponent::Skip(0) | TextComponent::Delete { d: 0 } => return fail("has an empty component"),
                TextComponent::Insert(text) if text.is_empty() => return fail("has an empty component"),
                TextComponent::Insert(text) if text.contains('\0') => return fail("inserts U+0000"),
                _ => {}
            }
        }
        if self.0.windows(2).any(|pair| std::mem::discriminant(&pair[0]) == std::mem::discriminant(&pair[1])) {
            return fail("has two components of one kind in a row");
        }
        if matches!(self.0.last(), Some(TextComponent::Skip(_))) {
            return fail("ends with a skip");
        }
        Ok(())
    }
}

/// One local mutation: what the queue keeps and the push sends.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "uniffi", derive(uniffi::Record))]
#[cfg_attr(feature = "wasm", derive(tsify::Tsify))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SyncEvent {
    /// Its identity (UUIDv7).
    pub id: EventId,
    /// The collection.
    pub collection: CollectionName,
    /// The record.
    pub record: RecordId,
    /// What it does.
    pub action: SyncAction,
    /// Field operations of an `update`; in a `create`, updates that were folded into it before it was sent, each with its
    /// own stamp (folding must not change who wins).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ops: Vec<Op>,
    /// The document; `create` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doc: Option<Value>,
    /// The revision that its writer had seen: that of the read which the write named, else the record's confirmed revision in the
    /// replica when the write was made; 0 for none.
    pub base: Revision,
    /// When it was made.
    pub stamp: Stamp,
    /// The transaction it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupId>,
    /// Events that must be settled well before this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<EventId>,
    /// Reserved: things that must have arrived first (`blob:<sha256>`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// Version of the app's data.
    #[serde(default = "one")]
    pub schema: u32,
    /// How it meets concurrent writes.
    #[serde(default)]
    pub mode: Mode,
    /// Who wins; absent means last write wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,
}

fn one() -> u32 {
    1
}

reading::fields!(SyncEvent {
    id, collection, record, action, ops = Vec::new(), doc = None, base, stamp, group = None, depends_on = Vec::new(),
    needs = Vec::new(), schema = one(), mode = Mode::default(), policy = None,
});

/// Why an event's content cannot be applied by anyone; the code of its `rejected` receipt.
pub type EventContentError = Error;

impl SyncEvent {
    /// The record's name.
    #[must_use]
    pub fn key(&self) -> RecordKey {
        RecordKey { collection: self.collection.clone(), record: self.record.clone() }
    }

    /// The base that holds for `op`.
    #[must_use]
    pub fn base_of(&self, op: &Op) -> Revision {
        op.base.unwrap_or(self.base)
    }

    /// The stamp that holds for `op`.
    #[must_use]
    pub fn stamp_of<'a>(&'a self, op: &'a Op) -> &'a Stamp {
        op.stamp.as_ref().unwrap_or(&self.stamp)
    }

    /// The device that made it (the last part of its stamp).
    #[must_use]
    pub fn device(&self) -> &DeviceId {
        &self.stamp.device
    }

    /// The merge policy that holds.
    #[must_use]
    pub fn policy(&self) -> Policy {
        self.policy.unwrap_or_default()
    }

    /// Checks everything that does not depend on the record's state, and normalizes its values. The same check runs at the
    /// local write and on the server. Reserved collections pass here: who may write them is the caller's question.
    ///
    /// # Errors
    /// An `invalid` error with the code of the first offence.
    pub fn admit(&mut self) -> Result<(), EventContentError> {
        let shape = match self.action {
            SyncAction::Create => self.doc.is_some(),
            SyncAction::Update => self.doc.is_none() && !self.ops.is_empty(),
            SyncAction::Delete => self.doc.is_none() && self.ops.is_empty(),
        };
        if !shape {
            return Err(Error::invalid(
                InvalidCode::EventShape,
                "`create` carries `doc` (and folded `ops`), `update` carries `ops`, `delete` neither",
            ));
        }
        if let Some(doc) = &mut self.doc {
            value::admit_document(doc)?;
        }
        admit_ops(&mut self.ops)
    }

    /// Identifies the content, so that one id with two contents is noticed (`id_reused`): SHA-256, in hex, of the canonical
    /// event without bases and stamps, which a client may lower or renew when it re-offers an event.
    #[must_use]
    pub fn payload_hash(&self) -> String {
        value::hex(&Sha256::digest(value::canonical_of(&Content::of(self))))
    }
}

/// Checks operations, and normalizes their values.
///
/// # Errors
/// An `invalid` error with the code of the first offence.
pub(crate) fn admit_ops(ops: &mut [Op]) -> Result<(), EventContentError> {
    if ops.len() > MAX_OPS_PER_EVENT {
        return Err(Error::invalid(InvalidCode::EventShape, "an event has at most 10000 ops"));
    }
    for op in ops {
        // Whatever events meet in a document, none is deeper than the limit.
        let depth = op.path.keys().count();
        match &mut op.kind {
            OpKind::Set { value } => value::admit_at(value, op.path.as_str(), depth)?,
            OpKind::Add { values } | OpKind::Remove { values } => {
                values.iter_mut().try_for_each(|value| value::admit_at(value, op.path.as_str(), depth + 1))?;
            }
            OpKind::Text { edit } => edit.validate()?,
            OpKind::Unset | OpKind::Inc { .. } => {}
        }
    }
    Ok(())
}

/// What [`SyncEvent::payload_hash`] covers. The fields stand in the order of their names, which makes the serialized form
/// the canonical one without a tree being built and sorted.
#[derive(Serialize)]
struct Content<'e> {
    action: SyncAction,
    collection: &'e CollectionName,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    depends_on: &'e [EventId],
    #[serde(skip_serializing_if = "Option::is_none")]
    doc: Option<&'e Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'e GroupId>,
    id: &'e EventId,
    mode: Mode,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    needs: &'e [String],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ops: Vec<OpContent<'e>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<Policy>,
    record: &'e RecordId,
    schema: u32,
}

/// An operation's part of it.
#[derive(Serialize)]
struct OpContent<'e> {
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    edit: Option<&'e TextEdit>,
    op: &'static str,
    path: &'e Pointer,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'e Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    values: Option<&'e [Value]>,
}

impl<'e> Content<'e> {
    fn of(event: &'e SyncEvent) -> Self {
        Self {
            action: event.action,
            collection: &event.collection,
            depends_on: &event.depends_on,
            doc: event.doc.as_ref(),
            group: event.group.as_ref(),
            id: &event.id,
            mode: event.mode,
            needs: &event.needs,
            ops: event.ops.iter().map(OpContent::of).collect(),
            policy: event.policy,
            record: &event.record,
            schema: event.schema,
        }
    }
}

impl<'e> OpContent<'e> {
    fn of(op: &'e Op) -> Self {
        let bare = |op_name| Self { by: None, edit: None, op: op_name, path: &op.path, value: None, values: None };
        match &op.kind {
            OpKind::Set { value } => Self { value: Some(value), ..bare("set") },
            OpKind::Unset => bare("unset"),
            OpKind::Inc { by } => Self { by: Some(*by), ..bare("inc") },
            OpKind::Add { values } => Self { values: Some(values), ..bare("add") },
            OpKind::Remove { values } => Self { values: Some(values), ..bare("remove") },
            OpKind::Text { edit } => Self { edit: Some(edit), ..bare("text") },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The definition: the canonical event without bases and stamps.
    fn hash_of_the_tree(event: &SyncEvent) -> String {
        let mut tree = serde_json::to_value(event).unwrap();
        let strip = |object: &mut Value| ["base", "stamp"].map(|name| object.as_object_mut().unwrap().remove(name));
        strip(&mut tree);
        tree.get_mut("ops").and_then(Value::as_array_mut).into_iter().flatten().for_each(|op| drop(strip(op)));
        value::hash_hex(&tree)
    }

    #[test]
    fn the_payload_hash_is_that_of_the_canonical_event_for_every_kind_of_event() {
        let bare = json!({"id": "0193-a", "collection": "samples", "record": "kick", "base": 3, "stamp": "019a3f2c11d0-0003-dev-a"});
        let ops = json!([
            {"op": "set", "path": "/z", "value": {"b": 1.5, "a": [1e300, "ü"]}, "base": 2, "stamp": "019a3f2c11cf-0000-dev-a"},
            {"op": "unset", "path": "/y"}, {"op": "inc", "path": "/x", "by": -7},
            {"op": "add", "path": "/t", "values": ["x", 2]}, {"op": "remove", "path": "/t", "values": [null]},
            {"op": "text", "path": "/n", "edit": [5, "new", {"d": 3}]},
        ]);
        let rest = json!({"group": "g", "depends_on": ["0193-b"], "needs": ["blob:1"], "schema": 4, "mode": "strict", "policy": "client_wins"});
        for fields in [
            json!({"action": "delete"}),
            json!({"action": "update", "ops": ops}),
            json!({"action": "create", "doc": {"b": 0.1, "a": {"c": -1}}}),
            json!({"action": "create", "doc": {}, "ops": ops}),
        ] {
            for with in [json!({}), rest.clone()] {
                let mut event = bare.clone();
                for more in [&fields, &with] {
                    event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
                }
                let event: SyncEvent = serde_json::from_value(event).unwrap();
                assert_eq!(event.payload_hash(), hash_of_the_tree(&event), "{event:?}");
            }
        }
    }
}
