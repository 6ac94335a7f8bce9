//! How a query will be answered: through which index, over which part of it, and whether a sort is left to do.
//!
//! A plan only ever narrows down what is read. Each record that is read is checked against the whole filter, so a plan that
//! covers a part of the filter is as right as one that covers all of it.

use std::cmp::Reverse;
use std::fmt;

use super::encoding::{PRESENT, encode_capped, encode_string_prefix, tags};
use super::filter::{Condition, Node};
use super::index::{IndexDefinition, IndexSet};
use super::order::Class;
use super::query::{OrderBy, Query, ties_descend};
use crate::model::{CollectionName, Pointer, Value};
use crate::storage::successor;

/// A readable plan; its text is for people and may change.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    collection: CollectionName,
    pub(super) access: Access,
    /// Whether rows are read from the end.
    pub(super) reverse: bool,
    /// Whether the records that are read have to be sorted before the first one is known.
    sort: bool,
    order: Vec<OrderBy>,
}

/// Which rows are read.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Access {
    /// All of the collection, by id.
    Scan,
    /// Parts of an index.
    Index(IndexAccess),
}

/// Which parts of an index are read, and what their order is good for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct IndexAccess {
    pub(super) definition: IndexDefinition,
    /// The conditions that the parts express, in words.
    conditions: Vec<String>,
    /// Disjoint, ascending.
    pub(super) parts: Vec<KeyRange>,
    /// The index's first fields that have one value in all parts, and their encodings.
    pub(super) equal: usize,
    pub(super) equal_bytes: Vec<u8>,
    /// The query's order as far as the index has to give it; these are the index's next fields.
    pub(super) ordered: Vec<OrderBy>,
}

impl IndexAccess {
    /// Whether entries that are equal as far as `ordered` goes come by id.
    pub(super) fn ties_by_id(&self) -> bool {
        self.equal + self.ordered.len() == self.definition.paths.len()
    }
}

/// Keys from `lower` up to, not including, `upper`; `None` for no upper end. Without the index's prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeyRange {
    pub(super) lower: Vec<u8>,
    pub(super) upper: Option<Vec<u8>>,
}

impl KeyRange {
    fn starting_with(bytes: Vec<u8>) -> Self {
        Self { upper: successor(&bytes), lower: bytes }
    }

    fn and(&self, other: &Self) -> Self {
        let upper = match (&self.upper, &other.upper) {
            (Some(a), Some(b)) => Some(a.min(b).clone()),
            (upper, None) | (None, upper) => upper.clone(),
        };
        Self { lower: self.lower.clone().max(other.lower.clone()), upper }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.upper.as_ref().is_some_and(|upper| *upper <= self.lower)
    }

    /// The range of keys that begin with `bytes` and go on with one of this range.
    pub(super) fn below(self, bytes: &[u8]) -> Self {
        let upper = self.upper.map(|upper| [bytes, &upper].concat()).or_else(|| successor(bytes));
        Self { lower: [bytes, &self.lower].concat(), upper }
    }
}

/// Chooses the plan for `query` among `indexes`: the index of which the most first fields are held equal, then one that
/// has a range or set of values next, then one that gives the query's order; else a scan of the collection.
pub(super) fn plan(query: &Query, indexes: &IndexSet) -> Plan {
    let conjuncts = Conjuncts::of(query.filter.root());
    let mut order: Vec<OrderBy> = Vec::new();
    for by in &query.order {
        // A field that is the same in all records, or that already took part, orders nothing.
        if conjuncts.equal(&by.path).is_none() && !order.iter().any(|earlier| earlier.path == by.path) {
            order.push(by.clone());
        }
    }
    let reverse = ties_descend(&query.order);
    let one_direction = order.iter().all(|by| by.descending == reverse);
    let candidate = |definition: &IndexDefinition| {
        let mut access = conjuncts.access(definition);
        let rest = &definition.paths[access.equal..];
        let ordered =
            one_direction && rest.iter().zip(&order).filter(|(path, by)| **path == by.path).count() == order.len();
        // Without an order left, records come by id, as entries with equal fields do.
        let sort = !ordered || (order.is_empty() && !rest.is_empty());
        if !sort {
            access.ordered.clone_from(&order);
        }
        let narrows = access.conditions.len() > access.equal;
        let rank = (access.equal, narrows, !sort, Reverse(definition.paths.len()));
        (access.equal > 0 || narrows || !sort).then_some((rank, access, sort))
    };
    let candidates = indexes.of(&query.collection).iter().filter_map(candidate);
    // Of equal candidates the first by name.
    let best = candidates.reduce(|best, next| if next.0 > best.0 { next } else { best });
    let (access, sort) = match best {
        Some((_, access, sort)) => (Access::Index(access), sort),
        None => (Access::Scan, !order.is_empty()),
    };
    let reverse = reverse && !sort;
    Plan { collection: query.collection.clone(), access, reverse, sort, order: query.order.clone() }
}

/// The value that every record that `query` wants has at `path`, if its filter says so.
pub(super) fn held_equal<'q>(query: &'q Query, path: &Pointer) -> Option<&'q Value> {
    Conjuncts::of(query.filter.root()).equal(path)
}

/// The conditions of which every wanted record fulfils each.
struct Conjuncts<'a>(Vec<(&'a Pointer, &'a Condition)>);

impl<'a> Conjuncts<'a> {
    fn of(root: &'a Node) -> Self {
        let mut found = Vec::new();
        let mut open = vec![root];
        while let Some(node) = open.pop() {
            match node {
                Node::Field(pointer, condition) => found.push((pointer, condition)),
                Node::And(nodes) => open.extend(nodes),
                Node::Or(nodes) if nodes.len() == 1 => open.extend(nodes),
                Node::Or(_) | Node::Not(_) => {}
            }
        }
        Self(found)
    }

    fn on(&self, path: &Pointer) -> impl Iterator<Item = &'a Condition> {
        self.0.iter().filter(move |(pointer, _)| *pointer == path).map(|(_, condition)| *condition)
    }

    /// The value that every wanted record has at `path`.
    fn equal(&self, path: &Pointer) -> Option<&'a Value> {
        self.on(path).find_map(|condition| match condition {
            Condition::Eq(value) => Some(value),
            Condition::In(values) if values.len() == 1 => values.first(),
            _ => None,
        })
    }

    /// The parts of an index in which every wanted record has its entry.
    fn access(&self, definition: &IndexDefinition) -> IndexAccess {
        let mut conditions = Vec::new();
        let mut equal_bytes = Vec::new();
        for path in &definition.paths {
            let Some(value) = self.equal(path) else { break };
            encode_capped(Some(value), &mut equal_bytes);
            conditions.push(format!("{path} = {}", shown(value)));
        }
        let equal = conditions.len();
        let mut parts = vec![KeyRange { lower: Vec::new(), upper: None }];
        if let Some(path) = definition.paths.get(equal) {
            for condition in self.on(path) {
                // Two sets of values are not multiplied with each other; the filter sees to the second.
                if let Some(ranges) = ranges_of(condition).filter(|ranges| parts.len() <= 1 || ranges.len() <= 1) {
                    let meet = |part: &KeyRange| ranges.iter().map(|range| part.and(range)).collect::<Vec<_>>();
                    parts = parts.iter().flat_map(meet).filter(|part| !part.is_empty()).collect();
                    conditions.push(format!("{path} {}", in_words(condition)));
                }
            }
        }
        // Values that were cut at the same place have the same range.
        parts.dedup();
        let parts = parts.into_iter().map(|part| part.below(&equal_bytes)).collect();
        IndexAccess { definition: definition.clone(), conditions, parts, equal, equal_bytes, ordered: Vec::new() }
    }
}

/// The ranges, ascending and disjoint, in which the encodings of all values lie that fulfil `condition`.
fn ranges_of(condition: &Condition) -> Option<Vec<KeyRange>> {
    let encoded = |value: &Value| {
        let mut bytes = Vec::new();
        let cut = encode_capped(Some(value), &mut bytes);
        (bytes, cut)
    };
    let class_start = |value: &Value| vec![tags(Class::of(value)).0];
    let class_end = |value: &Value| successor(&[tags(Class::of(value)).1]);
    let range = match condition {
        Condition::Eq(value) => KeyRange::starting_with(encoded(value).0),
        Condition::In(values) => {
            let mut ranges: Vec<_> = values.iter().map(|value| KeyRange::starting_with(encoded(value).0)).collect();
            ranges.dedup();
            return Some(ranges);
        }
        // A cut encoding stands for lesser, equal and greater values: all of them are read.
        Condition::Lt(value) => {
            let (bytes, cut) = encoded(value);
            KeyRange { lower: class_start(value), upper: if cut { successor(&bytes) } else { Some(bytes) } }
        }
        Condition::Le(value) => KeyRange { lower: class_start(value), upper: successor(&encoded(value).0) },
        Condition::Gt(value) => {
            let (bytes, cut) = encoded(value);
            let lower = if cut { bytes } else { successor(&bytes)? };
            KeyRange { lower, upper: class_end(value) }
        }
        Condition::Ge(value) => KeyRange { lower: encoded(value).0, upper: class_end(value) },
        Condition::Prefix(prefix) => {
            let mut bytes = Vec::new();
            encode_string_prefix(prefix, &mut bytes);
            KeyRange::starting_with(bytes)
        }
        Condition::Exists => KeyRange { lower: vec![PRESENT], upper: None },
        Condition::Ne(_) | Condition::Contains(_) => return None,
    };
    Some(vec![range])
}

fn in_words(condition: &Condition) -> String {
    match condition {
        Condition::Exists => "exists".to_owned(),
        Condition::Eq(value) => format!("= {}", shown(value)),
        Condition::Ne(value) => format!("≠ {}", shown(value)),
        Condition::Lt(value) => format!("< {}", shown(value)),
        Condition::Le(value) => format!("≤ {}", shown(value)),
        Condition::Gt(value) => format!("> {}", shown(value)),
        Condition::Ge(value) => format!("≥ {}", shown(value)),
        Condition::In(values) => format!("is one of {} values", values.len()),
        Condition::Contains(value) => format!("contains {}", shown(value)),
        Condition::Prefix(prefix) => format!("begins with {}", shown(&Value::from(prefix.as_str()))),
    }
}

/// A value in so many letters as a line can take.
fn shown(value: &Value) -> String {
    const LETTERS: usize = 40;
    let text = value.to_string();
    match text.char_indices().nth(LETTERS) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

impl Plan {
    /// The name of the index that is read; `None` for a scan of the collection.
    #[must_use]
    pub fn index(&self) -> Option<&str> {
        match &self.access {
            Access::Index(access) => Some(&access.definition.name),
            Access::Scan => None,
        }
    }

    /// Whether every record in question is read and sorted before the first is known; if not, reading ends at the limit.
    #[must_use]
    pub fn sorts(&self) -> bool {
        self.sort
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.access {
            Access::Scan => write!(f, "scan of {}", self.collection)?,
            Access::Index(access) => {
                write!(f, "index {} of {}", access.definition.name, self.collection)?;
                for (i, condition) in access.conditions.iter().enumerate() {
                    write!(f, "{} {condition}", if i == 0 { ":" } else { "," })?;
                }
            }
        }
        if self.reverse {
            write!(f, "; backwards")?;
        }
        if self.sort {
            write!(f, "; sorted by ")?;
            for by in &self.order {
                write!(f, "{}{}, ", by.path, if by.descending { " descending" } else { "" })?;
            }
            write!(f, "id")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::filter::{contains, eq, exists, ge, gt, is_in, lt, ne, not, or, prefix};
    use super::*;
    use crate::model::CollectionName;

    fn samples() -> Query {
        Query::new(CollectionName::new("samples").unwrap())
    }

    fn indexes() -> IndexSet {
        let define = |name: &str, fields: &[&str]| {
            IndexDefinition::new(CollectionName::new("samples").unwrap(), name, fields).unwrap()
        };
        IndexSet::new([
            define("category_bpm", &["category", "bpm"]),
            define("category_name", &["category", "name"]),
            define("name", &["name"]),
        ])
        .unwrap()
    }

    #[test]
    fn plans_read_as_little_as_an_index_allows() {
        let long = "x".repeat(60);
        let cases = [
            (samples(), "scan of samples"),
            (samples().order_by_desc("gain"), "scan of samples; sorted by /gain descending, id"),
            (samples().order_by("name"), "index name of samples"),
            (samples().order_by_desc("name"), "index name of samples; backwards"),
            (samples().filter(eq("name", "x")), "index name of samples: /name = \"x\""),
            (
                samples().filter(eq("name", long)),
                "index name of samples: /name = \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…",
            ),
            (
                samples().filter(eq("category", "bd")).order_by("name"),
                "index category_name of samples: /category = \"bd\"",
            ),
            (
                samples().filter(eq("category", "bd")).order_by("category").order_by_desc("bpm"),
                "index category_bpm of samples: /category = \"bd\"; backwards",
            ),
            (
                samples().filter(eq("category", "bd").and(ge("bpm", 120)).and(lt("bpm", 130))).order_by("name"),
                "index category_bpm of samples: /category = \"bd\", /bpm < 130, /bpm ≥ 120; sorted by /name, id",
            ),
            (
                samples().filter(is_in("name", ["a", "b"]).and(ne("bpm", 1))),
                "index name of samples: /name is one of 2 values; sorted by id",
            ),
            (samples().filter(is_in("name", ["a"])), "index name of samples: /name = \"a\""),
            (samples().filter(prefix("name", "a")).order_by("name"), "index name of samples: /name begins with \"a\""),
            (
                samples().filter(exists("category")).order_by("category"),
                "index category_bpm of samples: /category exists",
            ),
            (samples().filter(contains("name", "a")), "scan of samples"),
            (samples().filter(not(eq("name", "a"))), "scan of samples"),
            (samples().filter(or([eq("name", "a"), eq("name", "b")])), "scan of samples"),
            (
                samples().order_by("category").order_by_desc("bpm"),
                "scan of samples; sorted by /category, /bpm descending, id",
            ),
        ];
        for (query, expected) in cases {
            query.check().unwrap();
            assert_eq!(plan(&query, &indexes()).to_string(), expected);
        }
    }

    #[test]
    fn conditions_that_exclude_each_other_read_nothing() {
        for filter in [gt("name", "b").and(lt("name", "b")), gt("name", 1).and(lt("name", "b")), is_in("name", [0; 0])]
        {
            let plan = plan(&samples().filter(filter), &indexes());
            let Access::Index(access) = plan.access else { panic!("an index serves it") };
            assert_eq!(access.parts, []);
        }
    }
}
