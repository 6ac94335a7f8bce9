//! `kill -9` in a loop under load: the real program, real HTTP, and books that are kept outside (pitfall B1; I1 to I4).
//!
//! The moment of each kill is given by answers, not by time: after so many of them, wherever the others are then.
#![expect(clippy::disallowed_methods, reason = "the devices are tasks of the test itself, in real time")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use tokio::sync::{mpsc, watch};
use unisono::model::{EventId, Scope};
use unisono::replica::rows::Outcome;
use unisono::storage::MemoryStorage;
use unisono::testing::SeededRandom;
use unisono::transport::HttpTransport;
use unisono::{Client, Error};
use unisono_examples::server::Server;

const PROGRAM: &str = env!("CARGO_BIN_EXE_unisono-server");
/// Whose devices write: two each.
const ACCOUNTS: [&str; 2] = ["anna", "ben"];
const KILLS: u64 = 24;
const SEED: u64 = 0x4b49_4c4c;

/// What a device has been promised.
struct Books {
    client: Client,
    account: usize,
    accepted: Vec<EventId>,
    counted: i64,
    created: usize,
    /// What the server has said that the backups are sure to hold.
    backed_up: u64,
}

async fn open(url: &str, server: &Server, account: &str) -> Client {
    let token = server.token(account).await.unwrap();
    Client::builder()
        .storage(MemoryStorage::new())
        .transport(HttpTransport::new(url).unwrap())
        .account(account)
        .token(token)
        .build()
        .await
        .unwrap()
}

/// Writes and pushes, push after push, until `stop`; tells of each answer.
async fn work(
    mut books: Books,
    name: usize,
    stop: Arc<AtomicBool>,
    answers: mpsc::Sender<()>,
    mut up: watch::Receiver<bool>,
) -> Books {
    let samples = books.client.collection("samples");
    for round in 0_i64.. {
        if stop.load(Ordering::Acquire) {
            break;
        }
        let made = samples.create(format!("s-{name}-{round}"), json!({"round": round})).await.unwrap();
        let counted = samples.edit("tally").increment("/plays", round % 7).commit().await.unwrap();
        books.accepted.extend([made].into_iter().chain(counted));
        books.created += 1;
        books.counted += round % 7;
        match books.client.sync_now().await {
            Ok(_) => {
                let told = books.client.replica().scope(&Scope::User).await.unwrap().backup_revision;
                assert!(told >= books.backed_up, "{told} after {}", books.backed_up);
                books.backed_up = told;
                let _ = answers.send(()).await;
            }
            Err(Error::Transport(_)) => drop(up.wait_for(|up| *up).await),
            Err(error) => panic!("{error}"),
        }
    }
    books
}

async fn settle(books: &Books) {
    books.client.sync_now().await.unwrap();
    let status = books.client.status();
    assert_eq!((status.pending, status.parked), (0, 0));
    for id in &books.accepted {
        let outcome = books.client.outcome(id).await.unwrap();
        let done = matches!(outcome, Some(Outcome::Applied { .. } | Outcome::ReplacedBy { .. }));
        assert!(done, "{id}: {outcome:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b01_a_server_killed_again_and_again_under_load_loses_and_doubles_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::new(Path::new(PROGRAM), folder.path().join("data")).unwrap();
    let mut running = server.start("127.0.0.1:0").await.unwrap();
    let (url, address) = (running.url().to_owned(), running.address().to_owned());

    let stop = Arc::new(AtomicBool::new(false));
    let (answers, mut answered) = mpsc::channel(1);
    let (runs, up) = watch::channel(true);
    let mut workers = Vec::new();
    for (name, account) in [0, 0, 1, 1].into_iter().enumerate() {
        let client = open(&url, &server, ACCOUNTS[account]).await;
        let mut books = Books { client, account, accepted: Vec::new(), counted: 0, created: 0, backed_up: 0 };
        if name % 2 == 0 {
            let id = books.client.collection("samples").create("tally", json!({"plays": 0})).await.unwrap();
            books.accepted.push(id);
            books.client.sync_now().await.unwrap();
        } else {
            books.client.sync_now().await.unwrap();
        }
        workers.push(tokio::spawn(work(books, name, Arc::clone(&stop), answers.clone(), up.clone())));
    }
    drop((answers, up));

    let mut random = SeededRandom::stream(SEED, 0);
    for _ in 0..KILLS {
        for _ in 0..=random.below(24) {
            answered.recv().await.unwrap();
        }
        runs.send_replace(false);
        running.kill().await.unwrap();
        running = server.start(&address).await.unwrap();
        runs.send_replace(true);
    }
    stop.store(true, Ordering::Release);
    while answered.recv().await.is_some() {}

    let mut all = Vec::new();
    for worker in workers {
        all.push(worker.await.unwrap());
    }
    for books in &all {
        settle(books).await;
    }
    for (account, name) in ACCOUNTS.iter().enumerate() {
        let own = || all.iter().filter(|books| books.account == account);
        let (counted, created): (i64, usize) =
            (own().map(|books| books.counted).sum(), own().map(|books| books.created).sum());
        // From outside: a device that was never there before.
        let fresh = open(&url, &server, name).await;
        fresh.sync_now().await.unwrap();
        for client in own().map(|books| &books.client).chain([&fresh]) {
            client.sync_now().await.unwrap();
            let samples = client.collection("samples");
            assert_eq!(samples.get("tally").await.unwrap().unwrap()["plays"], json!(counted));
            assert_eq!(samples.query().all().await.unwrap().len(), created + 1);
        }
        println!("{name}: {created} creates, counted to {counted}, over {KILLS} kills");
    }
    running.kill().await.unwrap();
}
