//! Cases: what a batch does to rows.

use super::helpers::{Replica, all, get, get_row, in_table, keys, put, put_all, row, value};
use crate::storage::{Batch, Storage, Table};

/// A row that nobody has made is `None`.
pub async fn an_absent_row_reads_as_none(replica: impl Replica) {
    let storage = replica.open().await;
    assert_eq!(get(&storage, b"nowhere").await, None);
    assert_eq!(storage.get(Vec::new()).await, Ok(Vec::new()));
}

/// Key and value of a new row.
pub async fn a_row_reads_back_as_it_was_put(replica: impl Replica) {
    let storage = replica.open().await;
    storage.apply(put(b"key", b"value")).await.unwrap();
    let row = get(&storage, b"key").await.unwrap();
    assert_eq!((row.key, row.value), (b"key".to_vec(), b"value".to_vec()));
}

/// Also within a batch.
pub async fn the_last_put_counts(replica: impl Replica) {
    let storage = replica.open().await;
    for n in 1..=5_u8 {
        storage.apply(put(b"key", [n])).await.unwrap();
        assert_eq!(value(&storage, b"key").await, [n]);
    }
    let twice = Batch { put: vec![(row(b"key"), vec![6]), (row(b"key"), vec![7])], ..Batch::default() };
    storage.apply(twice).await.unwrap();
    assert_eq!(value(&storage, b"key").await, [7]);
}

/// Also when both are in one batch.
pub async fn a_deleted_row_can_be_put_again(replica: impl Replica) {
    let storage = replica.open().await;
    storage.apply(put(b"key", b"1")).await.unwrap();
    storage.apply(Batch { delete: vec![row(b"key")], ..Batch::default() }).await.unwrap();
    assert_eq!(get(&storage, b"key").await, None);
    storage.apply(put(b"key", b"2")).await.unwrap();
    assert_eq!(value(&storage, b"key").await, b"2");
    storage.apply(Batch { delete: vec![row(b"key")], ..put(b"key", b"3") }).await.unwrap();
    assert_eq!(value(&storage, b"key").await, b"3");
}

/// A key is unique within its table only.
pub async fn tables_do_not_share_rows(replica: impl Replica) {
    let storage = replica.open().await;
    for (value, table) in Table::ALL.into_iter().enumerate() {
        let put = vec![(in_table(table, b"key"), vec![value as u8])];
        storage.apply(Batch { put, ..Batch::default() }).await.unwrap();
    }
    let delete = vec![in_table(Table::Event, b"key")];
    storage.apply(Batch { delete, ..Batch::default() }).await.unwrap();
    for (value, table) in Table::ALL.into_iter().enumerate() {
        let found = get_row(&storage, in_table(table, b"key")).await.map(|row| row.value);
        assert_eq!(found, (table != Table::Event).then(|| vec![value as u8]), "{table:?}");
        assert_eq!(all(&storage, table).await.len(), usize::from(table != Table::Event), "{table:?}");
    }
}

/// "In their order; `None` where there is none": across tables, and with a key asked twice.
pub async fn get_answers_in_the_order_of_its_keys(replica: impl Replica) {
    let storage = replica.open().await;
    storage.apply(put_all([b"a", b"b", b"c"])).await.unwrap();
    let meta = Batch { put: vec![(in_table(Table::Meta, b"b"), b"meta".to_vec())], ..Batch::default() };
    storage.apply(meta).await.unwrap();
    let asked = vec![row(b"c"), row(b"x"), in_table(Table::Meta, b"b"), row(b"b"), row(b"c"), row(b"a")];
    let rows = storage.get(asked).await.unwrap();
    let values: Vec<_> = rows.into_iter().map(|row| row.map(|row| row.value)).collect();
    let expected: [Option<&[u8]>; 6] = [Some(b"c"), None, Some(b"meta"), Some(b"b"), Some(b"c"), Some(b"a")];
    assert_eq!(values, expected.map(|value| value.map(<[u8]>::to_vec)));
    // More than any backend reads in one go.
    let many: Vec<_> = (0..3000).map(|n| row(if n % 3 == 0 { b"a" } else { b"x" })).collect();
    let rows = storage.get(many).await.unwrap();
    assert!(rows.iter().enumerate().all(|(n, row)| row.is_some() == (n % 3 == 0)));
}

/// Index entries have an empty value; a key may be empty too.
pub async fn empty_keys_and_values_are_kept(replica: impl Replica) {
    let storage = replica.open().await;
    storage.apply(put(b"", b"")).await.unwrap();
    storage.apply(put(b"key", b"")).await.unwrap();
    assert!(value(&storage, b"").await.is_empty());
    assert!(value(&storage, b"key").await.is_empty());
    assert_eq!(keys(all(&storage, Table::Record).await), [b"".to_vec(), b"key".to_vec()]);
}

/// Bytes are bytes, in keys and values.
pub async fn every_byte_is_kept(replica: impl Replica) {
    let storage = replica.open().await;
    let bytes: Vec<u8> = (0..=255).collect();
    storage.apply(put(&bytes, &bytes)).await.unwrap();
    storage.apply(put_all(bytes.iter().map(|byte| [*byte]))).await.unwrap();
    assert_eq!(value(&storage, &bytes).await, bytes);
    for byte in bytes {
        assert_eq!(value(&storage, [byte]).await, [byte]);
    }
}

/// The largest document, several times over.
pub async fn a_large_value_is_kept_whole(replica: impl Replica) {
    let storage = replica.open().await;
    let large: Vec<u8> = (0..4_u32 << 20).map(|n| (n % 251) as u8).collect();
    storage.apply(put(b"large", &large)).await.unwrap();
    assert!(value(&storage, b"large").await == large);
    assert!(all(&storage, Table::Record).await[0].value == large);
    storage.apply(put(b"large", b"small")).await.unwrap();
    assert_eq!(value(&storage, b"large").await, b"small".to_vec());
}

/// A page of a first sync.
pub async fn a_batch_of_many_rows_is_kept_whole(replica: impl Replica) {
    let storage = replica.open().await;
    let keys: Vec<_> = (0..5000_u32).map(u32::to_be_bytes).collect();
    storage.apply(put_all(&keys)).await.unwrap();
    let rows = all(&storage, Table::Record).await;
    assert_eq!(rows.len(), keys.len());
    assert!(rows.iter().zip(&keys).all(|(row, key)| row.key == key && row.value == key));
    storage.apply(Batch { delete: keys.iter().map(row).collect(), ..Batch::default() }).await.unwrap();
    assert!(all(&storage, Table::Record).await.is_empty());
}

/// A batch may have nothing to write.
pub async fn an_empty_batch_is_fine(replica: impl Replica) {
    let storage = replica.open().await;
    assert_eq!(storage.apply(Batch::default()).await, Ok(()));
}

/// "An absent row is no error."
pub async fn deleting_an_absent_row_is_no_error(replica: impl Replica) {
    let storage = replica.open().await;
    let batch = Batch { delete: vec![row(b"nowhere")], clear: vec![row(b"none")], ..put(b"key", b"value") };
    assert_eq!(storage.apply(batch).await, Ok(()));
    assert_eq!(value(&storage, b"key").await, b"value");
}

/// The order inside a batch, whatever the order of its fields.
pub async fn clear_comes_before_delete_and_delete_before_put(replica: impl Replica) {
    let storage = replica.open().await;
    storage.apply(put_all(["p1", "p2", "q"])).await.unwrap();
    storage.apply(put_all(["p1", "p2", "q"])).await.unwrap();
    let batch = Batch { clear: vec![row("p")], delete: vec![row("p2"), row("q")], ..put_all(["p2", "q"]) };
    storage.apply(batch).await.unwrap();
    assert_eq!(get(&storage, "p1").await, None);
    assert_eq!(value(&storage, "p2").await, b"p2");
    assert_eq!(value(&storage, "q").await, b"q");
}

/// The neighbours of a prefix stay, also at the end of the key space.
pub async fn clear_takes_exactly_the_rows_of_its_prefix(replica: impl Replica) {
    type Case<'a> = (&'a [u8], &'a [&'a [u8]], &'a [&'a [u8]]);
    let cases: [Case<'_>; 4] = [
        (b"a", &[b"a", b"a\x00", b"ab", b"a\xff\xff"], &[b"", b"A", b"`\xff", b"b", b"\xff"]),
        (b"a\x00", &[b"a\x00", b"a\x00\x00", b"a\x00\xff"], &[b"a", b"a\x01", b"b"]),
        (b"a\xff", &[b"a\xff", b"a\xff\x00", b"a\xff\xff"], &[b"a", b"a\xfe\xff", b"b", b"b\x00"]),
        (b"\xff\xff", &[b"\xff\xff", b"\xff\xff\x00", b"\xff\xff\xff"], &[b"", b"\xff", b"\xff\xfe\xff", b"\x00"]),
    ];
    let storage = replica.open().await;
    for (prefix, inside, outside) in cases {
        storage.apply(put_all(inside.iter().chain(outside))).await.unwrap();
        storage.apply(Batch { clear: vec![row(prefix)], ..Batch::default() }).await.unwrap();
        let mut expected = outside.to_vec();
        expected.sort_unstable();
        assert_eq!(keys(all(&storage, Table::Record).await), expected, "prefix {prefix:x?}");
        storage.apply(Batch { clear: vec![row(b"")], ..Batch::default() }).await.unwrap();
    }
}

/// And no other table.
pub async fn clear_of_the_empty_prefix_takes_a_whole_table(replica: impl Replica) {
    let storage = replica.open().await;
    storage.apply(put_all([&b""[..], b"\x00", b"key", b"\xff\xff"])).await.unwrap();
    let index = Batch { put: vec![(in_table(Table::Index, b"key"), Vec::new())], ..Batch::default() };
    storage.apply(index).await.unwrap();
    storage.apply(Batch { clear: vec![row(b"")], ..put(b"new", b"") }).await.unwrap();
    assert_eq!(keys(all(&storage, Table::Record).await), [b"new"]);
    assert_eq!(all(&storage, Table::Index).await.len(), 1);
}
