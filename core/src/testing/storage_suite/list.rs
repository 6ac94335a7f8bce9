//! The list of cases, and the macros that make tests of them.

/// Makes a module of tests out of the conformance suite of [`Storage`](crate::storage::Storage).
///
/// `$replica` is an expression for a fresh, empty [`Replica`](crate::testing::storage_suite::Replica); each case evaluates
/// it once. `run` names a function that runs a future to its end, [`block_on`](crate::testing::block_on) unless given;
/// with `async` and a test attribute, the cases become async tests instead.
///
/// ```text
/// unisono::storage_suite!(memory, MemoryStorage::new());
/// unisono::storage_suite!(in_tokio, MyReplica::new(), run = on_tokio);
/// unisono::storage_suite!(in_browser, MyReplica::new(), async wasm_bindgen_test);
/// ```
#[macro_export]
macro_rules! storage_suite {
    ($name:ident, $replica:expr $(,)?) => {
        $crate::storage_suite!($name, $replica, run = $crate::testing::block_on);
    };
    ($name:ident, $replica:expr, run = $run:path $(,)?) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;
            $crate::__storage_cases!(sync ($replica) ($run));
        }
    };
    ($name:ident, $replica:expr, async $attribute:meta $(,)?) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;
            $crate::__storage_cases!(async ($replica) ($attribute));
        }
    };
}

/// The list of cases. Not public API.
#[doc(hidden)]
#[macro_export]
macro_rules! __storage_cases {
    ($($how:tt)*) => {
        $crate::__storage_tests!([
            an_absent_row_reads_as_none
            a_row_reads_back_as_it_was_put
            the_last_put_counts
            a_deleted_row_can_be_put_again
            tables_do_not_share_rows
            get_answers_in_the_order_of_its_keys
            empty_keys_and_values_are_kept
            every_byte_is_kept
            a_large_value_is_kept_whole
            a_batch_of_many_rows_is_kept_whole
            an_empty_batch_is_fine
            deleting_an_absent_row_is_no_error
            clear_comes_before_delete_and_delete_before_put
            clear_takes_exactly_the_rows_of_its_prefix
            clear_of_the_empty_prefix_takes_a_whole_table
            work_sees_what_earlier_transactions_have_left
            work_reads_as_others_do
            work_follows_what_it_has_read
            each_run_begins_from_the_start
            work_that_fails_leaves_no_trace
            work_may_only_read
            work_may_read_many_rows
            rows_come_in_bytewise_order
            every_combination_of_bounds_direction_and_limit_is_right
            a_prefix_scan_finds_exactly_its_prefix
            paging_with_after_visits_each_row_once
            an_empty_or_inverted_range_is_empty
            a_limit_of_zero_is_empty
            reads_see_every_batch_that_has_returned
            a_read_never_sees_a_part_of_a_batch
            concurrent_transactions_keep_their_own_outcomes
            transactions_run_one_after_the_other_in_their_order
            a_cancelled_apply_happened_entirely_or_not_at_all
            cancelled_applies_hold_up_nobody
            what_was_written_is_there_after_opening_again
            calls_fail_while_suspended_and_work_after_resume
            suspend_and_resume_are_idempotent
            closing_is_idempotent_and_later_calls_fail
            a_suspended_store_can_be_closed
            random_operations_agree_with_the_model
        ] $($how)*);
    };
}

/// One test for each case. Not public API.
#[doc(hidden)]
#[macro_export]
macro_rules! __storage_tests {
    ([$($case:ident)*] sync ($replica:expr) ($run:path)) => {
        $(
            #[test]
            fn $case() {
                $run($crate::testing::storage_suite::$case($replica));
            }
        )*
    };
    ([$($case:ident)*] async ($replica:expr) ($attribute:meta)) => {
        $(
            #[$attribute]
            async fn $case() {
                $crate::testing::storage_suite::$case($replica).await;
            }
        )*
    };
}
