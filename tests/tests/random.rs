//! Random work under random faults: three devices, every kind of write, and whatever can go wrong between them and the
//! server. In the end everybody holds the same (I4), every event has one fate (I2) and every count is exact (I3).

use serde_json::json;
use unisono::Collection;
use unisono::model::Scope;
use unisono::testing::{CallKind, Fault, SeededRandom};
use unisono_tests::{Backup, Books, Device, World};

/// Records that anything may happen to.
const RECORDS: u64 = 4;
/// Two records that groups alone write, both by the same amount.
const PAIR: [&str; 2] = ["left", "right"];
const STEPS: u64 = 40;
/// Rounds in which everything must have settled.
const PATIENCE: usize = 30;

struct Run {
    world: World,
    devices: Vec<Device>,
    books: Books,
    random: SeededRandom,
    /// What groups have added to the pair.
    grouped: i64,
    backups: Vec<Backup>,
    on_disk: bool,
}

impl Run {
    /// Every tenth server is on disk: it is restarted, and restored from old copies.
    fn new(seed: u64) -> Self {
        let on_disk = seed % 10 == 9;
        let world = if on_disk { World::on_disk(seed) } else { World::new(seed) };
        let mut random = SeededRandom::new(seed);
        let devices: Vec<_> = (0..3)
            .map(|index| {
                // One clock is right, the others are up to a day off.
                let off = i64::try_from(random.below(2 * 86_400_000)).unwrap() - 86_400_000;
                world.device_on("anna", Default::default(), if index == 0 { 0 } else { off })
            })
            .collect();
        let mut books = Books::opened_by(&world, &devices[0]);
        for id in PAIR {
            let id = world.run(devices[0].samples().create(id, json!({"n": 0}))).unwrap();
            books.accept(&devices[0], [id]);
        }
        for device in &devices {
            device.synced(&world);
        }
        Self { world, devices, books, random, grouped: 0, backups: Vec::new(), on_disk }
    }

    fn step(&mut self) {
        let index = usize::try_from(self.random.below(3)).unwrap();
        match self.random.below(20) {
            0..10 => self.write(index),
            10 | 11 => self.misfortune(index),
            12 => self.devices[index].restart(&self.world),
            13 => self.world.pass(self.random.below(100)),
            14 if self.on_disk => self.disturb_server(),
            _ => drop(self.devices[index].sync(&self.world)),
        }
        self.books.check(&self.world, &[&self.devices[index]]);
        self.check_pair(index);
    }

    /// A write of any kind. That the app sees no such record, or one already, is an answer too; nothing else is.
    fn write(&mut self, index: usize) {
        let record = format!("r{}", self.random.below(RECORDS));
        let number = self.random.below(100);
        let tag = format!("t{}", self.random.below(5));
        let device = &self.devices[index];
        let samples = device.samples();
        let made = match self.random.below(10) {
            0 | 1 => self.world.run(samples.create(&record, json!({"n": 0, "by": device.name}))),
            2 => self.world.run(samples.update(&record, json!({"bpm": number}))),
            3 => self.world.run(samples.update(&record, json!({"meta": {"key": number, "old": null}}))),
            4 => self.world.run(samples.edit(&record).increment("/n", 1).set("/bpm", number).commit()),
            5 => self.world.run(samples.edit(&record).add("/tags", [tag]).commit()),
            6 => self.world.run(samples.edit(&record).remove("/tags", [tag]).unset("/bpm").commit()),
            7 => self.world.run(samples.delete(&record)),
            8 => self.world.run(samples.strict().update(&record, json!({"bpm": number, "strict": true}))),
            _ => return self.group(index, &samples, &record),
        };
        match made {
            Ok(id) => self.books.accept(&self.devices[index], [id]),
            Err(error) => assert!(["not_found", "already_exists"].contains(&error.code()), "{error}"),
        }
        if self.random.chance(50) {
            let by = i64::try_from(self.random.below(9)).unwrap() + 1;
            self.books.count(&self.world, &self.devices[index], by);
        }
    }

    fn group(&mut self, index: usize, samples: &Collection, record: &str) {
        let device = &self.devices[index];
        let by = i64::try_from(self.random.below(9)).unwrap() + 1;
        let mut group = device.client.transaction();
        for id in PAIR {
            group = group.edit(samples, id, |edit| edit.increment("/n", by));
        }
        if device.get(&self.world, record).is_some() {
            group = group.update(samples, record, json!({"grouped": by}));
        }
        let ids = self.world.run(group.commit()).unwrap();
        self.books.accept(device, ids);
        self.grouped += by;
    }

    fn misfortune(&mut self, index: usize) {
        let fault = match self.random.below(7) {
            0 => Fault::drop_request(),
            1 | 2 => Fault::drop_response(),
            3 => Fault::status(500),
            4 => Fault::too_many_requests(2),
            5 => Fault::garble(),
            _ => Fault::hang(),
        };
        let kind = if self.random.chance(70) { CallKind::Push } else { CallKind::Changes };
        let cut = kind == CallKind::Changes && self.random.chance(50);
        self.devices[index].network.script(kind, [if cut { Fault::cut_feed(0) } else { fault }]);
    }

    fn disturb_server(&mut self) {
        match self.random.below(4) {
            0 if !self.backups.is_empty() => {
                let backup = usize::try_from(self.random.below(self.backups.len() as u64)).unwrap();
                self.world.server.restore(&self.backups[backup]);
            }
            0 | 1 => self.backups.push(self.world.server.backup()),
            _ => self.world.server.restart(),
        }
    }

    /// I8: wherever a replica is consistent, a group shows entirely or not.
    fn check_pair(&self, index: usize) {
        let device = &self.devices[index];
        let consistent = device.client.status().scopes.get(&Scope::User).is_some_and(|scope| scope.consistent);
        if consistent {
            let [left, right] = PAIR.map(|id| device.get(&self.world, id).expect("nobody deletes the pair"));
            assert_eq!(left, right, "a group shows by halves on {}", device.name);
        }
    }

    /// Nothing goes wrong any more. Strict events that met a conflict are dropped; nothing else is ever refused.
    fn settle(&mut self) {
        for _ in 0..PATIENCE {
            for device in &self.devices {
                drop(device.sync(&self.world));
                self.books.check(&self.world, &[device]);
                for event in self.world.run(device.client.parked()).unwrap() {
                    assert_eq!(event.parked.map(|why| why.code).as_deref(), Some("conflict"), "{:?}", event.event);
                    self.world.run(device.client.discard(&event.id)).unwrap();
                }
            }
            let quiet = |device: &Device| device.client.status().pending == 0 && device.network.unmet_faults() == 0;
            if self.devices.iter().all(quiet) {
                break;
            }
        }
        for _ in 0..2 {
            for device in &self.devices {
                device.synced(&self.world);
            }
        }
    }
}

fn run(seed: u64) {
    let mut run = Run::new(seed);
    for _ in 0..STEPS {
        run.step();
    }
    run.settle();
    let devices: Vec<_> = run.devices.iter().collect();
    run.books.check_settled(&run.world, &devices);
    for id in PAIR {
        assert_eq!(devices[0].get(&run.world, id), Some(json!({"n": run.grouped})), "each group counts once");
    }
}

/// Four tests, so that they share the machine's cores.
fn quarter(number: u64) {
    for seed in (0..300).filter(|seed| seed % 4 == number) {
        let outcome = std::panic::catch_unwind(|| run(seed));
        assert!(outcome.is_ok(), "seed {seed}");
    }
}

#[test]
fn random_work_under_random_faults_ends_in_unison_first_quarter() {
    quarter(0);
}

#[test]
fn random_work_under_random_faults_ends_in_unison_second_quarter() {
    quarter(1);
}

#[test]
fn random_work_under_random_faults_ends_in_unison_third_quarter() {
    quarter(2);
}

#[test]
fn random_work_under_random_faults_ends_in_unison_fourth_quarter() {
    quarter(3);
}
