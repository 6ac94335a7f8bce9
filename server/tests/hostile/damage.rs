//! Damage is never served as truth: whatever a disk does to the database's file, an answer is right, or refused.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};
use unisono::model::Scope;
use unisono::testing::TestEnvironment;
use unisono_server::store::Store;
use unisono_server::{ServiceOptions, SqliteOptions, SqliteStore, SyncService};

use crate::world::{Device, World, user};

/// Small, and the same everywhere: which bytes a seed damages is a part of the test.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        // Knuth's MMIX generator; its upper bits are the good ones.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}

type Documents = BTreeMap<String, Value>;

/// A database with records, updates, deletes and a conflict note; and what a pull of it tells.
fn written(folder: &Path) -> (Vec<u8>, Documents) {
    let path = folder.join("sound.db");
    let world = World::in_file(&path);
    let anna = user("anna");
    let mut device = Device::new(&anna, "a");
    for push in 0..6 {
        let doc = |number: usize| json!({"title": format!("record {push} {number}"), "n": push * 1000 + number, "text": "abcdefgh".repeat(8)});
        let events: Vec<_> =
            (0..50).map(|number| device.create(&world, &format!("r{push}-{number}"), doc(number))).collect();
        device.push(&world, &events).unwrap();
    }
    let head = 300;
    let events: Vec<_> = (0..20)
        .map(|number| match number % 2 {
            0 => device.set(&world, &format!("r0-{number}"), head, "/title", json!("changed")),
            _ => device.delete(&world, &format!("r0-{number}"), head),
        })
        .collect();
    device.push(&world, &events).unwrap();
    let documents = told(&world);
    world.close();
    (std::fs::read(path).unwrap(), documents)
}

fn told(world: &World) -> Documents {
    let all = world.records(&user("anna"), Scope::User);
    all.into_iter().filter_map(|change| Some((change.record.to_string(), change.doc?))).collect()
}

/// What became of a damaged file.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    RefusedToOpen,
    RefusedToAnswer,
    Right,
}

/// Opens a file with the content `bytes` and pulls everything. A wrong answer fails the test.
fn tried(folder: &Path, bytes: &[u8], right: &Documents, variant: &str) -> Outcome {
    let path = folder.join("damaged.db");
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(folder.join(format!("damaged.db{suffix}")));
    }
    std::fs::write(&path, bytes).unwrap();
    let env = TestEnvironment::new(9);
    let Ok(store) = SqliteStore::open(&path, &SqliteOptions { survive_power_loss: false }) else {
        return Outcome::RefusedToOpen;
    };
    let Ok(service) = env.block_on(SyncService::open(store.clone(), env.shared(), ServiceOptions::default())) else {
        return Outcome::RefusedToOpen;
    };
    let pulled = env.block_on(async {
        let mut request = unisono::protocol::ChangesRequest::from_start(Scope::User);
        let mut all = Vec::new();
        loop {
            let mut feed = service.changes(&user("anna"), request.clone()).await?;
            let mut last = None;
            while let Some(chunk) = feed.next().await? {
                all.extend(chunk.changes);
                last = chunk.trailer;
            }
            let last = last.expect("a feed ends with a trailer");
            if !last.more {
                return Ok::<_, unisono::protocol::Problem>(all);
            }
            request.cursor = Some(last.cursor);
        }
    });
    let ready = env.block_on(service.ready());
    let outcome = match pulled {
        Err(problem) => {
            assert_eq!((problem.status, problem.code.as_str()), (500, "storage_corrupt"), "{variant}");
            let unready = ready.expect_err("damage was met");
            assert_eq!((unready.status, unready.code.as_str()), (503, "storage_corrupt"), "{variant}");
            assert!(unready.detail.is_some_and(|reason| !reason.is_empty()), "{variant}");
            assert!(store.figures().damaged > 0, "{variant}");
            Outcome::RefusedToAnswer
        }
        Ok(all) => {
            let documents: Documents =
                all.into_iter().filter_map(|change| Some((change.record.to_string(), change.doc?))).collect();
            assert_eq!(documents, *right, "{variant}: wrong, and nobody was told");
            Outcome::Right
        }
    };
    env.block_on(service.close());
    outcome
}

/// How `flips` damaged places of so many variants ended.
fn sweep(variants: u64, seed: u64, damage: impl Fn(&mut Dice, &mut [u8])) -> BTreeMap<Outcome, usize> {
    let folder = tempfile::tempdir().unwrap();
    let (sound, right) = written(folder.path());
    let mut outcomes = BTreeMap::new();
    assert_eq!(tried(folder.path(), &sound, &right, "undamaged"), Outcome::Right);
    for variant in 0..variants {
        let mut bytes = sound.clone();
        damage(&mut Dice(seed + variant), &mut bytes);
        let outcome = tried(folder.path(), &bytes, &right, &format!("seed {}", seed + variant));
        *outcomes.entry(outcome).or_default() += 1;
    }
    outcomes
}

#[test]
fn one_flipped_bit_gives_no_wrong_answer() {
    let outcomes = sweep(200, 1_000, |dice, bytes| {
        let (place, bit) = (dice.below(bytes.len()), dice.below(8));
        bytes[place] ^= 1 << bit;
    });
    assert!(outcomes.get(&Outcome::RefusedToAnswer).is_some_and(|count| *count > 20), "{outcomes:?}");
    // Of logs and receipts, of free space: a pull does not read them.
    assert!(outcomes.get(&Outcome::Right).is_some_and(|count| *count > 20), "{outcomes:?}");
}

#[test]
fn sixty_four_damaged_bytes_give_no_wrong_answer() {
    let outcomes = sweep(200, 2_000, |dice, bytes| {
        let place = dice.below(bytes.len() - 64);
        bytes[place..place + 64].iter_mut().for_each(|byte| *byte = u8::try_from(dice.below(256)).unwrap());
    });
    assert!(outcomes.get(&Outcome::RefusedToOpen).is_some_and(|count| *count > 20), "{outcomes:?}");
}

#[test]
fn scattered_bits_give_no_wrong_answer() {
    let outcomes = sweep(100, 3_000, |dice, bytes| {
        for _ in 0..4 {
            let (place, bit) = (dice.below(bytes.len()), dice.below(8));
            bytes[place] ^= 1 << bit;
        }
    });
    assert!(outcomes.len() > 1, "{outcomes:?}");
}
