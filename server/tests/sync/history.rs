//! Restores (pitfall B17): a server that came back from an older copy is found out, and tells how far back the histories are
//! one.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use unisono::model::Scope;
use unisono::protocol::{ChangesRequest, Cursor, Problem};

use crate::world::{Device, World, member, user};

fn write_some(world: &World, device: &mut Device, count: usize) {
    for number in 0..count {
        let name = format!("{}{}-{number}", device.id, device.push_seq);
        let event = device.create(world, &name, json!({"n": number}));
        device.write(world, event);
    }
}

/// A server, and a copy of its file taken after `kept` revisions of device `a`, who then wrote `lost` more.
struct Restore {
    directory: tempfile::TempDir,
    world: World,
    device: Device,
    /// As the device was when the copy was taken.
    before: Device,
}

fn restored(kept: usize, lost: usize) -> Restore {
    let directory = tempfile::tempdir().unwrap();
    let (path, backup) = (directory.path().join("server.db"), directory.path().join("backup.db"));
    let world = World::in_file(&path);
    let mut device = Device::new(&user("anna"), "a");
    write_some(&world, &mut device, kept);
    device.pull(&world).unwrap();
    let env = world.close();
    std::fs::copy(&path, &backup).unwrap();
    let before = device.clone();
    let world = World::in_file_again(&path, env);
    write_some(&world, &mut device, lost);
    device.pull(&world).unwrap();
    let env = world.close();
    replace(&path, &backup);
    let world = World::in_file_again(&path, env);
    Restore { directory, world, device, before }
}

fn replace(path: &Path, backup: &Path) {
    for suffix in ["-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        let _ = std::fs::remove_file(PathBuf::from(name));
    }
    std::fs::copy(backup, path).unwrap();
}

fn shared(problem: &Problem) -> u64 {
    assert_eq!((problem.status, problem.code.as_str()), (409, "epoch_changed"), "{problem:?}");
    problem.shared_revision.expect("the problem tells the common point")
}

#[test]
fn b17_a_cursor_from_the_future_begins_a_new_epoch_at_the_last_provable_common_point() {
    let Restore { directory: _directory, world, mut device, .. } = restored(40, 9);
    let old = device.epoch.clone().unwrap();
    let problem = device.pull(&world).unwrap_err();
    // The trail of revision 49 names 48, 45, 33: of these, the copy holds 33.
    assert_eq!(shared(&problem), 33);
    assert_ne!(problem.epoch.as_deref(), Some(old.as_str()));
    let again = device.pull(&world).unwrap_err();
    assert_eq!(again, problem, "the epoch begins once");

    let event = device.create(&world, "late", json!({}));
    assert_eq!(shared(&device.push(&world, &[event]).unwrap_err()), 33, "a push of the old epoch hears the same");
    assert_eq!(world.doc(&device.principal, "late"), None);

    device.epoch = problem.epoch;
    (device.cursor, device.seen) = (None, None);
    assert_eq!(device.pull(&world).unwrap().len(), 40);
    let event = device.create(&world, "late", json!({}));
    device.write(&world, event);
    world.assert_sound(&device.principal);
}

#[test]
fn b17_only_what_a_receipt_proved_gives_the_restore_away() {
    let Restore { directory: _directory, world, device, before } = restored(5, 4);
    // Its pull stands where the copy was taken, but its receipts are newer.
    let mut device = Device { seen: device.seen, push_seq: device.push_seq, ..before };
    let request = ChangesRequest {
        cursor: device.cursor.clone(),
        seen: device.seen.clone(),
        ..ChangesRequest::from_start(Scope::User)
    };
    let without = ChangesRequest { seen: None, ..request.clone() };
    world.pull(&device.principal, without).expect("the cursor alone proves nothing");
    let event = device.create(&world, "late", json!({}));
    let problem = device.push(&world, &[event]).unwrap_err();
    assert_eq!(shared(&problem), 5, "the cursor itself is common");
    assert_eq!(shared(&world.pull(&device.principal, request).unwrap_err()), 5);
}

#[test]
fn b17_what_a_replica_saw_last_names_its_history_where_it_has_no_cursor() {
    let Restore { directory: _directory, world, mut device, .. } = restored(5, 4);
    // Another device finds the restore out.
    let problem = device.pull(&world).unwrap_err();
    // The receipt of this one's push is all that it has: what it pulled after it was lost with the power.
    let request = ChangesRequest { seen: device.seen.clone(), ..ChangesRequest::from_start(Scope::User) };
    let told = world.pull(&device.principal, request).unwrap_err();
    assert_eq!((shared(&told), told.epoch), (shared(&problem), problem.epoch));
}

#[test]
fn b17_a_history_that_was_lost_before_anybody_fetched_it_leaves_the_evidence_of_the_one_before() {
    let Restore { directory: _directory, world, device, .. } = restored(5, 4);
    // Of another restore, which had begun a history of which this copy knows nothing, the replica was told its name.
    let named = ChangesRequest { epoch: Some("gone".to_owned()), ..ChangesRequest::from_start(Scope::User) };
    let told = world.pull(&device.principal, named.clone()).unwrap_err();
    assert_eq!((shared(&told), told.epoch), (0, device.epoch.clone()), "nothing is proven");
    let proving = ChangesRequest { seen: device.seen.clone(), ..named };
    let told = world.pull(&device.principal, proving).unwrap_err();
    assert_eq!((shared(&told), told.epoch), (5, device.epoch));
}

#[test]
fn b17_a_page_gives_away_a_restore_to_between_its_end_and_what_it_left_out() {
    let directory = tempfile::tempdir().unwrap();
    let (path, backup) = (directory.path().join("server.db"), directory.path().join("backup.db"));
    let world = World::in_file(&path);
    let mut writer = Device::new(&user("anna"), "a");
    for name in ["early", "second", "third"] {
        let event = writer.create(&world, name, json!({}));
        writer.write(&world, event);
    }
    let env = world.close();
    std::fs::copy(&path, &backup).unwrap();
    let world = World::in_file_again(&path, env);
    writer.pull(&world).unwrap();
    let event = writer.set(&world, "early", 1, "/n", 1);
    writer.write(&world, event);
    // A page of `second` and `third`: `early` is newer now, and still to come.
    let request = ChangesRequest { limit: Some(2), ..ChangesRequest::from_start(Scope::User) };
    let (_, trailer) = world.pull(&writer.principal, request).unwrap();
    assert_eq!((trailer.more, trailer.revision), (true, 3));
    let env = world.close();
    replace(&path, &backup);
    let world = World::in_file_again(&path, env);
    // In the copy `early` is older than the page: a pull that went on would never hear of it.
    let request = ChangesRequest { cursor: Some(trailer.cursor), ..ChangesRequest::from_start(Scope::User) };
    assert_eq!(shared(&world.pull(&writer.principal, request).unwrap_err()), 3);
}

#[test]
fn b17_a_restored_server_that_went_on_is_found_out_by_its_nonces() {
    let Restore { directory: _directory, world, mut device, before } = restored(20, 3);
    // Another client, which stands at the copy, writes first: the head passes the lost revisions.
    let mut other = Device { id: "b", push_seq: 0, seen: None, ..before };
    write_some(&world, &mut other, 6);
    let event = device.create(&world, "late", json!({}));
    let problem = device.push(&world, &[event]).unwrap_err();
    // Revision 23 is there, but another commit made it; of its trail (22, 19, 7) the copy holds 19.
    assert_eq!(shared(&problem), 19);
    assert_eq!(shared(&other.pull(&world).unwrap_err()), 19, "who followed the copy has to hear of the epoch too");
}

#[test]
fn b17_a_client_on_the_copys_own_history_goes_on() {
    let Restore { directory: _directory, world, mut before, .. } = restored(6, 3);
    before.push_seq += 10;
    before.seen = None;
    assert!(before.pull(&world).unwrap().is_empty());
    write_some(&world, &mut before, 2);
    assert_eq!(before.pull(&world).unwrap().len(), 0, "the answers moved its cursor");
}

#[test]
fn b17_a_new_database_shares_nothing() {
    let old = World::new();
    let mut device = Device::new(&user("anna"), "a");
    write_some(&old, &mut device, 3);
    device.pull(&old).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let world = World::in_file(&directory.path().join("server.db"));
    let problem = device.pull(&world).unwrap_err();
    assert_eq!(shared(&problem), 0);
    let event = device.create(&world, "late", json!({}));
    let again = device.push(&world, &[event]).unwrap_err();
    assert_eq!(again, problem);
    assert!(world.records(&device.principal, Scope::User).is_empty());
    device.epoch = problem.epoch;
    (device.cursor, device.seen) = (None, None);
    write_some(&world, &mut device, 1);
}

#[test]
fn b17_a_new_database_that_cannot_read_a_cursor_tells_its_history_by_the_epoch_that_is_named() {
    let old = World::new();
    let mut device = Device::new(&user("anna"), "a");
    write_some(&old, &mut device, 3);
    device.pull(&old).unwrap();
    let world = World::another();
    let event = device.create(&world, "late", json!({}));
    assert_eq!(shared(&device.push(&world, &[event]).unwrap_err()), 0);
    let request = ChangesRequest { cursor: device.cursor.clone(), ..ChangesRequest::from_start(Scope::User) };
    let named = ChangesRequest { epoch: device.epoch.clone(), ..request.clone() };
    assert_eq!(shared(&world.pull(&device.principal, named).unwrap_err()), 0);
    let problem = world.pull(&device.principal, request).unwrap_err();
    assert_eq!((problem.status, problem.code.as_str()), (400, "invalid_cursor"), "nothing names a history");
}

#[test]
fn b69_nobody_but_the_server_makes_evidence_of_a_restore() {
    let world = World::new();
    let shared_by = |name: &str, id| Device { scope: "workspace:band", ..Device::new(&member(name, "band"), id) };
    let (mut anna, mut mallory) = (shared_by("anna", "a"), shared_by("mallory", "m"));
    write_some(&world, &mut anna, 3);
    write_some(&world, &mut mallory, 1);
    let epoch = mallory.epoch.clone();
    let genuine = URL_SAFE_NO_PAD.decode(&mallory.seen.clone().unwrap().0).unwrap();

    // A cursor of their own with each byte changed, in the check sums of earlier versions, and with a signature of nothing.
    let mut forged: Vec<Vec<u8>> = (0..genuine.len())
        .map(|place| {
            let mut forged = genuine.clone();
            forged[place] ^= 1;
            forged
        })
        .collect();
    let body = &genuine[..genuine.len() - 16];
    forged.push(body.to_vec());
    forged.push([body, &[0; 16]].concat());
    // One that another server has signed, for the same scope.
    let another = World::another();
    let mut elsewhere = shared_by("mallory", "m");
    write_some(&another, &mut elsewhere, 9);
    forged.push(URL_SAFE_NO_PAD.decode(&elsewhere.seen.unwrap().0).unwrap());

    for bytes in forged {
        let cursor = Cursor(URL_SAFE_NO_PAD.encode(bytes));
        let request = ChangesRequest {
            epoch: epoch.clone(),
            seen: Some(cursor.clone()),
            ..ChangesRequest::from_start(Scope::workspace("band").unwrap())
        };
        let pulled = world.pull(&mallory.principal, request).unwrap_err();
        let pushed = Device { seen: Some(cursor), ..mallory.clone() }.push(&world, &[]).unwrap_err();
        for problem in [pulled, pushed] {
            assert_eq!((problem.status, problem.code.as_str()), (400, "invalid_cursor"));
        }
    }
    anna.pull(&world).unwrap();
    assert_eq!(anna.epoch, epoch, "nobody has to begin anew");
    write_some(&world, &mut anna, 1);
}

#[test]
fn epochs_since_a_clients_own_share_the_least_of_them() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("server.db");
    let copy = |number: usize| directory.path().join(format!("copy-{number}"));
    let anna = user("anna");
    let mut world = World::in_file(&path);
    let mut device = Device::new(&anna, "a");
    let mut lazy = Device::new(&anna, "lazy");
    let mut shares = Vec::new();
    for round in 0..2 {
        write_some(&world, &mut device, 10);
        if round == 0 {
            lazy.pull(&world).unwrap();
        }
        let env = world.close();
        std::fs::copy(&path, copy(round)).unwrap();
        world = World::in_file_again(&path, env);
        write_some(&world, &mut device, 2);
        let env = world.close();
        replace(&path, &copy(round));
        world = World::in_file_again(&path, env);
        let problem = device.push(&world, &[]).unwrap_err();
        shares.push(shared(&problem));
        device.epoch = problem.epoch;
        (device.cursor, device.seen) = (None, None);
        device.push_seq += 100;
    }
    assert!(shares[0] < shares[1]);
    assert_eq!(shared(&lazy.pull(&world).unwrap_err()), shares[0]);
    let fresh = Device { epoch: lazy.epoch.clone(), ..Device::new(&anna, "fresh") };
    assert_eq!(shared(&{ fresh }.push(&world, &[]).unwrap_err()), shares[0], "without any evidence but the epoch");
}

#[test]
fn an_event_whose_base_is_beyond_the_head_is_rejected() {
    let world = World::new();
    let mut device = Device::new(&user("anna"), "a");
    write_some(&world, &mut device, 2);
    let event = device.set(&world, "a1-0", 3, "/n", 1);
    assert_eq!(crate::world::codes(&device.push(&world, &[event]).unwrap()), ["invalid_base"]);
}
