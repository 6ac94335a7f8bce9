//! Whose a replica is: it shows, sends and takes in nothing under another identity (I14, pitfall B12).

use secrecy::SecretString;
use serde_json::json;
use unisono::engine::{Credentials, SyncState, TokenReason};
use unisono::model::Scope;
use unisono::platform::BoxFuture;
use unisono::replica::keys;
use unisono::replica::rows::Outcome;
use unisono::storage::{Batch, MemoryStorage, Storage};
use unisono::{Client, ClientBuilder};
use unisono_tests::{Books, World};

/// Tokens that say whose they are, as a JWT does.
const ANNAS: &str = "anna.eyJzdWIiOiJhbm5hIn0.signature";
const BENS: &str = "ben.eyJzdWIiOiJiZW4ifQ.signature";

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
                assert!(anna.findings(&world).contains(&"stalled".to_owned()));
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
    let error = world.run(anna.client.claim("ben")).unwrap_err();
    assert_eq!(error.code(), "identity_mismatch", "once");
    assert!(error.to_string().contains("belongs to anna, not to ben"), "{error}");
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

/// Opens a replica as its builder says; its records' ids, or the error's code.
fn opened(
    world: &World,
    storage: &MemoryStorage,
    customize: impl FnOnce(ClientBuilder) -> ClientBuilder,
) -> Result<usize, String> {
    let builder = Client::builder().storage(storage.reopen()).environment(world.env.device(0));
    let client =
        world.run(customize(builder.transport(world.network())).build()).map_err(|error| error.code().to_owned())?;
    let shown = world.run(client.collection("samples").query().all()).unwrap().len();
    world.run(client.close()).unwrap();
    Ok(shown)
}

fn refused(code: &str) -> Result<usize, String> {
    Err(code.to_owned())
}

#[test]
fn b57_a_token_at_hand_is_compared_at_open_whatever_account_says() {
    let world = World::new(8);
    let anna = world.device("anna");
    world.run(anna.samples().create("secret", json!({"of": "anna"}))).unwrap();
    world.run(anna.client.close()).unwrap();
    let open = |customize: fn(ClientBuilder) -> ClientBuilder| opened(&world, &anna.storage, customize);
    assert_eq!(open(|builder| builder.token(BENS)), refused("identity_mismatch"));
    assert_eq!(open(|builder| builder.token(BENS).account("anna")), refused("identity_mismatch"));
    assert_eq!(open(|builder| builder.token(ANNAS).account("ben")), refused("identity_mismatch"));
    assert_eq!(open(|builder| builder.credentials(Given(BENS))), refused("identity_mismatch"), "a source is asked");
    // One that says nothing by itself, where nobody else says anything: the server knows.
    assert_eq!(open(|builder| builder.token("ben")), refused("identity_mismatch"));
    assert_eq!(open(|builder| builder.token("anna")), Ok(1));
    assert_eq!(open(|builder| builder.token(ANNAS)), Ok(1));
    assert_eq!(open(|builder| builder.credentials(Given(ANNAS))), Ok(1));
    assert_eq!(open(|builder| builder.account("anna")), Ok(1), "offline, as it was left");
    // A fresh replica, too: its app contradicts itself.
    let fresh = MemoryStorage::new();
    assert_eq!(opened(&world, &fresh, |builder| builder.token(BENS).account("anna")), refused("identity_mismatch"));
}

/// Gives one token.
#[derive(Debug)]
struct Given(&'static str);

impl Credentials for Given {
    fn token(&self, _: TokenReason) -> BoxFuture<'_, Result<SecretString, String>> {
        Box::pin(async { Ok(SecretString::from(self.0)) })
    }
}

/// Has no token to give.
#[derive(Debug)]
struct SignedOutOf;

impl Credentials for SignedOutOf {
    fn token(&self, _: TokenReason) -> BoxFuture<'_, Result<SecretString, String>> {
        Box::pin(async { Err("nobody is signed in".to_owned()) })
    }
}

#[test]
fn b57_a_sealed_replica_opens_only_with_a_token_of_its_account() {
    let world = World::new(9);
    for (number, token) in [ANNAS, "anna"].into_iter().enumerate() {
        let anna = world.device("anna");
        world.run(anna.samples().create(format!("secret{number}"), json!({"of": "anna"}))).unwrap();
        world.run(anna.client.sign_out()).unwrap();
        let open = |customize: fn(ClientBuilder) -> ClientBuilder| opened(&world, &anna.storage, customize);
        for _ in 0..2 {
            assert_eq!(open(plain), refused("sealed"));
            assert_eq!(open(|builder| builder.account("anna")), refused("sealed"), "a name proves nothing");
            assert_eq!(open(|builder| builder.account("ben")), refused("identity_mismatch"));
            assert_eq!(open(|builder| builder.token(BENS)), refused("identity_mismatch"));
            assert_eq!(open(|builder| builder.account("anna").token(BENS)), refused("identity_mismatch"));
            assert_eq!(open(|builder| builder.account("anna").token("ben")), refused("identity_mismatch"));
            assert_eq!(open(|builder| builder.account("anna").credentials(SignedOutOf)), refused("auth_required"));
        }
        assert_eq!(opened(&world, &anna.storage, |builder| builder.token(token)), Ok(1));
        assert_eq!(open(plain), Ok(1), "it is signed in again");
    }
}

#[test]
fn b57_an_opaque_token_is_proven_by_the_server_before_anything_is_shown() {
    let world = World::new(10);
    let anna = world.device("anna");
    world.run(anna.client.sign_out()).unwrap();
    let network = world.network();
    let open = || {
        let builder = Client::builder().storage(anna.storage.reopen()).environment(world.env.device(0));
        world
            .run(builder.transport(network.clone()).token("anna").build())
            .map(drop)
            .map_err(|error| error.code().to_owned())
    };
    network.set_online(false);
    assert_eq!(open(), Err("unreachable".to_owned()));
    network.set_online(true);
    world.server.access().refuse("anna");
    assert_eq!(open(), Err("auth_required".to_owned()));
}

#[test]
fn b57_while_the_token_is_anothers_nothing_is_shown_nor_taken() {
    let world = World::new(11);
    let anna = world.device("anna");
    world.run(anna.samples().create("secret", json!({"of": "anna"}))).unwrap();
    anna.synced(&world);
    let watch = anna.samples().query().watch().unwrap();
    anna.client.set_token(BENS);
    anna.network.clear_calls();
    let codes = [
        world.run(anna.samples().get("secret")).unwrap_err(),
        world.run(anna.samples().query().all()).unwrap_err(),
        world.run(anna.samples().create("diary", json!({"of": "ben"}))).unwrap_err(),
        world.run(anna.samples().update("secret", json!({"of": "ben"}))).unwrap_err(),
        world
            .run(async {
                let mut watch = watch;
                watch.next().await
            })
            .unwrap_err(),
        world.run(anna.client.pending()).unwrap_err(),
        anna.sync(&world).unwrap_err(),
    ];
    assert!(codes.iter().all(|error| error.code() == "identity_mismatch"), "{codes:?}");
    world.run(anna.client.start()).unwrap();
    world.pass(60);
    assert!(anna.network.calls().is_empty(), "no server is needed to see it");
    anna.client.set_token(ANNAS);
    world.pass(1);
    assert!(anna.get(&world, "secret").is_some());
    assert_eq!(world.server_state("anna", &Scope::User).len(), 1);
    assert!(world.server_state("ben", &Scope::User).is_empty());
}

/// Rewrites the replica's row, as no client does.
fn rewrite(world: &World, storage: &MemoryStorage, account: Option<&str>) {
    let stored = world.run(storage.get(vec![keys::replica()])).unwrap().pop().flatten().unwrap();
    let mut row: serde_json::Value = serde_json::from_slice(&stored.value).unwrap();
    row["account"] = json!(account);
    if account.is_none() {
        row.as_object_mut().unwrap().remove("account");
    }
    let batch = Batch { put: vec![(keys::replica(), serde_json::to_vec(&row).unwrap())], ..Batch::default() };
    world.run(storage.apply(batch)).unwrap();
}

#[test]
fn b12_an_event_that_one_account_has_written_is_pushed_as_no_other() {
    let world = World::new(12);
    let anna = world.device("anna");
    world.run(anna.samples().create("diary", json!({"of": "anna"}))).unwrap();
    world.run(anna.client.close()).unwrap();
    // The row that says whose the replica is was lost, as a recovery may find it.
    let storage = anna.storage.reopen();
    rewrite(&world, &storage, None);
    let error = world.open("ben", storage.reopen(), 0, ClientBuilder::claim_anonymous).unwrap_err();
    assert_eq!(error.code(), "identity_mismatch", "nobody claims what another has written");
    // And even where it said another one.
    let storage = storage.reopen();
    rewrite(&world, &storage, Some("ben"));
    let ben = world.open("ben", storage, 0, plain).unwrap();
    let error = ben.sync(&world).unwrap_err();
    assert_eq!(error.code(), "identity_mismatch");
    assert!(error.to_string().contains("anna"), "{error}");
    assert!(world.server_state("ben", &Scope::User).is_empty() && world.server_state("anna", &Scope::User).is_empty());
}

#[test]
fn a_replica_of_nobody_is_not_signed_out_of() {
    let world = World::new(13);
    let nobody = anonymous(&world, &MemoryStorage::new());
    assert_eq!(world.run(nobody.sign_out()).unwrap_err().code(), "auth_required");
    world.run(nobody.collection("samples").create("kick", json!({}))).expect("the client goes on");
    nobody.set_token(BENS);
    assert_eq!(world.run(nobody.claim("anna")).unwrap_err().code(), "identity_mismatch");
    world.run(nobody.claim("ben")).unwrap();
}
