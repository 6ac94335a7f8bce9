//! The conformance suite: inline, on one Tokio thread (where commits are shared), on several, and under a property test.
#![expect(clippy::disallowed_methods, reason = "the tasks of these tests are part of what they test")]

use proptest::prelude::*;
use tokio::runtime::Builder;

use super::helpers::InFolder;
use crate::testing::{block_on, storage_model};

fn on_one_thread(test: impl Future<Output = ()>) {
    Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(test);
}

fn on_several_threads(test: impl Future<Output = ()> + Send + 'static) {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    // As a task, because only those run on the worker threads.
    runtime.block_on(async { tokio::spawn(test).await.expect("the test passes") });
}

crate::storage_suite!(inline, InFolder::new());
crate::storage_suite!(one_thread, InFolder::in_tokio(), run = on_one_thread);
crate::storage_suite!(several_threads, InFolder::in_tokio(), run = on_several_threads);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_operations_agree_with_the_model(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        block_on(storage_model::compare(&InFolder::new(), storage_model::decode(&bytes)));
    }
}
