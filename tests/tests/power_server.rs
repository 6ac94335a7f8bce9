//! The server's SQLite store under power losses, full disks and failing flushes (pitfalls B34 to B36).
#![cfg(power_shim)]

use std::collections::BTreeMap;
use std::path::Path;

use unisono::storage::Durability;
use unisono_tests::power::Operation;
use unisono_tests::power::child::{Fault, FaultKind};
use unisono_tests::power::losses::Range;
use unisono_tests::power::marks::Mark;
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

/// Lets each call of the short workload fail that can fail so, once or until it is lifted; the child keeps its promises in
/// one process. Returns how often a step was refused, by code.
fn every_call_fails(kind: FaultKind, sticky: bool) -> BTreeMap<String, u64> {
    let mut refusals = BTreeMap::new();
    for at in 0.. {
        let server = Server { long: false, fault: Some(Fault { kind, sticky, at }), ..Server::sound(Durability::Full) };
        let recorded = server.run(Path::new(POWER)).unwrap();
        assert!(recorded.succeeded, "{kind:?} at {at}, sticky {sticky}: {}", recorded.complaint);
        for mark in recorded.marks() {
            if let Mark::Refused { code, .. } = mark {
                *refusals.entry(code).or_default() += 1;
            }
        }
        if !recorded.struck {
            println!("{kind:?}, sticky {sticky}: {at} calls, refusals {refusals:?}");
            assert!(at > 20, "{at}");
            return refusals;
        }
        if kind == FaultKind::Sync {
            // What a failed flush leaves unsure stays so whatever is flushed later.
            let range = Range { rounds: 1, seed: at, part: 0, parts: 17 };
            let tally = losses(&recorded.operations, Durability::Full, range, 5);
            assert!(tally.violations.is_empty(), "{kind:?} at {at}, sticky {sticky}: {:#?}", tally.violations);
        }
    }
    unreachable!("the workload ends")
}

#[test]
fn b36_at_every_call_of_the_server_a_full_disk_is_typed_and_work_goes_on_in_the_same_process() {
    for sticky in [false, true] {
        let refusals = every_call_fails(FaultKind::Full, sticky);
        // Where a file cannot be made, SQLite does not say why.
        assert_eq!(refusals.keys().collect::<Vec<_>>(), ["storage_full", "storage_io"]);
    }
}

#[test]
fn b34_a_flush_of_the_server_that_fails_is_never_answered_and_work_goes_on_in_the_same_process() {
    for sticky in [false, true] {
        let refusals = every_call_fails(FaultKind::Sync, sticky);
        assert_eq!(refusals.keys().collect::<Vec<_>>(), ["storage_io"]);
    }
}

#[test]
fn b34_a_server_that_is_killed_at_any_call_loses_nothing_that_was_promised() {
    for durability in [Durability::Full, Durability::Normal] {
        let mut kills = 0;
        for at in (0..).step_by(KILL_STEP) {
            let victim = Server {
                long: false,
                fault: Some(Fault { kind: FaultKind::Kill, sticky: false, at }),
                ..Server::sound(durability)
            };
            if !victim.killed(Path::new(POWER)).unwrap_or_else(|what| panic!("{durability:?}, killed at {at}: {what}"))
            {
                break;
            }
            kills += 1;
        }
        println!("{durability:?}: {kills} kills");
        assert!(kills > 20, "{kills}");
    }
}
