//! What an operator does with the program: backing up and restoring, verifying, purging, looking after accounts.
#![cfg(unix)]

mod running;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use running::operator::{badly, count, create, database, device, well};
use running::{Running, run, text};
use rusqlite::Connection;
use serde_json::{Value, json};

/// A data directory with what a server that has ended has left: `anna`'s and `ben`'s records.
async fn left_behind() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let server = Running::start(&data);
    for account in ["anna", "ben"] {
        create(&device(&server, data.to_str().expect("UTF-8"), account).await, 0..5).await;
    }
    assert!(server.terminate().0);
    (folder, data)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_drill_devices_send_again_what_the_backup_does_not_hold() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, copy) = (folder.path().join("data"), folder.path().join("copy.db"));
    let (path, to) = (data.to_str().expect("UTF-8"), copy.to_str().expect("UTF-8"));
    let server = Running::start(&data);
    let anna = device(&server, path, "anna").await;
    create(&anna, 0..20).await;

    // Beside constant writes it ends, and is checked.
    let ben = device(&server, path, "ben").await;
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let busy = unisono::Environment::blocking(
        &unisono::TokioEnvironment,
        Box::new({
            let (path, to) = (path.to_owned(), to.to_owned());
            move || {
                let told = well(&["backup", "--data", &path, "--to", &to]);
                stopped.store(true, Ordering::Release);
                assert!(told.contains("scopes with"), "{told}");
            }
        }),
    );
    let writing = async {
        let mut written = 0;
        while !stop.load(Ordering::Acquire) {
            create(&ben, written..written + 5).await;
            written += 5;
        }
        written
    };
    let (written, ()) = futures_util::future::join(writing, busy).await;
    assert_eq!(std::fs::metadata(&copy).expect("the copy").permissions().mode() & 0o777, 0o600);
    assert!(badly(&["backup", "--data", path, "--to", to]).1.contains("exists already"));

    create(&anna, 20..30).await;
    let refused = badly(&["restore", "--data", path, "--from", to]).1;
    assert!(refused.contains("stop it first"), "{refused}");
    let address = server.url.strip_prefix("http://").expect("a scheme").to_owned();
    assert!(server.terminate().0);
    let told = well(&["restore", "--data", path, "--from", to]);
    assert!(told.contains("restored"), "{told}");
    assert!(data.join("unisono.db.replaced").exists());

    let server = Running::start_on(&data, &address);
    assert_eq!(count(&anna).await, 30);
    assert_eq!(count(&ben).await, written as usize);
    // A device that was never there before sees what the others have sent again.
    assert_eq!(count(&device(&server, path, "anna").await).await, 30);
    assert_eq!(count(&device(&server, path, "ben").await).await, written as usize);
    assert!(server.terminate().0);
    assert_eq!(well(&["verify", "--data", path]), "nothing is wrong\n");
    assert!(well(&["audit", "verify", "--data", path]).contains("rows, the last is"));
}

#[tokio::test]
async fn a_damaged_backup_is_not_restored_and_a_damaged_database_is_not_backed_up() {
    let (folder, data) = left_behind().await;
    let (path, copy) = (data.to_str().expect("UTF-8"), folder.path().join("copy.db"));
    let to = copy.to_str().expect("UTF-8");
    well(&["backup", "--data", path, "--to", to]);
    let damage = "UPDATE record SET doc = '{}' WHERE record = 's3'";
    assert!(Connection::open(&copy).expect("the copy").execute(damage, []).expect("it is written") > 0);
    let why = badly(&["restore", "--data", path, "--from", to]).1;
    assert!(why.contains("do not match their checksums") && why.contains("as it was"), "{why}");
    assert_eq!(well(&["verify", "--data", path]), "nothing is wrong\n");

    database(&data).execute(damage, []).expect("it is written");
    let other = folder.path().join("other.db");
    let why = badly(&["backup", "--data", path, "--to", other.to_str().expect("UTF-8")]).1;
    assert!(why.contains("do not match their checksums"), "{why}");
    assert!(!other.exists() && !folder.path().join("other.db.partial").exists());
}

#[tokio::test]
async fn verify_finds_what_checksums_and_the_replay_show() {
    let (_folder, data) = left_behind().await;
    let path = data.to_str().expect("UTF-8");
    assert_eq!(well(&["verify", "--data", path]), "nothing is wrong\n");
    // A log row that is gone, with nothing left that would not match a checksum.
    database(&data).execute("DELETE FROM log WHERE scope = 1 AND revision = 2", []).expect("it is written");
    assert_eq!(well(&["verify", "--data", path, "--no-replay"]), "nothing is wrong\n");
    let (found, why) = badly(&["verify", "--data", path]);
    assert!(found.contains("is stored, but not in the log") && why.contains("1 findings"), "{found}{why}");
    database(&data).execute("DELETE FROM record WHERE scope = 2 AND revision = 3", []).expect("it is written");
    database(&data).execute("UPDATE device SET push_seq = 7 WHERE scope = 1", []).expect("it is written");
    let (found, _) = badly(&["verify", "--data", path]);
    assert!(found.contains("scope 2 counts 5 records") && found.contains("rows of `device`"), "{found}");
}

#[tokio::test]
async fn the_audit_trail_shows_what_was_altered_or_taken_out() {
    let (_folder, data) = left_behind().await;
    let path = data.to_str().expect("UTF-8");
    let told = well(&["audit", "verify", "--data", path]);
    let hash = told.trim_end().rsplit(' ').next().expect("a hash").to_owned();
    well(&["audit", "verify", "--data", path, "--expect", &hash]);
    let rows = |sql: &str| database(&data).execute(sql, []).expect("it is written");
    // The newest row taken out leaves a whole chain: what was kept elsewhere shows it.
    assert_eq!(rows("DELETE FROM audit WHERE id = (SELECT max(id) FROM audit)"), 1);
    well(&["audit", "verify", "--data", path]);
    assert!(badly(&["audit", "verify", "--data", path, "--expect", &hash]).1.contains("expected row"));
    assert_eq!(rows("UPDATE audit SET user = 'nobody' WHERE id = 2"), 1);
    assert!(badly(&["audit", "verify", "--data", path]).1.contains("row 2 is not what was written"));
    assert_eq!(rows("DELETE FROM audit WHERE id = 2"), 1);
    assert!(badly(&["audit", "verify", "--data", path]).1.contains("row 2 is missing"));
}

#[tokio::test]
async fn accounts_are_listed_exported_and_deleted() {
    let (folder, data) = left_behind().await;
    let path = data.to_str().expect("UTF-8");
    let listed = well(&["accounts", "list", "--data", path]);
    let lines: Vec<Vec<&str>> = listed.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(lines.iter().map(|line| line[0]).collect::<Vec<_>>(), ["scope", "user:anna", "user:ben"]);
    assert_eq!((lines[1][1], lines[1][6]), ("5", "1"), "{listed}");

    let file = folder.path().join("anna.ndjson");
    well(&["accounts", "export", "--data", path, "--user", "anna", "--to", file.to_str().expect("UTF-8")]);
    let exported = std::fs::read_to_string(&file).expect("the export");
    let lines: Vec<Value> = exported.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let docs: Vec<_> = lines.iter().filter_map(|line| line["record"].get("doc")).collect();
    assert_eq!(docs, (0..5).map(|n| json!({"n": n})).collect::<Vec<_>>().iter().collect::<Vec<_>>());
    assert!(
        lines.iter().any(|line| line["audit"]["action"] == "push" && line["audit"]["peer"] != Value::Null),
        "{exported}"
    );
    assert!(!exported.contains("ben"), "{exported}");
    assert!(badly(&["accounts", "export", "--data", path, "--user", "carla"]).1.contains("carla has nothing"));

    well(&["accounts", "delete", "--data", path, "--user", "anna"]);
    let listed = well(&["accounts", "list", "--data", path]);
    assert!(!listed.contains("anna") && listed.contains("user:ben"), "{listed}");
    assert!(badly(&["accounts", "delete", "--data", path, "--user", "anna"]).1.contains("anna has nothing"));
    assert_eq!(well(&["verify", "--data", path]), "nothing is wrong\n");
    well(&["audit", "verify", "--data", path]);
    let rest: i64 = database(&data)
        .query_row(
            "SELECT (SELECT count(*) FROM record WHERE scope = 1) + (SELECT count(*) FROM log WHERE scope = 1)",
            [],
            |row| row.get(0),
        )
        .expect("a count");
    assert_eq!(rest, 0);
}

#[tokio::test]
async fn the_doctor_says_what_needs_attention_and_files_are_private() {
    let (folder, data) = left_behind().await;
    let path = data.to_str().expect("UTF-8");
    assert_eq!(std::fs::metadata(data.join("unisono.db")).expect("the file").permissions().mode() & 0o777, 0o600);
    let (found, _) = badly(&["doctor", "--data", path]);
    assert!(found.contains("attention  there is no backup"), "{found}");
    well(&["backup", "--data", path, "--to", folder.path().join("copy.db").to_str().expect("UTF-8")]);
    let fine = run(&["doctor", "--data", path]);
    let found = text(&fine.stdout);
    assert!(!found.lines().any(|line| line.starts_with("attention") && !line.contains("files can be open")), "{found}");

    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o755)).expect("a mode");
    std::fs::set_permissions(data.join("unisono.db"), std::fs::Permissions::from_mode(0o644)).expect("a mode");
    let (found, _) = badly(&["doctor", "--data", path]);
    assert!(found.contains("the data directory is open") && found.contains("the database is open"), "{found}");
    // A server takes what is its own back.
    assert!(Running::start(&data).terminate().0);
    for name in ["unisono.db", "unisono.db.lock"] {
        assert_eq!(std::fs::metadata(data.join(name)).expect("the file").permissions().mode() & 0o077, 0, "{name}");
    }
}

#[tokio::test]
async fn a_stopped_server_is_purged_by_hand() {
    let (_folder, data) = left_behind().await;
    let path = data.to_str().expect("UTF-8");
    let told = well(&["purge", "--data", path, "--horizon", "90d", "--audit-retention", "0s"]);
    assert!(told.starts_with("0 tombstones and ") && !told.contains("and 0 audit"), "{told}");
    assert!(well(&["audit", "verify", "--data", path]).starts_with("0 rows"));
}
