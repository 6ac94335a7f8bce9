//! The stored form of a record's clocks: each clock once, and its number wherever it holds. One write leaves the same clock at all
//! that it touches, and it would be most of a record's bytes.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

use super::clocks::{ElementClock, LeafClock, LeafClocks, Placed};
use crate::clock::Stamp;
use crate::model::{Pointer, Value};

/// `P`, `K`, `C`, `S`, `V`: pointers, texts, clocks, stamps and hidden values, owned or lent.
#[derive(Serialize, Deserialize)]
#[serde(bound(
    serialize = "P: Serialize + Ord, K: Serialize + Ord, C: Serialize, S: Serialize, V: Serialize",
    deserialize = "P: Deserialize<'de> + Ord, K: Deserialize<'de> + Ord, C: Deserialize<'de>, S: Deserialize<'de>, V: Deserialize<'de>"
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
    elements: BTreeMap<P, BTreeMap<K, Element>>,
    #[serde(rename = "h", default = "BTreeMap::new", skip_serializing_if = "BTreeMap::is_empty")]
    hidden: BTreeMap<P, V>,
}

/// An element's clock, whether it is in the set, and its place: stamp, index in an assigned array, operation.
type Element = (usize, bool, Option<(usize, Option<u32>, u32)>);

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

impl Serialize for LeafClocks {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut clocks = Numbers(BTreeMap::new(), Vec::new());
        let mut stamps = Numbers(BTreeMap::new(), Vec::new());
        let common = self.common.as_ref().map(|clock| clocks.of(clock));
        let leaves = self.leaves.iter().map(|(place, clock)| (place, clocks.of(clock))).collect();
        let elements = self
            .elements
            .iter()
            .map(|(place, listed)| {
                let listed = listed.iter().map(|(text, element)| {
                    let first = element.first.as_ref().map(|first| (stamps.of(&first.stamp), first.index, first.op));
                    (text, (clocks.of(&element.clock), element.live, first))
                });
                (place, listed.collect())
            })
            .collect();
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
        let element = |(number, live, first): Element| -> Result<ElementClock, &'static str> {
            let first = match first {
                Some((number, index, op)) => Some(Placed { stamp: stamp(number)?, index, op }),
                None => None,
            };
            Ok(ElementClock { clock: Arc::clone(shared(number)?), live, first })
        };
        let common = packed.common.map(clock).transpose()?;
        let leaves = packed.leaves.into_iter().map(|(place, number)| Ok((place, clock(number)?)));
        let leaves = leaves.collect::<Result<_, &str>>()?;
        let elements = packed.elements.into_iter().map(|(place, listed)| {
            let listed = listed.into_iter().map(|(text, listed)| Ok((text, element(listed)?)));
            Ok((place, listed.collect::<Result<_, &str>>()?))
        });
        let elements = elements.collect::<Result<_, &str>>()?;
        Ok(Self { common, leaves, elements, hidden: packed.hidden })
    }
}
