//! Planning: what a draft comes to, given what the app sees. What the view holds already is no edit.

use std::collections::BTreeSet;

use super::draft::Mutation;
use crate::collections::set_of;
use crate::error::{Error, InvalidCode, Result};
use crate::limits::{MAX_DOCUMENT_BYTES, MAX_OPS_PER_EVENT};
use crate::merge::apply;
use crate::model::value::{canonical, canonical_len, kind_of};
use crate::model::{
    Op, OpKind, RecordKey, SyncAction, Value, admit_ops, ops_between, ops_of_patch, value, without_nulls,
};

/// What a write does: an event's content without its identity.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plan {
    pub action: SyncAction,
    /// `create` only.
    pub doc: Option<Value>,
    /// `update` only. May hold what has no effect; [`Plan::take_effect`] takes that out.
    pub ops: Vec<Op>,
}

impl Plan {
    /// Checks a mutation of the record that is seen as `view`, and says what it does.
    pub(super) fn of(key: &RecordKey, mutation: &Mutation, view: Option<&Value>) -> Result<Self> {
        let plan = |action, doc, ops| Self { action, doc, ops };
        Ok(match (mutation, view) {
            (Mutation::Create(_), Some(_)) => return Err(Error::AlreadyExists(key.to_string())),
            (Mutation::Create(doc) | Mutation::Put(doc), None) => {
                plan(SyncAction::Create, Some(admitted(doc, true)?), Vec::new())
            }
            (Mutation::Upsert(patch), None) => {
                plan(SyncAction::Create, Some(without_nulls(admitted(patch, true)?)), Vec::new())
            }
            (_, None) => return Err(Error::NotFound(key.to_string())),
            (Mutation::Put(doc), Some(view)) => {
                plan(SyncAction::Update, None, bounded(ops_between(view, admitted(doc, true)?))?)
            }
            (Mutation::Update(patch) | Mutation::Upsert(patch), Some(view)) => {
                plan(SyncAction::Update, None, bounded(ops_of_patch(admitted(patch, false)?, view)?)?)
            }
            (Mutation::Edit(edits), Some(_)) => {
                let edits = edits.iter().cloned();
                let mut ops: Vec<_> = edits.map(|(path, kind)| Op { path, kind, base: None, stamp: None }).collect();
                admit_ops(&mut ops)?;
                plan(SyncAction::Update, None, ops)
            }
            (Mutation::Delete, Some(_)) => plan(SyncAction::Delete, None, Vec::new()),
        })
    }

    /// Makes of `view` the view after the write, and leaves of its operations those that change something. Refuses one that does
    /// not fit the view, and what makes too large a document. Returns whether anything changes: an assertion is no edit.
    pub(super) fn take_effect(&mut self, view: &mut Option<Value>) -> Result<bool> {
        if self.action != SyncAction::Update {
            view.clone_from(&self.doc);
            return Ok(true);
        }
        let doc = view.get_or_insert_default();
        let mut changing = Vec::with_capacity(self.ops.len());
        for op in std::mem::take(&mut self.ops) {
            let changes = changes(&op, doc)?;
            if let Some(skipped) = apply(doc, std::slice::from_ref(&op)).pop() {
                return Err(unfit(&op, doc, skipped.code));
            }
            if changes {
                changing.push(op);
            }
        }
        self.ops = changing;
        if self.ops.is_empty() {
            return Ok(false);
        }
        let size = canonical_len(doc);
        if size > MAX_DOCUMENT_BYTES {
            return Err(Error::invalid(
                InvalidCode::DocumentTooLarge,
                format!("the record would have {size} bytes, more than {MAX_DOCUMENT_BYTES}"),
            ));
        }
        Ok(true)
    }
}

fn admitted(value: &Value, whole: bool) -> Result<Value> {
    let mut value = value.clone();
    if whole {
        value::admit_document(&mut value)?;
    } else {
        value::admit(&mut value)?;
    }
    Ok(value)
}

fn bounded(ops: Vec<Op>) -> Result<Vec<Op>> {
    if ops.len() > MAX_OPS_PER_EVENT {
        return Err(Error::invalid(
            InvalidCode::EventShape,
            format!("the write changes {} fields, more than {MAX_OPS_PER_EVENT}", ops.len()),
        ));
    }
    Ok(ops)
}

/// Whether an operation that fits changes `doc`.
fn changes(op: &Op, doc: &Value) -> Result<bool> {
    let present = op.path.find(doc);
    Ok(match &op.kind {
        OpKind::Set { value } => present != Some(value),
        OpKind::Unset => present.is_some(),
        OpKind::Inc { by } => *by != 0 || present.is_none(),
        OpKind::Text { edit } => !edit.0.is_empty() || present.is_none(),
        OpKind::Add { values } => match present.and_then(Value::as_array) {
            Some(elements) => {
                let set = as_set(op, elements)?;
                values.iter().any(|value| !set.contains(&canonical(value)))
            }
            None => true,
        },
        OpKind::Remove { values } => match present.and_then(Value::as_array) {
            Some(elements) => {
                let set = as_set(op, elements)?;
                values.iter().any(|value| set.contains(&canonical(value)))
            }
            None => false,
        },
    })
}

/// The elements of an array that is used as a set. One that holds an element twice is a list: to add or remove there would
/// silently drop what stands twice.
fn as_set(op: &Op, elements: &[Value]) -> Result<BTreeSet<Vec<u8>>> {
    let set = set_of(elements.iter().map(canonical));
    if set.len() == elements.len() {
        return Ok(set);
    }
    Err(Error::invalid(
        InvalidCode::TypeMismatch,
        format!(
            "the array at {} holds an element more than once: it is a list, and `{}` works on sets; assign the list as a whole \
             with `set`",
            op.path,
            name_of(&op.kind)
        ),
    ))
}

/// Says which value is in the operation's way, and what it works on.
fn unfit(op: &Op, doc: &Value, code: &str) -> Error {
    let (path, name) = (&op.path, name_of(&op.kind));
    if code == "pointer_into_array" {
        let mut above = path.parent();
        while let Some(place) = above.as_ref().filter(|place| !place.find(doc).is_some_and(Value::is_array)) {
            above = place.parent();
        }
        let array = above.as_ref().unwrap_or(path);
        return Error::invalid(
            InvalidCode::PointerIntoArray,
            format!(
                "{path} leads into the array at {array}: an array is changed as a whole with `set`, or as a set with `add` and \
                 `remove`"
            ),
        );
    }
    let works_on = match op.kind {
        OpKind::Inc { .. } => "an integer whose sum fits 64 bits, or an absent field",
        OpKind::Add { .. } | OpKind::Remove { .. } => "an array, or an absent field",
        OpKind::Text { .. } => "a text that is as long as the edit, or an absent field",
        OpKind::Set { .. } | OpKind::Unset => "any field",
    };
    let found = path.find(doc).map_or("nothing", kind_of);
    Error::invalid(InvalidCode::TypeMismatch, format!("`{name}` works on {works_on}; at {path} there is {found}"))
}

/// The name of an operation, as an app calls it.
fn name_of(kind: &OpKind) -> &'static str {
    match kind {
        OpKind::Set { .. } => "set",
        OpKind::Unset => "unset",
        OpKind::Inc { .. } => "increment",
        OpKind::Add { .. } => "add",
        OpKind::Remove { .. } => "remove",
        OpKind::Text { .. } => "text",
    }
}
