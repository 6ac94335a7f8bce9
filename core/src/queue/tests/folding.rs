//! Folding changes neither who wins nor what comes out.

use super::*;

fn edit(path: &str, kind: OpKind) -> Draft {
    Draft::new(key("a"), Mutation::Edit(vec![(Pointer::parse(path).unwrap(), kind)]))
}

fn sent(bench: &Bench) -> Vec<OpKind> {
    let push = bench.push().expect("something to send");
    let [event] = &push.events[..] else { panic!("one event: {push:?}") };
    event.ops.iter().map(|op| op.kind.clone()).collect()
}

#[test]
fn an_assignment_folds_into_an_assignment_and_into_nothing_else() {
    let set = |value| OpKind::Set { value };
    let texts = || OpKind::Text { edit: serde_json::from_value(json!(["more "])).unwrap() };
    for (doc, first, second, kept) in [
        (json!({"v": 1}), set(json!(2)), set(json!(3)), 1),
        (json!({"v": 1}), OpKind::Unset, set(json!(3)), 1),
        (json!({"v": 1}), set(json!(2)), OpKind::Unset, 1),
        // Each of these counts beside what another device has assigned meanwhile.
        (json!({"v": 1}), OpKind::Inc { by: 1 }, set(json!(3)), 2),
        (json!({"v": 1}), set(json!(3)), OpKind::Inc { by: 1 }, 2),
        (json!({"v": 1}), OpKind::Inc { by: 1 }, OpKind::Unset, 2),
        (json!({"v": [1]}), OpKind::Add { values: vec![json!(2)] }, set(json!([3])), 2),
        (json!({"v": [1]}), OpKind::Remove { values: vec![json!(1)] }, set(json!([3])), 2),
        (json!({"v": "text"}), texts(), set(json!("other")), 2),
    ] {
        let bench = Bench::confirmed(doc);
        bench.write(edit("/v", first.clone()));
        bench.write(edit("/v", second.clone()));
        assert_eq!(sent(&bench).len(), kept, "{first:?}, then {second:?}");
    }
}

#[test]
fn increments_are_summed_where_no_parent_can_be_removed_between_them() {
    let bench = Bench::confirmed(json!({"n": 1, "stats": {"n": 1}}));
    for path in ["/n", "/stats/n", "/n", "/stats/n"] {
        bench.write(edit(path, OpKind::Inc { by: 2 }));
    }
    let inc = |by| OpKind::Inc { by };
    assert_eq!(sent(&bench), [inc(2), inc(4), inc(2)], "the sum goes to the place of the later one");
    assert_eq!(bench.view("a"), Some(json!({"n": 5, "stats": {"n": 5}})));
}
