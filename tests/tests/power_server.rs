//! The server's SQLite store under power losses, full disks and failing flushes (pitfalls B34 to B36).
#![cfg(power_shim)]

use std::collections::BTreeMap;
use std::path::Path;

use unisono::storage::Durability;
use unisono_tests::power::Operation;
use unisono_tests::power::calls::{every_call_fails, kill_at_calls};
use unisono_tests::power::child::FaultKind;
use unisono_tests::power::losses::Range;
use unisono_tests::power::server_run::{Server, losses};

/// Calls between two at which a child is really killed; the images are of every call.
const KILL_STEP: usize = 7;
/// The program whose children are recorded.
const POWER: &str = env!("CARGO_BIN_EXE_power");
const SEED: u64 = 0x5345_5256;
/// One of so many moments is looked at by each test; the campaign looks at all.
const PARTS: usize = 24;

fn recorded(server: Server) -> Vec<Operation> {
    let recorded = server.run(Path::new(POWER)).unwrap();
    assert!(recorded.succeeded, "{}", recorded.complaint);
    recorded.operations
}

fn images(durability: Durability, part: usize) {
    let operations = recorded(Server::sound(durability));
    let tally = losses(&operations, durability, Range { rounds: 1, seed: SEED, part, parts: PARTS }, 50);
    println!("{durability:?}, part {part}: {} moments, {} images", tally.moments, tally.images);
    tally.assert_clean();
    assert!(tally.images > 500, "{}", tally.images);
}

#[test]
fn b34_no_answered_push_is_missing_in_any_image_of_the_server_first_part() {
    images(Durability::Full, 0);
}

#[test]
fn b34_no_answered_push_is_missing_in_any_image_of_the_server_second_part() {
    images(Durability::Full, 1);
}

#[test]
fn b34_a_server_that_survives_crashes_only_is_left_in_a_whole_earlier_state_first_part() {
    images(Durability::Normal, 0);
}

#[test]
fn b34_a_server_that_survives_crashes_only_is_left_in_a_whole_earlier_state_second_part() {
    images(Durability::Normal, 1);
}

#[test]
fn the_harness_catches_a_server_whose_flushes_are_forgotten() {
    let mut operations = recorded(Server::sound(Durability::Full));
    operations.retain(|operation| !matches!(operation, Operation::Sync { .. }));
    let tally = losses(&operations, Durability::Full, Range::all(1, SEED), 1);
    let first = tally.violations.first().expect("it is caught");
    println!("no flush: caught by {first}");
    assert!(first.after < 500, "{first}");
}

#[test]
fn the_harness_catches_a_server_that_survives_crashes_only_but_promises_more() {
    let operations = recorded(Server::sound(Durability::Normal));
    let tally = losses(&operations, Durability::Full, Range::all(1, SEED), 1);
    let first = tally.violations.first().expect("it is caught");
    println!("synchronous=NORMAL: caught by {first}");
    assert!(first.after < 1_000, "{first}");
}

/// The short workload, each call of which fails. Returns how often a step was refused, by code.
fn refusals(kind: FaultKind, sticky: bool) -> BTreeMap<String, u64> {
    let run =
        |fault| Server { long: false, fault: Some(fault), ..Server::sound(Durability::Full) }.run(Path::new(POWER));
    let calls =
        every_call_fails((kind, sticky), run, 17, |operations, range| losses(operations, Durability::Full, range, 5));
    assert!(calls.count > 20, "{}", calls.count);
    calls.refusals
}

#[test]
fn b36_at_every_call_of_the_server_a_full_disk_is_typed_and_work_goes_on_in_the_same_process() {
    for sticky in [false, true] {
        let refusals = refusals(FaultKind::Full, sticky);
        // Where a file cannot be made, SQLite does not say why.
        assert_eq!(refusals.keys().collect::<Vec<_>>(), ["storage_full", "storage_io"]);
    }
}

#[test]
fn b34_a_flush_of_the_server_that_fails_is_never_answered_and_work_goes_on_in_the_same_process() {
    for sticky in [false, true] {
        let refusals = refusals(FaultKind::Sync, sticky);
        assert_eq!(refusals.keys().collect::<Vec<_>>(), ["storage_io"]);
    }
}

#[test]
fn b34_a_server_that_is_killed_at_any_call_loses_nothing_that_was_promised() {
    for durability in [Durability::Full, Durability::Normal] {
        let kills = kill_at_calls(KILL_STEP, |fault| {
            Server { long: false, fault: Some(fault), ..Server::sound(durability) }.killed(Path::new(POWER))
        });
        println!("{durability:?}: {kills} kills");
        assert!(kills > 20, "{kills}");
    }
}
