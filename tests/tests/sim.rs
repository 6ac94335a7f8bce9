//! The simulator against the real service: the same seed is the same run, and histories that once found something are kept.

use std::path::Path;

use unisono::testing::sim::Broken;
use unisono_tests::sim::{History, first_to_notice, simulation};

#[test]
fn the_same_seed_gives_the_same_trace() {
    let simulation = simulation();
    let run = |seed| match simulation.run_seed(seed) {
        Ok(report) => report.trace,
        Err(failure) => failure.trace,
    };
    for seed in 0..10 {
        assert_eq!(run(seed), run(seed), "seed {seed}");
    }
    assert_ne!(run(0), run(1));
}

#[test]
fn kept_histories_hold_every_promise() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/histories");
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        let history = History::read(&file).unwrap();
        if let Err(failure) = simulation().run(&history.config, &history.actions) {
            panic!("{}: {failure}", file.display());
        }
    }
}

/// Two thousand others run in `cargo xtask test`, optimised.
#[test]
fn seeds_hold_every_promise() {
    let simulation = simulation();
    for seed in 2_000..2_030 {
        if let Err(failure) = simulation.run_seed(seed) {
            panic!("{failure}");
        }
    }
}

#[test]
fn every_broken_variant_is_noticed() {
    for broken in Broken::ALL {
        let noticed = first_to_notice(broken, 200);
        println!("{broken}: {noticed:?}");
        assert!(noticed.is_some(), "{broken} went unnoticed");
    }
}
