//! The client's half: applying operations to a document, without clocks.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::model::pointer::overlapping;
use crate::model::{Op, OpKind, Pointer, SyncAction, SyncEvent, TextComponent, TextEdit, Value, leaves_of, value};

/// An operation that did not fit the document and had no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its place.
    pub path: Pointer,
    /// The code under which the server would refuse it.
    pub code: &'static str,
}

const TYPE_MISMATCH: &str = "type_mismatch";

/// Applies `ops` to `doc` in order. Total: an operation that does not fit (an increment of a text, an overflow) has no effect
/// and is reported.
pub fn apply(doc: &mut Value, ops: &[Op]) -> Vec<Skipped> {
    let mut skipped = Vec::new();
    apply_all(doc, ops, &mut |_, op, code| skipped.push(Skipped { path: op.path.clone(), code }));
    skipped
}

/// Applies `ops` in order; `misfit` gets those that do not fit, and the code.
fn apply_all(doc: &mut Value, ops: &[Op], misfit: &mut dyn FnMut(&mut Value, &Op, &'static str)) {
    let mut open = OpenSets::new();
    for op in ops {
        if let Err(code) = apply_one(doc, &mut open, op) {
            misfit(doc, op, code);
        }
    }
    close(doc, &mut open, None);
}

/// Sets that operations add to and remove from, kept apart from the document until something else is done there: so each
/// operation costs what it says, however large the set is.
type OpenSets = BTreeMap<Pointer, OpenSet>;

#[derive(Default)]
struct OpenSet {
    /// `None` where one was removed.
    elements: Vec<Option<Value>>,
    /// Where each element stands, by its canonical bytes.
    places: BTreeMap<Vec<u8>, usize>,
}

impl OpenSet {
    /// Each element once, where it came first: an array that is used as a set becomes one.
    fn of(elements: &[Value]) -> Self {
        let mut set = Self::default();
        elements.iter().for_each(|element| set.add(value::canonical(element), element));
        set
    }

    fn add(&mut self, text: Vec<u8>, element: &Value) {
        let Self { elements, places } = self;
        places.entry(text).or_insert_with(|| {
            elements.push(Some(element.clone()));
            elements.len() - 1
        });
    }
}

/// Writes open sets to the document: all of them, or those that overlap a place.
fn close(doc: &mut Value, open: &mut OpenSets, around: Option<&Pointer>) {
    let closed = match around {
        Some(around) => overlapping(open, around),
        None => open.keys().cloned().collect(),
    };
    for place in closed {
        let elements = open.remove(&place).map(|set| set.elements).unwrap_or_default();
        // It was looked at when it was opened.
        let _ = set(doc, &place, Value::Array(elements.into_iter().flatten().collect()));
    }
}

/// The set at `path`, opened if need be.
fn opened<'o>(doc: &Value, open: &'o mut OpenSets, path: &Pointer) -> Result<&'o mut OpenSet, &'static str> {
    match open.entry(path.clone()) {
        Entry::Occupied(set) => Ok(set.into_mut()),
        Entry::Vacant(place) => {
            enters_no_array(doc, path)?;
            Ok(place.insert(OpenSet::of(elements(path.find(doc))?)))
        }
    }
}

/// The document after `event`, if the record lives then. An update of an absent record stays absent.
#[must_use]
pub fn apply_event(doc: Option<Value>, event: &SyncEvent) -> Option<Value> {
    apply_event_with(doc, event, &mut |_, _| {})
}

/// What the writer of `event` sees on top of `doc`: like [`apply_event`], but entirely, whatever has come beneath it. An
/// operation that does not fit is applied to what its writer had found at its place (`seen`), or else to nothing.
///
/// The server refuses such an event as a whole; until the app has decided what becomes of it, half of it would be what
/// nobody wrote.
#[must_use]
pub fn show_event(doc: Option<Value>, event: &SyncEvent, seen: &BTreeMap<Pointer, Value>) -> Option<Value> {
    apply_event_with(doc, event, &mut |doc, op| force(doc, op, seen.get(&op.path)))
}

/// Applies an event; `misfit` gets the operations that do not fit.
fn apply_event_with(doc: Option<Value>, event: &SyncEvent, misfit: &mut dyn FnMut(&mut Value, &Op)) -> Option<Value> {
    let mut misfit = |doc: &mut Value, op: &Op, _| misfit(doc, op);
    let mut doc = match (event.action, doc) {
        (SyncAction::Delete, _) | (SyncAction::Update, None) => return None,
        (SyncAction::Update, Some(doc)) => doc,
        (SyncAction::Create, None) => event.doc.clone()?,
        (SyncAction::Create, Some(mut doc)) => {
            let leaves = event.doc.iter().flat_map(leaves_of);
            let leaves = leaves.map(|(path, value)| Op { path, kind: OpKind::Set { value }, base: None, stamp: None });
            apply_all(&mut doc, &leaves.collect::<Vec<_>>(), &mut misfit);
            doc
        }
    };
    apply_all(&mut doc, &event.ops, &mut misfit);
    Some(doc)
}

/// Gives an operation that does not fit its effect on what its writer had found at its place.
fn force(doc: &mut Value, op: &Op, seen: Option<&Value>) {
    // What these take away is not there.
    if matches!(op.kind, OpKind::Unset | OpKind::Remove { .. }) {
        return;
    }
    let mut forced = doc.clone();
    clear_way(&mut forced, &op.path);
    let fits = |forced: &mut Value, found: Option<&Value>| {
        let placed = match found {
            Some(value) => set(forced, &op.path, value.clone()),
            None => unset(forced, &op.path),
        };
        placed.is_ok() && apply(forced, std::slice::from_ref(op)).is_empty()
    };
    // An edit of a text that is gone for its writer as well has nothing to show.
    if fits(&mut forced, seen) || fits(&mut forced, None) {
        *doc = forced;
    }
}

/// Arrays that stand where `path` leads through become objects.
fn clear_way(doc: &mut Value, path: &Pointer) {
    let mut place = doc;
    for key in path.keys() {
        if place.is_array() {
            object(place);
        }
        match place.get_mut(&*key) {
            Some(below) => place = below,
            None => return,
        }
    }
}

fn apply_one(doc: &mut Value, open: &mut OpenSets, op: &Op) -> Result<(), &'static str> {
    if !(matches!(op.kind, OpKind::Add { .. } | OpKind::Remove { .. }) && open.contains_key(&op.path)) {
        close(doc, open, Some(&op.path));
    }
    match &op.kind {
        OpKind::Set { value } => set(doc, &op.path, value.clone()),
        OpKind::Unset => unset(doc, &op.path),
        OpKind::Inc { by } => {
            let sum = increment(op.path.find(doc), *by)?;
            set(doc, &op.path, sum)
        }
        OpKind::Add { values } => {
            let set = opened(doc, open, &op.path)?;
            let mut ordered = BTreeMap::new();
            ordered.extend(values.iter().map(|value| (value::canonical(value), value)));
            ordered.into_iter().for_each(|(text, value)| set.add(text, value));
            Ok(())
        }
        OpKind::Remove { values } => {
            if !open.contains_key(&op.path) && op.path.find(doc).is_none() {
                return enters_no_array(doc, &op.path);
            }
            let set = opened(doc, open, &op.path)?;
            for value in values {
                if let Some(place) = set.places.remove(&value::canonical(value)) {
                    set.elements[place] = None;
                }
            }
            Ok(())
        }
        OpKind::Text { edit } => {
            let text = match op.path.find(doc) {
                None => "",
                Some(Value::String(text)) => text,
                Some(_) => return Err(TYPE_MISMATCH),
            };
            let edited = edit_text(text, edit).ok_or(TYPE_MISMATCH)?;
            set(doc, &op.path, Value::String(edited))
        }
    }
}

/// Assigns a leaf or subtree. Missing and scalar parents become objects; arrays are leaves and are not entered.
pub(super) fn set(doc: &mut Value, path: &Pointer, value: Value) -> Result<(), &'static str> {
    let mut keys: Vec<_> = path.keys().collect();
    let Some(last) = keys.pop() else { return Ok(()) };
    // Looked through first, so that a refused path leaves no half-made parents.
    enters_no_array(doc, path)?;
    let mut place = &mut *doc;
    for key in keys {
        place = object(place).entry(key.into_owned()).or_insert(Value::Null);
    }
    object(place).insert(last.into_owned(), value);
    Ok(())
}

/// Refuses a path that leads into an array.
pub(super) fn enters_no_array(doc: &Value, path: &Pointer) -> Result<(), &'static str> {
    let mut place = Some(doc);
    for key in path.keys() {
        match place {
            Some(Value::Array(_)) => return Err("pointer_into_array"),
            Some(value) => place = value.get(&*key),
            None => break,
        }
    }
    Ok(())
}

fn object(value: &mut Value) -> &mut serde_json::Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(serde_json::Map::new());
    }
    match value {
        Value::Object(fields) => fields,
        _ => unreachable!("made an object above"),
    }
}

/// Removes a field. Its parent stays, if need be as `{}` (RFC 7396 does the same).
pub(super) fn unset(doc: &mut Value, path: &Pointer) -> Result<(), &'static str> {
    enters_no_array(doc, path)?;
    let mut keys: Vec<_> = path.keys().collect();
    let Some(last) = keys.pop() else { return Ok(()) };
    let mut place = doc;
    for key in keys {
        match place.get_mut(&*key) {
            Some(below) => place = below,
            None => return Ok(()),
        }
    }
    if let Some(fields) = place.as_object_mut() {
        fields.remove(&*last);
    }
    Ok(())
}

/// The sum of a 64-bit integer (0 if absent) and an increment.
pub(super) fn increment(value: Option<&Value>, by: i64) -> Result<Value, &'static str> {
    let number = match value {
        None => 0,
        Some(Value::Number(number)) => match (number.as_i64(), number.as_u64()) {
            (Some(signed), _) => i128::from(signed),
            (None, Some(unsigned)) => i128::from(unsigned),
            (None, None) => return Err(TYPE_MISMATCH),
        },
        Some(_) => return Err(TYPE_MISMATCH),
    };
    let sum = number + i128::from(by);
    i64::try_from(sum).map(Value::from).or_else(|_| u64::try_from(sum).map(Value::from)).map_err(|_| TYPE_MISMATCH)
}

/// The elements of an array used as a set; none if it is absent.
pub(super) fn elements(value: Option<&Value>) -> Result<&[Value], &'static str> {
    match value {
        None => Ok(&[]),
        Some(Value::Array(elements)) => Ok(elements),
        Some(_) => Err(TYPE_MISMATCH),
    }
}

/// The text after an edit, in Unicode code points; `None` if the edit reaches beyond its end.
pub(super) fn edit_text(text: &str, edit: &TextEdit) -> Option<String> {
    let mut edited = String::with_capacity(text.len());
    let mut rest = text;
    for component in &edit.0 {
        match component {
            TextComponent::Insert(inserted) => edited.push_str(inserted),
            TextComponent::Skip(count) => {
                let (kept, after) = rest.split_at(offset(rest, *count)?);
                edited.push_str(kept);
                rest = after;
            }
            TextComponent::Delete { d } => rest = &rest[offset(rest, *d)?..],
        }
    }
    edited.push_str(rest);
    Some(edited)
}

/// The byte offset behind `count` code points; `None` if there are fewer.
fn offset(text: &str, count: u64) -> Option<usize> {
    let count = usize::try_from(count).ok()?;
    text.char_indices().map(|(at, _)| at).chain([text.len()]).nth(count)
}
