//! The base of a write: what its writer had seen.

use super::*;
use crate::model::{Basis, SyncEvent};

impl Bench {
    /// What a read of `a` shows now.
    fn basis(&self) -> Basis {
        let reader = self.queue.writer().reader();
        let (generation, row) = self.environment.block_on(reader.record_in(&Scope::User, &key("a"))).unwrap();
        row.expect("a row").basis(generation)
    }

    fn last_event(&self) -> SyncEvent {
        let pending = self.environment.block_on(self.queue.pending(&Scope::User, usize::MAX)).unwrap();
        pending.into_iter().next_back().expect("a pending event").event
    }

    /// Writes `patch` in sight of `seen`; the bases of its operations, by path.
    fn bases(&self, patch: Value, seen: Option<&Basis>) -> Vec<(String, Revision)> {
        self.write(Draft { seen: seen.cloned(), ..update("a", patch) });
        let event = self.last_event();
        event.ops.iter().map(|op| (op.path.to_string(), event.base_of(op))).collect()
    }
}

fn bases<const N: usize>(expected: [(&str, Revision); N]) -> Vec<(String, Revision)> {
    expected.map(|(path, base)| (path.to_owned(), base)).into()
}

#[test]
fn a_write_that_names_its_read_has_the_base_of_that_read() {
    let bench = Bench::confirmed(json!({"n": 1, "m": 1}));
    let seen = bench.basis();
    bench.pulled(7, Some(json!({"n": 2, "m": 1})));
    assert_eq!(bench.bases(json!({"n": 3}), Some(&seen)), bases([("/n", 1)]));
    bench.push().unwrap();
    assert_eq!(bench.bases(json!({"m": 3}), None), bases([("/m", 7)]), "without it, what the replica shows");
    bench.write(Draft { seen: Some(seen), ..delete("a") });
    assert_eq!(bench.last_event().base, 1);
}

#[test]
fn a_read_of_a_pending_value_has_seen_what_its_writer_had() {
    let bench = Bench::confirmed(json!({"n": 1, "m": 1}));
    let first = bench.write(update("a", json!({"n": 2})));
    bench.push().unwrap();
    bench.pulled(9, Some(json!({"n": 5, "m": 5})));
    // Of `n` the reader sees the pending value, not what arrived beneath; of `m` all there is.
    let seen = bench.basis();
    assert_eq!(bench.view("a"), Some(json!({"n": 2, "m": 5})));
    // The receipt comes, and with it what the server made of both; the editor is still open.
    bench.settle(vec![applied(&first, 9, 10)]);
    assert_eq!(bench.bases(json!({"n": 3, "m": 3}), Some(&seen)), bases([("/m", 9), ("/n", 1)]));
    bench.push().unwrap();
    assert_eq!(bench.bases(json!({"x": 1}), None), bases([("/x", 10)]));
}

#[test]
fn a_write_sees_no_more_than_what_is_pending_when_it_is_made_does() {
    let bench = Bench::confirmed(json!({"n": 1, "meta": {"a": 1}}));
    bench.write(update("a", json!({"n": 2, "meta": {"a": 2}})));
    bench.push().unwrap();
    bench.pulled(9, Some(json!({"n": 5, "meta": {"a": 5, "b": 5}})));
    let after = bench.basis();
    assert_eq!(after.base, 9);
    let expected = bases([("/meta/b", 9), ("/n", 1)]);
    assert_eq!(bench.bases(json!({"n": 3, "meta": {"b": 3}}), Some(&after)), expected);
    bench.settle(vec![]);
    bench.push().unwrap();
    assert_eq!(bench.bases(json!({"meta": 1}), None), bases([("/meta", 1)]), "what is above is touched, too");
}

#[test]
fn what_was_made_here_has_been_seen_by_its_maker() {
    let bench = Bench::new();
    let known = bench.queue.writer().run(|txn| {
        txn.scope_mut(&Scope::User)?.known_revision = 8;
        Ok(())
    });
    bench.environment.block_on(known).unwrap();
    let created = bench.write(create("a", json!({"n": 1})));
    let seen = bench.basis();
    assert_eq!(seen.base, 8, "that there was none as of revision 8");
    bench.push().unwrap();
    bench.settle(vec![applied(&created, 0, 12)]);
    assert_eq!(bench.bases(json!({"n": 2}), Some(&seen)), bases([("/n", 8)]));
}

#[test]
fn a_record_that_shows_after_its_delete_has_not_been_seen_deleted() {
    let bench = Bench::confirmed(json!({"n": 1}));
    bench.write(update("a", json!({"n": 2})));
    bench.push().unwrap();
    bench.pulled(5, None);
    assert_eq!(bench.view("a"), Some(json!({"n": 2})));
    let seen = bench.basis();
    assert_eq!(seen.base, 1);
    for seen in [None, Some(&seen)] {
        assert_eq!(bench.bases(json!({"beside": seen.is_some()}), seen), bases([("/beside", 1)]));
    }
}

#[test]
fn a_read_of_a_lost_history_has_seen_what_both_have_in_common() {
    let bench = Bench::new();
    // The server was restored: the replica reads the second generation, of a history that is another one above revision 4.
    let restored = bench.queue.writer().run(|txn| {
        let row = txn.scope_mut(&Scope::User)?;
        (row.generation, row.shared) = (1, Some((1, 4)));
        Ok(())
    });
    bench.environment.block_on(restored).unwrap();
    bench.pulled(9, Some(json!({"n": 2})));
    let now = bench.basis();
    assert_eq!((now.base, now.generation), (9, 1));
    let before = Basis { generation: 0, ..now.clone() };
    assert_eq!(bench.bases(json!({"n": 3}), Some(&before)), bases([("/n", 4)]));
    bench.push().unwrap();
    assert_eq!(bench.bases(json!({"m": 3}), Some(&now)), bases([("/m", 9)]));
}

#[test]
fn a_read_claims_no_more_than_the_replica_holds() {
    let bench = Bench::confirmed(json!({"n": 1}));
    let seen = Basis { base: 50, ..bench.basis() };
    assert_eq!(bench.bases(json!({"n": 3}), Some(&seen)), bases([("/n", 1)]));
}

#[test]
fn an_event_that_left_the_view_covers_nothing_any_more() {
    let bench = Bench::confirmed(json!({"n": 1}));
    bench.write(update("a", json!({"n": 2})));
    bench.push().unwrap();
    // The pull tells that the server holds it, and of another writer's change after it.
    let absorbed = bench.queue.writer().run(|txn| {
        let position = txn.record(&Scope::User, 0, &key("a"))?.pending[0];
        txn.entry_mut(&Scope::User, position)?.expect("the entry").absorbed = true;
        Ok(())
    });
    bench.environment.block_on(absorbed).unwrap();
    bench.pulled(3, Some(json!({"n": 4})));
    assert_eq!(bench.view("a"), Some(json!({"n": 4})), "all that there is");
    assert_eq!(bench.bases(json!({"n": 5}), None), bases([("/n", 3)]));
}
