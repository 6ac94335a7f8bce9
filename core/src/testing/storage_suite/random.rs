//! Cases: long random runs against the model.

use super::helpers::Replica;
use crate::storage::Storage;
use crate::testing::storage_model::{Operation, compare, seeded};

/// A long run that is the same each time; a backend's own tests add more with other seeds or with a property test.
pub async fn random_operations_agree_with_the_model(replica: impl Replica) {
    let operations = seeded(1, 24 << 10);
    let writes = operations.iter().filter(|operation| matches!(operation, Operation::Transact(_))).count();
    assert!(writes > 300, "the run is worth its name");
    compare(&replica, operations).await;
    // The comparison closed it; it can be opened again.
    replica.open().await.close().await.unwrap();
}
