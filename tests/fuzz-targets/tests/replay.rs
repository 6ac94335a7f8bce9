//! The fuzz targets in an ordinary test run: every kept input, and seeded ones.
//!
//! `fuzz/corpus/<target>/` holds a small choice of inputs that reach different code; `fuzz/regressions/<target>/` holds the
//! inputs that once broke a promise. Both are replayed here, and each target then runs on some inputs made from them and
//! from nothing by a seeded generator, so that a body cannot rot between two campaigns.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use unisono::testing::SeededRandom;
use unisono_fuzz_targets::{TARGETS, Target};

/// Most files in a target's corpus.
const MAX_FILES: usize = 60;
/// Most bytes in all of the corpus.
const MAX_BYTES: u64 = 200 << 10;
/// Longest seeded input.
const MAX_SEEDED: u64 = 400;

fn fuzz(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz").join(folder)
}

/// The names in a folder, sorted; none if there is no such folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a plain name"));
    names.collect::<BTreeSet<_>>().into_iter().collect()
}

fn inputs(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let paths = names(folder).into_iter().map(|name| folder.join(name));
    paths.map(|path| (path.clone(), std::fs::read(&path).expect("an input"))).collect()
}

fn run(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target of this name");
    let corpus = inputs(&fuzz("corpus").join(name));
    let regressions = inputs(&fuzz("regressions").join(name));
    assert!(!corpus.is_empty(), "{name} has no corpus");
    assert!(corpus.len() <= MAX_FILES, "{name} has {} files", corpus.len());
    for (path, input) in corpus.iter().chain(&regressions) {
        named(target, input, || path.display().to_string());
    }
    (target.body)(b"");
    let seeds: Vec<_> = corpus.into_iter().chain(regressions).map(|(_, input)| input).collect();
    let mut random = SeededRandom::new(0x5eed);
    for round in 0..target.tries {
        let input = if round % 8 == 0 { noise(&mut random) } else { mutated(&seeds, &mut random) };
        named(target, &input, || format!("seeded input {round}: {:?}", String::from_utf8_lossy(&input)));
    }
}

/// Runs the body; says which input it was that broke it.
fn named(target: &Target, input: &[u8], name: impl FnOnce() -> String) {
    let result = std::panic::catch_unwind(|| (target.body)(input));
    assert!(result.is_ok(), "{} breaks on {}", target.name, name());
}

fn noise(random: &mut SeededRandom) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(random.below(MAX_SEEDED)).expect("a small number")];
    random.fill(&mut bytes);
    bytes
}

/// A seed with a few changes, or two seeds joined.
fn mutated(seeds: &[Vec<u8>], random: &mut SeededRandom) -> Vec<u8> {
    let mut below = |bound: usize| usize::try_from(random.below(bound as u64)).expect("a small number");
    let mut input = seeds[below(seeds.len())].clone();
    for _ in 0..=below(4) {
        let at = below(input.len() + 1);
        match below(6) {
            0 => input.truncate(at),
            1 => input.insert(at, u8::try_from(below(256)).expect("a byte")),
            2 => {
                let other = &seeds[below(seeds.len())];
                let from = below(other.len() + 1);
                input.truncate(at);
                input.extend(&other[from..]);
            }
            3 => {
                let end = (at + 1 + below(16)).min(input.len());
                input.drain(at..end);
            }
            _ => {
                if let Some(byte) = input.get_mut(at) {
                    *byte = if below(2) == 0 { *byte ^ 1 << below(8) } else { b"\"\\{}[],:0-9e$~/\n"[below(16)] };
                }
            }
        }
    }
    input
}

macro_rules! targets {
    ($($name:ident),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                run(stringify!($name));
            }
        )*

        #[test]
        fn every_target_is_built_by_the_fuzzer_and_replayed_here() {
            let listed: Vec<_> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
            assert_eq!(listed, [$(stringify!($name)),*]);
            let files: Vec<_> = listed.iter().map(|name| format!("{name}.rs")).collect();
            assert_eq!(names(&fuzz("fuzz_targets")), files);
            let manifest = std::fs::read_to_string(fuzz("Cargo.toml")).expect("the fuzzer's manifest");
            for name in &listed {
                assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is not in fuzz/Cargo.toml");
                let file = std::fs::read_to_string(fuzz("fuzz_targets").join(format!("{name}.rs"))).expect("a file");
                assert!(file.contains(&format!("unisono_fuzz_targets::{name}(data)")), "{name}.rs runs another body");
            }
            for folder in ["corpus", "regressions"] {
                let folders: BTreeSet<_> = names(&fuzz(folder)).into_iter().collect();
                assert!(folders.is_subset(&listed.iter().cloned().collect()), "{folder}: {folders:?}");
            }
        }
    };
}

targets!(
    canonical_json,
    cursor,
    feed,
    jwt,
    merge,
    merge_order,
    pointer,
    push_decode,
    push_service,
    replica_file,
    replica_rows,
    stamp,
    stored_rows,
);

#[test]
fn the_corpus_is_small() {
    let files = TARGETS.iter().flat_map(|target| inputs(&fuzz("corpus").join(target.name)));
    let bytes: u64 = files.map(|(_, input)| input.len() as u64).sum();
    assert!(bytes <= MAX_BYTES, "the corpus has {bytes} bytes");
}
