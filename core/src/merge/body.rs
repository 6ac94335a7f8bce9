//! A record's document and clocks while a write is merged into them.
//!
//! They are changed in place, so that a write costs what it touches and not what the record holds; each change is remembered,
//! so that a refused write, or a group of which another member is refused, can be taken back.

use std::collections::BTreeMap;

use super::apply::enters_no_array;
use super::clocks::{ElementClock, LeafClock, LeafClocks, is_leaf};
use super::record::StoredRecord;
use crate::model::pointer::below;
use crate::model::{Pointer, Revision, Value, leaves_of, value};

/// A document and its clocks, with the way back.
#[derive(Debug, Default)]
pub(super) struct Body {
    doc: Value,
    clocks: LeafClocks,
    steps: Vec<Step>,
    growth: i64,
}

/// What stood at a place before a change.
#[derive(Debug)]
pub(super) enum Step {
    /// All of it was replaced.
    All(Value, LeafClocks),
    Doc(Pointer, Option<Value>),
    Leaf(Pointer, Option<LeafClock>),
    Hidden(Pointer, Option<Vec<Value>>),
    Elements(Pointer, Option<BTreeMap<String, ElementClock>>),
    Element(Pointer, String, Option<ElementClock>),
}

/// What is listed or live at one place.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    pub clock: LeafClock,
    /// The live leaf's value.
    pub value: Option<Value>,
    /// The clock is the place's own, not that of the assignment that governs it.
    pub listed: bool,
}

impl Body {
    pub fn new(doc: Value, clocks: LeafClocks) -> Self {
        Self { doc, clocks, ..Self::default() }
    }

    pub fn doc(&self) -> &Value {
        &self.doc
    }

    pub fn clocks(&self) -> &LeafClocks {
        &self.clocks
    }

    /// By how many canonical bytes the document has grown.
    pub fn growth(&self) -> i64 {
        self.growth
    }

    pub fn into_parts(self) -> (Value, LeafClocks, Vec<Step>) {
        (self.doc, self.clocks, self.steps)
    }

    /// Everything as it was at first.
    pub fn take_back(&mut self) {
        for step in std::mem::take(&mut self.steps).into_iter().rev() {
            self.undo(step);
        }
        self.growth = 0;
    }

    fn undo(&mut self, step: Step) {
        match step {
            Step::All(doc, clocks) => (self.doc, self.clocks) = (doc, clocks),
            Step::Doc(place, before) => {
                let fields = place.keys().last().zip(enclosing(&mut self.doc, &place));
                if let Some((key, fields)) = fields {
                    put_back(fields, key.into_owned(), before);
                }
            }
            Step::Leaf(place, before) => put_back_listed(&mut self.clocks.leaves, place, before),
            Step::Hidden(place, before) => put_back_listed(&mut self.clocks.hidden, place, before),
            Step::Elements(place, before) => put_back_listed(&mut self.clocks.elements, place, before),
            Step::Element(place, text, before) => {
                put_back_listed(self.clocks.elements.entry(place).or_default(), text, before);
            }
        }
    }

    /// The clock of the assignment that governs `path`: the place's own, else, where a leaf stands, that of the nearest
    /// parent that was assigned, else the one common to the record's leaves.
    pub fn clock_at(&self, path: &Pointer) -> Option<&LeafClock> {
        let own = self.clocks.leaves.get(path);
        own.or_else(|| if path.find(&self.doc).is_some_and(is_leaf) { self.governing(path) } else { None })
    }

    fn governing(&self, path: &Pointer) -> Option<&LeafClock> {
        let above = path.ancestors().find_map(|ancestor| self.clocks.leaves.get(ancestor));
        above.or(self.clocks.common.as_ref())
    }

    /// All that is listed or live at or below `path`.
    pub fn at_or_below(&self, path: &Pointer) -> BTreeMap<Pointer, Standing> {
        let listed = self.clocks.leaves.get_key_value(path).into_iter().chain(below(&self.clocks.leaves, path));
        let mut found: BTreeMap<Pointer, Standing> = listed
            .map(|(place, clock)| (place.clone(), Standing { clock: clock.clone(), value: None, listed: true }))
            .collect();
        let live = match path.find(&self.doc) {
            None => Vec::new(),
            Some(value) if is_leaf(value) => vec![(path.clone(), value.clone())],
            Some(value) => leaves_of(value).into_iter().map(|(place, value)| (path.join(&place), value)).collect(),
        };
        for (place, value) in live {
            match found.get_mut(&place) {
                Some(standing) => standing.value = Some(value),
                None => {
                    if let Some(clock) = self.governing(&place).cloned() {
                        found.insert(place, Standing { clock, value: Some(value), listed: false });
                    }
                }
            }
        }
        found
    }

    /// Assigns a leaf or subtree. Missing and scalar parents become objects; arrays are not entered.
    pub fn set(&mut self, path: &Pointer, value: Value) -> Result<(), &'static str> {
        enters_no_array(&self.doc, path)?;
        let keys: Vec<_> = path.keys().collect();
        let Some(mut fields) = self.doc.as_object_mut() else { return Ok(()) };
        let mut depth = 0;
        while depth + 1 < keys.len() && fields.get(&*keys[depth]).is_some_and(Value::is_object) {
            let Some(Value::Object(inner)) = fields.get_mut(&*keys[depth]) else { return Ok(()) };
            fields = inner;
            depth += 1;
        }
        let inner = keys[depth + 1..].iter().rev();
        let value =
            inner.fold(value, |value, key| Value::Object([(key.clone().into_owned(), value)].into_iter().collect()));
        let grown = size_of_field(&keys[depth], &value);
        let before = fields.insert(keys[depth].clone().into_owned(), value);
        self.growth += match &before {
            Some(before) => grown - size_of_field(&keys[depth], before),
            None => grown + i64::from(fields.len() > 1),
        };
        self.steps.push(Step::Doc(path.first_keys(depth + 1), before));
        Ok(())
    }

    /// Removes a field. Its parent stays, if need be as `{}`.
    pub fn unset(&mut self, path: &Pointer) -> Result<(), &'static str> {
        enters_no_array(&self.doc, path)?;
        let Some((key, fields)) = path.keys().last().zip(enclosing(&mut self.doc, path)) else { return Ok(()) };
        if let Some(before) = fields.remove(&*key) {
            self.growth -= size_of_field(&key, &before) + i64::from(!fields.is_empty());
            self.steps.push(Step::Doc(path.clone(), Some(before)));
        }
        Ok(())
    }

    /// Lists the clock of a place.
    pub fn list(&mut self, path: &Pointer, clock: LeafClock) {
        let before = self.clocks.leaves.insert(path.clone(), clock);
        self.steps.push(Step::Leaf(path.clone(), before));
    }

    /// Remembers what a newer child displaced at `path`: a value, or nothing.
    pub fn hide(&mut self, path: &Pointer, value: Option<Value>) {
        let before = self.clocks.hidden.insert(path.clone(), value.into_iter().collect());
        self.steps.push(Step::Hidden(path.clone(), before));
    }

    /// What was displaced at `path`, which is forgotten.
    pub fn uncover(&mut self, path: &Pointer) -> Option<Option<Value>> {
        let hidden = self.clocks.hidden.remove(path)?;
        let value = hidden.first().cloned();
        self.steps.push(Step::Hidden(path.clone(), Some(hidden)));
        Some(value)
    }

    /// The clocks of the elements of the set at `path`.
    pub fn elements(&self, path: &Pointer) -> Option<&BTreeMap<String, ElementClock>> {
        self.clocks.elements.get(path)
    }

    /// Lists the clocks of elements in place of those of the set at `path`.
    pub fn list_elements(&mut self, path: &Pointer, elements: BTreeMap<String, ElementClock>) {
        let before = if elements.is_empty() {
            self.clocks.elements.remove(path)
        } else {
            self.clocks.elements.insert(path.clone(), elements)
        };
        self.steps.push(Step::Elements(path.clone(), before));
    }

    /// Lists the clock of one element.
    pub fn list_element(&mut self, path: &Pointer, text: String, element: ElementClock) {
        if !self.clocks.elements.contains_key(path) {
            self.steps.push(Step::Elements(path.clone(), None));
        }
        let before = self.clocks.elements.entry(path.clone()).or_default().insert(text.clone(), element);
        self.steps.push(Step::Element(path.clone(), text, before));
    }

    /// Lists nothing at or below `path` any more.
    pub fn forget(&mut self, path: &Pointer) {
        let Self { clocks, steps, .. } = self;
        let gone = take_at_or_below(&mut clocks.leaves, path);
        steps.extend(gone.into_iter().map(|(place, clock)| Step::Leaf(place, Some(clock))));
        let gone = take_at_or_below(&mut clocks.elements, path);
        steps.extend(gone.into_iter().map(|(place, elements)| Step::Elements(place, Some(elements))));
        let gone = take_at_or_below(&mut clocks.hidden, path);
        steps.extend(gone.into_iter().map(|(place, hidden)| Step::Hidden(place, Some(hidden))));
    }

    /// Drops the clocks of what is gone (fields that were unset, elements that were removed), as far as they are not newer than
    /// `horizon`. Returns whether there were any.
    pub fn collect(&mut self, horizon: Revision) -> bool {
        let Self { doc, clocks, steps, .. } = self;
        let old: Vec<Pointer> = clocks
            .leaves
            .iter()
            .filter(|(place, clock)| clock.revision <= horizon && place.find(doc).is_none())
            .map(|(place, _)| place.clone())
            .collect();
        let before = steps.len();
        for place in old {
            let clock = clocks.leaves.remove(&place);
            steps.push(Step::Leaf(place, clock));
        }
        clocks.elements.retain(|place, listed| {
            let old = |element: &ElementClock| !element.live && element.clock.revision <= horizon;
            let gone: Vec<String> =
                listed.iter().filter(|(_, element)| old(element)).map(|(text, _)| text.clone()).collect();
            for text in gone {
                let element = listed.remove(&text);
                steps.push(Step::Element(place.clone(), text, element));
            }
            !listed.is_empty()
        });
        steps.len() > before
    }

    /// The values that stood, before any change, at the places that were changed: up to `limit` bytes, places included.
    pub fn replaced(&self, limit: usize) -> BTreeMap<Pointer, Value> {
        let mut first: BTreeMap<Pointer, Option<&Value>> = BTreeMap::new();
        let mut left = limit;
        for step in &self.steps {
            let Step::Doc(place, before) = step else { continue };
            // What stands at or below a place that was changed before is this event's own.
            if first.contains_key(place) || place.ancestors().any(|ancestor| first.contains_key(ancestor)) {
                continue;
            }
            let size = before.as_ref().map_or(0, |before| place.as_str().len() + value::canonical_len(before));
            let kept = before.as_ref().filter(|_| size <= left);
            left -= kept.map_or(0, |_| size);
            first.insert(place.clone(), kept);
        }
        first.into_iter().filter_map(|(place, before)| Some((place, before?.clone()))).collect()
    }
}

/// The way back from a merge that took effect.
#[derive(Debug)]
pub struct Undo {
    /// The record before, without document and clocks: they are made from those after.
    former: Option<Box<StoredRecord>>,
    steps: Vec<Step>,
}

impl Undo {
    pub(super) fn new(former: Option<StoredRecord>, steps: Vec<Step>) -> Self {
        Self { former: former.map(Box::new), steps }
    }

    /// The way back to `former`, where the whole record was replaced.
    #[must_use]
    pub fn whole(former: Option<StoredRecord>) -> Self {
        match former {
            None => Self::new(None, Vec::new()),
            Some(mut former) => {
                let all = Step::All(std::mem::take(&mut former.doc), std::mem::take(&mut former.clocks));
                Self::new(Some(former), vec![all])
            }
        }
    }

    /// The record before the merge, made from the one after it.
    #[must_use]
    pub fn revert(self, record: StoredRecord) -> Option<StoredRecord> {
        let former = *self.former?;
        let mut body = Body { doc: record.doc, clocks: record.clocks, steps: self.steps, growth: 0 };
        body.take_back();
        Some(StoredRecord { doc: body.doc, clocks: body.clocks, ..former })
    }
}

/// The fields among which the place stands.
fn enclosing<'d>(doc: &'d mut Value, path: &Pointer) -> Option<&'d mut serde_json::Map<String, Value>> {
    let keys: Vec<_> = path.keys().collect();
    let (_, parents) = keys.split_last()?;
    parents.iter().try_fold(doc, |place, key| place.get_mut(&**key))?.as_object_mut()
}

/// The canonical bytes of a field: key, colon, value.
fn size_of_field(key: &str, field: &Value) -> i64 {
    let size = value::canonical_len_of(key) + 1 + value::canonical_len(field);
    i64::try_from(size).unwrap_or(i64::MAX)
}

fn put_back(fields: &mut serde_json::Map<String, Value>, key: String, before: Option<Value>) {
    match before {
        Some(before) => drop(fields.insert(key, before)),
        None => drop(fields.remove(&key)),
    }
}

fn put_back_listed<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, before: Option<V>) {
    match before {
        Some(before) => drop(map.insert(key, before)),
        None => drop(map.remove(&key)),
    }
}

fn take_at_or_below<V>(map: &mut BTreeMap<Pointer, V>, path: &Pointer) -> Vec<(Pointer, V)> {
    let mut places: Vec<Pointer> = below(map, path).map(|(place, _)| place.clone()).collect();
    if map.contains_key(path) {
        places.push(path.clone());
    }
    places.into_iter().filter_map(|place| map.remove(&place).map(|entry| (place, entry))).collect()
}
