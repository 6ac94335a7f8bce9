//! Sets by insertion, for what a browser downloads: `collect` sorts first, and each type of element then brings a sorting
//! algorithm of its own, some 5 KiB of code for a handful of things.

use std::collections::BTreeSet;

/// The set of `items`.
pub(crate) fn set_of<T: Ord>(items: impl IntoIterator<Item = T>) -> BTreeSet<T> {
    let mut set = BTreeSet::new();
    set.extend(items);
    set
}
