//! The recovery of a damaged replica under power losses, full disks and failing flushes (pitfalls B34 to B36).
#![cfg(power_shim)]

use std::path::Path;

use unisono_tests::power::child::{Fault, FaultKind};
use unisono_tests::power::losses::Range;
use unisono_tests::power::marks::Mark;
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
        for at in 0.. {
            let recorded = damaged.recorded(Path::new(POWER), Some(Fault { kind, sticky, at })).unwrap();
            assert!(recorded.succeeded, "{kind:?} at {at}, sticky {sticky}: {}", recorded.complaint);
            if kind == FaultKind::Sync {
                // What a failed flush leaves unsure stays so whatever is flushed later.
                let range = Range { rounds: 1, seed: at, part: 0, parts: 7 };
                let tally = damaged.losses(&recorded.operations, range, 5);
                assert!(tally.violations.is_empty(), "{kind:?} at {at}, sticky {sticky}: {:#?}", tally.violations);
            }
            if !recorded.marks().any(|mark| mark == Mark::Struck) {
                println!("{kind:?}, sticky {sticky}: {at} calls");
                assert!(at > 5, "{at}");
                break;
            }
        }
    }
}
