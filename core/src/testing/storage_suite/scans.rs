//! Cases: ranges.

use std::ops::Bound;

use super::helpers::{Replica, all, in_table, keys, put, put_all};
use crate::storage::{Batch, Scan, Storage, Table};

/// Keys at which comparisons by text, by signed bytes or by length go wrong, in bytewise order.
const KEYS: [&[u8]; 14] = [
    b"",
    b"\x00",
    b"\x00\x00",
    b"\x00\xff",
    b"\x01",
    b"A",
    b"a",
    b"a\x00",
    b"a\x00b",
    b"ab",
    b"\x7f",
    b"\x80",
    b"\xff",
    b"\xff\xff",
];

async fn filled<R: Replica>(replica: &R) -> R::Storage {
    let storage = replica.open().await;
    // Not in their order, and with neighbours in the tables before and after.
    storage.apply(put_all(KEYS.into_iter().rev())).await.unwrap();
    for table in [Table::Meta, Table::Event] {
        let put = [&b"a\x01"[..], b"\xfe"].map(|key| (in_table(table, key), Vec::new())).to_vec();
        storage.apply(Batch { put, ..Batch::default() }).await.unwrap();
    }
    storage
}

/// "In key order (bytewise), or from the end if reversed."
pub async fn rows_come_in_bytewise_order(replica: impl Replica) {
    let storage = filled(&replica).await;
    let rows = all(&storage, Table::Record).await;
    assert!(rows.iter().all(|row| row.key == row.value));
    assert_eq!(keys(rows), KEYS);
    let reverse = Scan { reverse: true, ..Scan::prefix(Table::Record, b"") };
    let mut backwards = keys(storage.scan(reverse).await.unwrap());
    backwards.reverse();
    assert_eq!(backwards, KEYS);
}

/// All of them, against a plain filter.
pub async fn every_combination_of_bounds_direction_and_limit_is_right(replica: impl Replica) {
    let storage = filled(&replica).await;
    let mut ends: Vec<&[u8]> = KEYS.to_vec();
    // Between rows.
    ends.extend([&b"\x00\x01"[..], b"a\x00a", b"b", b"\xfe"]);
    let bounds = |key: &[u8]| [Bound::Included(key.to_vec()), Bound::Excluded(key.to_vec())];
    let bounds: Vec<_> = ends.into_iter().flat_map(bounds).chain([Bound::Unbounded]).collect();
    for lower in &bounds {
        for upper in &bounds {
            let inside = |key: &&&[u8]| {
                (match lower {
                    Bound::Included(low) => **key >= low.as_slice(),
                    Bound::Excluded(low) => **key > low.as_slice(),
                    Bound::Unbounded => true,
                }) && (match upper {
                    Bound::Included(high) => **key <= high.as_slice(),
                    Bound::Excluded(high) => **key < high.as_slice(),
                    Bound::Unbounded => true,
                })
            };
            for (reverse, limit) in [(false, usize::MAX), (true, usize::MAX), (false, 2), (true, 2)] {
                let mut expected: Vec<_> = KEYS.iter().filter(inside).map(|key| key.to_vec()).collect();
                if reverse {
                    expected.reverse();
                }
                expected.truncate(limit);
                let scan = Scan { table: Table::Record, lower: lower.clone(), upper: upper.clone(), reverse, limit };
                let shown = format!("{scan:?}");
                assert_eq!(keys(storage.scan(scan).await.unwrap()), expected, "{shown}");
            }
        }
    }
}

/// Keys that begin with a prefix, also with one at the end of the key space.
pub async fn a_prefix_scan_finds_exactly_its_prefix(replica: impl Replica) {
    let storage = filled(&replica).await;
    for prefix in KEYS {
        let expected: Vec<_> = KEYS.iter().filter(|key| key.starts_with(prefix)).map(|key| key.to_vec()).collect();
        let found = storage.scan(Scan::prefix(Table::Record, prefix)).await.unwrap();
        assert_eq!(keys(found), expected, "prefix {prefix:x?}");
    }
    assert!(storage.scan(Scan::prefix(Table::Settled, b"")).await.unwrap().is_empty());
}

/// Forwards and backwards, at every page size.
pub async fn paging_with_after_visits_each_row_once(replica: impl Replica) {
    let storage = filled(&replica).await;
    for reverse in [false, true] {
        for limit in 1..=KEYS.len() + 1 {
            let mut seen = Vec::new();
            let mut next = Scan { reverse, ..Scan::prefix(Table::Record, b"") }.limit(limit);
            loop {
                let page = keys(storage.scan(next.clone()).await.unwrap());
                assert!(page.len() <= limit);
                let Some(last) = page.last() else { break };
                next = next.after(last);
                seen.extend(page);
            }
            if reverse {
                seen.reverse();
            }
            assert_eq!(seen, KEYS, "reverse {reverse}, limit {limit}");
        }
    }
}

/// And no error.
pub async fn an_empty_or_inverted_range_is_empty(replica: impl Replica) {
    let storage = filled(&replica).await;
    let included = |key: &[u8]| Bound::Included(key.to_vec());
    let excluded = |key: &[u8]| Bound::Excluded(key.to_vec());
    let ranges = [
        (included(b"b"), included(b"a")),
        (excluded(b"a"), excluded(b"a")),
        (included(b"a"), excluded(b"a")),
        (excluded(b"a"), included(b"a")),
        (excluded(b"\xff\xff"), Bound::Unbounded),
        (Bound::Unbounded, excluded(b"")),
        (included(b"\xff"), included(b"\x00")),
    ];
    for (lower, upper) in ranges {
        for reverse in [false, true] {
            let scan = Scan { table: Table::Record, lower: lower.clone(), upper: upper.clone(), reverse, limit: 9 };
            assert_eq!(storage.scan(scan).await, Ok(Vec::new()), "{lower:?} {upper:?}");
        }
    }
}

/// "Most rows to return."
pub async fn a_limit_of_zero_is_empty(replica: impl Replica) {
    let storage = replica.open().await;
    storage.apply(put("a", "a")).await.unwrap();
    assert_eq!(storage.scan(Scan::prefix(Table::Record, b"").limit(0)).await, Ok(Vec::new()));
}
