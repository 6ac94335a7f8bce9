//! What is there already is no edit: it makes no operation, no event, and no commit.

use super::*;
use crate::replica::keys;
use crate::storage::Storage;

fn put(id: &str, doc: Value) -> Draft {
    Draft::new(key(id), Mutation::Put(doc))
}

fn edit(edits: Vec<(&str, OpKind)>) -> Draft {
    let edits = edits.into_iter().map(|(path, kind)| (Pointer::parse(path).unwrap(), kind));
    Draft::new(key("a"), Mutation::Edit(edits.collect()))
}

fn set(value: Value) -> OpKind {
    OpKind::Set { value }
}

impl Bench {
    /// How many commits the replica has seen.
    fn commits(&self) -> u64 {
        let row = self.environment.block_on(self.storage.get(vec![keys::commits()])).unwrap().pop().flatten();
        row.map_or(0, |row| u64::from_be_bytes(row.value.try_into().unwrap()))
    }

    /// The operations of the last pending event.
    fn last_ops(&self) -> Vec<(String, OpKind)> {
        let pending = self.environment.block_on(self.queue.pending(&Scope::User, usize::MAX)).unwrap();
        let ops = &pending.last().expect("a pending event").event.ops;
        ops.iter().map(|op| (op.path.to_string(), op.kind.clone())).collect()
    }
}

#[test]
fn an_assertion_makes_no_event_and_no_commit() {
    let bench = Bench::confirmed(json!({"n": 1, "tags": ["x", "y"], "meta": {"by": "ann"}, "text": "t", "null": null}));
    let before = (bench.commits(), bench.view("a"));
    for draft in [
        update("a", json!({})),
        update("a", json!({"n": 1.0, "meta": {"by": "ann"}, "gone": null, "tags": ["x", "y"]})),
        put("a", json!({"n": 1, "tags": ["x", "y"], "meta": {"by": "ann"}, "text": "t", "null": null})),
        edit(vec![("/n", set(json!(1))), ("/meta", set(json!({"by": "ann"}))), ("/null", set(json!(null)))]),
        edit(vec![("/gone", OpKind::Unset), ("/n", OpKind::Inc { by: 0 })]),
        edit(vec![("/tags", OpKind::Add { values: vec![json!("y")] })]),
        edit(vec![("/tags", OpKind::Remove { values: vec![json!("z")] })]),
        edit(vec![("/text", OpKind::Text { edit: Default::default() })]),
        edit(vec![]),
    ] {
        assert_eq!(bench.accept(vec![draft.clone()]).unwrap(), [None], "{draft:?}");
        assert_eq!((bench.commits(), bench.view("a")), before, "{draft:?}");
    }
    assert_eq!(bench.pending(), 0);
}

#[test]
fn an_assertion_is_refused_where_an_edit_would_be() {
    let bench = Bench::confirmed(json!({"n": 1, "tags": ["x"]}));
    for (draft, code) in [
        (update("b", json!({})), "not_found"),
        (update("a", json!("n")), "invalid_patch"),
        (edit(vec![("/tags/0", OpKind::Unset)]), "pointer_into_array"),
        (edit(vec![("/n", OpKind::Add { values: vec![] })]), "type_mismatch"),
        (put("a", json!([1])), "not_an_object"),
    ] {
        assert_eq!(bench.accept(vec![draft.clone()]).unwrap_err().code(), code, "{draft:?}");
    }
}

#[test]
fn only_what_differs_becomes_an_operation() {
    let bench = Bench::confirmed(json!({"n": 1, "meta": {"by": "ann", "key": "C"}, "gone": 1}));
    bench.write(update("a", json!({"n": 1, "meta": {"by": "ann", "key": "D"}})));
    assert_eq!(bench.last_ops(), [("/meta/key".to_owned(), set(json!("D")))]);
    bench.push().unwrap();
    bench.write(put("a", json!({"n": 2, "meta": {"by": "ann", "key": "D"}})));
    assert_eq!(bench.last_ops(), [("/gone".to_owned(), OpKind::Unset), ("/n".to_owned(), set(json!(2)))]);
    assert_eq!(bench.view("a"), Some(json!({"n": 2, "meta": {"by": "ann", "key": "D"}})));
    // What is pending is there, too.
    assert_eq!(bench.accept(vec![update("a", json!({"n": 2}))]).unwrap(), [None]);
}

#[test]
fn a_put_makes_a_record_where_there_is_none() {
    let bench = Bench::confirmed(json!({"n": 1}));
    bench.write(put("b", json!({"n": null})));
    assert_eq!(bench.view("b"), Some(json!({"n": null})));
    bench.write(delete("a"));
    bench.write(put("a", json!({"m": 1})));
    assert_eq!(bench.view("a"), Some(json!({"m": 1})));
}

#[test]
fn a_transaction_of_which_one_write_changes_something_is_no_group() {
    let bench = Bench::confirmed(json!({"n": 1}));
    let ids = bench.accept(vec![update("a", json!({"n": 1})), update("a", json!({"n": 2}))]).unwrap();
    assert_eq!((ids[0].as_ref(), ids[1].is_some()), (None, true));
    assert_eq!(bench.push().unwrap().events[0].group, None);
    let stats = bench.environment.block_on(bench.queue.stats()).unwrap();
    let pending = bench.environment.block_on(bench.queue.pending(&Scope::User, 9)).unwrap();
    assert_eq!(stats.bytes, serde_json::to_vec(&pending[0].event).unwrap().len() as u64);
    assert_eq!(bench.accept(vec![update("a", json!({"n": 2})), update("a", json!({}))]).unwrap(), [None, None]);
}

#[test]
fn writes_that_are_made_apart_share_a_commit_and_no_group() {
    let bench = Bench::confirmed(json!({"n": 1}));
    let commits = bench.commits();
    let drafts = vec![put("a", json!({"n": 2})), put("b", json!({})), put("c", json!({}))];
    let ids = bench.environment.block_on(bench.queue.accept_apart(&Scope::User, drafts.clone())).unwrap();
    assert!(ids.iter().all(Option::is_some));
    assert_eq!(bench.commits(), commits + 1);
    assert!(bench.push().unwrap().events.iter().all(|event| event.group.is_none()));
    let again = bench.environment.block_on(bench.queue.accept_apart(&Scope::User, drafts)).unwrap();
    assert_eq!(again, [None, None, None]);
}

#[test]
fn a_rescan_of_ten_thousand_unchanged_records_costs_reads_only() {
    let bench = Bench::new();
    let doc = |n: usize| json!({"name": format!("sample {n}"), "bpm": 120, "tags": ["x"]});
    for n in (0..10_000).step_by(500) {
        let drafts = (n..n + 500).map(|n| put(&format!("r{n}"), doc(n))).collect();
        bench.environment.block_on(bench.queue.accept_apart(&Scope::User, drafts)).unwrap();
    }
    let before = bench.commits();
    for n in 0..10_000 {
        let id = format!("r{n}");
        let draft = if n % 2 == 0 { put(&id, doc(n)) } else { update(&id, doc(n)) };
        assert_eq!(bench.accept(vec![draft]).unwrap(), [None]);
    }
    assert_eq!((bench.commits(), bench.pending()), (before, 10_000));
}

#[test]
fn elements_are_not_added_to_a_list() {
    let bench = Bench::confirmed(json!({"steps": [1, 2, 1], "tags": [1, 2]}));
    for kind in [OpKind::Add { values: vec![json!(3)] }, OpKind::Remove { values: vec![json!(2)] }] {
        let error = bench.accept(vec![edit(vec![("/steps", kind)])]).unwrap_err();
        assert_eq!(error.code(), "type_mismatch");
        let words = error.to_string();
        assert!(words.contains("/steps") && words.contains("it is a list") && words.contains("`set`"), "{words}");
    }
    bench.write(edit(vec![("/tags", OpKind::Add { values: vec![json!(3)] })]));
    assert_eq!(bench.view("a"), Some(json!({"steps": [1, 2, 1], "tags": [1, 2, 3]})));
}

#[test]
fn an_operation_that_does_not_fit_says_what_stands_there_and_what_is_allowed() {
    let bench = Bench::confirmed(json!({"name": "Kick", "list": [{"a": 1}], "half": 0.5, "most": u64::MAX}));
    for (edits, words) in [
        (
            ("/name", OpKind::Inc { by: 1 }),
            "`increment` works on an integer whose sum fits 64 bits, or an absent field; at /name there is a text",
        ),
        (
            ("/half", OpKind::Inc { by: 1 }),
            "`increment` works on an integer whose sum fits 64 bits, or an absent field; at /half there is a number with a fraction",
        ),
        (
            ("/most", OpKind::Inc { by: 1 }),
            "`increment` works on an integer whose sum fits 64 bits, or an absent field; at /most there is an integer",
        ),
        (
            ("/name", OpKind::Add { values: vec![json!(1)] }),
            "`add` works on an array, or an absent field; at /name there is a text",
        ),
        (
            ("/list", OpKind::Text { edit: Default::default() }),
            "`text` works on a text that is as long as the edit, or an absent field; at /list there is an array",
        ),
        (
            ("/list/0/a", set(json!(1))),
            "/list/0/a leads into the array at /list: an array is changed as a whole with `set`, or as a set with `add` and `remove`",
        ),
    ] {
        assert_eq!(bench.accept(vec![edit(vec![edits])]).unwrap_err().to_string(), words);
    }
    let error = bench.accept(vec![update("a", json!("bpm"))]).unwrap_err();
    assert_eq!(error.to_string(), "a merge patch is a JSON object of the fields to change, not a text");
}
