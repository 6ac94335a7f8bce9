//! The conflict inbox: what it tells, and how a note leaves it.

use serde_json::json;
use unisono::client::Conflict;
use unisono::model::Scope;
use unisono_tests::{Device, World};

fn band() -> Scope {
    Scope::workspace("band").unwrap()
}

/// Two devices of `anna`, who both write to /title of `song` in `scope` without having seen the other's.
fn collide(world: &World, a: &Device, b: &Device, scope: &Scope) {
    let songs = |device: &Device| match scope {
        Scope::User => device.client.collection("songs"),
        _ => device.client.workspace("band").collection("songs"),
    };
    world.run(async {
        songs(a).create("song", json!({"title": "one"})).await.unwrap();
        b.client.workspace("band").subscribe().await.unwrap();
        for device in [a, b] {
            device.client.sync_now().await.unwrap();
        }
        songs(a).update("song", json!({"title": "by a"})).await.unwrap();
    });
    world.pass(1);
    world.run(async {
        songs(b).update("song", json!({"title": "by b"})).await.unwrap();
        for device in [a, b, a] {
            device.client.sync_now().await.unwrap();
        }
    });
}

fn inbox(world: &World, device: &Device) -> Vec<Conflict> {
    world.run(device.client.conflicts()).unwrap()
}

#[test]
fn a_workspaces_conflict_tells_its_scope_and_is_resolved_on_every_device() {
    let world = World::new(1);
    let (a, b) = (world.device("anna"), world.device("anna"));
    collide(&world, &a, &b, &band());
    let [note] = &inbox(&world, &a)[..] else { panic!("one note") };
    assert_eq!(
        (&note.scope, note.collection.as_str(), note.record.as_str(), note.path.as_ref().unwrap().as_str()),
        (&band(), "songs", "song", "/title")
    );
    assert_eq!(note.doc["losers"][0]["value"], "by a");
    assert!(note.revision > 0);
    world.run(a.client.resolve(note.id.as_str())).unwrap();
    assert_eq!(inbox(&world, &a), []);
    a.synced(&world);
    b.synced(&world);
    assert_eq!(inbox(&world, &b), []);
}

#[test]
fn notes_of_two_scopes_with_one_id_are_told_apart() {
    let world = World::new(2);
    let (a, b) = (world.device("anna"), world.device("anna"));
    collide(&world, &a, &b, &Scope::User);
    collide(&world, &a, &b, &band());
    let notes = inbox(&world, &a);
    assert_eq!(notes.iter().map(|note| &note.scope).collect::<Vec<_>>(), [&Scope::User, &band()]);
    assert_eq!(notes[0].id, notes[1].id);
    let id = notes[0].id.as_str();
    assert_eq!(world.run(a.client.resolve(id)).unwrap_err().code(), "invalid_id", "which of the two?");
    assert_eq!(inbox(&world, &a), notes);
    world.run(a.client.resolve_in(&band(), id)).unwrap();
    assert_eq!(inbox(&world, &a), notes[..1]);
    // One is left open: that one is meant.
    world.run(a.client.resolve(id)).unwrap();
    assert_eq!(inbox(&world, &a), []);
}

#[test]
fn a_note_that_is_not_there_is_not_found() {
    let world = World::new(3);
    let a = world.device("anna");
    assert_eq!(world.run(a.client.resolve("none")).unwrap_err().code(), "not_found");
    assert_eq!(world.run(a.client.resolve_in(&band(), "none")).unwrap_err().code(), "not_found");
    assert_eq!(world.run(a.client.resolve("")).unwrap_err().code(), "invalid_id");
}
