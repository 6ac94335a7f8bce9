//! The less travelled ways through the queue: each test fails for at least one wrong operator in the code.

use super::*;
use crate::model::{TextComponent, TextEdit};
use crate::queue::{Judges, Settlement};

impl Bench {
    pub(super) fn settlement(&self, receipts: Vec<Receipt>) -> Settlement {
        self.answered(None, receipts)
    }

    pub(super) fn answered(&self, cursor: Option<&str>, receipts: Vec<Receipt>) -> Settlement {
        let cursor = cursor.map(|cursor| Cursor(cursor.into()));
        let head = Cursor("head".into());
        let response = PushResponse {
            server_now: 0,
            server_id: "s".into(),
            epoch: "e1".into(),
            cursor,
            head,
            previous_push_seq: None,
            receipts,
        };
        self.environment.block_on(self.queue.settle(&Scope::User, response)).unwrap()
    }

    /// Where the feed stands, and whether a push that was given up may have been taken.
    pub(super) fn feed(&self) -> (Option<String>, bool) {
        let row = self.environment.block_on(self.queue.writer().reader().scope(&Scope::User)).unwrap();
        (row.cursor.as_ref().map(|cursor| cursor.0.clone()), row.in_doubt)
    }

    /// A pull has come to its end, and told what the server holds.
    fn doubt_is_over(&self) {
        let pulled = self.queue.writer().run(|txn| {
            txn.scope_mut(&Scope::User)?.in_doubt = false;
            Ok(())
        });
        self.environment.block_on(pulled).unwrap();
    }

    pub(super) fn give_up(&self, code: Option<&str>, judges: Judges) {
        let parking = code.map(|code| Parking { code: code.into(), message: String::new(), because: None });
        self.environment.block_on(self.queue.recut(&Scope::User, parking, judges)).unwrap();
    }

    pub(super) fn has_sendable(&self) -> bool {
        self.environment.block_on(self.queue.has_sendable(&Scope::User, &crate::queue::Selection::All)).unwrap()
    }
}

pub(super) fn bare(id: &EventId, status: ReceiptStatus) -> Receipt {
    Receipt::bare(id.clone(), status)
}

#[test]
fn there_is_something_to_send_until_it_is_answered_or_parked() {
    let bench = Bench::new();
    assert!(!bench.has_sendable());
    let id = bench.write(create("a", json!({})));
    assert!(bench.has_sendable());
    bench.push().unwrap();
    assert!(bench.has_sendable(), "on its way");
    bench.settle(vec![Receipt::rejected(id.clone(), "quota", "")]);
    assert!(!bench.has_sendable(), "parked");
    bench.environment.block_on(bench.queue.retry(&id)).unwrap();
    assert!(bench.has_sendable());
}

#[test]
fn a_push_that_is_refused_as_a_whole_is_cut_anew_or_parked() {
    let bench = Bench::new();
    bench.write(create("a", json!({})));
    bench.write(create("b", json!({})));
    let first = bench.push().unwrap();
    bench.environment.block_on(bench.queue.recut(&Scope::User, None, Judges::ThePush)).unwrap();
    bench.write(update("a", json!({"n": 1})));
    let second = bench.push().unwrap();
    assert_eq!((second.push_seq, second.events.len()), (first.push_seq + 1, 3), "what was sent is frozen");
    assert_eq!(second.events[..2], first.events[..]);
    let parking = Parking { code: "push_too_large".into(), message: String::new(), because: None };
    bench.environment.block_on(bench.queue.recut(&Scope::User, Some(parking), Judges::ThePush)).unwrap();
    let parked: Vec<_> = bench.parked().into_iter().map(|(id, why)| (id, why.code)).collect();
    let expected: Vec<_> = second.events.iter().map(|event| (event.id.clone(), "push_too_large".to_owned())).collect();
    assert_eq!(parked, expected);
}

#[test]
fn what_the_server_may_hold_is_parked_as_uncertain_and_never_as_refused() {
    let sent = || {
        let bench = Bench::new();
        bench.write(create("a", json!({})));
        bench.push().unwrap();
        bench
    };
    let parked = |bench: &Bench| bench.parked().into_iter().map(|(_, why)| why.code).collect::<Vec<_>>();
    for (judges, code, in_doubt) in [
        (Judges::ThePush, "too_large", false),
        (Judges::ThisSending { resent: false }, "too_large", false),
        (Judges::ThisSending { resent: true }, Parking::UNCERTAIN, true),
    ] {
        let bench = sent();
        bench.give_up(Some("too_large"), judges);
        assert_eq!((parked(&bench), bench.feed().1), (vec![code.to_owned()], in_doubt), "{judges:?}");
    }
    // The doubt about an earlier sending stays, whatever a later one hears.
    let bench = sent();
    bench.give_up(None, Judges::ThisSending { resent: true });
    assert_eq!(bench.push(), None, "nothing is cut before a pull has told what the server holds");
    bench.doubt_is_over();
    bench.push().unwrap();
    bench.give_up(Some("too_large"), Judges::ThisSending { resent: false });
    assert_eq!((parked(&bench), bench.feed().1), (vec![Parking::UNCERTAIN.to_owned()], false));
}

#[test]
fn an_answer_moves_the_feed_only_if_its_receipts_tell_all() {
    let bench = Bench::new();
    let (first, second) = (bench.write(create("a", json!({}))), bench.write(create("b", json!({}))));
    bench.push().unwrap();
    bench.answered(Some("two"), vec![applied(&first, 0, 1), applied(&second, 0, 2)]);
    assert_eq!(bench.feed().0.as_deref(), Some("two"));
    let (gap, told) = (bench.write(update("a", json!({"n": 1}))), bench.write(update("b", json!({"n": 1}))));
    bench.push().unwrap();
    bench.answered(Some("five"), vec![applied(&gap, 3, 4), applied(&told, 2, 5)]);
    assert_eq!(bench.feed().0.as_deref(), Some("two"), "revision 3 has to be pulled");
}

#[test]
fn an_outcome_is_followed_to_the_event_that_carries_the_content() {
    let bench = Bench::new();
    let first = bench.write(create("a", json!({})));
    let second = bench.write(update("a", json!({"n": 1})));
    let third = bench.write(update("a", json!({"n": 2})));
    let found = bench.environment.block_on(bench.queue.final_outcome(&first)).unwrap().unwrap();
    assert_eq!(found, (third, bench.outcome(&found.0)));
    assert!(matches!(found.1, Outcome::Pending { .. }) && found.0 != second);
    let unknown = EventId::new("nobody").unwrap();
    assert_eq!(bench.environment.block_on(bench.queue.final_outcome(&unknown)).unwrap(), None);
}

#[test]
fn a_settlement_counts_what_was_recorded_what_met_others_and_what_was_refused() {
    let bench = Bench::new();
    let ids: Vec<_> = (0..6).map(|n| bench.write(create(&format!("r{n}"), json!({})))).collect();
    bench.push().unwrap();
    let merged = |id: &EventId, revision| Receipt { status: ReceiptStatus::Merged, ..applied(id, 0, revision) };
    let counted = bench.settlement(vec![
        applied(&ids[0], 0, 1),
        merged(&ids[1], 2),
        merged(&ids[2], 3),
        bare(&ids[3], ReceiptStatus::Conflict),
        Receipt::rejected(ids[4].clone(), "quota", ""),
        Receipt { because: Some(EventId::new("gone").unwrap()), ..bare(&ids[5], ReceiptStatus::Skipped) },
    ]);
    assert_eq!(counted, Settlement { settled: 3, conflicts: 2, parked: 3 });
    let codes: Vec<_> = bench.parked().into_iter().map(|(_, why)| why.code).collect();
    assert_eq!(codes, ["conflict", "quota", "skipped"]);
    assert_eq!(bench.queue.writer().reader().snapshot().parked_events, 3);
}

#[test]
fn a_skipped_event_is_frozen_for_it_may_have_been_seen() {
    let bench = Bench::new();
    let folder = bench.write(create("folder", json!({})));
    let id = bench.write(Draft { depends_on: vec![folder.clone()], ..create("a", json!({"n": 1})) });
    bench.push().unwrap();
    bench.settle(vec![
        Receipt::rejected(folder.clone(), "quota", ""),
        Receipt { because: Some(folder), ..bare(&id, ReceiptStatus::Skipped) },
    ]);
    bench.write(update("a", json!({"n": 2})));
    assert!(matches!(bench.outcome(&id), Outcome::Pending { .. }), "not folded into");
}

#[test]
fn a_receipt_with_the_record_brings_what_others_wrote_and_is_kept_without_it() {
    let bench = Bench::confirmed(json!({"n": 1}));
    let id = bench.write(update("a", json!({"n": 2})));
    bench.push().unwrap();
    let record = Change {
        kind: ChangeKind::Put,
        collection: key("a").collection,
        record: key("a").record,
        revision: 3,
        doc: Some(json!({"n": 2, "theirs": true})),
        stamp: Stamp { ms: 1, counter: 0, device: DeviceId::new("z").unwrap() },
        by: Author { user: "u".into(), device: DeviceId::new("z").unwrap() },
        schema: 1,
        group: None,
    };
    bench.settle(vec![Receipt { record: Some(Box::new(record)), ..applied(&id, 2, 3) }]);
    assert_eq!(bench.view("a"), Some(json!({"n": 2, "theirs": true})));
    let Outcome::Applied { receipt } = bench.outcome(&id) else { panic!("it is applied") };
    assert_eq!((receipt.revision, &receipt.record), (Some(3), &None));
}

#[test]
fn an_event_that_waits_for_a_pull_is_finished_by_one_that_is_new_enough() {
    let bench = Bench::new();
    let id = bench.write(create("a", json!({"n": 1})));
    bench.push().unwrap();
    bench.settle(vec![applied(&id, 5, 6)]);
    bench.pulled(5, Some(json!({"theirs": 1})));
    assert!(matches!(bench.outcome(&id), Outcome::Pending { .. }));
    bench.pulled(6, Some(json!({"n": 1, "theirs": 1})));
    assert!(matches!(bench.outcome(&id), Outcome::Applied { .. }));
    assert_eq!((bench.pending(), bench.view("a")), (0, Some(json!({"n": 1, "theirs": 1}))));
}

#[test]
fn what_leaves_the_queue_takes_only_itself_out_of_the_view() {
    let bench = Bench::confirmed(json!({"n": 1}));
    let first = bench.write(update("a", json!({"x": 1})));
    bench.push().unwrap();
    let second = bench.write(update("a", json!({"y": 2})));
    bench.settle(vec![applied(&first, 1, 2)]);
    assert_eq!((bench.pending(), bench.view("a")), (1, Some(json!({"n": 1, "x": 1, "y": 2}))));
    assert_eq!(bench.pushed_ids(), std::slice::from_ref(&second));
    bench.settle(vec![Receipt::rejected(second.clone(), "validation", "")]);
    let third = bench.write(update("a", json!({"z": 3})));
    bench.environment.block_on(bench.queue.discard(&second)).unwrap();
    assert_eq!(bench.view("a"), Some(json!({"n": 1, "x": 1, "z": 3})));
    assert_eq!(bench.pushed_ids(), [third]);
}

#[test]
fn an_update_of_a_record_that_others_deleted_stays_visible_and_a_create_begins_anew() {
    let bench = Bench::confirmed(json!({"n": 1}));
    let updated = bench.write(update("a", json!({"x": 1})));
    bench.push().unwrap();
    bench.pulled(2, None);
    assert_eq!(bench.view("a"), Some(json!({"n": 1, "x": 1})));
    bench.pulled(3, None);
    assert_eq!(bench.view("a"), Some(json!({"n": 1, "x": 1})), "however often it is deleted");
    bench.settle(vec![Receipt { status: ReceiptStatus::Superseded, ..applied(&updated, 3, 4) }]);
    bench.pulled(4, None);
    assert_eq!(bench.view("a"), None);
    bench.write(create("a", json!({"y": 1})));
    bench.pulled(5, None);
    assert_eq!(bench.view("a"), Some(json!({"y": 1})));

    // Once the update and the own deletion behind it are settled, the create behind both stands alone.
    let bench = Bench::confirmed(json!({"n": 1}));
    let updated = bench.write(update("a", json!({"x": 1})));
    bench.push().unwrap();
    let deleted = bench.write(delete("a"));
    bench.write(create("a", json!({"y": 1})));
    bench.pulled(2, None);
    bench.settle(vec![Receipt { status: ReceiptStatus::Superseded, ..applied(&updated, 2, 2) }]);
    bench.push().unwrap();
    bench.settle(vec![applied(&deleted, 2, 3)]);
    assert_eq!((bench.pending(), bench.view("a")), (1, Some(json!({"y": 1}))));

    let bench = Bench::confirmed(json!({"n": 1}));
    let deleted = bench.write(delete("a"));
    bench.push().unwrap();
    bench.write(create("a", json!({"y": 1})));
    bench.pulled(2, None);
    assert_eq!(bench.view("a"), Some(json!({"y": 1})), "nothing of before the deletion");
    assert!(matches!(bench.outcome(&deleted), Outcome::Pending { .. }));
}

#[test]
fn a_group_ends_where_its_neighbours_begin() {
    let bench = Bench::new();
    let before = bench.write(create("x", json!({})));
    let group = bench.group(vec![create("a", json!({})), create("b", json!({})), create("c", json!({}))]).unwrap();
    let other = bench.group(vec![create("d", json!({})), create("e", json!({}))]).unwrap();
    bench.push().unwrap();
    let refuse = |id: &EventId| Receipt::rejected(id.clone(), "validation", "");
    bench.settle(std::iter::once(&before).chain(&group).chain(&other).map(refuse).collect());
    assert_eq!(bench.parked().len(), 6);
    bench.environment.block_on(bench.queue.retry(&group[2])).unwrap();
    assert_eq!(bench.pushed_ids(), group);
    bench.settle(group.iter().map(refuse).collect());
    bench.environment.block_on(bench.queue.discard(&group[1])).unwrap();
    let left: Vec<_> = bench.parked().into_iter().map(|(id, _)| id).collect();
    assert_eq!(left, [vec![before], other].concat());
}

#[test]
fn one_text_edit_of_a_leaf_is_on_its_way_at_a_time() {
    let bench = Bench::confirmed(json!({"s": "x", "t": "x"}));
    let edit = |path: &str| {
        let edit = TextEdit(vec![TextComponent::Insert("y".into())]);
        Draft::new(key("a"), Mutation::Edit(vec![(Pointer::parse(path).unwrap(), OpKind::Text { edit })]))
    };
    let first = bench.write(edit("/s"));
    bench.push().unwrap();
    // Without a receipt the first one is frozen, and goes again.
    bench.settle(vec![]);
    let second = bench.write(edit("/s"));
    assert_eq!(bench.pushed_ids(), std::slice::from_ref(&first));
    bench.settle(vec![applied(&first, 1, 2)]);
    assert_eq!(bench.pushed_ids(), [second]);
    assert_eq!(bench.view("a"), Some(json!({"s": "yyx", "t": "x"})));
}

#[test]
fn folding_keeps_apart_what_the_server_would_judge_apart() {
    for differs in [
        Draft { policy: Some(Policy::ClientWins), ..update("a", json!({"m": 1})) },
        Draft { schema: 2, ..update("a", json!({"m": 1})) },
    ] {
        let bench = Bench::confirmed(json!({"n": 1}));
        bench.write(update("a", json!({"n": 2})));
        bench.write(differs);
        assert_eq!(bench.pending(), 2);
    }
    // Each operation keeps the base that its writer had.
    let bench = Bench::confirmed(json!({"n": 1, "m": 1}));
    bench.write(update("a", json!({"n": 2})));
    bench.pulled(9, Some(json!({"n": 5, "m": 5})));
    bench.write(update("a", json!({"m": 3})));
    let push = bench.push().unwrap();
    let [event] = &push.events[..] else { panic!("one event: {push:?}") };
    let bases: Vec<_> = event.ops.iter().map(|op| (op.path.as_str(), op.base, event.base_of(op))).collect();
    assert_eq!((event.base, bases), (9, vec![("/n", Some(1), 1), ("/m", None, 9)]));
}

#[test]
fn the_most_specific_policy_holds_and_the_last_one_given_for_a_place() {
    let samples = || CollectionName::new("samples").unwrap();
    let at = |path| Some(Pointer::parse(path).unwrap());
    let mut policies = PolicyTable::default();
    policies.set(samples(), None, Policy::ServerWins);
    policies.set(samples(), at("/p"), Policy::ServerWins);
    policies.set(samples(), at("/p"), Policy::ClientWins);
    policies.set(CollectionName::new("other").unwrap(), None, Policy::DeleteWins);
    let bench = Bench::with(QueueLimits::default(), policies);
    bench.write(create("a", json!({})));
    bench.push().unwrap();
    bench.settle(vec![]);
    bench.write(update("a", json!({"p": {"x": 1}, "pp": 1})));
    bench.write(delete("a"));
    let shown: Vec<_> = bench
        .push()
        .unwrap()
        .events
        .iter()
        .map(|event| (event.policy, event.ops.iter().map(|op| op.path.to_string()).collect::<Vec<_>>().join(" ")))
        .collect();
    assert_eq!(
        shown,
        [
            (Some(Policy::ServerWins), String::new()),
            (Some(Policy::ClientWins), "/p/x".to_owned()),
            (Some(Policy::ServerWins), "/pp".to_owned()),
            (Some(Policy::ServerWins), String::new()),
        ]
    );
}

#[test]
fn a_policy_that_a_write_brings_wins_over_the_table() {
    let mut policies = PolicyTable::default();
    policies.set(CollectionName::new("samples").unwrap(), None, Policy::ServerWins);
    let bench = Bench::with(QueueLimits::default(), policies);
    bench.write(Draft { policy: Some(Policy::ClientWins), ..create("a", json!({})) });
    assert_eq!(bench.push().unwrap().events[0].policy, Some(Policy::ClientWins));
}

#[test]
fn the_first_write_makes_a_scope_known() {
    let bench = Bench::new();
    let band = Scope::workspace("band").unwrap();
    bench.environment.block_on(bench.queue.accept(&band, vec![create("a", json!({}))])).unwrap();
    let scopes = bench.environment.block_on(bench.queue.writer().reader().scopes()).unwrap();
    assert_eq!(scopes, [Scope::User, band]);
}

#[test]
fn a_record_cannot_grow_beyond_what_a_document_may_be() {
    let bench = Bench::confirmed(json!({"x": "y".repeat(600_000)}));
    let error = bench.group(vec![update("a", json!({"z": "y".repeat(600_000)}))]).unwrap_err();
    assert_eq!((error.code(), bench.pending()), ("document_too_large", 0));
}

#[test]
fn an_event_shows_entirely_whatever_came_beneath_it() {
    let path = |text| Pointer::parse(text).unwrap();
    let edits = [
        (path("/plays"), OpKind::Inc { by: 100 }),
        (path("/status"), OpKind::Set { value: json!("played") }),
        (path("/tags"), OpKind::Add { values: vec![json!("new")] }),
        (path("/meta/artist"), OpKind::Set { value: json!("Ann") }),
        (path("/old"), OpKind::Unset),
    ];
    let bench = Bench::confirmed(json!({"plays": 3, "status": "new", "tags": ["x"], "meta": {}, "old": 1}));
    let id = bench.write(Draft::new(key("a"), Mutation::Edit(edits.into())));
    bench.push().unwrap();
    let shown = json!({"plays": 103, "status": "played", "tags": ["x", "new"], "meta": {"artist": "Ann"}});
    assert_eq!(bench.view("a"), Some(shown.clone()));
    // Nothing that the operations need is as their writer found it.
    bench.pulled(2, Some(json!({"plays": u64::MAX, "status": "theirs", "tags": "none", "meta": [1], "more": true})));
    let mut shown_now = shown;
    shown_now["more"] = json!(true);
    assert_eq!(bench.view("a"), Some(shown_now.clone()), "all of it, on what others wrote besides");
    bench.settle(vec![Receipt::rejected(id.clone(), "type_mismatch", "")]);
    assert_eq!(bench.view("a"), Some(shown_now), "and so while the app decides");
    bench.write(increment("a", "/plays", 1));
    assert_eq!(bench.view("a").unwrap()["plays"], json!(104), "later writes go on top");
    bench.environment.block_on(bench.queue.discard(&id)).unwrap();
    assert_eq!(bench.view("a").unwrap()["status"], json!("theirs"));
}

#[test]
fn what_was_sent_keeps_its_dependencies_until_the_server_says_that_it_holds_nothing() {
    let bench = Bench::new();
    let first = bench.write(create("a", json!({})));
    let second = bench.write(Draft { depends_on: vec![first.clone()], ..create("b", json!({})) });
    let sent = bench.push().unwrap();
    bench.give_up(None, Judges::ThisSending { resent: true });
    bench.doubt_is_over();
    let again = bench
        .environment
        .block_on(bench.queue.next_push(&Scope::User, 1, &crate::queue::Selection::All))
        .unwrap()
        .unwrap();
    assert_eq!(again.events[..], sent.events[..1]);
    bench.give_up(Some("http_413"), Judges::ThisSending { resent: false });
    bench.environment.block_on(bench.queue.discard(&first)).unwrap();
    assert_eq!(bench.push().unwrap().events[..], sent.events[1..], "the server may know it by its content");
    bench.settle(vec![Receipt { because: Some(first), ..bare(&second, ReceiptStatus::Skipped) }]);
    let alone = bench.push().unwrap();
    assert_eq!((&alone.events[0].id, alone.events[0].depends_on.len()), (&second, 0), "it knows nothing of it");
}

#[test]
fn a_copy_pulls_to_the_end_before_it_sends_what_its_original_may_have_sent() {
    let bench = Bench::new();
    let fork = |bench: &Bench| {
        let fork = bench.queue.writer().run(crate::engine::take_new_device);
        bench.environment.block_on(fork).unwrap();
        bench.feed().1
    };
    bench.write(create("a", json!({})));
    assert!(!fork(&bench), "it was never sent");
    bench.push().unwrap();
    assert!(fork(&bench), "between two pages its receipt would say that the feed has told of it");
}

/// `a` at `revision`, as an answer tells it.
fn told(revision: Revision, doc: Value) -> Option<Box<Change>> {
    Some(Box::new(Change {
        kind: ChangeKind::Put,
        collection: key("a").collection,
        record: key("a").record,
        revision,
        doc: Some(doc),
        stamp: Stamp { ms: 1, counter: 0, device: DeviceId::new("z").unwrap() },
        by: Author { user: "u".into(), device: DeviceId::new("z").unwrap() },
        schema: 1,
        group: None,
    }))
}

/// A receipt that needs the record, as an answer gives it where it is not the last one of its record.
fn short(id: &EventId, revision: Revision) -> Receipt {
    Receipt { revision: Some(revision), ..Receipt::bare(id.clone(), ReceiptStatus::Merged) }
}

#[test]
fn what_a_receipt_does_not_tell_is_found_with_the_last_one_of_its_record() {
    let bench = Bench::confirmed(json!({"n": 0}));
    let ids: Vec<_> = (1..=3)
        .map(|_| bench.group(vec![increment("a", "/n", 1), increment("a", "/m", 1)]).unwrap())
        .collect::<Vec<_>>()
        .concat();
    bench.push().unwrap();
    let mut receipts: Vec<_> = ids.iter().zip(3..).map(|(id, revision)| short(id, revision)).collect();
    let last = receipts.last_mut().unwrap();
    (last.previous, last.record) = (Some(7), told(8, json!({"n": 3, "m": 3, "by": "z"})));
    let settlement = bench.answered(Some("c8"), receipts);
    assert_eq!(
        (settlement.settled, bench.pending()),
        (6, 0),
        "none of them waits for a pull that would bring nothing newer"
    );
    assert_eq!(bench.view("a"), Some(json!({"n": 3, "m": 3, "by": "z"})));
    assert_eq!(bench.feed().0.as_deref(), Some("c8"));
}

#[test]
fn a_record_that_the_answer_leaves_out_is_waited_for_with_the_effect_in_view() {
    let bench = Bench::confirmed(json!({"n": 0}));
    let id = bench.write(update("a", json!({"m": 1})));
    bench.push().unwrap();
    bench.answered(Some("c3"), vec![short(&id, 3)]);
    assert_eq!(bench.view("a"), Some(json!({"n": 0, "m": 1})));
    assert_ne!(bench.feed().0.as_deref(), Some("c3"), "the pull must not begin beyond it");
    bench.pulled(3, Some(json!({"n": 9, "m": 1})));
    assert_eq!((bench.pending(), bench.view("a")), (0, Some(json!({"n": 9, "m": 1}))));
    assert!(matches!(bench.outcome(&id), Outcome::Applied { .. }));
}

#[test]
fn a_record_that_another_receipt_carries_is_not_taken_in() {
    let bench = Bench::confirmed(json!({"n": 0}));
    bench.write(create("b", json!({})));
    let pushed = bench.push().unwrap();
    let stray = Receipt { record: told(9, json!({"stray": true})), ..applied(&pushed.events[0].id, 0, 2) };
    bench.settle(vec![stray]);
    assert_eq!(bench.view("a"), Some(json!({"n": 0})));
    assert_eq!((bench.view("b"), bench.pending()), (Some(json!({})), 0));
}
