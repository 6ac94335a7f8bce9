//! Whose scopes are whose (I14).

use serde_json::json;
use unisono::model::{ReceiptStatus, Scope};
use unisono::protocol::ChangesRequest;

use crate::world::{Device, World, member, user};

#[test]
fn anothers_scope_looks_like_one_that_does_not_exist() {
    let world = World::new();
    let (anna, bert) = (member("anna", "band"), user("bert"));
    let mut a = Device { scope: "workspace:band", ..Device::new(&anna, "a") };
    let event = a.create(&world, "kick", json!({"bpm": 120}));
    a.write(&world, event);

    for scope in ["workspace:band", "workspace:nowhere"] {
        let mut b = Device { scope, ..Device::new(&bert, "b") };
        let event = b.create(&world, "kick", json!({"bpm": 1}));
        let pushed = b.push(&world, &[event]).unwrap_err();
        let scope: Scope = scope.parse().unwrap();
        let pulled = world.pull(&bert, ChangesRequest::from_start(scope.clone())).unwrap_err();
        let status = world.env.block_on(world.service.status(&bert, Some(scope.clone()))).unwrap_err();
        let digest = world.env.block_on(world.service.digest(&bert, scope.clone())).unwrap_err();
        let stats = world.env.block_on(world.service.stats(&bert, scope)).unwrap_err();
        for problem in [&pulled, &status, &digest, &stats] {
            assert_eq!(problem, &pushed, "one answer, whether the scope exists or not");
        }
        assert_eq!((pushed.status, pushed.code.as_str()), (404, "scope_not_found"));
    }
}

#[test]
fn private_scopes_of_two_accounts_share_nothing() {
    let world = World::new();
    let (anna, bert) = (user("anna"), user("bert"));
    let (mut a, mut b) = (Device::new(&anna, "one"), Device { events: 1, ..Device::new(&bert, "one") });
    let event = a.create(&world, "kick", json!({"canary": "anna's"}));
    a.write(&world, event.clone());
    // The same device id, event id and record in another account's scope are strangers (pitfall B8).
    let receipt = b.write(&world, event);
    assert_eq!((receipt.status, receipt.revision), (ReceiptStatus::Applied, Some(1)));
    let event = b.set(&world, "kick", 1, "/canary", "bert's");
    b.write(&world, event);
    assert_eq!(world.doc(&anna, "kick"), Some(json!({"canary": "anna's"})));
    assert_eq!(world.doc(&bert, "kick"), Some(json!({"canary": "bert's"})));
}

#[test]
fn a_replica_of_another_account_is_refused() {
    let world = World::new();
    let mut device = Device::new(&user("anna"), "a");
    let event = device.create(&world, "kick", json!({}));
    let request = device.request(&world, &[event]);
    let problem = world.push(&user("bert"), &request).unwrap_err();
    assert_eq!((problem.status, problem.code.as_str()), (403, "identity_mismatch"));
    assert!(world.records(&user("bert"), Scope::User).is_empty());
}

#[test]
fn members_share_a_workspace_and_a_device_id_belongs_to_one_of_them() {
    let world = World::new();
    let (anna, bert) = (member("anna", "band"), member("bert", "band"));
    let mut a = Device { scope: "workspace:band", ..Device::new(&anna, "a") };
    let mut b = Device { scope: "workspace:band", ..Device::new(&bert, "b") };
    let event = a.create(&world, "kick", json!({"bpm": 120}));
    a.write(&world, event);
    let pulled = b.pull(&world).unwrap();
    assert_eq!(pulled[0].by.user, "anna");

    let mut thief = Device { scope: "workspace:band", push_seq: 5, ..Device::new(&bert, "a") };
    let event = thief.create(&world, "snare", json!({}));
    assert_eq!(thief.push(&world, &[event]).unwrap_err().code, "device_forked");
}

#[test]
fn the_switch_belongs_to_the_account_and_refuses_no_push() {
    let world = World::new();
    let anna = user("anna");
    let enabled = || world.env.block_on(world.service.status(&anna, None)).unwrap().enabled;
    assert!(enabled());
    assert!(!world.env.block_on(world.service.set_enabled(&anna, false)).unwrap().enabled);
    assert!(!enabled());
    let mut device = Device::new(&anna, "a");
    let event = device.create(&world, "kick", json!({}));
    device.write(&world, event);
    assert!(!world.env.block_on(world.service.sync_now(&anna)).unwrap().enabled);
    assert!(world.env.block_on(world.service.status(&user("bert"), None)).unwrap().enabled);
}

#[test]
fn the_servers_own_device_id_is_refused() {
    let world = World::new();
    let mut device = Device::new(&user("anna"), "server");
    let problem = device.push(&world, &[]).unwrap_err();
    assert_eq!((problem.status, problem.code.as_str()), (400, "invalid_request"));
}
