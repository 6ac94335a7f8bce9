//! Causality starts with what the user saw: a write that names its read is concurrent with whatever came after that read, though a
//! pull may have brought it to the replica meanwhile.

use serde_json::{Value, json};
use unisono::Client;
use unisono::client::{Conflict, RecordState, WriteOptions};
use unisono::model::{Mode, Policy};
use unisono::query::Record;
use unisono_tests::{Device, World};

/// Two devices that hold a note, an open editor on one of them, and the other's edit that a pull has brought under it.
struct Editor {
    world: World,
    a: Device,
    b: Device,
    /// What the editor on `a` shows.
    seen: Record,
}

fn editor(seed: u64) -> Editor {
    let world = World::new(seed);
    let (a, b) = (world.device("anna"), world.device("anna"));
    world.run(a.samples().create("note", json!({"body": "v0", "title": "t"}))).unwrap();
    a.synced(&world);
    b.synced(&world);
    let seen = read(&world, &a);
    world.run(b.samples().update("note", json!({"body": "by b"}))).unwrap();
    b.synced(&world);
    a.synced(&world);
    assert_eq!(a.get(&world, "note"), Some(json!({"body": "by b", "title": "t"})), "the pull arrived under the editor");
    Editor { world, a, b, seen }
}

fn read(world: &World, device: &Device) -> Record {
    world.run(device.samples().record("note")).unwrap().expect("the note")
}

fn losers(world: &World, client: &Client) -> Vec<Value> {
    let notes = world.run(client.conflicts()).unwrap();
    let losers = |note: &Conflict| note.doc["losers"].as_array().cloned().unwrap_or_default();
    notes.iter().flat_map(losers).map(|loser| loser["value"].clone()).collect()
}

impl Editor {
    /// Both sync until all is told.
    fn settle(&self) {
        for device in [&self.a, &self.b, &self.a, &self.b] {
            device.synced(&self.world);
        }
    }
}

#[test]
fn an_edit_that_a_pull_brought_under_an_open_editor_is_kept() {
    let Editor { world, a, b, seen } = &editor(1);
    world.run(a.samples().update(seen, json!({"body": "by a"}))).unwrap().expect("an edit");
    for device in [a, b, a] {
        device.synced(world);
    }
    world.assert_converged(&[a, b]);
    assert_eq!(a.get(world, "note"), Some(json!({"body": "by a", "title": "t"})));
    assert_eq!(losers(world, &b.client), [json!("by b")], "the inbox keeps what its writer had not seen");
}

#[test]
fn without_a_read_the_replicas_state_counts() {
    let editor = editor(2);
    editor.world.run(editor.a.samples().update("note", json!({"body": "by a"}))).unwrap();
    editor.settle();
    assert_eq!(losers(&editor.world, &editor.b.client), [] as [Value; 0]);
}

#[test]
fn every_kind_of_write_takes_a_read() {
    for kind in ["update", "put", "edit", "save", "transaction"] {
        let editor = editor(3);
        let Editor { world, a, seen, .. } = &editor;
        let samples = a.samples();
        let written = match kind {
            "update" => world.run(samples.update(seen, json!({"body": "by a"}))),
            "put" => world.run(samples.put(seen, json!({"body": "by a", "title": "t"}))),
            "edit" => world.run(samples.edit(seen).set("/body", "by a").commit()),
            "save" => world.run(samples.save(seen, json!({"body": "by a", "title": "t"}))),
            _ => {
                let transaction = a.client.transaction().update(&samples, seen, json!({"body": "by a"}));
                world.run(transaction.create(&samples, "beside", json!({})).commit()).map(|ids| ids[0].clone())
            }
        };
        assert!(written.unwrap().is_some(), "{kind}");
        editor.settle();
        assert_eq!(losers(world, &a.client), [json!("by b")], "{kind}");
    }
}

#[test]
fn a_delete_in_sight_of_an_older_state_keeps_what_it_had_not_seen() {
    let editor = editor(4);
    let Editor { world, a, seen, .. } = &editor;
    world.run(a.samples().delete(seen)).unwrap();
    editor.settle();
    assert_eq!((a.get(world, "note"), losers(world, &a.client)), (None, vec![json!("by b")]));
}

#[test]
fn a_strict_write_applies_only_if_its_reader_had_seen_everything() {
    let editor = editor(5);
    let Editor { world, a, seen, .. } = &editor;
    let strict = a.samples().strict();
    let fresh = read(world, a);
    let refused = world.run(strict.update(seen, json!({"body": "by a"}))).unwrap().expect("an edit");
    editor.settle();
    assert_eq!(a.parked(world), std::slice::from_ref(&refused));
    assert_eq!(read(world, a).state, RecordState::Parked);
    world.run(a.client.discard(&refused)).unwrap();
    world.run(strict.update(&fresh, json!({"body": "by a"}))).unwrap().expect("an edit");
    editor.settle();
    assert_eq!((a.parked(world), a.get(world, "note")), (vec![], Some(json!({"body": "by a", "title": "t"}))));
}

#[test]
fn a_save_sends_what_its_editor_changed_and_leaves_what_others_did() {
    let editor = editor(6);
    let Editor { world, a, b, .. } = &editor;
    let form = read(world, a);
    world.run(b.samples().update("note", json!({"title": "new", "added": 1}))).unwrap();
    b.synced(world);
    a.synced(world);
    // The form writes its whole document, of which its user changed the body.
    world.run(a.samples().save(&form, json!({"body": "by a", "title": "t"}))).unwrap().expect("an edit");
    editor.settle();
    assert_eq!(b.get(world, "note"), Some(json!({"body": "by a", "title": "new", "added": 1})));
    assert_eq!(losers(world, &b.client), [] as [Value; 0]);
    let unchanged = read(world, a);
    assert_eq!(world.run(a.samples().save(&unchanged, unchanged.doc.clone())).unwrap(), None);
}

#[test]
fn what_the_user_saw_of_a_pending_value_is_what_its_writer_had_seen() {
    let editor = editor(7);
    let Editor { world, a, b, .. } = &editor;
    // A's own edit waits; beneath it a pull brings B's. The editor shows A's.
    a.push_faults([unisono::testing::Fault::drop_request()]);
    world.run(a.samples().update("note", json!({"body": "draft"}))).unwrap();
    a.sync(world).unwrap_err();
    world.pass(1);
    world.run(b.samples().update("note", json!({"body": "by b again"}))).unwrap();
    b.synced(world);
    let seen = read(world, a);
    assert_eq!((seen.doc["body"].clone(), seen.state), (json!("draft"), RecordState::Pending));
    editor.settle();
    assert_eq!(a.get(world, "note").unwrap()["body"], json!("by b again"), "which came later");
    world.pass(1);
    world.run(a.samples().update(&seen, json!({"body": "final"}))).unwrap().expect("an edit");
    editor.settle();
    assert_eq!(b.get(world, "note").unwrap()["body"], json!("final"));
    assert!(losers(world, &b.client).contains(&json!("by b again")), "{:?}", losers(world, &b.client));
}

#[test]
fn a_read_of_another_record_is_no_read_of_this_one() {
    let editor = editor(8);
    let Editor { world, a, seen, .. } = &editor;
    world.run(a.samples().create("other", json!({}))).unwrap();
    let target = unisono::client::Target::new("other", Some(seen.seen()));
    let error = world.run(a.samples().update(target, json!({"body": 1}))).unwrap_err();
    assert_eq!((error.code(), error.to_string().contains("note")), ("invalid_seen", true), "{error}");
}

#[test]
fn rows_of_queries_and_watches_are_reads() {
    let editor = editor(9);
    let Editor { world, a, .. } = &editor;
    let samples = a.samples();
    let [row]: [Record; 1] = world.run(samples.all()).unwrap().try_into().expect("one row");
    assert_eq!(row, read(world, a));
    let mut watch = samples.query().watch().unwrap();
    let update = world.run(watch.next()).unwrap().expect("the client is open");
    assert_eq!(update.records, std::slice::from_ref(&row));
    assert_eq!((row.state, row.revision), (RecordState::Synced, 2));
    // An open note shows in each of them.
    world.run(samples.update(&editor.seen, json!({"body": "by a"}))).unwrap();
    editor.settle();
    let states = [read(world, a).state, world.run(samples.all()).unwrap()[0].state];
    assert_eq!(states, [RecordState::Conflicted; 2]);
    let update = world.run(watch.next()).unwrap().expect("the client is open");
    assert_eq!(update.records[0].state, RecordState::Conflicted);
    assert_eq!(world.run(samples.state("note")).unwrap(), Some(RecordState::Conflicted));
    // Once it is resolved, it does not; a watch hears of that, too.
    let note = world.run(a.client.conflicts()).unwrap()[0].id.clone();
    world.run(a.client.resolve(note.as_str())).unwrap().expect("an edit");
    let update = world.run(watch.next()).unwrap().expect("the client is open");
    assert_eq!(update.records[0].state, RecordState::Synced);
    assert_eq!(world.run(a.client.resolve(note.as_str())).unwrap(), None, "it is resolved already");
}

/// An event that the server is known to hold, and that waits for its receipt only, shows nothing of its own any more.
#[test]
fn a_write_in_sight_of_everything_meets_no_conflict() {
    for (mode, policy) in [(Mode::Strict, None), (Mode::Merge, Some(Policy::ServerWins))] {
        let world = World::new(10);
        let (a, b) = (world.device("anna"), world.device("anna"));
        world.run(a.samples().create("note", json!({"title": "none"}))).unwrap();
        a.synced(&world);
        b.synced(&world);
        let first = world.run(a.samples().update("note", json!({"title": "one"}))).unwrap().expect("an edit");
        a.push_faults([unisono::testing::Fault::drop_response()]);
        a.sync(&world).unwrap_err();
        b.synced(&world);
        world.run(b.samples().update("note", json!({"title": "two"}))).unwrap();
        b.synced(&world);
        // The repetition meets a proxy: parked as uncertain. A pull tells all.
        a.push_faults([unisono::testing::Fault::status(413)]);
        a.synced(&world);
        assert_eq!(a.get(&world, "note"), Some(json!({"title": "two"})), "all that there is");
        let samples = a.samples().with(WriteOptions { mode, policy, ..WriteOptions::default() });
        world.run(samples.update("note", json!({"title": "three"}))).unwrap().expect("an edit");
        world.run(a.client.retry(&first)).unwrap();
        a.synced(&world);
        assert_eq!(a.get(&world, "note"), Some(json!({"title": "three"})), "nobody has written since: {mode:?}");
        assert_eq!(a.parked(&world), [], "{mode:?}");
    }
}
