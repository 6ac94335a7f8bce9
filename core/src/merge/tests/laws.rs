//! The merge's laws on random histories.

use proptest::prelude::*;

use super::*;

const DEVICES: [&str; 3] = ["a", "b", "c"];
const PATHS: [&str; 5] = ["/n", "/s", "/p", "/p/x", "/p/y"];

/// One device's writes of one kind of mix, made without sight of the others.
fn writes(structure: bool) -> impl Strategy<Value = Vec<(usize, u64, Draft)>> {
    let leaf = move || {
        if structure { (2..5usize).boxed() } else { (0..2usize).boxed() }
    };
    let value = prop_oneof![Just(json!(1)), Just(json!("v")), Just(json!({"x": 7})), Just(json!({}))];
    let plain = prop_oneof![Just(json!(1)), Just(json!(20)), Just(json!(300))];
    let assign = (leaf(), value, plain)
        .prop_map(move |(path, value, plain)| (PATHS[path], set(if structure { value } else { plain })));
    let kind = prop_oneof![
        4 => assign,
        // Not of children below a parent that others assign: see docs/adr/0010.
        2 => leaf().prop_map(move |path| (if structure { "/p" } else { PATHS[path] }, OpKind::Unset)),
        3 => (-3..4i64).prop_map(|by| ("/n", OpKind::Inc { by })),
        3 => (0..3u8, any::<bool>())
            .prop_map(|(element, live)| ("/t", if live { add(json!(element)) } else { remove(json!(element)) })),
    ];
    let write = prop_oneof![
        9 => kind.prop_map(|(path, kind)| op("", 0, 1, path, kind)),
        1 => Just(delete("", 0, 1)),
    ];
    proptest::collection::vec((0..3usize, 10..60u64, write), 1..8)
}

/// One device's writes of one set: its elements, and the whole of it.
fn set_writes() -> impl Strategy<Value = Vec<(usize, u64, Draft)>> {
    let whole = prop_oneof![Just(json!([])), Just(json!([0, 2])), Just(json!("flat")), Just(json!(7))];
    let kind = prop_oneof![
        2 => whole.prop_map(set),
        1 => Just(OpKind::Unset),
        5 => (0..4u8, any::<bool>()).prop_map(|(element, live)| if live { add(json!(element)) } else { remove(json!(element)) }),
    ];
    proptest::collection::vec((0..3usize, 10..60u64, kind), 1..8).prop_map(|writes| {
        let mut no_set = [false; 3];
        let admitted = writes.into_iter().filter(|(device, _, kind)| match kind {
            OpKind::Set { value } => {
                no_set[*device] = !value.is_array();
                true
            }
            OpKind::Unset => {
                no_set[*device] = false;
                true
            }
            // The replica refuses it.
            _ => !no_set[*device],
        });
        admitted.map(|(device, step, kind)| (device, step, op("", 0, 1, "/t", kind))).collect()
    })
}

/// Gives each device its writes, with rising stamps, and merges them in the order that `picks` says.
fn run(writes: &[(usize, u64, Draft)], picks: &[usize], doc: &Value) -> Server {
    let mut queues: Vec<Vec<Draft>> = vec![Vec::new(); DEVICES.len()];
    let mut clocks = [10u64; 3];
    let mut dead = [false; 3];
    for (device, step, draft) in writes {
        // A device does not write on a record that it has deleted itself.
        if std::mem::replace(&mut dead[*device], draft.action == SyncAction::Delete) {
            dead[*device] = true;
            continue;
        }
        clocks[*device] += step;
        queues[*device].push(Draft { device: DEVICES[*device], ms: clocks[*device], ..draft.clone() });
    }
    let mut server = Server::with(&[create("z", 1, 0, doc.clone())]);
    let mut picks = picks.iter().copied().cycle();
    while queues.iter().any(|queue| !queue.is_empty()) {
        let device = picks.next().unwrap_or(0) % 3;
        let device = (device..device + 3).map(|at| at % 3).find(|at| !queues[*at].is_empty()).unwrap_or(0);
        let draft = queues[device].remove(0);
        // An increment of what became no number is refused, whatever the order.
        let _ = server.take(&draft);
    }
    server
}

/// The document, its sets in canonical order: where an element is added several times and removed in between, its place
/// depends on the order of arrival (docs/adr/0010), its membership does not.
fn members(server: &Server) -> Option<Value> {
    let mut doc = server.doc()?;
    for place in ["/t", "/p/t"] {
        if let Some(elements) = doc.pointer_mut(place).and_then(Value::as_array_mut) {
            elements.sort_by_key(ToString::to_string);
        }
    }
    Some(doc)
}

/// Each device's writes beneath one parent, which is assigned and removed as a whole: a counter, a set, a field.
fn beneath() -> impl Strategy<Value = Vec<(usize, u64, Draft)>> {
    let whole = prop_oneof![
        Just(json!("flat")),
        Just(json!({"x": 7})),
        Just(json!({"n": 40})),
        Just(json!({"n": 50, "t": [8, 9], "x": 1})),
    ];
    let kind = prop_oneof![
        2 => whole.prop_map(|value| ("/p", set(value))),
        1 => Just(("/p", OpKind::Unset)),
        3 => (1..4i64).prop_map(|by| ("/p/n", OpKind::Inc { by })),
        2 => (0..3u8).prop_map(|element| ("/p/t", add(json!(element)))),
        1 => (1..3i64).prop_map(|value| ("/p/x", set(json!(value)))),
    ];
    // One write of each device: what it makes of its own earlier ones is the client's affair.
    proptest::collection::vec((10..60u64, kind), 3).prop_map(|writes| {
        let writes = writes.into_iter().enumerate();
        writes.map(|(device, (step, (path, kind)))| (device, step, op("", 0, 1, path, kind))).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn beneath_a_parent_the_result_does_not_depend_on_the_order_of_arrival(
        writes in beneath(),
        first in proptest::collection::vec(0..3usize, 12),
        second in proptest::collection::vec(0..3usize, 12),
    ) {
        let doc = json!({"p": {"n": 5, "t": [1], "x": 0}});
        prop_assert_eq!(members(&run(&writes, &first, &doc)), members(&run(&writes, &second, &doc)));
    }

    #[test]
    fn an_increment_beneath_a_parent_counts_or_is_in_the_inbox(
        writes in beneath(),
        picks in proptest::collection::vec(0..3usize, 12),
    ) {
        let server = run(&writes, &picks, &json!({"p": {"n": 5, "t": [1], "x": 0}}));
        // Amounts differ from each other by their device, so that a sum tells which of them count.
        let shown = server.doc().and_then(|doc| doc.pointer("/p/n").cloned());
        for logged in server.history.after(1) {
            let OpKind::Inc { by } = logged.event.ops[0].kind else { continue };
            let noted = server.lost().iter().any(|lost| *lost == json!({"inc": by}));
            prop_assert!(noted || shown.is_some(), "{by} neither counts nor is noted");
        }
    }

    #[test]
    fn the_result_does_not_depend_on_the_order_of_arrival(
        writes in writes(false),
        first in proptest::collection::vec(0..3usize, 12),
        second in proptest::collection::vec(0..3usize, 12),
    ) {
        let doc = json!({"n": 5, "s": 1, "t": [0, 1]});
        prop_assert_eq!(members(&run(&writes, &first, &doc)), members(&run(&writes, &second, &doc)));
    }

    #[test]
    fn parents_and_children_come_out_the_same_in_any_order(
        writes in writes(true),
        first in proptest::collection::vec(0..3usize, 12),
        second in proptest::collection::vec(0..3usize, 12),
    ) {
        let doc = json!({"n": 5, "p": {"x": 1}, "t": []});
        prop_assert_eq!(members(&run(&writes, &first, &doc)), members(&run(&writes, &second, &doc)));
    }

    #[test]
    fn sets_and_assignments_of_them_come_out_the_same_in_any_order(
        writes in set_writes(),
        first in proptest::collection::vec(0..3usize, 12),
        second in proptest::collection::vec(0..3usize, 12),
    ) {
        // Whether a set that has become empty stays as `[]` may depend on it (docs/adr/0010).
        let shown = |picks: &[usize]| {
            let t = members(&run(&writes, picks, &json!({"t": [0, 1]})))?.get("t").cloned()?;
            (t != json!([])).then_some(t)
        };
        prop_assert_eq!(shown(&first), shown(&second));
    }

    #[test]
    fn elements_that_are_added_once_come_in_one_order_whatever_the_arrival(
        adds in proptest::collection::vec((0..3usize, 10..60u64), 1..8),
        first in proptest::collection::vec(0..3usize, 12),
        second in proptest::collection::vec(0..3usize, 12),
    ) {
        let adds: Vec<_> = adds
            .into_iter()
            .enumerate()
            .map(|(element, (device, step))| (device, step, op("", 0, 1, "/t", add(json!(element + 10)))))
            .collect();
        let doc = json!({"t": [1, 0]});
        prop_assert_eq!(run(&adds, &first, &doc).doc(), run(&adds, &second, &doc).doc());
    }

    #[test]
    fn without_foreign_writes_a_merge_is_what_the_client_applies(writes in writes(true), doc in any::<bool>()) {
        let doc = if doc { json!({"n": 5, "p": {"x": 1}, "t": [1, 2]}) } else { json!({"p": 3, "t": []}) };
        let mut server = Server::with(&[create("a", 1, 0, doc.clone())]);
        let mut view = Some(doc);
        for (at, (_, _, draft)) in writes.into_iter().enumerate() {
            let draft = Draft { device: "a", ms: 10 + at as u64, base: server.revision, ..draft };
            if view.is_none() {
                break;
            }
            let event = draft.event();
            let mut probe = view.clone().unwrap_or_default();
            let fits = apply(&mut probe, &event.ops).is_empty();
            match server.take(&draft) {
                Ok(status) => {
                    prop_assert!(fits);
                    prop_assert_eq!(status, Applied);
                    view = apply_event(view, &event);
                    prop_assert_eq!(server.doc(), view.clone());
                }
                Err(_) => prop_assert!(!fits, "{:?} on {:?}", event, view),
            }
        }
    }

    #[test]
    fn an_event_of_many_operations_is_what_the_client_applies(
        parts in proptest::collection::vec(writes(true), 1..6),
        doc in any::<bool>(),
    ) {
        let doc = if doc { json!({"n": 5, "p": {"x": 1}, "t": [1, 2]}) } else { json!({"t": []}) };
        let mut server = Server::with(&[create("a", 1, 0, doc.clone())]);
        let mut view = doc;
        for (at, part) in parts.into_iter().enumerate() {
            let ops: Vec<_> = part.into_iter().flat_map(|(_, _, draft)| draft.ops).collect();
            if ops.is_empty() {
                continue;
            }
            let draft = Draft { ops, ..draft("a", 10 + at as u64, server.revision, SyncAction::Update) };
            let mut shown = view.clone();
            if apply(&mut shown, &draft.event().ops).is_empty() {
                prop_assert_eq!(server.take(&draft), Ok(Applied));
                prop_assert_eq!(server.doc(), Some(shown.clone()));
                view = shown;
            } else {
                prop_assert!(server.take(&draft).is_err());
            }
        }
    }

    #[test]
    fn a_value_that_loses_is_always_in_the_inbox(
        writes in proptest::collection::vec((0..3usize, 1..40u64, 0..100i64), 2..8),
        picks in proptest::collection::vec(0..3usize, 12),
    ) {
        let writes: Vec<_> = writes
            .into_iter()
            .enumerate()
            // Two that write the same value agree; here all differ.
            .map(|(at, (device, step, value))| (device, step, op("", 0, 1, "/n", set(json!(value * 10 + at as i64)))))
            .collect();
        let server = run(&writes, &picks, &json!({"n": -1}));
        let shown = server.doc().unwrap()["n"].clone();
        let lost = server.lost();
        let mut last = std::collections::BTreeMap::new();
        for logged in server.history.after(1) {
            last.insert(logged.by.device.clone(), value_of_op(logged));
        }
        for value in last.into_values() {
            prop_assert!(value == shown || lost.contains(&value), "{value} is neither shown nor noted");
        }
    }

    #[test]
    fn documents_stay_normalized(writes in writes(true), picks in proptest::collection::vec(0..3usize, 12)) {
        if let Some(doc) = run(&writes, &picks, &json!({"n": 5, "p": {}, "t": []})).doc() {
            let mut again = doc.clone();
            value::normalize(&mut again);
            prop_assert_eq!(again, doc);
        }
    }
}

fn value_of_op(logged: &LoggedWrite) -> Value {
    match &logged.event.ops[0].kind {
        OpKind::Set { value } => value.clone(),
        _ => Value::Null,
    }
}
