//! The client's SQLite storage under power losses, full disks and failing flushes (pitfalls B34 to B36).
#![cfg(power_shim)]

use std::collections::BTreeMap;
use std::path::Path;

use unisono::storage::Durability;
use unisono_tests::power::calls::{every_call_fails, kill_at_calls};
use unisono_tests::power::child::FaultKind;
use unisono_tests::power::client_run::{Child, losses};
use unisono_tests::power::losses::{Range, Tally};
use unisono_tests::power::{Acknowledge, Operation};

/// Calls between two at which a child is really killed; the images are of every call.
const KILL_STEP: usize = 7;
/// The program whose children are recorded.
const POWER: &str = env!("CARGO_BIN_EXE_power");
const SEED: u64 = 0x504f_5745;
/// Draws of each seeded way at each moment.
const ROUNDS: u64 = 1;

fn recorded(child: Child) -> Vec<Operation> {
    let recorded = child.run(Path::new(POWER)).unwrap();
    assert!(recorded.succeeded, "{}", recorded.complaint);
    recorded.operations
}

fn images(durability: Durability, part: usize) {
    let operations = recorded(Child::sound(durability));
    let tally = losses(&operations, durability, Range { rounds: ROUNDS, seed: SEED, part, parts: 2 }, 50);
    println!("{durability:?}, part {part}: {} moments, {} images", tally.moments, tally.images);
    tally.assert_clean();
    assert!(tally.images > 1_000, "{}", tally.images);
}

#[test]
fn b34_with_full_no_acknowledged_write_is_lost_in_any_image_first_half() {
    images(Durability::Full, 0);
}

#[test]
fn b34_with_full_no_acknowledged_write_is_lost_in_any_image_second_half() {
    images(Durability::Full, 1);
}

#[test]
fn b34_with_normal_every_image_is_a_whole_earlier_state_first_half() {
    images(Durability::Normal, 0);
}

#[test]
fn b34_with_normal_every_image_is_a_whole_earlier_state_second_half() {
    images(Durability::Normal, 1);
}

fn caught(what: &str, tally: &Tally) {
    let first = tally.violations.first().unwrap_or_else(|| panic!("{what}: not caught in {} images", tally.images));
    println!("{what}: caught by {first}");
    assert!(first.after < 1_000, "{what}: {first}");
}

#[test]
fn the_harness_catches_a_replica_that_flushes_at_checkpoints_only_but_promises_full() {
    let operations = recorded(Child::sound(Durability::Normal));
    caught("synchronous=NORMAL", &losses(&operations, Durability::Full, Range::all(1, SEED), 1));
}

#[test]
fn the_harness_catches_flushes_that_are_forgotten() {
    let mut operations = recorded(Child::sound(Durability::Full));
    operations.retain(|operation| !matches!(operation, Operation::Sync { .. }));
    caught("no flush, `full`", &losses(&operations, Durability::Full, Range::all(1, SEED), 1));
    let normal = losses(&operations, Durability::Normal, Range::all(1, SEED), 1);
    caught("no flush, `normal`", &normal);
}

#[test]
fn the_harness_catches_an_acknowledgement_before_the_commit() {
    let hasty = Child { acknowledge: Acknowledge::Before, ..Child::sound(Durability::Full) };
    caught("hasty", &losses(&recorded(hasty), Durability::Full, Range::all(1, SEED), 1));
}

/// The short workload, each call of which fails. Returns how often a step was refused, by code.
fn refusals(kind: FaultKind, sticky: bool) -> BTreeMap<String, u64> {
    let run = |fault| Child { long: false, fault: Some(fault), ..Child::sound(Durability::Full) }.run(Path::new(POWER));
    let calls =
        every_call_fails((kind, sticky), run, 23, |operations, range| losses(operations, Durability::Full, range, 5));
    assert!(calls.count > 20, "{}", calls.count);
    calls.refusals
}

#[test]
fn b36_at_every_call_a_full_disk_is_typed_and_work_goes_on_in_the_same_process() {
    for sticky in [false, true] {
        let refusals = refusals(FaultKind::Full, sticky);
        // What a single call meets is mostly tried again with success. Where a file cannot be made, SQLite does not say why.
        assert!(refusals.contains_key("storage_full"), "{refusals:?}");
        let known = |code: &String| ["storage_full", "storage_unavailable"].contains(&code.as_str());
        assert!(refusals.keys().all(known), "{refusals:?}");
    }
}

#[test]
fn b34_a_flush_that_fails_is_never_acknowledged_and_work_goes_on_in_the_same_process() {
    for sticky in [false, true] {
        let refusals = refusals(FaultKind::Sync, sticky);
        assert_eq!(refusals.keys().collect::<Vec<_>>(), ["storage_io"]);
    }
}

#[test]
fn b34_a_process_that_is_killed_at_any_call_loses_nothing_that_was_promised() {
    for durability in [Durability::Full, Durability::Normal] {
        let kills = kill_at_calls(KILL_STEP, |fault| {
            Child { long: false, fault: Some(fault), ..Child::sound(durability) }.killed(Path::new(POWER))
        });
        println!("{durability:?}: {kills} kills");
        assert!(kills > 20, "{kills}");
    }
}
