//! A replica in memory.

use proptest::prelude::*;

use super::helpers::{apply, put, value};
use crate::platform::BoxFuture;
use crate::storage::SqliteStorage;
use crate::testing::block_on;
use crate::testing::storage_model::{Operation, compare, decode};
use crate::testing::storage_suite::Replica;

struct InMemory;

impl Replica for InMemory {
    type Storage = SqliteStorage;

    fn open(&self) -> BoxFuture<'_, SqliteStorage> {
        Box::pin(async { SqliteStorage::in_memory().expect("there is memory") })
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_operations_agree_with_the_model(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        // It does not outlive its close.
        let operations = decode(&bytes).into_iter().filter(|operation| *operation != Operation::Reopen).collect();
        block_on(compare(&InMemory, operations));
    }
}

#[test]
fn each_replica_in_memory_is_its_own() {
    let (one, other) = (SqliteStorage::in_memory().unwrap(), SqliteStorage::in_memory().unwrap());
    assert_eq!(one.path(), None);
    apply(&one, put("key", "value")).unwrap();
    assert_eq!(value(&other, "key"), None);
}

#[test]
fn the_name_that_stands_for_no_database_makes_no_file() {
    let storage = SqliteStorage::open(":memory:").unwrap();
    apply(&storage, put("key", "value")).unwrap();
    assert_eq!((storage.path(), value(&storage, "key").unwrap()), (None, b"value".to_vec()));
    assert!(!std::path::Path::new(":memory:").exists() && !std::path::Path::new(":memory:.lock").exists());
}
