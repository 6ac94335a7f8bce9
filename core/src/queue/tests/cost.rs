//! What writes and receipts cost, counted in rows that are read and bytes that are written: a record with many unsettled events
//! costs as much per event as one with few.

use super::*;
use crate::testing::FaultyStorage;

/// Rows read while so many transactions of two increments are written on one record, and while they are settled.
fn rows_read(transactions: u64) -> (u64, u64) {
    let environment = TestEnvironment::new(1);
    let storage = Arc::new(FaultyStorage::new(MemoryStorage::new()));
    let run = |future| environment.block_on(future);
    let queue = environment.block_on(open(&environment, &storage, QueueLimits::default(), PolicyTable::default()));
    run(Box::pin(queue.accept(&Scope::User, vec![create("a", json!({"n": 0}))]))).unwrap();

    let begun = storage.rows_read();
    for _ in 0..transactions {
        let drafts = vec![increment("a", "/n", 1), increment("a", "/m", 1)];
        run(Box::pin(queue.accept(&Scope::User, drafts))).unwrap();
    }
    let written = storage.rows_read();
    let mut revision = 0;
    while let Some(push) =
        environment.block_on(queue.next_push(&Scope::User, 500, &crate::queue::Selection::All)).unwrap()
    {
        let receipts = push.events.iter().map(|event| {
            revision += 1;
            applied(&event.id, revision - 1, revision)
        });
        environment.block_on(queue.settle(&Scope::User, response(receipts.collect()))).unwrap();
    }
    let left = environment.block_on(queue.stats()).unwrap();
    assert_eq!((left.events, revision), (0, 1 + 2 * transactions));
    (written - begun, storage.rows_read() - written)
}

#[test]
fn a_write_on_a_record_with_many_unsettled_events_reads_no_more_than_one_with_few() {
    let ((few, settling_few), (many, settling_many)) = (rows_read(50), rows_read(200));
    assert!(many <= 4 * few, "four times as many writes read {few} and {many} rows");
    // A push reads the lane of which it takes a part, so that a receipt is not quite as cheap.
    assert!(
        settling_many <= 5 * settling_few,
        "four times as many receipts read {settling_few} and {settling_many} rows"
    );
}
