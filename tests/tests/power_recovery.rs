//! The recovery of a damaged replica under power losses, full disks and failing flushes (pitfalls B34 to B36).
#![cfg(power_shim)]

use std::path::Path;

use unisono_tests::power::calls::every_call_fails;
use unisono_tests::power::child::FaultKind;
use unisono_tests::power::losses::Range;
use unisono_tests::power::recovery::Damaged;

/// The program whose children are recorded.
const POWER: &str = env!("CARGO_BIN_EXE_power");
const SEED: u64 = 0x5245_434f;

#[test]
fn b35_a_recovery_that_loses_power_at_any_moment_can_be_done_again_and_loses_nothing() {
    let damaged = Damaged::new();
    let recorded = damaged.recorded(Path::new(POWER), None).unwrap();
    assert!(recorded.succeeded, "{}", recorded.complaint);
    let tally = damaged.losses(&recorded.operations, Range::all(2, SEED), 50);
    println!("{} moments, {} images", tally.moments, tally.images);
    tally.assert_clean();
    assert!(tally.images > 200, "{}", tally.images);
}

#[test]
fn b36_a_recovery_that_meets_a_full_disk_or_a_failing_flush_at_any_call_can_be_done_again() {
    let damaged = Damaged::new();
    for (kind, sticky) in
        [(FaultKind::Full, false), (FaultKind::Full, true), (FaultKind::Sync, false), (FaultKind::Sync, true)]
    {
        let run = |fault| damaged.recorded(Path::new(POWER), Some(fault));
        let calls = every_call_fails((kind, sticky), run, 7, |operations, range| damaged.losses(operations, range, 5));
        assert!(calls.count > 5, "{}", calls.count);
    }
}
