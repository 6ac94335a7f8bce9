//! The queue alone, on memory, with receipts written by hand.

mod assertions;
mod bounds;
mod cost;
mod folding;
mod moot;
mod seen;
mod ways;

use std::sync::Arc;

use serde_json::json;

use super::{Draft, Mutation, OfflineQueue, PolicyTable, Push, QueueLimits};
use crate::clock::Stamp;
use crate::error::Result;
use crate::model::{
    Author, Change, ChangeKind, CollectionName, DeviceId, EventId, Mode, OpKind, Pointer, Policy, Receipt,
    ReceiptStatus, RecordId, RecordKey, Revision, Scope, SyncAction, Value,
};
use crate::protocol::{Cursor, PushResponse};
use crate::query::IndexSet;
use crate::replica::Writer;
use crate::replica::rows::{Outcome, Parking};
use crate::storage::{MemoryStorage, Storage};
use crate::testing::TestEnvironment;

struct Bench {
    environment: TestEnvironment,
    storage: MemoryStorage,
    queue: OfflineQueue,
}

fn key(id: &str) -> RecordKey {
    RecordKey { collection: CollectionName::new("samples").unwrap(), record: RecordId::new(id).unwrap() }
}

fn create(id: &str, doc: Value) -> Draft {
    Draft::new(key(id), Mutation::Create(doc))
}

fn update(id: &str, patch: Value) -> Draft {
    Draft::new(key(id), Mutation::Update(patch))
}

fn delete(id: &str) -> Draft {
    Draft::new(key(id), Mutation::Delete)
}

fn increment(id: &str, path: &str, by: i64) -> Draft {
    Draft::new(key(id), Mutation::Edit(vec![(Pointer::parse(path).unwrap(), OpKind::Inc { by })]))
}

impl Bench {
    fn new() -> Self {
        Self::with(QueueLimits::default(), PolicyTable::default())
    }

    fn with(limits: QueueLimits, policies: PolicyTable) -> Self {
        let environment = TestEnvironment::new(1);
        let storage = MemoryStorage::new();
        let queue = environment.block_on(open(&environment, &storage, limits, policies));
        Self { environment, storage, queue }
    }

    /// The process ends and starts again.
    fn restart(&mut self) {
        self.queue = self.environment.block_on(open(
            &self.environment,
            &self.storage,
            QueueLimits::default(),
            PolicyTable::default(),
        ));
    }

    fn accept(&self, drafts: Vec<Draft>) -> Result<Vec<Option<EventId>>> {
        self.environment.block_on(self.queue.accept(&Scope::User, drafts))
    }

    /// Writes, each of which changes something.
    fn group(&self, drafts: Vec<Draft>) -> Result<Vec<EventId>> {
        Ok(self.accept(drafts)?.into_iter().map(|id| id.expect("an edit")).collect())
    }

    fn write(&self, draft: Draft) -> EventId {
        self.group(vec![draft]).unwrap().remove(0)
    }

    /// A record `a` that the server has confirmed as `doc` at revision 1.
    fn confirmed(doc: Value) -> Self {
        let bench = Self::new();
        let created = bench.write(create("a", doc));
        bench.push().unwrap();
        bench.settle(vec![applied(&created, 0, 1)]);
        bench
    }

    /// A pull brings another writer's state of `a`; `None` for a delete.
    fn pulled(&self, revision: Revision, doc: Option<Value>) {
        let change = Change {
            kind: if doc.is_some() { ChangeKind::Put } else { ChangeKind::Delete },
            collection: key("a").collection,
            record: key("a").record,
            revision,
            doc,
            stamp: Stamp { ms: 1, counter: 0, device: DeviceId::new("z").unwrap() },
            by: Author { user: "u".into(), device: DeviceId::new("z").unwrap() },
            schema: 1,
            group: None,
        };
        let work = self.queue.writer().run(move |txn| {
            let state = super::settle::Confirmed::of(&change);
            let generation = txn.scope(&Scope::User)?.generation;
            super::confirm(txn, &Scope::User, generation, &change.key(), state)?;
            super::finish_settled(txn, &Scope::User, generation, &key("a"), revision)
        });
        self.environment.block_on(work).unwrap();
    }

    fn view(&self, id: &str) -> Option<Value> {
        let reader = self.queue.writer().reader();
        let row = self.environment.block_on(reader.record(&Scope::User, &key(id))).unwrap();
        row.and_then(|row| row.view().cloned())
    }

    fn push(&self) -> Option<Push> {
        self.environment.block_on(self.queue.next_push(&Scope::User, 500, &crate::queue::Selection::All)).unwrap()
    }

    fn pushed_ids(&self) -> Vec<EventId> {
        self.push().map(|push| push.events.into_iter().map(|event| event.id).collect()).unwrap_or_default()
    }

    fn settle(&self, receipts: Vec<Receipt>) {
        self.environment.block_on(self.queue.settle(&Scope::User, response(receipts))).unwrap();
    }

    fn outcome(&self, id: &EventId) -> Outcome {
        self.environment.block_on(self.queue.outcome(id)).unwrap().expect("accepted events have an outcome")
    }

    fn pending(&self) -> usize {
        self.environment.block_on(self.queue.pending(&Scope::User, usize::MAX)).unwrap().len()
    }

    fn parked(&self) -> Vec<(EventId, Parking)> {
        let parked = self.environment.block_on(self.queue.parked(&Scope::User, usize::MAX)).unwrap();
        parked.into_iter().map(|event| (event.id, event.parked.unwrap())).collect()
    }
}

async fn open<S: Storage + Clone>(
    environment: &TestEnvironment,
    storage: &S,
    limits: QueueLimits,
    policies: PolicyTable,
) -> OfflineQueue {
    let environment = Arc::new(environment.clone());
    let writer = Writer::open(Arc::new(storage.clone()), environment, Arc::new(IndexSet::default())).await.unwrap();
    OfflineQueue::new(writer, limits, policies)
}

fn response(receipts: Vec<Receipt>) -> PushResponse {
    PushResponse {
        server_now: 0,
        server_id: "server".into(),
        epoch: "e1".into(),
        cursor: None,
        head: Cursor("head".into()),
        previous_push_seq: None,
        receipts,
    }
}

fn applied(id: &EventId, previous: Revision, revision: Revision) -> Receipt {
    Receipt { revision: Some(revision), previous: Some(previous), ..Receipt::bare(id.clone(), ReceiptStatus::Applied) }
}

#[test]
fn a_write_is_seen_at_once_and_survives_a_restart() {
    let mut bench = Bench::new();
    let id = bench.write(create("a", json!({"name": "Kick", "bpm": 1.0})));
    bench.restart();
    assert_eq!(bench.view("a"), Some(json!({"name": "Kick", "bpm": 1})));
    assert!(matches!(bench.outcome(&id), Outcome::Pending { .. }));
    assert_eq!(bench.pending(), 1);
}

#[test]
fn refused_writes_leave_nothing_behind() {
    let bench = Bench::new();
    bench.write(create("a", json!({"n": u64::MAX, "tags": ["x"], "s": "text"})));
    let path = |text| Pointer::parse(text).unwrap();
    let edit = |path, kind| Draft::new(key("a"), Mutation::Edit(vec![(path, kind)]));
    for (draft, code) in [
        (create("a", json!({})), "already_exists"),
        (create("b", json!([1])), "not_an_object"),
        (create("b", json!({"$x": 1})), "reserved_name"),
        (create("b", json!({"x": "\0"})), "nul_character"),
        (update("b", json!({"x": 1})), "not_found"),
        (update("a", json!([])), "invalid_patch"),
        (delete("b"), "not_found"),
        (increment("a", "/s", 1), "type_mismatch"),
        (edit(path("/n"), OpKind::Inc { by: 1 }), "type_mismatch"),
        (edit(path("/tags/0"), OpKind::Set { value: json!(1) }), "pointer_into_array"),
        (create("b", json!({"x": "y".repeat(1 << 20)})), "document_too_large"),
    ] {
        let before = bench.view("a");
        let error = bench.group(vec![update("a", json!({"fine": true})), draft.clone()]).unwrap_err();
        assert_eq!(error.code(), code, "{draft:?}");
        assert_eq!(bench.view("a"), before, "a transaction is entire or not at all");
        assert_eq!((bench.pending(), bench.view("b")), (1, None));
    }
}

#[test]
fn unsent_updates_fold_and_every_operation_keeps_its_stamp() {
    let bench = Bench::new();
    let created = bench.write(create("a", json!({"n": 1})));
    let ids = bench.pushed_ids();
    assert_eq!(ids, std::slice::from_ref(&created));
    bench.settle(vec![applied(&created, 0, 7)]);

    let first = bench.write(update("a", json!({"x": 1, "y": 1})));
    let second = bench.write(update("a", json!({"x": 2})));
    let third = bench.write(increment("a", "/n", 2));
    let fourth = bench.write(increment("a", "/n", 3));
    assert_eq!(bench.outcome(&first), Outcome::ReplacedBy { id: second.clone() });
    assert_eq!(bench.outcome(&second), Outcome::ReplacedBy { id: third.clone() });
    assert_eq!(bench.view("a"), Some(json!({"n": 6, "x": 2, "y": 1})));

    let push = bench.push().unwrap();
    let [event] = &push.events[..] else { panic!("one event: {push:?}") };
    assert_eq!((&event.id, event.base, event.action), (&fourth, 7, SyncAction::Update));
    let shown: Vec<_> = event.ops.iter().map(|op| (op.path.as_str(), op.kind.clone())).collect();
    let set = |value: i32| OpKind::Set { value: json!(value) };
    assert_eq!(shown, [("/y", set(1)), ("/x", set(2)), ("/n", OpKind::Inc { by: 5 })]);
    let stamps: Vec<_> = event.ops.iter().map(|op| event.stamp_of(op).clone()).collect();
    assert!(stamps.is_sorted() && stamps[0] < stamps[1] && stamps[1] < stamps[2] && stamps[2] == event.stamp);
}

#[test]
fn a_pending_event_knows_the_confirmed_values_that_it_touches() {
    let mut bench = Bench::new();
    let created = bench.write(create("a", json!({"n": 1, "z": null})));
    bench.push().unwrap();
    bench.settle(vec![applied(&created, 0, 1)]);
    bench.write(update("a", json!({"n": 2, "z": 1, "new": true})));
    bench.write(update("a", json!({"n": 3, "new": false})));
    bench.restart();
    let pending = bench.environment.block_on(bench.queue.pending(&Scope::User, 9)).unwrap();
    let before = &pending[0].before;
    let path = |text| Pointer::parse(text).unwrap();
    assert_eq!(before.leaves, [(path("/n"), json!(1)), (path("/z"), json!(null))].into());
    assert_eq!(before.absent, [path("/new")].into());
}

#[test]
fn an_update_folds_into_an_unsent_create_with_its_own_stamp() {
    let bench = Bench::new();
    let created = bench.write(create("a", json!({"n": 1})));
    let updated = bench.write(update("a", json!({"n": 2})));
    assert_eq!(bench.outcome(&created), Outcome::ReplacedBy { id: updated.clone() });
    let push = bench.push().unwrap();
    let [event] = &push.events[..] else { panic!("one event") };
    assert_eq!((&event.id, event.action, &event.doc), (&updated, SyncAction::Create, &Some(json!({"n": 1}))));
    assert_eq!(event.ops.len(), 1);
    assert!(
        event.stamp_of(&event.ops[0]) > &event.stamp,
        "folding must not make the create younger or the update older"
    );
    assert_eq!(bench.view("a"), Some(json!({"n": 2})));
}

#[test]
fn a_create_and_its_delete_cancel_out_unsent() {
    let bench = Bench::new();
    let created = bench.write(create("a", json!({"n": 1})));
    let deleted = bench.write(delete("a"));
    assert_eq!((bench.outcome(&created), bench.outcome(&deleted)), (Outcome::Cancelled, Outcome::Cancelled));
    assert_eq!((bench.push(), bench.pending(), bench.view("a")), (None, 0, None));
    let stats = bench.environment.block_on(bench.queue.stats()).unwrap();
    assert_eq!((stats.events, stats.bytes), (0, 0));
}

#[test]
fn groups_strict_events_and_sent_events_are_never_folded() {
    let bench = Bench::new();
    bench.write(create("a", json!({"n": 1})));
    bench.push().unwrap();
    bench.write(update("a", json!({"n": 2})));
    assert_eq!(bench.pending(), 2, "what is on its way keeps its content");
    bench.group(vec![update("a", json!({"n": 3})), update("a", json!({"n": 4}))]).unwrap();
    assert_eq!(bench.pending(), 4);
    bench.write(Draft { mode: Mode::Strict, ..update("a", json!({"n": 5})) });
    bench.write(update("a", json!({"n": 6})));
    bench.write(delete("a"));
    bench.write(create("a", json!({"n": 7})));
    assert_eq!(bench.pending(), 8);
}

#[test]
fn a_path_that_a_pending_event_touched_keeps_that_events_base() {
    let bench = Bench::new();
    let created = bench.write(create("a", json!({"n": 1, "m": 1})));
    bench.push().unwrap();
    bench.settle(vec![applied(&created, 0, 3)]);
    let first = bench.write(update("a", json!({"n": 2})));
    bench.push().unwrap();
    // Another device's write arrives beneath the pending one, with the receipt of nothing: by hand.
    let foreign = Change {
        kind: ChangeKind::Put,
        collection: key("a").collection,
        record: key("a").record,
        revision: 9,
        doc: Some(json!({"n": 5, "m": 5})),
        stamp: Stamp { ms: 1, counter: 0, device: DeviceId::new("z").unwrap() },
        by: Author { user: "u".into(), device: DeviceId::new("z").unwrap() },
        schema: 1,
        group: None,
    };
    bench
        .environment
        .block_on(bench.queue.writer().run(move |txn| {
            super::confirm(txn, &Scope::User, 0, &foreign.key(), super::settle::Confirmed::of(&foreign))?;
            super::finish_settled(txn, &Scope::User, 0, &key("a"), 9)
        }))
        .unwrap();
    assert_eq!(bench.view("a"), Some(json!({"n": 2, "m": 5})), "own pending value on top");
    bench.write(update("a", json!({"n": 3, "m": 3})));
    bench.settle(vec![]);
    let push = bench.push().unwrap();
    assert_eq!(push.events[0].id, first);
    let second = &push.events[1];
    let base = |path: &str| second.base_of(second.ops.iter().find(|op| op.path.as_str() == path).unwrap());
    assert_eq!((base("/n"), base("/m")), (3, 9));
}

#[test]
fn one_poison_event_among_thirty_stops_its_own_lane_only() {
    let bench = Bench::new();
    let ids: Vec<_> = (0..30).map(|n| bench.write(create(&format!("r{n}"), json!({"n": n})))).collect();
    assert_eq!(bench.pushed_ids(), ids);
    let receipts = ids.iter().enumerate().map(|(n, id)| match n {
        13 => Receipt::rejected(id.clone(), "quota", "no more room"),
        n => applied(id, 0, n as Revision + 1),
    });
    bench.settle(receipts.collect());
    assert_eq!(
        bench.parked().iter().map(|(id, why)| (id, why.code.as_str())).collect::<Vec<_>>(),
        [(&ids[13], "quota")]
    );
    assert_eq!(bench.view("r13"), Some(json!({"n": 13})), "the refused write stays visible");

    let blocked = bench.write(update("r13", json!({"n": 0})));
    let free = bench.write(update("r14", json!({"n": 0})));
    assert_eq!(bench.pushed_ids(), std::slice::from_ref(&free));
    bench.settle(vec![applied(&free, 15, 40)]);

    bench.environment.block_on(bench.queue.retry(&ids[13])).unwrap();
    assert_eq!(bench.pushed_ids(), [ids[13].clone(), blocked.clone()], "in lane order, under their old ids");
    bench.settle(vec![applied(&ids[13], 0, 41), applied(&blocked, 41, 42)]);
    assert_eq!((bench.pending(), bench.parked().len(), bench.view("r13")), (0, 0, Some(json!({"n": 0}))));
}

#[test]
fn a_parked_event_can_be_replaced_or_discarded_after_a_restart() {
    let mut bench = Bench::new();
    let first = bench.write(create("a", json!({"n": 1})));
    let second = bench.write(create("b", json!({"n": 1})));
    bench.push().unwrap();
    bench.settle(vec![
        Receipt::rejected(first.clone(), "validation", "n must be even"),
        Receipt::rejected(second.clone(), "validation", "n must be even"),
    ]);
    bench.restart();
    let replaced = bench
        .environment
        .block_on(bench.queue.replace(&first, |mut event| {
            event.doc = Some(json!({"n": 2}));
            event
        }))
        .unwrap();
    bench.environment.block_on(bench.queue.discard(&second)).unwrap();
    assert_eq!(bench.outcome(&first), Outcome::ReplacedBy { id: replaced.clone() });
    assert_eq!(bench.outcome(&second), Outcome::Discarded);
    assert_eq!((bench.view("a"), bench.view("b")), (Some(json!({"n": 2})), None));
    assert_eq!(bench.pushed_ids(), [replaced]);
    let again = bench.environment.block_on(bench.queue.discard(&second)).unwrap_err();
    assert_eq!(again.code(), "event_state");
}

#[test]
fn a_group_is_parked_retried_and_discarded_as_one() {
    let bench = Bench::new();
    let ids = bench.group(vec![create("a", json!({})), create("b", json!({}))]).unwrap();
    let alone = bench.write(create("c", json!({})));
    let refuse = || {
        bench.settle(vec![
            Receipt { because: Some(ids[1].clone()), ..Receipt::bare(ids[0].clone(), ReceiptStatus::Skipped) },
            Receipt::rejected(ids[1].clone(), "validation", ""),
        ]);
    };
    assert_eq!(bench.pushed_ids(), [ids[0].clone(), ids[1].clone(), alone.clone()]);
    bench.settle(vec![
        Receipt { because: Some(ids[1].clone()), ..Receipt::bare(ids[0].clone(), ReceiptStatus::Skipped) },
        Receipt::rejected(ids[1].clone(), "validation", ""),
        applied(&alone, 0, 1),
    ]);
    assert_eq!(bench.parked().len(), 2);
    bench.environment.block_on(bench.queue.retry(&ids[0])).unwrap();
    assert_eq!(bench.pushed_ids(), ids);
    refuse();
    bench.environment.block_on(bench.queue.discard(&ids[1])).unwrap();
    assert_eq!((bench.view("a"), bench.view("b"), bench.pending()), (None, None, 0));
}

#[test]
fn b02_receipts_match_by_id_never_by_position() {
    let bench = Bench::new();
    let first = bench.write(create("a", json!({})));
    bench.push().unwrap();
    let second = bench.write(update("a", json!({"n": 1})));
    // A receipt for an event that is not in flight does nothing.
    bench.settle(vec![applied(&second, 0, 1)]);
    assert!(matches!(bench.outcome(&second), Outcome::Pending { .. }));
    assert!(matches!(bench.outcome(&first), Outcome::Pending { .. }), "a missing receipt means unknown");
    assert_eq!(bench.pushed_ids(), [first, second]);
}

#[test]
fn a_push_is_fixed_before_it_is_sent_and_comes_again_after_a_restart() {
    let mut bench = Bench::new();
    bench.write(create("a", json!({"n": 1})));
    let push = bench.push().unwrap();
    bench.restart();
    bench.write(update("a", json!({"n": 2})));
    bench.write(create("b", json!({})));
    let again = bench.push().unwrap();
    assert_eq!((push.resent, again.resent), (false, true));
    let same = (again.push_seq, &again.events) == (push.push_seq, &push.events);
    assert!(same, "the same events under the same number, until they are answered");
    bench.settle(vec![applied(&push.events[0].id, 0, 1)]);
    let next = bench.push().unwrap();
    assert_eq!((next.push_seq, next.events.len()), (push.push_seq + 1, 2));
}

#[test]
fn dependants_wait_follow_foldings_and_are_let_go_when_the_dependency_is_dropped() {
    let bench = Bench::new();
    let folder = bench.write(create("folder", json!({})));
    let dependant = bench.write(Draft { depends_on: vec![folder.clone()], ..create("a", json!({})) });
    let renamed = bench.write(update("folder", json!({"name": "x"})));
    let push = bench.push().unwrap();
    assert_eq!(push.events[0].id, renamed);
    assert_eq!(push.events[1].depends_on, std::slice::from_ref(&renamed), "the dependency follows the folding");
    bench.settle(vec![
        Receipt::rejected(renamed.clone(), "quota", ""),
        Receipt { because: Some(renamed.clone()), ..Receipt::bare(dependant.clone(), ReceiptStatus::Skipped) },
    ]);
    assert_eq!(bench.push(), None, "the dependant waits");
    assert_eq!(bench.parked().len(), 1, "only the refused event is parked");
    bench.environment.block_on(bench.queue.discard(&renamed)).unwrap();
    let push = bench.push().unwrap();
    assert_eq!((&push.events[0].id, push.events[0].depends_on.len()), (&dependant, 0));
}

#[test]
fn what_no_replica_made_nothing_can_depend_on_and_what_is_forgotten_nothing_waits_for() {
    let bench = Bench::new();
    for id in ["nobody", "0193ab00-0000-4000-8000-000000000000", "0193AB00-0000-7000-8000-000000000000"] {
        let unknown = EventId::new(id).unwrap();
        let error = bench.group(vec![Draft { depends_on: vec![unknown], ..create("z", json!({})) }]).unwrap_err();
        assert_eq!((error.code(), bench.view("z")), ("event_state", None), "{id}");
    }
    let forgotten = EventId::new("0193ab00-0000-7000-8000-000000000000").unwrap();
    bench.write(Draft { depends_on: vec![forgotten], ..create("z", json!({})) });
    assert_eq!(bench.push().unwrap().events[0].depends_on, []);
}

#[test]
fn a_full_queue_refuses_the_write_and_drops_nothing() {
    let bench = Bench::with(QueueLimits { events: 2, bytes: 1 << 20 }, PolicyTable::default());
    bench.write(create("a", json!({})));
    bench.write(create("b", json!({})));
    let error = bench.group(vec![create("c", json!({}))]).unwrap_err();
    assert_eq!((error.code(), bench.view("c"), bench.pending()), ("queue_full", None, 2));
    bench.write(update("a", json!({"n": 1})));
    assert_eq!(bench.pending(), 2, "a write that folds needs no room");
}

#[test]
fn fields_with_different_policies_go_as_a_group() {
    let mut policies = PolicyTable::default();
    let samples = CollectionName::new("samples").unwrap();
    policies.set(samples.clone(), None, Policy::ServerWins);
    policies.set(samples, Some(Pointer::parse("/name").unwrap()), Policy::ClientWins);
    let bench = Bench::with(QueueLimits::default(), policies);
    bench.write(create("a", json!({})));
    bench.push().unwrap();
    let id = bench.write(update("a", json!({"name": "x", "bpm": 1})));
    bench.settle(vec![]);
    let push = bench.push().unwrap();
    let policies: Vec<_> = push.events.iter().map(|event| event.policy).collect();
    assert_eq!(policies, [Some(Policy::ServerWins), Some(Policy::ServerWins), Some(Policy::ClientWins)]);
    assert!(push.events[1].group.is_some() && push.events[1].group == push.events[2].group);
    assert_eq!(id, push.events[2].id);
}

#[test]
fn a_large_group_goes_in_one_push_and_small_events_fill_the_rest() {
    let bench = Bench::new();
    let before = bench.write(create("first", json!({})));
    let group = bench.group((0..600).map(|n| create(&format!("g{n}"), json!({"n": n}))).collect()).unwrap();
    let after = bench.write(create("last", json!({})));
    assert_eq!(bench.pushed_ids(), std::slice::from_ref(&before));
    bench.settle(vec![applied(&before, 0, 1)]);
    assert_eq!(bench.pushed_ids(), group);
    bench.settle(group.iter().zip(2..).map(|(id, revision)| applied(id, 0, revision)).collect());
    assert_eq!(bench.pushed_ids(), [after]);
}

#[test]
fn a_receipt_that_skips_revisions_keeps_the_value_visible_until_the_pull() {
    let bench = Bench::new();
    let id = bench.write(create("a", json!({"n": 1})));
    bench.push().unwrap();
    bench.settle(vec![applied(&id, 5, 6)]);
    assert_eq!(bench.view("a"), Some(json!({"n": 1})), "read your writes");
    assert_eq!(bench.push(), None, "and not sent again");
}

#[test]
fn a_receipt_of_what_was_pulled_already_waits_for_nothing() {
    let bench = Bench::new();
    let id = bench.write(create("a", json!({"n": 1})));
    bench.push().unwrap();
    // The replica has the whole scope as of revision 8, in which the record is deleted again; of that it keeps no row.
    let known = bench.queue.writer().run(|txn| {
        txn.scope_mut(&Scope::User)?.known_revision = 8;
        Ok(())
    });
    bench.environment.block_on(known).unwrap();
    bench.settle(vec![applied(&id, 5, 6)]);
    assert!(matches!(bench.outcome(&id), Outcome::Applied { .. }));
    assert_eq!((bench.view("a"), bench.pending()), (None, 0));
}
