//! The stored form of a record's clocks: each clock once, and its number wherever it holds. One write leaves the same clock at all
//! that it touches, and it would be most of a record's bytes. Elements that came and went together stand together: what a record
//! remembers of removed ones is read and written with each write on it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

use super::clocks::{ElementClock, LeafClock, LeafClocks, Placed};
use crate::clock::Stamp;
use crate::model::{Pointer, Value};

/// `P`, `K`, `C`, `S`, `V`: pointers, texts, clocks, stamps and hidden values, owned or lent.
#[derive(Serialize, Deserialize)]
#[serde(bound(
    serialize = "P: Serialize + Ord, K: Serialize, C: Serialize, S: Serialize, V: Serialize",
    deserialize = "P: Deserialize<'de> + Ord, K: Deserialize<'de>, C: Deserialize<'de>, S: Deserialize<'de>, V: Deserialize<'de>"
))]
struct Packed<P, K, C, S, V> {
    #[serde(rename = "t")]
    clocks: Vec<C>,
    #[serde(rename = "s", default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
    stamps: Vec<S>,
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    common: Option<usize>,
    #[serde(rename = "l", default = "BTreeMap::new", skip_serializing_if = "BTreeMap::is_empty")]
    leaves: BTreeMap<P, usize>,
    #[serde(rename = "e", default = "BTreeMap::new", skip_serializing_if = "BTreeMap::is_empty")]
    elements: BTreeMap<P, Vec<Group<K>>>,
    #[serde(rename = "h", default = "BTreeMap::new", skip_serializing_if = "BTreeMap::is_empty")]
    hidden: BTreeMap<P, V>,
}

/// Elements of one clock: that, whether they are in the set, their place (stamp and operation) if they have one, their texts, and
/// their indexes if they came with an assigned array.
type Group<K> = (usize, bool, Option<(usize, u32)>, Vec<K>, Vec<u32>);

/// What was read of the stored form.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Stored(Packed<Pointer, String, LeafClock, Stamp, Vec<Value>>);

/// Numbers for values, by first use.
struct Numbers<'c, T>(BTreeMap<&'c T, usize>, Vec<&'c T>);

impl<'c, T: Ord> Numbers<'c, T> {
    fn of(&mut self, value: &'c T) -> usize {
        let Self(numbers, values) = self;
        *numbers.entry(value).or_insert_with(|| {
            values.push(value);
            values.len() - 1
        })
    }
}

/// Elements by what they have in common, in the order of that.
fn grouped<'c>(
    listed: &'c BTreeMap<String, ElementClock>,
    clocks: &mut Numbers<'c, LeafClock>,
    stamps: &mut Numbers<'c, Stamp>,
) -> Vec<Group<&'c String>> {
    let mut groups: BTreeMap<_, (Vec<&String>, Vec<u32>)> = BTreeMap::new();
    for (text, element) in listed {
        let first = element.first.as_ref();
        let placed = first.map(|first| (stamps.of(&first.stamp), first.op));
        let index = first.and_then(|first| first.index);
        let common = (clocks.of(&element.clock), element.live, placed, index.is_some());
        let (texts, indexes) = groups.entry(common).or_default();
        texts.push(text);
        indexes.extend(index);
    }
    let group = |((clock, live, placed, _), (texts, indexes))| (clock, live, placed, texts, indexes);
    groups.into_iter().map(group).collect()
}

impl Serialize for LeafClocks {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut clocks = Numbers(BTreeMap::new(), Vec::new());
        let mut stamps = Numbers(BTreeMap::new(), Vec::new());
        let common = self.common.as_ref().map(|clock| clocks.of(clock));
        let leaves = self.leaves.iter().map(|(place, clock)| (place, clocks.of(clock))).collect();
        let elements = self.elements.iter();
        let elements = elements.map(|(place, listed)| (place, grouped(listed, &mut clocks, &mut stamps))).collect();
        let hidden = self.hidden.iter().collect();
        Packed { clocks: clocks.1, stamps: stamps.1, common, leaves, elements, hidden }.serialize(serializer)
    }
}

impl TryFrom<Stored> for LeafClocks {
    type Error = &'static str;

    fn try_from(Stored(packed): Stored) -> Result<Self, Self::Error> {
        let clocks: Vec<Arc<LeafClock>> = packed.clocks.into_iter().map(Arc::new).collect();
        let shared = |number: usize| clocks.get(number).ok_or("a clock's number is not in the table");
        let clock = |number: usize| shared(number).map(|clock| LeafClock::clone(clock));
        let stamp = |number: usize| packed.stamps.get(number).cloned().ok_or("a stamp's number is not in the table");
        let common = packed.common.map(clock).transpose()?;
        let leaves = packed.leaves.into_iter().map(|(place, number)| Ok((place, clock(number)?)));
        let leaves = leaves.collect::<Result<_, &str>>()?;
        let elements = packed.elements.into_iter().map(|(place, groups)| {
            let mut listed = Vec::new();
            for (number, live, placed, texts, indexes) in groups {
                if !indexes.is_empty() && indexes.len() != texts.len() {
                    return Err("elements and their indexes are not as many");
                }
                let clock = shared(number)?;
                let placed = match placed {
                    Some((number, op)) => Some((stamp(number)?, op)),
                    None => None,
                };
                let mut indexes = indexes.into_iter();
                listed.extend(texts.into_iter().map(|text| {
                    let index = indexes.next();
                    let first = placed.as_ref().map(|(stamp, op)| Placed { stamp: stamp.clone(), index, op: *op });
                    (text, ElementClock { clock: Arc::clone(clock), live, first })
                }));
            }
            Ok((place, listed.into_iter().collect()))
        });
        let elements = elements.collect::<Result<_, &str>>()?;
        Ok(Self { common, leaves, elements, hidden: packed.hidden })
    }
}
