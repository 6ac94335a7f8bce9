//! Whose a replica is: it shows, sends and takes in nothing under another identity (I14, pitfall B12).

use std::time::Duration;

use serde_json::json;
use unisono::engine::SyncState;
use unisono::model::Scope;
use unisono::replica::rows::Outcome;
use unisono::storage::MemoryStorage;
use unisono::testing::CallKind;
use unisono::{Client, ClientBuilder};
use unisono_tests::{Books, Device, World};

fn plain(builder: ClientBuilder) -> ClientBuilder {
    builder
}

/// A client that nobody has signed in to.
fn anonymous(world: &World, storage: &MemoryStorage) -> Client {
    let builder = Client::builder().storage(storage.clone()).environment(world.env.device(0));
    world.run(builder.transport(world.network()).build()).unwrap()
}

#[test]
fn b12_another_account_is_refused_before_anything_is_shown_or_sent() {
    let world = World::new(1);
    let anna = world.device("anna");
    let mut books = Books::opened_by(&world, &anna);
    let secret = world.run(anna.samples().create("secret", json!({"of": "anna"}))).unwrap();
    books.accept(&anna, [secret.clone()]);
    world.run(anna.client.close()).unwrap();
    let error = world.open("ben", anna.storage.reopen(), 0, plain).unwrap_err();
    assert_eq!(error.code(), "identity_mismatch");
    assert!(world.server_state("ben", &Scope::User).is_empty() && world.server_state("anna", &Scope::User).is_empty());
    let again = world.open("anna", anna.storage.reopen(), 0, plain).unwrap();
    assert_eq!(again.client.status().pending, 2, "the queue is as it was");
    again.synced(&world);
    assert!(matches!(world.run(again.client.outcome(&secret)).unwrap(), Some(Outcome::Applied { .. })));
}

#[test]
fn b12_with_anothers_token_nothing_is_sent_and_nothing_taken_in() {
    for (seed, background) in [(2, false), (3, true)] {
        let world = World::new(seed);
        let ben = world.device("ben");
        world.run(ben.samples().create("secret", json!({"of": "ben"}))).unwrap();
        ben.synced(&world);
        let anna = world.device("anna");
        let mut books = Books::opened_by(&world, &anna);
        anna.synced(&world);
        let (of_anna, of_ben) = (world.server_state("anna", &Scope::User), world.server_state("ben", &Scope::User));
        for unsent in [false, true] {
            if unsent {
                books.count(&world, &anna, 1);
            }
            anna.client.set_token("ben");
            if background {
                world.run(anna.client.start()).unwrap();
                world.pass(300);
                assert!(matches!(anna.client.status().state, SyncState::Stalled { .. }), "{:?}", anna.client.status());
                assert!(anna.findings(&world).contains(&"stalled"));
            } else {
                assert_eq!(anna.sync(&world).unwrap_err().code(), "identity_mismatch");
            }
            assert_eq!(anna.get(&world, "secret"), None, "nothing of ben's is shown");
            assert_eq!(world.server_state("ben", &Scope::User), of_ben, "nothing of anna's is sent");
            assert_eq!(world.server_state("anna", &Scope::User), of_anna);
            books.check_with_server(&world, &[&anna]);
        }
        anna.client.set_token("anna");
        world.pass(1);
        anna.synced(&world);
        books.check_settled(&world, &[&anna]);
    }
}

#[test]
fn b12_a_push_that_names_another_account_is_refused_as_a_whole() {
    let world = World::new(4);
    let anna = world.device("anna");
    let mut books = Books::opened_by(&world, &anna);
    anna.synced(&world);
    books.count(&world, &anna, 1);
    // As from a server that finds out for itself.
    anna.push_faults([unisono::testing::Fault::answer(unisono::protocol::Problem::new(
        403,
        "identity_mismatch",
        "scripted",
    ))]);
    assert_eq!(anna.sync(&world).unwrap_err().code(), "identity_mismatch");
    assert!(anna.parked(&world).is_empty(), "it is no verdict on an event");
    books.check_with_server(&world, &[&anna]);
    anna.synced(&world);
    books.check_settled(&world, &[&anna]);
}

#[test]
fn anonymous_work_is_claimed_once() {
    let world = World::new(5);
    let storage = MemoryStorage::new();
    let nobody = anonymous(&world, &storage);
    let samples = nobody.collection("samples");
    let id = world.run(samples.create("kick", json!({"bpm": 120}))).unwrap();
    world.run(samples.edit("kick").increment("/plays", 2).commit()).unwrap();
    assert_eq!(world.run(nobody.sync_now()).unwrap_err().code(), "auth_required");
    let findings = world.run(nobody.doctor()).unwrap();
    assert_eq!(findings[0].code, "anonymous");
    world.run(nobody.close()).unwrap();

    assert_eq!(
        world.open("anna", storage.reopen(), 0, plain).unwrap_err().code(),
        "identity_mismatch",
        "not by chance"
    );
    let anna = world.open("anna", storage.reopen(), 0, ClientBuilder::claim_anonymous).unwrap();
    assert_eq!(world.run(anna.client.claim("ben")).unwrap_err().code(), "identity_mismatch", "once");
    anna.synced(&world);
    let outcome = world.run(anna.client.outcome(&id)).unwrap();
    assert!(matches!(outcome, Some(Outcome::Applied { .. } | Outcome::ReplacedBy { .. })), "{outcome:?}");
    world.run(anna.client.close()).unwrap();
    let error = world.open("ben", storage.reopen(), 0, ClientBuilder::claim_anonymous).unwrap_err();
    assert_eq!(error.code(), "identity_mismatch");
    let second = world.device("anna");
    second.synced(&world);
    assert_eq!(second.get(&world, "kick"), Some(json!({"bpm": 120, "plays": 2})));
    world.assert_converged(&[&second]);
}

#[test]
fn signing_out_seals_what_is_unsent_for_the_same_account() {
    let world = World::new(6);
    let anna = world.device("anna");
    let mut books = Books::opened_by(&world, &anna);
    anna.synced(&world);
    let ids: Vec<_> =
        (0..3).map(|index| world.run(anna.samples().create(format!("s{index}"), json!({}))).unwrap()).collect();
    books.accept(&anna, ids.clone());
    let left = world.run(anna.client.sign_out()).unwrap();
    assert_eq!((left.pending, left.parked), (3, 0));
    assert_eq!(world.run(anna.samples().get("s0")).unwrap_err().code(), "closed");
    assert_eq!(world.run(anna.samples().create("s9", json!({}))).unwrap_err().code(), "closed");
    assert_eq!(world.open("ben", anna.storage.reopen(), 0, plain).unwrap_err().code(), "identity_mismatch");
    // Without an account nobody can say whose it shall be.
    let nobody = Client::builder().storage(anna.storage.reopen()).environment(world.env.device(0)).build();
    assert_eq!(world.run(nobody).unwrap_err().code(), "sealed");
    let again = world.open("anna", anna.storage.reopen(), 0, plain).unwrap();
    assert_eq!(again.client.status().pending, 3);
    again.synced(&world);
    for id in &ids {
        assert!(matches!(world.run(again.client.outcome(id)).unwrap(), Some(Outcome::Applied { .. })));
    }
    world.assert_converged(&[&again]);
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
        assert!(anna.findings(&world).contains(&"scope_lost"));
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
    assert!((10..=11).contains(&asked), "the user's scope alone is asked for: {asked}");
    let tally = anna.get(&world, "tally").unwrap();
    assert_eq!(tally["all"], books.total());
}
