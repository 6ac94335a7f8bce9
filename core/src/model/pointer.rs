//! JSON Pointers (RFC 6901) to the fields of a record.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::str::FromStr;

use crate::error::{Error, InvalidCode};
use crate::limits::{MAX_DEPTH, MAX_KEY_BYTES, MAX_POINTER_BYTES};
use crate::model::Value;
use crate::reading;

/// How much of a refused pointer a message shows, in characters.
const SHOWN: usize = 80;

/// A JSON Pointer to a field. Never empty: operations name fields, not the whole record.
///
/// Kept in its escaped text form, which is its identity and its order.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pointer(std::sync::Arc<str>);

reading::text!(Pointer, as_str);

impl Pointer {
    /// Parses the text form (`/a/b~1c`).
    ///
    /// # Errors
    /// `invalid_pointer` if it is empty, does not begin with `/`, has a bad escape, is longer than
    /// [`MAX_POINTER_BYTES`], deeper than [`MAX_DEPTH`], or names a reserved or impossible key (`$…` at the top level,
    /// U+0000).
    pub fn parse(text: &str) -> Result<Self, Error> {
        let fail = |why: &str| {
            let shown: String = text.chars().take(SHOWN).collect();
            Err(Error::invalid(InvalidCode::Pointer, format!("the JSON Pointer {shown:?} {why}")))
        };
        if !text.starts_with('/') {
            return fail("does not begin with `/`, as \"/name\" and \"/meta/artist\" do");
        }
        if text.len() > MAX_POINTER_BYTES {
            return fail("is too long");
        }
        if text.contains('\0') {
            return fail("contains U+0000");
        }
        if text.bytes().filter(|byte| *byte == b'/').count() > MAX_DEPTH {
            return fail("is deeper than 64 levels");
        }
        let mut rest = text;
        while let Some(at) = rest.find('~') {
            if !matches!(rest.as_bytes().get(at + 1), Some(b'0' | b'1')) {
                return fail("has a `~` that is not `~0` or `~1`");
            }
            rest = &rest[at + 2..];
        }
        if text.split('/').skip(1).any(|key| unescape(key).len() > MAX_KEY_BYTES) {
            return fail("names a key of more than 256 bytes");
        }
        if text.split('/').skip(1).any(|key| key.starts_with('$')) {
            return fail("names a key that begins with `$`, which is reserved");
        }
        Ok(Self(text.into()))
    }

    /// The pointer to top-level field `key`, escaped as needed. For keys that a checked document holds.
    #[must_use]
    pub fn top(key: &str) -> Self {
        Self(format!("/{}", escape(key)).into())
    }

    /// The pointer to field `key` below this one.
    #[must_use]
    pub fn child(&self, key: &str) -> Self {
        Self(format!("{}/{}", self.0, escape(key)).into())
    }

    /// The place `below` within this one.
    #[must_use]
    pub(crate) fn join(&self, below: &Pointer) -> Self {
        Self(format!("{}{}", self.0, below.0).into())
    }

    /// The pointer to the enclosing object; `None` at the top level.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        match self.0.rfind('/') {
            None | Some(0) => None,
            Some(at) => Some(Self(self.0[..at].into())),
        }
    }

    /// The pointer's first `count` keys: the place itself where it has no more.
    #[must_use]
    pub(crate) fn first_keys(&self, count: usize) -> Self {
        match self.0.match_indices('/').nth(count) {
            Some((at, _)) => Self(self.0[..at].into()),
            None => self.clone(),
        }
    }

    /// The text forms of the enclosing objects' pointers, from the nearest one up. Maps by pointer may be asked for them.
    pub(crate) fn ancestors(&self) -> impl Iterator<Item = &str> {
        self.0.rmatch_indices('/').map(|(at, _)| &self.0[..at]).filter(|text| !text.is_empty())
    }

    /// The text form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The unescaped keys from the top down.
    pub fn keys(&self) -> impl Iterator<Item = std::borrow::Cow<'_, str>> {
        self.0.split('/').skip(1).map(unescape)
    }

    /// Whether this names a field strictly inside the one that `ancestor` names.
    #[must_use]
    pub fn is_below(&self, ancestor: &Pointer) -> bool {
        self.0.len() > ancestor.0.len()
            && self.0.starts_with(&*ancestor.0)
            && self.0.as_bytes()[ancestor.0.len()] == b'/'
    }

    /// Whether the two name the same field or one lies inside the other.
    #[must_use]
    pub fn overlaps(&self, other: &Pointer) -> bool {
        self == other || self.is_below(other) || other.is_below(self)
    }

    /// The value at this place, if there is one. Arrays are leaves: a pointer into one finds nothing.
    #[must_use]
    pub fn find<'v>(&self, doc: &'v Value) -> Option<&'v Value> {
        self.keys().try_fold(doc, |value, key| value.as_object()?.get(&*key))
    }
}

fn escape(key: &str) -> std::borrow::Cow<'_, str> {
    if key.contains(['~', '/']) { key.replace('~', "~0").replace('/', "~1").into() } else { key.into() }
}

fn unescape(key: &str) -> std::borrow::Cow<'_, str> {
    if key.contains('~') { key.replace("~1", "/").replace("~0", "~").into() } else { key.into() }
}

/// The entries of `map` at places strictly inside `path`. In the order of pointers they stand together: each begins with the
/// path and a slash, and the character after the slash is `0`.
pub(crate) fn below<'m, V>(
    map: &'m BTreeMap<Pointer, V>,
    path: &Pointer,
) -> std::collections::btree_map::Range<'m, Pointer, V> {
    let (first, end) = (format!("{path}/"), format!("{path}0"));
    map.range::<str, _>((Bound::Included(&*first), Bound::Excluded(&*end)))
}

/// The places in `map` that [overlap](Pointer::overlaps) `path`.
pub(crate) fn overlapping<V>(map: &BTreeMap<Pointer, V>, path: &Pointer) -> Vec<Pointer> {
    if map.is_empty() {
        return Vec::new();
    }
    let around = path.ancestors().chain([path.as_str()]).filter_map(|place| map.get_key_value(place));
    around.chain(below(map, path)).map(|(place, _)| place.clone()).collect()
}

/// A pointer compares and hashes as its text does, so that maps can be searched by it.
impl Borrow<str> for Pointer {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl FromStr for Pointer {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn escapes_round_trip() {
        let pointer = Pointer::top("a/b").child("c~d").child("");
        assert_eq!(pointer.as_str(), "/a~1b/c~0d/");
        assert_eq!(pointer.keys().collect::<Vec<_>>(), ["a/b", "c~d", ""]);
        assert_eq!(Pointer::parse(pointer.as_str()).unwrap(), pointer);
        assert_eq!(pointer.find(&json!({"a/b": {"c~d": {"": 7}}})), Some(&json!(7)));
    }

    #[test]
    fn refuses_malformed_pointers() {
        for text in ["", "a", "/~", "/~2", "/a\0", "/$x", "/a/$x"] {
            assert_eq!(Pointer::parse(text).unwrap_err().code(), "invalid_pointer", "{text:?}");
        }
        assert!(Pointer::parse(&"/a".repeat(65)).is_err());
        assert!(Pointer::parse(&format!("/{}", "a".repeat(256))).is_ok());
        assert!(Pointer::parse(&format!("/{}", "a".repeat(257))).is_err());
        assert!(Pointer::parse(&format!("/{}", "~0".repeat(256)).repeat(64)).is_ok());
    }

    #[test]
    fn a_map_by_pointer_finds_what_overlaps_a_place_and_nothing_beside_it() {
        let parse = |text: &str| Pointer::parse(text).unwrap();
        let map: BTreeMap<Pointer, ()> =
            ["/a", "/a-b", "/a!/c", "/a/b", "/a/b/c", "/a/~0", "/a0", "/b/c/d"].map(|text| (parse(text), ())).into();
        let found: Vec<_> = below(&map, &parse("/a")).map(|(place, ())| place.as_str()).collect();
        assert_eq!(found, ["/a/b", "/a/b/c", "/a/~0"]);
        for (path, expected) in [
            ("/a/b/c/d", vec!["/a/b/c", "/a/b", "/a"]),
            ("/b", vec!["/b/c/d"]),
            ("/b/c/e", vec![]),
            ("/b/c/d", vec!["/b/c/d"]),
        ] {
            let found = overlapping(&map, &parse(path));
            assert_eq!(found.iter().map(Pointer::as_str).collect::<Vec<_>>(), expected, "{path}");
        }
        let deep = parse("/a/b/c");
        assert_eq!(deep.ancestors().collect::<Vec<_>>(), ["/a/b", "/a"]);
        assert_eq!((deep.first_keys(1), deep.first_keys(3)), (parse("/a"), deep.clone()));
    }

    #[test]
    fn below_compares_whole_keys() {
        let parse = |text| Pointer::parse(text).unwrap();
        assert!(parse("/a/b").is_below(&parse("/a")));
        assert!(!parse("/ab").is_below(&parse("/a")));
        assert!(!parse("/a").is_below(&parse("/a")));
        assert!(parse("/a").overlaps(&parse("/a/b")));
        assert_eq!(parse("/a/b").parent(), Some(parse("/a")));
        assert_eq!(parse("/a").parent(), None);
    }
}
