//! The simulator against the real service: the same seed is the same run, and histories that once found something are kept.

use std::path::Path;

use unisono_tests::sim::{History, simulation};

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
