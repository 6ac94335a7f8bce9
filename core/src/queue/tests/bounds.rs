//! The queue's bounds and totals, from both sides.

use super::*;
use crate::limits::{MAX_DOCUMENT_BYTES, MAX_GROUP_BYTES, MAX_GROUP_EVENTS, MAX_PUSH_BYTES, MAX_PUSH_EVENTS};

fn refused(bench: &Bench, drafts: Vec<Draft>) -> String {
    bench.group(drafts).unwrap_err().code().to_owned()
}

fn stats(bench: &Bench) -> (u64, u64) {
    let stats = bench.environment.block_on(bench.queue.stats()).unwrap();
    (stats.events, stats.bytes)
}

/// The bytes that a queue takes for `drafts`.
fn weight(drafts: Vec<Draft>) -> usize {
    let bench = Bench::new();
    bench.group(drafts).unwrap();
    usize::try_from(stats(&bench).1).unwrap()
}

/// `others` and one more, which together take so many bytes of the queue: for each of `weights`.
fn weighing<const N: usize>(weights: [usize; N], others: &[Draft]) -> [Vec<Draft>; N] {
    let with = |text: usize| [others, &[create("weight", json!({"x": "y".repeat(text)}))]].concat();
    let empty = weight(with(0));
    weights.map(|weight| with(weight - empty))
}

#[test]
fn a_transaction_has_at_least_one_write_and_at_most_two_thousand() {
    let bench = Bench::new();
    assert_eq!(refused(&bench, Vec::new()), "invalid_transaction");
    let many = |count: usize| (0..count).map(|n| create(&format!("r{n}"), json!({}))).collect::<Vec<_>>();
    assert_eq!(refused(&bench, many(MAX_GROUP_EVENTS + 1)), "invalid_transaction");
    assert_eq!(stats(&bench), (0, 0), "nothing of it was taken");
    assert_eq!(bench.group(many(MAX_GROUP_EVENTS)).unwrap().len(), MAX_GROUP_EVENTS);
}

#[test]
fn a_transaction_is_bounded_by_the_sum_of_its_bytes() {
    let bench = Bench::new();
    let large = |count: usize| {
        let docs = (0..count).map(|n| create(&format!("r{n}"), json!({"x": "y".repeat(1_000_000)})));
        docs.collect::<Vec<_>>()
    };
    assert_eq!(refused(&bench, large(5)), "invalid_transaction");
    assert_eq!(bench.group(large(4)).unwrap().len(), 4);

    let bench = Bench::new();
    let [largest, larger] = weighing([MAX_GROUP_BYTES, MAX_GROUP_BYTES + 1], &large(4));
    assert_eq!(refused(&bench, larger), "invalid_transaction");
    assert_eq!(bench.group(largest).unwrap().len(), 5);
}

#[test]
fn the_queue_knows_its_bytes_whatever_is_folded_replaced_or_dropped() {
    let bench = Bench::new();
    let weighed = |bench: &Bench| {
        let pending = bench.environment.block_on(bench.queue.pending(&Scope::User, 99)).unwrap();
        let parked = bench.environment.block_on(bench.queue.parked(&Scope::User, 99)).unwrap();
        let bytes = pending.iter().chain(&parked).map(|queued| serde_json::to_vec(&queued.event).unwrap().len() as u64);
        (pending.len() as u64 + parked.len() as u64, bytes.sum::<u64>())
    };
    bench.write(create("a", json!({"n": 1})));
    assert!(stats(&bench).1 > 100);
    assert_eq!(stats(&bench), weighed(&bench));
    bench.write(update("a", json!({"text": "a longer one"})));
    assert_eq!(stats(&bench), weighed(&bench), "folded");
    let refused = bench.write(create("b", json!({"n": 1})));
    let ids = bench.pushed_ids();
    bench.settle(vec![applied(&ids[0], 0, 1), Receipt::rejected(refused.clone(), "validation", "")]);
    assert_eq!(stats(&bench), weighed(&bench), "settled and parked");
    let replace = bench.queue.replace(&refused, |mut event| {
        event.doc = Some(json!({"n": 1, "more": "of it"}));
        event
    });
    bench.environment.block_on(replace).unwrap();
    assert_eq!(stats(&bench), weighed(&bench), "replaced");
    bench.write(delete("b"));
    assert_eq!(stats(&bench), (0, 0), "cancelled");
}

#[test]
fn a_queue_is_full_by_bytes_too() {
    let bench = Bench::with(QueueLimits { events: 100, bytes: 1_000 }, PolicyTable::default());
    bench.write(create("a", json!({"x": "y".repeat(400)})));
    assert_eq!(refused(&bench, vec![create("b", json!({"x": "y".repeat(400)}))]), "queue_full");
    assert_eq!((stats(&bench).0, bench.view("b")), (1, None));
    // Up to the last byte there is room.
    let bench = Bench::with(QueueLimits { events: 100, bytes: 1_000 }, PolicyTable::default());
    let [largest, larger] = weighing([1_000, 1_001], &[]);
    assert_eq!(refused(&bench, larger), "queue_full");
    bench.group(largest).unwrap();
    assert_eq!(stats(&bench), (1, 1_000));
}

#[test]
fn what_may_have_been_sent_is_never_folded_into() {
    let bench = Bench::new();
    let first = bench.write(create("a", json!({"n": 1})));
    let parked = bench.write(create("b", json!({"n": 1})));
    bench.push().unwrap();
    // No receipt for one, a refusal for the other.
    bench.settle(vec![Receipt::rejected(parked.clone(), "quota", "")]);
    bench.write(update("a", json!({"n": 2})));
    bench.write(update("b", json!({"n": 2})));
    assert!(matches!(bench.outcome(&first), Outcome::Pending { .. }));
    assert!(matches!(bench.outcome(&parked), Outcome::Parked { .. }));
    assert_eq!((bench.pending(), bench.parked().len()), (3, 1));
}

#[test]
fn folding_stops_before_an_event_grows_out_of_hand() {
    let bench = Bench::new();
    let wide = |from: usize, count: usize| {
        let fields = (from..from + count).map(|n| (format!("f{n}"), json!(n)));
        update("a", Value::Object(fields.collect()))
    };
    bench.write(create("a", json!({})));
    bench.write(wide(0, 200));
    assert_eq!(bench.pending(), 1);
    bench.write(wide(200, 56));
    assert_eq!(bench.pending(), 1, "256 operations");
    bench.write(wide(256, 1));
    assert_eq!(bench.pending(), 2);

    let bench = Bench::new();
    bench.write(create("a", json!({})));
    bench.write(update("a", json!({"x": "y".repeat(60_000)})));
    bench.write(update("a", json!({"z": "y".repeat(60_000)})));
    assert_eq!(bench.pending(), 1, "below 128 KiB");
    bench.write(update("a", json!({"w": "y".repeat(20_000)})));
    assert_eq!(bench.pending(), 2);
}

#[test]
fn a_push_carries_at_most_what_was_asked_and_what_the_protocol_allows() {
    let bench = Bench::new();
    for n in 0..MAX_PUSH_EVENTS + 2 {
        bench.write(create(&format!("r{n}"), json!({})));
    }
    let next = |max: usize| {
        bench
            .environment
            .block_on(bench.queue.next_push(&Scope::User, max, &crate::queue::Selection::All))
            .unwrap()
            .unwrap()
    };
    let three = next(3);
    assert_eq!(three.events.len(), 3);
    bench.environment.block_on(bench.queue.recut(&Scope::User, None, crate::queue::Judges::ThePush)).unwrap();
    let all = next(usize::MAX);
    assert_eq!((all.events.len(), all.push_seq), (MAX_PUSH_EVENTS, three.push_seq + 1));

    let bench = Bench::new();
    for n in 0..3 {
        bench.write(create(&format!("r{n}"), json!({"x": "y".repeat(500_000)})));
    }
    assert_eq!(bench.push().unwrap().events.len(), 2, "a push is kept below 1 MiB");

    let first = || vec![create("r", json!({"x": "y".repeat(500_000)}))];
    let rest = MAX_PUSH_BYTES - weight(first());
    for (second, events) in weighing([rest, rest + 1], &[]).into_iter().zip([2, 1]) {
        let bench = Bench::new();
        bench.group(first()).unwrap();
        bench.group(second).unwrap();
        assert_eq!(bench.push().unwrap().events.len(), events);
    }
}

#[test]
fn a_record_grows_up_to_the_last_byte_of_the_largest_document() {
    // `{"x":"…","z":"…"}`: what is around the two texts.
    let around = r#"{"x":"","z":""}"#.len();
    let bench = Bench::new();
    bench.write(create("a", json!({"x": "y".repeat(600_000)})));
    let grown = |bytes: usize| update("a", json!({"z": "y".repeat(bytes - around - 600_000)}));
    assert_eq!(refused(&bench, vec![grown(MAX_DOCUMENT_BYTES + 1)]), "document_too_large");
    bench.write(grown(MAX_DOCUMENT_BYTES));
}

/// A unit of work shares its transaction with those of its round: these may have emptied a whole page.
#[test]
fn a_page_of_removed_entries_is_not_the_end_of_the_queue() {
    let bench = Bench::new();
    for number in 0..1_100 {
        bench.write(create(&format!("r{number:04}"), json!({})));
    }
    let left = bench.queue.writer().run(|txn| {
        for position in 1..=1_024 {
            txn.set_entry(&Scope::User, position, None);
        }
        let left = txn.entries_from(&Scope::User, 0, 512)?;
        let end = txn.entries_from(&Scope::User, 1_101, 512)?;
        Ok((left.first().map(|(position, _)| *position), end.len()))
    });
    assert_eq!(bench.environment.block_on(left).unwrap(), (Some(1_025), 0));
}

#[test]
fn a_replacement_is_bounded_like_any_write_and_keeps_its_action() {
    let bench = Bench::with(QueueLimits { events: 100, bytes: 1_000 }, PolicyTable::default());
    let refused = bench.write(create("a", json!({"n": 1, "list": [1]})));
    bench.push().unwrap();
    bench.settle(vec![Receipt::rejected(refused.clone(), "validation", "")]);
    let behind = bench.write(update("a", json!({"m": 1})));
    let replace = |id: &EventId, edit: fn(crate::model::SyncEvent) -> crate::model::SyncEvent| {
        bench.environment.block_on(bench.queue.replace(id, edit))
    };
    let before = stats(&bench);
    let too_large = replace(&refused, |mut event| {
        event.doc = Some(json!({"x": "y".repeat(1_000)}));
        event
    });
    assert_eq!((too_large.unwrap_err().code(), stats(&bench)), ("queue_full", before), "nothing was changed");
    let replaced = replace(&refused, |mut event| {
        event.action = SyncAction::Delete;
        event
    });
    let replaced = replaced.unwrap();
    let push = bench.push().unwrap();
    assert_eq!((&push.events[0].id, push.events[0].action), (&replaced, SyncAction::Create));
    bench.settle(vec![applied(&replaced, 0, 1), Receipt::rejected(behind.clone(), "validation", "")]);
    let misfit = replace(&behind, |mut event| {
        event.ops[0].path = Pointer::parse("/list").unwrap();
        event.ops[0].kind = OpKind::Inc { by: 1 };
        event
    });
    assert_eq!(misfit.unwrap_err().code(), "type_mismatch", "it does not fit what the app sees");
}
