//! Rounds of the writer whose units panic, and whose tasks end with their executor.

use std::pin::pin;

use futures_util::future::join_all;
use futures_util::poll;

use super::*;
use crate::storage::MemoryStorage;
use crate::testing::TestEnvironment;

fn writer(environment: &TestEnvironment) -> Writer {
    let storage = Arc::new(MemoryStorage::new());
    environment.block_on(Writer::open(storage, environment.shared(), Arc::new(IndexSet::default()))).unwrap()
}

async fn set_account(writer: &Writer, account: &'static str) -> Result<()> {
    writer
        .run(move |txn| {
            assert!(account != "panic", "a defect");
            txn.replica_mut().account = Some(account.into());
            Ok(())
        })
        .await
}

fn account(writer: &Writer) -> Option<String> {
    writer.reader().snapshot().account.clone()
}

#[test]
fn a_unit_that_panics_fails_alone() {
    let environment = TestEnvironment::new(1);
    let writer = writer(&environment);
    let units = ["anna", "panic", "bert"].map(|account| set_account(&writer, account));
    let results = environment.block_on(join_all(units));
    assert!(matches!(results[..], [Ok(()), Err(Error::Internal(_)), Ok(())]), "{results:?}");
    assert_eq!(account(&writer).as_deref(), Some("bert"));
    environment.block_on(set_account(&writer, "carl")).unwrap();
    assert_eq!(account(&writer).as_deref(), Some("carl"));
}

#[test]
fn b54_a_round_that_ended_with_its_executor_does_not_hold_the_writer_up() {
    let environment = TestEnvironment::new(2);
    let writer = writer(&environment);
    environment.block_on(async {
        // Its caller goes away, so that it would go on in the background; but nothing in the background goes on.
        let mut leaving = pin!(Some(Box::pin(set_account(&writer, "anna"))));
        assert!(poll!(leaving.as_mut().as_pin_mut().unwrap()).is_pending());
        leaving.set(None);
        assert_eq!(environment.abort_all_tasks(), 1);
        set_account(&writer, "bert").await.unwrap();
    });
    environment.run_until_idle();
    assert_eq!(account(&writer).as_deref(), Some("bert"));
}
