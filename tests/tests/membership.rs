//! What a workspace may go through: joined too early, lost, found again (pitfall B58).

use std::sync::Mutex;
use std::time::Duration;

use secrecy::SecretString;
use serde_json::json;
use unisono::engine::{Credentials, SyncState, TokenReason};
use unisono::model::Scope;
use unisono::platform::BoxFuture;
use unisono::replica::rows::Outcome;
use unisono::testing::CallKind;
use unisono_tests::{Books, Device, World};

fn band() -> Scope {
    Scope::workspace("band").unwrap()
}

fn songs(device: &Device) -> unisono::Collection {
    device.client.workspace("band").collection("songs")
}

/// A device that has lost the workspace with one unsent event of it.
fn lost(seed: u64) -> (World, Device) {
    let world = World::new(seed);
    let anna = world.device("anna");
    world.run(songs(&anna).create("ours", json!({"takes": 1}))).unwrap();
    anna.synced(&world);
    world.server.access().expel("anna");
    world.run(songs(&anna).update("ours", json!({"takes": 2}))).unwrap();
    assert_eq!(anna.sync(&world).unwrap_err().code(), "scope_lost");
    assert_eq!(anna.client.status().scopes[&band()].state, SyncState::ScopeLost);
    assert_eq!(world.run(songs(&anna).update("ours", json!({"takes": 3}))).unwrap_err().code(), "scope_lost");
    (world, anna)
}

#[test]
fn b58_a_workspace_that_was_joined_a_moment_ago_is_not_lost() {
    let world = World::new(1);
    let anna = world.device("anna");
    world.server.access().expel("anna");
    // The app has just joined; its token is the one from before.
    world.run(anna.client.workspace("band").subscribe()).unwrap();
    for _ in 0..2 {
        assert_eq!(anna.sync(&world).unwrap_err().code(), "scope_not_found", "never reached, it cannot be lost");
        assert!(matches!(anna.client.status().scopes[&band()].state, SyncState::Stalled { .. }));
        assert!(anna.findings(&world).contains(&"stalled".to_owned()));
    }
    world.run(songs(&anna).create("one", json!({}))).expect("it takes writes");
    world.run(anna.client.start()).unwrap();
    world.pass(30);
    world.server.access().readmit("anna");
    world.pass(60);
    assert_eq!(anna.client.status().pending, 0, "the worker goes on asking");
    assert_eq!(world.server_state("anna", &band()).len(), 1);
}

/// Gives each of its tokens once, and then the last again.
#[derive(Debug)]
struct Tokens(Mutex<Vec<&'static str>>);

impl Credentials for Tokens {
    fn token(&self, _: TokenReason) -> BoxFuture<'_, Result<SecretString, String>> {
        let mut left = self.0.lock().unwrap();
        let token = if left.len() > 1 { left.remove(0) } else { left[0] };
        Box::pin(async move { Ok(SecretString::from(token)) })
    }
}

#[test]
fn b58_a_fresh_token_is_asked_before_a_denial_is_believed() {
    let world = World::new(2);
    world.server.access().omit_workspace("anna.2");
    let tokens = || Tokens(Mutex::new(vec!["anna.1", "anna.2", "anna.3"]));
    let anna = world.device_with("anna", move |builder| builder.credentials(tokens()));
    world.run(songs(&anna).create("ours", json!({}))).unwrap();
    anna.synced(&world);
    // The next token that is handed out lacks the claim.
    world.server.access().refuse("anna.1");
    world.run(songs(&anna).create("more", json!({}))).unwrap();
    anna.synced(&world);
    assert_eq!(anna.client.status().pending, 0);
    assert_eq!(anna.client.status().scopes[&band()].state, SyncState::Idle);
    assert_eq!(world.server_state("anna", &band()).len(), 2);
}

#[test]
fn b58_a_new_token_finds_a_lost_workspace_again() {
    let (world, anna) = lost(3);
    anna.client.set_token("anna.2");
    assert_eq!(anna.sync(&world).unwrap_err().code(), "scope_lost", "it does not help yet, and the app hears so");
    world.server.access().readmit("anna");
    anna.client.set_token("anna.3");
    world.run(songs(&anna).update("ours", json!({"takes": 4}))).expect("it takes writes at once");
    let report = anna.synced(&world);
    assert!(report.lost.is_empty() && report.pushed > 0, "{report:?}");
    assert_eq!(anna.client.status().pending, 0);
    assert_eq!(world.run(songs(&anna).get("ours")).unwrap(), Some(json!({"takes": 4})));
}

#[test]
fn b58_subscribe_finds_a_lost_workspace_again() {
    let (world, anna) = lost(4);
    world.server.access().readmit("anna");
    world.run(anna.client.workspace("band").subscribe()).unwrap();
    world.run(songs(&anna).update("ours", json!({"takes": 4}))).expect("it takes writes at once");
    anna.synced(&world);
    assert_eq!(anna.client.status().pending, 0);
}

#[test]
fn b58_a_slow_probe_finds_a_lost_workspace_again_and_so_does_a_restart() {
    for restarts in [false, true] {
        let (world, mut anna) = lost(5);
        if restarts {
            anna.restart(&world);
        }
        world.run(anna.client.start()).unwrap();
        world.pass(3_600);
        let probes = anna.network.pushes().len();
        assert!((20..=60).contains(&probes), "slowly, with the token at hand and with a fresh one: {probes}");
        assert!(matches!(anna.client.status().scopes[&band()].state, SyncState::ScopeLost));
        assert!(anna.findings(&world).contains(&"scope_lost".to_owned()));
        world.server.access().readmit("anna");
        world.pass(301);
        assert_eq!((anna.client.status().pending, anna.client.status().state), (0, SyncState::Idle));
        world.run(songs(&anna).update("ours", json!({"takes": 5}))).expect("it takes writes again");
    }
}

#[test]
fn b58_a_lost_workspace_is_reported_by_each_sync_and_fails_none_of_the_others() {
    let (world, anna) = lost(6);
    for round in 0..2 {
        world.run(anna.samples().create(format!("s{round}"), json!({}))).unwrap();
        let report = anna.synced(&world);
        assert_eq!((report.lost, report.pushed), (vec![band()], 1));
    }
    world.server.access().readmit("anna");
    let report = anna.synced(&world);
    assert_eq!((report.lost, report.pushed), (vec![], 1), "a sync that was asked for is a probe");
}

#[test]
fn a_lost_workspace_seals_its_queue_and_the_rest_goes_on() {
    let world = World::new(7);
    let mut anna: Device = world.device("anna");
    let mut books = Books::opened_by(&world, &anna);
    let songs = anna.client.workspace("band").collection("songs");
    let id = world.run(songs.create("ours", json!({"takes": 1}))).unwrap();
    books.accept(&anna, [id]);
    anna.synced(&world);
    world.run(anna.client.start()).unwrap();
    world.env.run_until_idle();
    world.server.access().expel("anna");
    let unsent = world.run(songs.update("ours", json!({"takes": 2}))).unwrap().expect("an edit");
    books.accept(&anna, [unsent.clone()]);
    books.count(&world, &anna, 1);
    world.pass(5);
    let band = Scope::workspace("band").unwrap();
    for round in 0..2 {
        let status = anna.client.status();
        assert_eq!((&status.state, &status.scopes[&band].state), (&SyncState::ScopeLost, &SyncState::ScopeLost));
        assert_eq!(status.scopes[&Scope::User].state, SyncState::Idle);
        assert_eq!(status.pending, 1, "only the lost workspace's event waits");
        assert!(anna.findings(&world).contains(&"scope_lost".to_owned()));
        assert!(
            matches!(world.run(anna.client.outcome(&unsent)).unwrap(), Some(Outcome::Pending { .. })),
            "kept, sealed"
        );
        let songs = anna.client.workspace("band").collection("songs");
        assert_eq!(world.run(songs.update("ours", json!({"takes": 3}))).unwrap_err().code(), "scope_lost");
        books.count(&world, &anna, 1);
        world.pass(5);
        books.check_with_server(&world, &[&anna]);
        if round == 0 {
            anna.restart(&world);
            world.run(anna.client.start()).unwrap();
            world.env.run_until_idle();
            world.env.advance(Duration::from_secs(1));
        }
    }
    anna.network.clear_calls();
    world.pass(600);
    let asked = anna.network.count(CallKind::Changes);
    assert!((10..=11).contains(&asked), "the user's scope is asked for; the lost one by its unsent push: {asked}");
    let tally = anna.get(&world, "tally").unwrap();
    assert_eq!(tally["all"], books.total());
}
