//! What becomes of refused events whose record is deleted.

use super::*;
use crate::queue::Judges;

fn refused(id: &EventId) -> Receipt {
    Receipt::rejected(id.clone(), "type_mismatch", "")
}

/// A confirmed record with a refused increment.
fn with_refused() -> (Bench, EventId) {
    let bench = Bench::confirmed(json!({"n": 1}));
    let edit = bench.write(increment("a", "/n", 1));
    bench.push().unwrap();
    bench.settle(vec![refused(&edit)]);
    (bench, edit)
}

fn totals(bench: &Bench) -> (usize, usize, u64) {
    (bench.pending(), bench.parked().len(), bench.queue.writer().reader().snapshot().parked_events)
}

#[test]
fn a_delete_cancels_what_was_refused_before_it_and_goes_its_way() {
    let (mut bench, edit) = with_refused();
    let later = bench.write(update("a", json!({"note": "behind"})));
    let deleted = bench.write(delete("a"));
    assert_eq!((bench.outcome(&edit), totals(&bench), bench.view("a")), (Outcome::Cancelled, (2, 0, 0), None));
    bench.restart();
    assert_eq!(bench.pushed_ids(), [later, deleted]);
}

#[test]
fn what_is_refused_when_its_delete_waits_already_is_cancelled_too() {
    let bench = Bench::confirmed(json!({"n": 1}));
    let edit = bench.write(increment("a", "/n", 1));
    bench.push().unwrap();
    let deleted = bench.write(delete("a"));
    assert_eq!(bench.settlement(vec![refused(&edit)]).parked, 0);
    assert_eq!((bench.outcome(&edit), totals(&bench)), (Outcome::Cancelled, (1, 0, 0)));
    assert_eq!(bench.pushed_ids(), std::slice::from_ref(&deleted));

    // The same where the push as a whole is refused.
    let bench = Bench::confirmed(json!({"n": 1}));
    let edit = bench.write(increment("a", "/n", 1));
    bench.push().unwrap();
    let deleted = bench.write(delete("a"));
    bench.give_up(Some("push_too_large"), Judges::ThePush);
    assert_eq!((bench.outcome(&edit), totals(&bench)), (Outcome::Cancelled, (1, 0, 0)));
    assert_eq!(bench.pushed_ids(), [deleted]);
}

#[test]
fn a_refused_create_and_its_delete_leave_nothing_to_send() {
    let bench = Bench::new();
    let created = bench.write(create("a", json!({})));
    bench.push().unwrap();
    bench.settle(vec![refused(&created)]);
    let updated = bench.write(update("a", json!({"n": 1})));
    let deleted = bench.write(delete("a"));
    for id in [created, updated, deleted] {
        assert_eq!(bench.outcome(&id), Outcome::Cancelled);
    }
    assert_eq!((totals(&bench), bench.push(), bench.view("a")), ((0, 0, 0), None, None));
    let stats = bench.environment.block_on(bench.queue.stats()).unwrap();
    assert_eq!((stats.events, stats.bytes), (0, 0));

    // Another writer has made the record meanwhile: there is something to delete.
    let bench = Bench::new();
    let created = bench.write(create("a", json!({})));
    bench.push().unwrap();
    bench.settle(vec![refused(&created)]);
    bench.pulled(3, Some(json!({"theirs": true})));
    let deleted = bench.write(delete("a"));
    assert_eq!((bench.outcome(&created), bench.pushed_ids()), (Outcome::Cancelled, vec![deleted]));
}

#[test]
fn what_depended_on_a_cancelled_event_waits_no_longer() {
    let (bench, edit) = with_refused();
    let other = bench.write(Draft { depends_on: vec![edit.clone()], ..create("b", json!({})) });
    let deleted = bench.write(Draft { depends_on: vec![other.clone()], ..delete("a") });
    assert_eq!(bench.pushed_ids(), [other, deleted]);
    let push = bench.push().unwrap();
    assert!(push.events[0].depends_on.is_empty());
}

#[test]
fn a_delete_that_was_refused_itself_cancels_once_it_is_tried_again() {
    let bench = Bench::confirmed(json!({"n": 1}));
    let edit = bench.write(increment("a", "/n", 1));
    bench.push().unwrap();
    bench.settle(Vec::new());
    let deleted = bench.write(delete("a"));
    bench.push().unwrap();
    bench.settle(vec![refused(&edit), refused(&deleted)]);
    assert_eq!(totals(&bench), (0, 2, 2), "as long as the record is not deleted, the app may want either");
    bench.environment.block_on(bench.queue.retry(&deleted)).unwrap();
    assert_eq!((bench.outcome(&edit), bench.pushed_ids()), (Outcome::Cancelled, vec![deleted]));
}

#[test]
fn what_the_server_may_hold_and_groups_that_touch_other_records_are_left_to_the_app() {
    let bench = Bench::confirmed(json!({"n": 1}));
    let edit = bench.write(increment("a", "/n", 1));
    bench.push().unwrap();
    bench.give_up(Some("http_413"), Judges::ThisSending { resent: true });
    bench.write(delete("a"));
    assert!(matches!(bench.outcome(&edit), Outcome::Parked { .. }));

    let group = |records: [&str; 2]| {
        let bench = Bench::confirmed(json!({"n": 1}));
        let other = bench.write(create("b", json!({"n": 1})));
        bench.push().unwrap();
        bench.settle(vec![applied(&other, 0, 2)]);
        let ids = bench.group(records.map(|record| increment(record, "/n", 1)).into()).unwrap();
        bench.push().unwrap();
        bench.settle(ids.iter().map(refused).collect());
        bench.write(delete("a"));
        bench.parked().len()
    };
    assert_eq!(group(["a", "b"]), 2, "a group is one unit");
    assert_eq!(group(["a", "a"]), 0, "and goes as one");
}
