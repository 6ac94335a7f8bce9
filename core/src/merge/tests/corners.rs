//! Corners of the merge that a wrong operator would cut: each test fails for at least one such change of the code.

use super::*;
use crate::merge::Side;
use crate::model::{TextComponent, TextEdit};

/// An update of several operations, each with a base of its own.
fn ops(device: &'static str, ms: u64, parts: &[(&'static str, OpKind, Revision)]) -> SyncEvent {
    let mut event = op(device, ms, 0, "/unused", OpKind::Unset).event();
    event.base = parts.iter().map(|(_, _, base)| *base).max().unwrap_or(0);
    event.ops = parts
        .iter()
        .map(|(path, kind, base)| crate::model::Op {
            path: Pointer::parse(path).unwrap(),
            kind: kind.clone(),
            base: Some(*base),
            stamp: None,
        })
        .collect();
    event
}

/// Merges an event into what `server` holds, without keeping the result: the document, and what else the merge made.
fn merged(server: &Server, event: &SyncEvent, device: &str) -> Result<(Value, Merged), Refusal> {
    let author = Author { user: "bob".into(), device: DeviceId::new(device).unwrap() };
    let revision = server.revision + 1;
    let write = Write { event, author: &author, push_seq: 99, position: 0, revision, horizon: 0, forgets: 0 };
    let mut record = server.record.clone();
    let merged = merge(&mut record, &server.history, &write)?;
    Ok((record.unwrap().doc, merged))
}

fn edit(components: impl IntoIterator<Item = TextComponent>) -> OpKind {
    OpKind::Text { edit: TextEdit(components.into_iter().collect()) }
}

fn insert(text: &str) -> TextComponent {
    TextComponent::Insert(text.to_owned())
}

#[test]
fn text_is_edited_by_code_points() {
    let rows = [
        ("añ🎵o", edit([TextComponent::Skip(3), insert("é")]), Ok(json!("añ🎵éo"))),
        ("añ🎵o", edit([TextComponent::Skip(1), TextComponent::Delete { d: 2 }]), Ok(json!("ao"))),
        ("añ", edit([TextComponent::Skip(2), insert("!")]), Ok(json!("añ!"))),
        ("añ", edit([TextComponent::Skip(3), insert("!")]), Err("type_mismatch")),
        ("añ", edit([TextComponent::Delete { d: 3 }]), Err("type_mismatch")),
    ];
    for (text, kind, expected) in rows {
        let mut server = Server::with(&[create("a", 1, 0, json!({"s": text}))]);
        let made = match server.take(&op("b", 2, 1, "/s", kind.clone())) {
            Ok(_) => Ok(server.doc().unwrap()["s"].clone()),
            Err(Refusal::Rejected { code, .. }) => Err(code),
            Err(Refusal::Conflict) => panic!("{kind:?}"),
        };
        assert_eq!(made, expected, "{kind:?} on {text}");
    }
}

#[test]
fn a_text_edit_that_meets_another_is_kept_in_the_inbox() {
    let mut server = Server::with(&[create("a", 1, 0, json!({"s": "x"})), op("a", 5, 1, "/s", edit([insert("1")]))]);
    assert_eq!(server.take(&op("b", 9, 1, "/s", edit([insert("2")]))), Ok(Superseded));
    assert_eq!((server.doc(), server.lost()), (Some(json!({"s": "1x"})), vec![json!({"text": ["2"]})]));
}

#[test]
fn each_operation_meets_what_came_after_its_own_base() {
    let server = Server::with(&[
        create("a", 1, 0, json!({"n": 1, "s": "x"})),
        op("a", 5, 1, "/s", set(json!("y"))),
        op("a", 6, 2, "/m", set(json!(1))),
    ]);
    // The second operation had seen revision 2, the first one had not, and they touch different leaves.
    let parts = [("/n", set(json!(2)), 1), ("/s", edit([insert("z")]), 2)];
    let event = ops("b", 9, &parts);
    let (doc, result) = merged(&server, &event, "b").unwrap();
    assert_eq!(doc, json!({"m": 1, "n": 2, "s": "zy"}));
    assert_eq!((result.status, result.decisions.len()), (Applied, 0));
    let strict = SyncEvent { mode: Mode::Strict, ..event };
    assert_eq!(merged(&server, &strict, "b").unwrap().0, doc);
}

#[test]
fn an_update_that_meets_a_delete_is_noted_with_the_value_that_it_would_have_changed() {
    let mut server = Server::with(&[create("a", 1, 0, json!({"n": 1})), delete("a", 5, 1)]);
    server.take(&op("b", 9, 1, "/n", set(json!(2)))).unwrap();
    let [decision] = &server.decisions[..] else { panic!("one decision: {:?}", server.decisions) };
    assert_eq!((&decision.base, &decision.loser.value), (&Some(json!(1)), &Some(json!(2))));

    // Of a record that was never there nobody is the winner.
    let (_, merged) = merged(&Server::default(), &op("b", 9, 0, "/n", set(json!(2))).event(), "b").unwrap();
    let Side { value, by, revision, .. } = &merged.decisions[0].winner;
    assert_eq!((value, by.user.as_str(), *revision), (&None, "", 0));
    assert_eq!(merged.decisions[0].loser.by.user, "bob");
}

#[test]
fn a_parent_that_a_child_displaced_shows_again_when_the_last_child_is_removed() {
    let displaced = [
        create("a", 1, 0, json!({"p": {"x": 1}})),
        op("a", 5, 1, "/p", set(json!("flat"))),
        op("b", 6, 1, "/p/x", set(json!(2))),
        op("b", 7, 1, "/p/y", set(json!(3))),
    ];
    let mut server = Server::with(&displaced);
    assert_eq!(server.doc(), Some(json!({"p": {"x": 2, "y": 3}})));
    server.take(&op("b", 8, 1, "/p/x", OpKind::Unset)).unwrap();
    assert_eq!(server.doc(), Some(json!({"p": {"y": 3}})), "a child is left");
    server.take(&op("b", 9, 1, "/p/y", OpKind::Unset)).unwrap();
    assert_eq!(server.doc(), Some(json!({"p": "flat"})));

    // A parent that had been removed is gone again.
    let mut server = Server::with(&[
        create("a", 1, 0, json!({"p": {"x": 1}})),
        op("b", 6, 1, "/p/x", set(json!(2))),
        op("a", 5, 1, "/p", OpKind::Unset),
        op("b", 7, 1, "/p/x", OpKind::Unset),
    ]);
    assert_eq!(server.doc(), Some(json!({})));
    // One that nothing displaced stays, empty.
    server.take(&op("b", 8, 4, "/q/z", set(json!(1)))).unwrap();
    server.take(&op("b", 9, 5, "/q/z", OpKind::Unset)).unwrap();
    assert_eq!(server.doc(), Some(json!({"q": {}})));
}

#[test]
fn the_winner_that_is_noted_is_the_value_at_that_place() {
    let server = Server::with(&[
        create("a", 1, 0, json!({"p": {"x": 1, "y": 1}})),
        op("a", 5, 1, "/p/x", set(json!(2))),
        op("b", 6, 1, "/p", set(json!({"x": 3, "y": 4}))),
    ]);
    let [decision] = &server.decisions[..] else { panic!("one decision: {:?}", server.decisions) };
    assert_eq!(decision.path.as_ref().map(Pointer::as_str), Some("/p/x"));
    assert_eq!((&decision.winner.value, &decision.loser.value), (&Some(json!(3)), &Some(json!(2))));
}

#[test]
fn elements_and_assignments_of_the_whole_array_meet() {
    let start = create("z", 1, 0, json!({"t": [1]}));
    #[rustfmt::skip]
    let rows = [
        ("an element that is newer than the assignment stays on top of it",
         vec![start.clone(), op("a", 9, 1, "/t", add(json!(2)))],
         op("b", 5, 1, "/t", set(json!([5]))), json!([5, 2]), vec![]),
        ("one that is older goes",
         vec![start.clone(), op("a", 4, 1, "/t", add(json!(2)))],
         op("b", 5, 1, "/t", set(json!([5]))), json!([5]), vec![json!({"add": [2]})]),
        ("unless the assignment holds it",
         vec![start.clone(), op("a", 4, 1, "/t", add(json!(2)))],
         op("b", 5, 1, "/t", set(json!([2]))), json!([2]), vec![]),
        ("a removal that is older than an assignment which brings the element back is noted",
         vec![start.clone(), op("a", 4, 1, "/t", remove(json!(1)))],
         op("b", 5, 1, "/t", set(json!([1]))), json!([1]), vec![json!({"remove": [1]})]),
        ("one that loses is noted when it comes too late",
         vec![start.clone(), op("b", 5, 1, "/t", set(json!([5])))],
         op("a", 4, 1, "/t", add(json!(2))), json!([5]), vec![json!({"add": [2]})]),
        ("what the assignment holds is not noted, though it comes too late",
         vec![start.clone(), op("b", 5, 1, "/t", set(json!([5])))],
         op("a", 4, 1, "/t", add(json!(5))), json!([5]), vec![]),
        ("a removal of what is not there yet is remembered, and an add before it comes too late",
         vec![create("z", 1, 0, json!({})), op("b", 9, 1, "/t", remove(json!(2)))],
         op("a", 5, 1, "/t", add(json!(2))), json!([]), vec![json!(2)]),
        ("a newer element goes on top of an assignment that was there first",
         vec![start.clone(), op("b", 5, 1, "/t", set(json!([5])))],
         op("a", 9, 1, "/t", add(json!(2))), json!([5, 2]), vec![]),
        ("and takes the place of one that is no array",
         vec![start.clone(), op("b", 5, 1, "/t", set(json!("flat")))],
         op("a", 9, 1, "/t", add(json!(2))), json!([2]), vec![json!("flat")]),
        ("though that comes later",
         vec![start.clone(), op("a", 9, 1, "/t", add(json!(2)))],
         op("b", 5, 1, "/t", set(json!("flat"))), json!([2]), vec![json!("flat")]),
        ("and stays where the array was removed before it",
         vec![start.clone(), op("a", 9, 1, "/t", add(json!(2)))],
         op("b", 5, 1, "/t", OpKind::Unset), json!([2]), vec![]),
        ("what it displaced shows when it is removed",
         vec![start.clone(), op("a", 9, 1, "/t", add(json!(2))), op("b", 5, 1, "/t", set(json!("flat")))],
         op("a", 10, 1, "/t", remove(json!(2))), json!("flat"), vec![]),
        ("a removal displaces nothing",
         vec![start.clone(), op("b", 5, 1, "/t", set(json!("flat")))],
         op("a", 9, 1, "/t", remove(json!(1))), json!("flat"), vec![]),
        ("but an add that is older comes too late",
         vec![start.clone(), op("b", 5, 1, "/t", set(json!("flat"))), op("a", 9, 1, "/t", remove(json!(1)))],
         op("c", 7, 1, "/t", add(json!(1))), json!("flat"), vec![json!(1)]),
        ("what was in the set before an assignment in its sight does not come back",
         vec![start.clone(), op("a", 4, 1, "/t", add(json!(2))), op("b", 5, 2, "/t", set(json!([5])))],
         op("b", 6, 3, "/t", add(json!(6))), json!([5, 6]), vec![]),
        ("an element stands where its first add put it, however late that comes",
         vec![create("z", 1, 0, json!({})), op("b", 20, 1, "/t", add(json!("x"))), op("c", 15, 1, "/t", add(json!("y")))],
         op("a", 10, 1, "/t", add(json!("x"))), json!(["x", "y"]), vec![]),
        ("and a later add of it moves nothing",
         vec![create("z", 1, 0, json!({})), op("b", 10, 1, "/t", add(json!("x"))), op("c", 15, 1, "/t", add(json!("y")))],
         op("a", 20, 1, "/t", add(json!("x"))), json!(["x", "y"]), vec![]),
    ];
    for (shows, history, write, expected, lost) in rows {
        let mut server = Server::with(&history);
        server.decisions.clear();
        let status = server.take(&write).unwrap();
        assert_eq!(status == Superseded, shows.ends_with("too late"), "{shows}");
        let shown = server.doc().unwrap().get("t").cloned().unwrap_or(json!([]));
        assert_eq!((shown, server.lost()), (expected, lost), "{shows}");
    }
}

#[test]
fn parents_and_children_meet() {
    let start = |doc| create("z", 1, 0, doc);
    #[rustfmt::skip]
    let rows = [
        ("a child that is newer than its parent's assignment keeps its place, and the assigned one is noted",
         vec![start(json!({"p": {"x": 1}})), op("a", 6, 1, "/p/x", set(json!(2)))],
         op("b", 5, 1, "/p", set(json!({"x": 3}))), json!({"p": {"x": 2}}), vec![json!(3)]),
        ("so does a scalar in the way of an assigned grandchild",
         vec![start(json!({})), op("a", 6, 1, "/p/x", set(json!("s")))],
         op("b", 5, 1, "/p", set(json!({"x": {"y": 1}}))), json!({"p": {"x": "s"}}), vec![json!(1)]),
        ("a removal of a child that is newer than its parent's assignment holds",
         vec![start(json!({"p": {"x": 1}})), op("a", 6, 1, "/p/x", OpKind::Unset)],
         op("b", 5, 1, "/p", set(json!({"x": 3, "z": 1}))), json!({"p": {"z": 1}}), vec![json!(3)]),
        ("a scalar that a newer child displaces shows when the child is removed",
         vec![start(json!({"p": {"x": 1}})), op("a", 6, 1, "/p/x", set(json!(2))), op("b", 5, 1, "/p", set(json!("flat")))],
         op("a", 7, 1, "/p/x", OpKind::Unset), json!({"p": "flat"}), vec![]),
        ("an empty object that a newer child fills stays when the child is removed",
         vec![start(json!({"p": {"x": 1, "y": 1}})), op("a", 6, 1, "/p/x", set(json!(2))), op("b", 5, 1, "/p", set(json!({})))],
         op("a", 7, 1, "/p/x", OpKind::Unset), json!({"p": {}}), vec![]),
        ("an empty object is a child too",
         vec![start(json!({"p": {"x": 1}})), op("a", 5, 1, "/p", set(json!("flat"))),
              op("b", 6, 1, "/p/x", set(json!(2))), op("b", 7, 1, "/p/y", set(json!({})))],
         op("b", 8, 1, "/p/x", OpKind::Unset), json!({"p": {"y": {}}}), vec![]),
        ("a scalar that was displaced in its sight does not come back",
         vec![start(json!({"p": {"x": [1]}})), op("a", 5, 1, "/p", set(json!("flat"))), op("b", 6, 1, "/p/x", remove(json!(1))),
              op("b", 7, 3, "/p/x", set(json!(2)))],
         op("b", 8, 4, "/p/x", OpKind::Unset), json!({"p": {}}), vec![]),
        ("an object that was assigned stays when a newer child of it is removed",
         vec![start(json!({"p": {"x": 1}})), op("a", 5, 1, "/p", set(json!({"z": 3}))), op("b", 6, 1, "/p/x", set(json!(2))),
              op("b", 7, 3, "/p/z", OpKind::Unset)],
         op("b", 8, 4, "/p/x", OpKind::Unset), json!({"p": {}}), vec![]),
        ("whichever of the two came first",
         vec![start(json!({"p": {"x": 1}})), op("b", 6, 1, "/p/x", set(json!(2))), op("a", 5, 1, "/p", set(json!({"z": 3}))),
              op("b", 7, 3, "/p/z", OpKind::Unset)],
         op("b", 8, 4, "/p/x", OpKind::Unset), json!({"p": {}}), vec![]),
        ("a counter is a child too",
         vec![start(json!({"p": {"x": 1}})), op("a", 5, 1, "/p", set(json!("flat"))),
              op("b", 6, 1, "/p/n", OpKind::Inc { by: 4 }), op("b", 7, 1, "/p/x", set(json!(2)))],
         op("b", 8, 1, "/p/x", OpKind::Unset), json!({"p": {"n": 4}}), vec![]),
        ("and so is a set, as long as it holds an element",
         vec![start(json!({"p": {"x": 1}})), op("a", 5, 1, "/p", set(json!("flat"))),
              op("b", 6, 1, "/p/t", add(json!(4))), op("b", 7, 1, "/p/x", set(json!(2)))],
         op("b", 8, 1, "/p/x", OpKind::Unset), json!({"p": {"t": [4]}}), vec![]),
        ("filling an empty object overwrites nothing",
         vec![start(json!({"p": {}})), op("a", 5, 1, "/p", set(json!({})))],
         op("b", 6, 1, "/p/x", set(json!(1))), json!({"p": {"x": 1}}), vec![]),
    ];
    for (shows, history, write, doc, lost) in rows {
        let mut server = Server::with(&history);
        server.decisions.clear();
        server.take(&write).unwrap();
        assert_eq!((server.doc(), server.lost()), (Some(doc), lost), "{shows}");
    }
}

#[test]
fn a_decision_tells_the_rule_and_what_stands_at_the_place_now() {
    let start = create("z", 1, 0, json!({"p": {"x": 1}, "n": 1}));
    #[rustfmt::skip]
    let rows = [
        (op("a", 5, 1, "/n", set(json!(2))), op("b", 6, 1, "/n", set(json!(3))), "/n", Rule::Stamp, Some(json!(3))),
        (op("a", 5, 1, "/n", set(json!(2))), op("b", 4, 1, "/n", set(json!(3))).policy(Policy::ClientWins),
         "/n", Rule::Policy, Some(json!(3))),
        (op("a", 5, 1, "/p/x", set(json!(2))), op("b", 6, 1, "/p", set(json!("flat"))), "/p/x", Rule::Parent, None),
        (op("a", 5, 1, "/n", set(json!("v"))), op("b", 6, 1, "/n", set(json!({"x": 1}))),
         "/n", Rule::Stamp, Some(json!({"x": 1}))),
    ];
    for (first, second, path, rule, value) in rows {
        let server = Server::with(&[start.clone(), first, second.clone()]);
        let [decision] = &server.decisions[..] else { panic!("{second:?}: {:?}", server.decisions) };
        assert_eq!(decision.path.as_ref().map(Pointer::as_str), Some(path), "{second:?}");
        assert_eq!((decision.rule, &decision.winner.value), (rule, &value), "{second:?}");
    }
}

#[test]
fn a_later_conflict_knows_the_base_of_an_earlier_one() {
    let server = Server::with(&[
        create("a", 1, 0, json!({"n": 1})),
        delete("b", 5, 1),
        op("a", 9, 1, "/n", set(json!(2))),
        create("c", 10, 2, json!({"n": 5})),
        create("d", 11, 2, json!({"n": 6})),
    ]);
    let last = server.decisions.last().unwrap();
    assert_eq!(
        (&last.winner.value, &last.loser.value, &last.base),
        (&Some(json!(6)), &Some(json!(5)), &Some(json!(1)))
    );
}

#[test]
fn a_record_names_who_made_it_what_it_is() {
    let mut server = Server::with(&[create("a", 1, 0, json!({"n": 1}))]);
    let signed = |server: &Server| {
        let record = server.record.clone().unwrap();
        (record.by.device.to_string(), record.stamp.ms)
    };
    server.take(&op("b", 5, 1, "/n", set(json!(2)))).unwrap();
    assert_eq!(signed(&server), ("b".to_owned(), 5));
    server.take(&op("c", 4, 1, "/n", set(json!(3)))).unwrap();
    assert_eq!(signed(&server), ("b".to_owned(), 5), "a superseded write made nothing");
    server.take(&delete("c", 9, 3)).unwrap();
    assert_eq!(signed(&server), ("c".to_owned(), 9));
}

#[test]
fn deletes_meet_what_came_after_them_and_nothing_else() {
    let yields = |draft: Draft| draft.policy(Policy::UpdateWins);
    let first = create("a", 1, 0, json!({"n": 1}));
    #[rustfmt::skip]
    let rows = [
        ("an update in sight of a delete that yields does not revive",
         vec![first.clone(), yields(delete("b", 5, 1))], op("a", 6, 2, "/n", set(json!(2))), Superseded, None, 1),
        ("a delete that lost is no write that another one meets",
         vec![first.clone(), yields(op("a", 4, 1, "/n", set(json!(2)))), delete("b", 5, 1)],
         delete("c", 6, 2), Applied, None, 0),
        ("of an earlier life nothing is lost anew",
         vec![first.clone(), op("a", 2, 1, "/n", set(json!(2))), delete("a", 3, 2), create("a", 4, 3, json!({"m": 1}))],
         delete("b", 9, 1), MergedStatus, None, 1),
    ];
    for (shows, history, write, status, doc, lost) in rows {
        let mut server = Server::with(&history);
        server.decisions.clear();
        assert_eq!(server.take(&write), Ok(status), "{shows}");
        assert_eq!((server.doc(), server.lost().len()), (doc, lost), "{shows}");
    }
    let mut server = Server::default();
    for write in [op("a", 1, 0, "/n", set(json!(1))).strict(), delete("a", 1, 0).strict()] {
        assert_eq!(server.take(&write), Err(Refusal::Conflict), "of what is not there");
    }
    assert_eq!(server.take(&create("a", 1, 0, json!({})).strict()), Ok(Applied));
}

#[test]
fn an_increment_that_lost_to_a_delete_counts_in_no_later_life() {
    let inc = |device, base| op(device, 9, base, "/n", OpKind::Inc { by: 7 });
    let first = create("a", 1, 0, json!({"n": 0}));
    let rows = [
        // It came after the delete, and one who had not heard of it assigns.
        vec![first.clone(), delete("b", 2, 1), create("b", 3, 2, json!({"n": 0})), inc("c", 1)],
        // The delete took it along.
        vec![first, inc("c", 1), delete("w", 2, 1), create("w", 3, 1, json!({"n": 0}))],
    ];
    for history in rows {
        let mut server = Server::with(&history);
        server.take(&op("w", 10, if history.len() == 4 { 3 } else { 1 }, "/n", set(json!(5)))).unwrap();
        assert_eq!(server.doc(), Some(json!({"n": 5})), "{history:?}");
    }
}

#[test]
fn a_forgotten_delete_is_met_by_what_was_written_before_it() {
    let patch = |device, base| op(device, 20, base, "/n", set(json!("before")));
    let anew = |device, base| create(device, 10, base, json!({"n": "anew"}));
    let deleted = [create("a", 1, 0, json!({"n": 1})), op("a", 2, 1, "/n", set(json!(2))), delete("b", 5, 2)];
    #[rustfmt::skip]
    let rows = [
        ("by one who had seen the delete", vec![anew("b", 3)], patch("c", 1), Superseded, "anew"),
        ("by one who had not", vec![anew("b", 1)], patch("c", 2), Superseded, "anew"),
        ("where another one met it before", vec![patch("c", 1), anew("b", 3)], patch("d", 1), Superseded, "anew"),
        ("though its writer made the record in its earlier life", vec![anew("b", 3)], patch("a", 1), Superseded, "anew"),
        ("unless it outlives deletes", vec![anew("b", 3)], patch("c", 1).policy(Policy::UpdateWins), MergedStatus, "before"),
        ("not by a writer who has seen the new life", vec![anew("b", 3)], patch("c", 4), Applied, "before"),
        ("nor by the one who made it", vec![anew("b", 1)], patch("b", 1), Applied, "before"),
        ("nor by one of two", vec![anew("b", 3), anew("c", 1)], patch("c", 1), Applied, "before"),
    ];
    for (shows, after, write, status, left) in rows {
        let mut server = Server::with(&deleted);
        server.forget();
        for write in &after {
            server.take(write).unwrap();
        }
        server.decisions.clear();
        assert_eq!(server.take(&write), Ok(status), "{shows}");
        assert_eq!(server.doc(), Some(json!({"n": left})), "{shows}");
        assert_eq!(server.lost().contains(&json!("before")), status == Superseded, "{shows}");
    }
}

#[test]
fn a_folded_operation_that_meets_a_delete_is_noted_under_its_own_stamp() {
    let server = Server::with(&[create("a", 1, 0, json!({"n": 1})), delete("a", 5, 1)]);
    let mut event = op("b", 9, 1, "/n", set(json!(2))).event();
    let earlier = Stamp { ms: 7, ..event.stamp.clone() };
    event.ops[0].stamp = Some(earlier.clone());
    assert_eq!(merged(&server, &event, "b").unwrap().1.decisions[0].loser.stamp, earlier);
}

#[test]
fn increments_that_an_operation_had_seen_do_not_count_again() {
    let server = Server::with(&[create("a", 1, 0, json!({"n": 1})), op("a", 5, 1, "/n", OpKind::Inc { by: 5 })]);
    let parts = [("/m", set(json!(1)), 1), ("/n", set(json!(100)), 2)];
    assert_eq!(merged(&server, &ops("b", 9, &parts), "b").unwrap().0, json!({"m": 1, "n": 100}));
}

#[test]
fn a_strict_operation_conflicts_with_a_delete_that_it_had_not_seen_though_its_event_had() {
    let server =
        Server::with(&[create("a", 1, 0, json!({"n": 1})), delete("a", 2, 1), create("a", 3, 2, json!({"n": 2}))]);
    let strict = |base: Revision| {
        let parts = [("/n", set(json!(5)), base), ("/m", set(json!(1)), 3)];
        SyncEvent { mode: Mode::Strict, ..ops("b", 9, &parts) }
    };
    assert_eq!(merged(&server, &strict(1), "b").unwrap_err(), Refusal::Conflict);
    assert_eq!(merged(&server, &strict(3), "b").unwrap().1.status, Applied);
}
