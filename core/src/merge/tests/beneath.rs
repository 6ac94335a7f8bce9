//! Increments and elements of sets beneath a parent that is assigned or removed meanwhile: in either order of arrival they come
//! to the same, and what does not show is in the inbox.

use super::*;

/// What it shows, the document before, two concurrent writes, the document after both, and what the inbox tells of the second
/// one if it lost.
type Pair = (&'static str, Value, Draft, Draft, Value, Option<Value>);

fn inc(ms: u64, path: &'static str, by: i64) -> Draft {
    op("b", ms, 1, path, OpKind::Inc { by })
}

fn assign(ms: u64, path: &'static str, value: Value) -> Draft {
    op("a", ms, 1, path, set(value))
}

fn unset(ms: u64, path: &'static str) -> Draft {
    op("a", ms, 1, path, OpKind::Unset)
}

fn added(ms: u64, path: &'static str, value: Value) -> Draft {
    op("b", ms, 1, path, add(value))
}

#[test]
fn nothing_vanishes_beneath_a_parent_and_the_order_of_arrival_does_not_matter() {
    let counter = || json!({"p": {"n": 3}});
    let tags = || json!({"p": {"t": ["old"]}});
    #[rustfmt::skip]
    let pairs: Vec<Pair> = vec![
        ("a later increment outlives the removal of its parent",
         counter(), unset(5, "/p"), inc(9, "/p/n", 1), json!({"p": {"n": 1}}), None),
        ("an earlier one is hidden by it",
         counter(), unset(9, "/p"), inc(5, "/p/n", 1), json!({}), Some(json!({"inc": 1}))),
        ("an increment counts on top of what its parent's assignment gave its field, if it is later",
         counter(), assign(5, "/p", json!({"n": 10})), inc(9, "/p/n", 1), json!({"p": {"n": 11}}), None),
        ("and if it is earlier",
         counter(), assign(9, "/p", json!({"n": 10})), inc(5, "/p/n", 1), json!({"p": {"n": 11}}), None),
        ("where the assignment leaves the field out, a later increment counts from nothing",
         counter(), assign(5, "/p", json!({"x": 1})), inc(9, "/p/n", 2), json!({"p": {"n": 2, "x": 1}}), None),
        ("and an earlier one is hidden",
         counter(), assign(9, "/p", json!({"x": 1})), inc(5, "/p/n", 2), json!({"p": {"x": 1}}), Some(json!({"inc": 2}))),
        ("a later increment makes a scalar parent an object",
         counter(), assign(5, "/p", json!("flat")), inc(9, "/p/n", 2), json!({"p": {"n": 2}}), None),
        ("an earlier one is hidden by the scalar",
         counter(), assign(9, "/p", json!("flat")), inc(5, "/p/n", 2), json!({"p": "flat"}), Some(json!({"inc": 2}))),
        ("an increment two levels down outlives as well",
         json!({"p": {"q": {"n": 3}}}), unset(5, "/p"), inc(9, "/p/q/n", 1), json!({"p": {"q": {"n": 1}}}), None),
        ("a later element outlives the removal of its set's parent",
         tags(), unset(5, "/p"), added(9, "/p/t", json!("new")), json!({"p": {"t": ["new"]}}), None),
        ("an earlier one is hidden",
         tags(), unset(9, "/p"), added(5, "/p/t", json!("new")), json!({}), Some(json!({"add": ["new"]}))),
        ("a later element stands on top of the array that the parent's assignment brings",
         tags(), assign(5, "/p", json!({"t": ["x"]})), added(9, "/p/t", json!("new")), json!({"p": {"t": ["x", "new"]}}), None),
        ("and in place of what is no array",
         tags(), assign(5, "/p", json!({"t": 7})), added(9, "/p/t", json!("new")), json!({"p": {"t": ["new"]}}), None),
        ("and beside what else the parent was assigned",
         tags(), assign(5, "/p", json!({"x": 1})), added(9, "/p/t", json!("new")), json!({"p": {"t": ["new"], "x": 1}}), None),
        ("a later removal of an element holds against the array that the parent's assignment brings",
         tags(), assign(5, "/p", json!({"t": ["old", "x"]})), op("b", 9, 1, "/p/t", remove(json!("old"))),
         json!({"p": {"t": ["x"]}}), None),
        ("a later element makes a scalar parent an object",
         tags(), assign(5, "/p", json!("flat")), added(9, "/p/t", json!("new")), json!({"p": {"t": ["new"]}}), None),
    ];
    for (shows, doc, parent, child, after, lost) in pairs {
        for child_first in [true, false] {
            let (first, second) = if child_first { (&child, &parent) } else { (&parent, &child) };
            let mut server = Server::with(&[create("z", 1, 0, doc.clone()), first.clone()]);
            server.decisions.clear();
            server.take(second).unwrap();
            let shows = format!("{shows} (the child first: {child_first})");
            assert_eq!(server.doc(), Some(after.clone()), "{shows}");
            if let Some(lost) = &lost {
                assert!(server.lost().contains(lost), "{shows}: {:?}", server.decisions);
            }
        }
    }
}

#[test]
fn an_increment_that_an_assignment_of_a_text_or_an_overflow_takes_is_noted() {
    for assigned in [json!("many"), json!({"x": 1}), json!([1]), json!(u64::MAX)] {
        let doc = json!({"n": 3});
        let server = Server::with(&[create("z", 1, 0, doc), inc(9, "/n", 4), assign(5, "/n", assigned.clone())]);
        assert_eq!(server.doc(), Some(json!({"n": assigned})));
        assert!(server.lost().contains(&json!({"inc": 4})), "{assigned}: {:?}", server.decisions);
    }
}

#[test]
fn what_was_displaced_shows_again_when_the_elements_beneath_it_are_gone() {
    let child = added(9, "/p/t", json!("new"));
    let parent = assign(5, "/p", json!("flat"));
    for (first, second) in [(&child, &parent), (&parent, &child)] {
        let mut server = Server::with(&[create("z", 1, 0, json!({"p": {}})), first.clone(), second.clone()]);
        server.take(&op("b", 10, 1, "/p/t", remove(json!("new")))).unwrap();
        // An empty set is still a child; its removal uncovers the parent.
        server.take(&op("b", 11, 1, "/p/t", OpKind::Unset)).unwrap();
        assert_eq!(server.doc(), Some(json!({"p": "flat"})));
    }
}

#[test]
fn a_note_tells_what_both_sides_had_seen() {
    let doc = json!({"n": 120, "p": {"x": 1}, "t": ["m"]});
    #[rustfmt::skip]
    let rows = [
        (op("a", 5, 1, "/n", set(json!(128))), op("b", 4, 1, "/n", set(json!(124))), Some(json!(120))),
        (op("a", 5, 1, "/n", set(json!(128))), op("b", 6, 1, "/n", set(json!(124))), Some(json!(120))),
        (op("a", 5, 1, "/p", set(json!("flat"))), op("b", 4, 1, "/p/x", set(json!(2))), Some(json!(1))),
        (op("a", 5, 1, "/p/x", set(json!(2))), op("b", 6, 1, "/p", set(json!("flat"))), Some(json!(1))),
        (op("a", 5, 1, "/t", remove(json!("m"))), op("b", 4, 1, "/t", add(json!("m"))), Some(json!(["m"]))),
        (op("a", 5, 1, "/new", set(json!(1))), op("b", 4, 1, "/new", set(json!(2))), None),
        (op("a", 5, 1, "/n", set(json!(128))), delete("b", 4, 1), Some(json!(120))),
    ];
    for (first, second, base) in rows {
        let server = Server::with(&[create("z", 1, 0, doc.clone()), first, second.clone()]);
        let [decision] = &server.decisions[..] else { panic!("{second:?}: {:?}", server.decisions) };
        assert_eq!(decision.base, base, "{second:?}");
    }
    // What counts is what the writer had seen, whatever happened since.
    let server = Server::with(&[
        create("z", 1, 0, doc),
        op("a", 5, 1, "/n", set(json!(128))),
        op("a", 6, 2, "/n", set(json!(129))),
        op("b", 4, 1, "/n", set(json!(124))),
    ]);
    assert_eq!(server.decisions[0].base, Some(json!(120)));
}

#[test]
fn a_write_without_effect_is_met_by_nobody() {
    let history = [
        create("a", 1, 0, json!({"s": "x"})),
        op("a", 9, 1, "/s", set(json!("y"))),
        op("b", 5, 1, "/s", set(json!("z"))),
    ];
    let mut server = Server::with(&history);
    assert_eq!(server.doc(), Some(json!({"s": "y"})), "the third has lost");
    let strict = server.clone().take(&op("c", 10, 2, "/s", set(json!("w"))).strict());
    let insert = crate::model::TextComponent::Insert("1".to_owned());
    let text = OpKind::Text { edit: crate::model::TextEdit(vec![insert]) };
    assert_eq!(strict, Ok(Applied));
    assert_eq!(server.clone().take(&op("c", 10, 2, "/s", text)), Ok(Applied));
    assert_eq!(server.take(&delete("c", 10, 2).strict()), Ok(Applied));
}

#[test]
fn elements_stand_as_their_event_adds_them() {
    let adds = ["verse", "bridge", "outro"].map(|element| ("/t", add(json!(element))));
    let event = Draft { ops: adds.to_vec(), ..draft("a", 5, 1, SyncAction::Update) };
    let mut server = Server::with(&[create("a", 1, 0, json!({"t": ["intro"]}))]);
    server.take(&event).unwrap();
    assert_eq!(server.doc(), Some(json!({"t": ["intro", "verse", "bridge", "outro"]})));
    // A concurrent one stands by its stamp.
    server.take(&op("b", 4, 1, "/t", add(json!("hook")))).unwrap();
    assert_eq!(server.doc(), Some(json!({"t": ["intro", "hook", "verse", "bridge", "outro"]})));
}

#[test]
fn clocks_of_what_is_gone_go_with_the_horizon() {
    let mut server = Server::with(&[
        create("a", 1, 0, json!({"t": ["m"], "p": {"x": 1}, "n": 1})),
        op("a", 2, 1, "/t", add(json!("x"))),
        op("a", 3, 2, "/t", remove(json!("x"))),
        op("a", 4, 3, "/p", OpKind::Unset),
        op("a", 5, 4, "/n", set(json!(2))),
    ]);
    let listed = |server: &Server| {
        let clocks = &server.record.as_ref().unwrap().clocks;
        let places: Vec<_> = clocks.leaves.keys().map(ToString::to_string).collect();
        (places, clocks.elements.values().flat_map(|listed| listed.keys().cloned()).collect::<Vec<_>>())
    };
    assert_eq!(listed(&server), (vec!["/n".to_owned(), "/p".to_owned()], vec!["\"m\"".to_owned(), "\"x\"".to_owned()]));
    server.forgets = 3;
    server.take(&op("a", 6, 5, "/n", set(json!(3)))).unwrap();
    assert_eq!(listed(&server).1, ["\"m\""], "the element was removed at revision 3");
    assert_eq!(listed(&server).0, ["/n", "/p"], "the field at revision 4");
    server.forgets = 4;
    server.take(&op("a", 7, 6, "/n", set(json!(4)))).unwrap();
    assert_eq!(listed(&server).0, ["/n"]);
    assert_eq!(server.doc(), Some(json!({"t": ["m"], "n": 4})));
}

#[test]
fn of_assignments_that_follow_each_other_in_an_event_the_last_one_decides() {
    let sets =
        |ms| Draft { ops: [1, 2, 3].map(|n| ("/n", set(json!(n)))).to_vec(), ..draft("b", ms, 1, SyncAction::Update) };
    for (ms, status, after, lost) in [(9, MergedStatus, 3, json!(100)), (4, Superseded, 100, json!(3))] {
        let mut server = Server::with(&[create("z", 1, 0, json!({"n": 0})), op("a", 5, 1, "/n", set(json!(100)))]);
        assert_eq!(server.take(&sets(ms)), Ok(status));
        assert_eq!((server.doc(), server.lost()), (Some(json!({"n": after})), vec![lost]));
        // What lost has changed nothing, all of it.
        let strict = server.take(&op("c", 10, 2, "/n", set(json!(7))).strict());
        assert_eq!(strict.is_ok(), status == Superseded);
    }
}
