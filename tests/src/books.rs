//! The books: every id that a write returned, and what must be true of it at any moment.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use unisono::model::{EventId, Scope};
use unisono::replica::rows::{Outcome, QueueEntry};

use super::device::Device;
use super::world::World;

/// The record on which the devices count.
const TALLY: &str = "tally";
/// Its field that all devices increment; each has one of its own besides.
const ALL: &str = "all";

/// What the devices of a world were promised.
///
/// Besides the ids, the devices count on a common record, each increment in one event twice: in the device's own field and
/// in a common one. So each device knows at any moment what its own field must show it (I6), the common field must equal the
/// sum of the others in every state that anybody ever sees (an event applied by halves, or once too often, breaks that),
/// and at the end the server's numbers are those of the books (I1, I3).
#[derive(Debug, Default)]
pub struct Books {
    accepted: BTreeMap<String, Vec<EventId>>,
    counted: BTreeMap<String, i64>,
}

impl Books {
    /// Empty books; `device` makes the record on which all will count.
    #[must_use]
    pub fn opened_by(world: &World, device: &Device) -> Self {
        let mut books = Self::default();
        let id = world.run(device.samples().create(TALLY, json!({ALL: 0}))).expect("the tally is made");
        books.accept(device, [id]);
        books
    }

    /// The ids that writes on `device` returned.
    pub fn accept(&mut self, device: &Device, ids: impl IntoIterator<Item = EventId>) {
        self.accepted.entry(device.name.clone()).or_default().extend(ids);
    }

    /// `device` counts `by` more.
    pub fn count(&mut self, world: &World, device: &Device, by: i64) -> EventId {
        let edit = device.samples().edit(TALLY);
        let edit = edit.increment(format!("/{}", device.name), by).increment(format!("/{ALL}"), by);
        let id = world.run(edit.commit()).expect("the count is accepted").expect("an edit");
        *self.counted.entry(device.name.clone()).or_default() += by;
        self.accept(device, [id.clone()]);
        id
    }

    /// All that was ever counted.
    #[must_use]
    pub fn total(&self) -> i64 {
        self.counted.values().sum()
    }

    /// Checks what must hold at any moment on each device: conservation (I2) and its own counts in view (I6).
    pub fn check(&self, world: &World, devices: &[&Device]) {
        for device in devices {
            self.check_outcomes(world, device);
            self.check_view(world, device);
        }
    }

    /// Checks [`check`](Self::check)'s promises, and that what a device takes for applied is in the server's log, under the
    /// revision of its receipt.
    pub fn check_with_server(&self, world: &World, devices: &[&Device]) {
        self.check(world, devices);
        for device in devices {
            let applied = self.applied(world, device);
            let ids: Vec<_> = applied.iter().map(|(id, _)| id.clone()).collect();
            for ((id, revision), receipt) in applied.iter().zip(world.server.settled(&ids)) {
                let receipt = receipt.unwrap_or_else(|| panic!("{id} is applied on {} alone", device.name));
                assert_eq!(receipt.revision, *revision, "{id} was applied once");
            }
        }
    }

    /// Checks what must hold once all devices have synced in peace: I1 to I4, and that the server's log replays.
    pub fn check_settled(&self, world: &World, devices: &[&Device]) {
        world.assert_converged(devices);
        self.check_with_server(world, devices);
        let account = &devices[0].account;
        assert_eq!(world.server.verify(account, &Scope::User), Vec::<String>::new(), "the log replays to the state");
        let tally = devices[0].get(world, TALLY).expect("the tally is there");
        for (name, counted) in &self.counted {
            assert_eq!(tally.get(name).unwrap_or(&json!(0)), counted, "what {name} counted counts once");
        }
        assert_eq!(tally[ALL], self.total());
    }

    /// What the device says of the ids that its writes returned.
    fn outcomes(&self, world: &World, device: &Device) -> Vec<(EventId, Outcome)> {
        let ids = self.accepted.get(&device.name).cloned().unwrap_or_default();
        world.run(async {
            let mut outcomes = Vec::with_capacity(ids.len());
            for id in ids {
                let outcome = device.client.outcome(&id).await.expect("an outcome is read");
                outcomes.push((id.clone(), outcome.unwrap_or_else(|| panic!("{id} is lost on {}", device.name))));
            }
            outcomes
        })
    }

    fn applied(&self, world: &World, device: &Device) -> Vec<(EventId, Option<u64>)> {
        let applied = |(id, outcome)| match outcome {
            Outcome::Applied { receipt } => Some((id, receipt.revision)),
            _ => None,
        };
        self.outcomes(world, device).into_iter().filter_map(applied).collect()
    }

    fn check_outcomes(&self, world: &World, device: &Device) {
        let queue = queue_of(world, device);
        let status = device.client.status();
        let parked = queue.values().filter(|entry| entry.parked.is_some()).count() as u64;
        assert_eq!(status.pending + status.parked, queue.len() as u64, "{}: the totals", device.name);
        assert_eq!(status.parked, parked, "{}: the parked among them", device.name);

        let mut waiting = BTreeSet::new();
        for (id, outcome) in self.outcomes(world, device) {
            let (position, parked) = match outcome {
                Outcome::Pending { position } => (position, false),
                Outcome::Parked { position } => (position, true),
                Outcome::ReplacedBy { id: next } => {
                    let followed = world.run(device.client.outcome(&next)).expect("an outcome is read");
                    assert!(followed.is_some(), "{id} was replaced by {next}, which is lost");
                    continue;
                }
                Outcome::Applied { .. } | Outcome::Discarded | Outcome::Cancelled => continue,
            };
            let entry = queue.get(&position).unwrap_or_else(|| panic!("{id} waits, but not in the queue"));
            assert_eq!(
                (&entry.event.id, entry.parked.is_some()),
                (&id, parked),
                "{}: who waits at {position}",
                device.name
            );
            assert!(waiting.insert(position), "two events wait at {position}");
        }
    }

    fn check_view(&self, world: &World, device: &Device) {
        let Some(tally) = device.get(world, TALLY) else {
            assert!(!self.counted.contains_key(&device.name), "{} has counted and sees no tally", device.name);
            return;
        };
        let own = self.counted.get(&device.name).copied().unwrap_or(0);
        let seen = tally.get(&device.name).and_then(Value::as_i64).unwrap_or(0);
        assert_eq!(seen, own, "{} sees its own counts, each once: {tally}", device.name);
        assert_whole(&tally);
    }
}

/// Each count is in its device's field and in the common one, or in neither.
fn assert_whole(tally: &Value) {
    let fields = tally.as_object().expect("the tally is an object");
    let parts: i64 = fields.iter().filter(|(name, _)| *name != ALL).filter_map(|(_, count)| count.as_i64()).sum();
    assert_eq!(tally[ALL], parts, "no event shows by halves: {tally}");
}

fn queue_of(world: &World, device: &Device) -> BTreeMap<u64, QueueEntry> {
    world.run(async {
        let replica = device.client.replica();
        let mut queue = BTreeMap::new();
        for scope in replica.scopes().await.expect("the scopes are read") {
            queue.extend(replica.entries(&scope, 0, usize::MAX).await.expect("the queue is read"));
        }
        queue
    })
}
