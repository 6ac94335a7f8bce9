//! Cases: work inside a transaction.

use futures_util::future::join_all;

use super::helpers::{Replica, all, everything, get, in_table, put, put_all, row, value};
use crate::storage::{Batch, Row, RowKey, Rows, Scan, Storage, StorageError, Table, transact};

/// The number in the row `key`, 0 if there is none, and a batch that puts the next one.
fn count(rows: &mut dyn Rows, key: &str) -> Result<(u64, Batch), StorageError> {
    let stored = rows.get(&[row(key)])?.pop().flatten();
    let number = stored.map_or(0, |row| u64::from_be_bytes(row.value.try_into().expect("eight bytes")));
    Ok((number, put(key, (number + 1).to_be_bytes())))
}

/// "Its work sees the rows as all earlier transactions have left them", and not what it is about to write itself.
pub async fn work_sees_what_earlier_transactions_have_left(replica: impl Replica) {
    let storage = replica.open().await;
    for expected in 0..20 {
        assert_eq!(transact(&storage, |rows| count(rows, "key")).await, Ok(expected));
    }
    storage.apply(Batch { delete: vec![row("key")], ..Batch::default() }).await.unwrap();
    assert_eq!(transact(&storage, |rows| count(rows, "key")).await, Ok(0));
}

/// Reads by key and by range answer as they do outside: in order, across tables, with a key asked twice.
pub async fn work_reads_as_others_do(replica: impl Replica) {
    let storage = replica.open().await;
    storage.apply(put_all(["a", "b", "c", "d"])).await.unwrap();
    storage
        .apply(Batch { put: vec![(in_table(Table::Meta, "b"), b"meta".to_vec())], ..Batch::default() })
        .await
        .unwrap();
    let keys = vec![row("c"), row("x"), in_table(Table::Meta, "b"), row("c"), row("a")];
    let every = Scan::prefix(Table::Record, b"");
    let scans = [
        every.clone(),
        every.clone().limit(2),
        Scan { reverse: true, ..every.clone() },
        Scan { reverse: true, ..every.clone() }.limit(3),
        Scan { reverse: true, ..every.clone() }.after(b"c"),
        every.clone().after(b"b").limit(1),
        Scan::prefix(Table::Record, b"b"),
        Scan::prefix(Table::Index, b""),
        every.clone().limit(0),
        every.after(b"z"),
    ];
    type Read = (Vec<Option<Row>>, Vec<Vec<Row>>);
    let (asked, ranges) = (keys.clone(), scans.clone());
    let read: Read = transact(&storage, move |rows| {
        let found = rows.get(&asked)?;
        let ranges = ranges.iter().map(|scan| rows.scan(scan)).collect::<Result<_, _>>()?;
        Ok(((found, ranges), Batch::default()))
    })
    .await
    .unwrap();
    assert_eq!(Ok(read.0), storage.get(keys).await);
    for (scan, found) in scans.into_iter().zip(read.1) {
        let shown = format!("{scan:?}");
        assert_eq!(storage.scan(scan).await, Ok(found), "{shown}");
    }
}

/// A read may depend on what another has found, as often as need be.
pub async fn work_follows_what_it_has_read(replica: impl Replica) {
    const LENGTH: u8 = 20;
    let storage = replica.open().await;
    let links = (0..LENGTH).map(|n| (row([n]), vec![n + 1])).collect();
    storage.apply(Batch { put: links, ..Batch::default() }).await.unwrap();
    let last = transact(&storage, |rows| {
        let mut at = vec![0];
        while let Some(next) = rows.get(&[row(&at)])?.pop().flatten() {
            at = next.value;
        }
        let end = rows.scan(&Scan::prefix(Table::Record, &[at[0] - 1]))?.len();
        Ok(((at[0], end), put("end", &at)))
    });
    assert_eq!(last.await, Ok((LENGTH, 1)));
    assert_eq!(value(&storage, "end").await, [LENGTH]);
}

/// "Only what the last run returns is written", and a run begins anew.
pub async fn each_run_begins_from_the_start(replica: impl Replica) {
    let storage = replica.open().await;
    storage.apply(put_all(["a", "b"])).await.unwrap();
    let mut runs = 0_u64;
    let told = transact(&storage, move |rows| {
        runs += 1;
        for key in ["a", "b"] {
            rows.get(&[row(key)])?;
        }
        Ok((runs, put("runs", runs.to_be_bytes())))
    })
    .await
    .unwrap();
    assert!(told >= 1);
    assert_eq!(value(&storage, "runs").await, told.to_be_bytes());
}

/// "Work that fails leaves no trace", its caller hears the error, and the store goes on working.
pub async fn work_that_fails_leaves_no_trace(replica: impl Replica) {
    let storage = replica.open().await;
    storage.apply(put_all(["a", "b"])).await.unwrap();
    let before = everything(&storage).await;
    for n in 0..20_u64 {
        let refused = StorageError::Unavailable("the work has refused".into());
        let error = refused.clone();
        let failing = transact(&storage, move |rows| {
            rows.get(&[row("a")])?;
            Err::<((), Batch), _>(error.clone())
        });
        assert_eq!(failing.await, Err(refused));
        assert_eq!(transact(&storage, |rows| count(rows, "n")).await, Ok(n));
    }
    storage.apply(Batch { delete: vec![row("n")], ..Batch::default() }).await.unwrap();
    assert_eq!(everything(&storage).await, before);
}

/// Whatever it has read, work without a batch changes nothing.
pub async fn work_may_only_read(replica: impl Replica) {
    let storage = replica.open().await;
    storage.apply(put_all(["a", "b"])).await.unwrap();
    let before = everything(&storage).await;
    let found = transact(&storage, |rows| Ok((rows.scan(&Scan::prefix(Table::Record, b""))?.len(), Batch::default())));
    assert_eq!(found.await, Ok(2));
    assert_eq!(everything(&storage).await, before);
}

/// "No other one begins before it has ended": of many who count, none is lost, and they count in the order of their asking.
pub async fn transactions_run_one_after_the_other_in_their_order(replica: impl Replica) {
    let storage = replica.open().await;
    let counted = join_all((0..100).map(|_| transact(&storage, |rows| count(rows, "key")))).await;
    let expected: Vec<_> = (0..100).map(Ok).collect();
    assert_eq!(counted, expected);
    assert_eq!(value(&storage, "key").await, 100_u64.to_be_bytes());
}

/// A failed one among them leaves no trace in the others.
pub async fn concurrent_transactions_keep_their_own_outcomes(replica: impl Replica) {
    let storage = replica.open().await;
    let one = |n: u8| {
        let storage = &storage;
        transact(storage, move |rows| {
            rows.get(&[row([n, 0])])?;
            let batch = put_all([[n, 0], [n, 1]]);
            if n.is_multiple_of(3) { Err(StorageError::Full("refused".into())) } else { Ok((n, batch)) }
        })
    };
    let outcomes = join_all((0..60).map(one)).await;
    for (n, outcome) in (0..60_u8).zip(outcomes) {
        let failed = n.is_multiple_of(3);
        assert_eq!(outcome.is_err(), failed, "work {n}");
        for part in 0..2 {
            assert_eq!(get(&storage, [n, part]).await.is_none(), failed, "work {n}");
        }
    }
}

/// Many rows, each by itself and all at once.
pub async fn work_may_read_many_rows(replica: impl Replica) {
    let storage = replica.open().await;
    let keys: Vec<_> = (0..2000_u32).map(u32::to_be_bytes).collect();
    storage.apply(put_all(&keys)).await.unwrap();
    let sum = transact(&storage, move |rows| {
        let together: Vec<RowKey> = keys.iter().map(row).collect();
        let found = rows.get(&together)?.into_iter().flatten().count();
        let (few, mut one_by_one) = (&together[..40], 0);
        for key in few {
            one_by_one += rows.get(std::slice::from_ref(key))?.into_iter().flatten().count();
        }
        let scanned = rows.scan(&Scan::prefix(Table::Record, b""))?.len();
        Ok(((found, one_by_one, scanned), Batch { delete: together, ..Batch::default() }))
    });
    assert_eq!(sum.await, Ok((2000, 40, 2000)));
    assert!(all(&storage, Table::Record).await.is_empty());
}
