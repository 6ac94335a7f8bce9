//! A damaged database is made sound again from its logs, and where a log has lost something, from the devices.
#![cfg(unix)]

mod running;

use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use running::operator::{badly, count, create, database, device, well};
use running::{Running, text};
use unisono::Client;

/// A server, and a device of `anna` that stays.
struct World {
    _folder: tempfile::TempDir,
    data: std::path::PathBuf,
    address: String,
    anna: Client,
}

impl World {
    /// Anna has written ten records in two pushes; the server has ended.
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        let server = Running::start(&data);
        let anna = device(&server, data.to_str().expect("UTF-8"), "anna").await;
        create(&anna, 0..5).await;
        create(&anna, 5..10).await;
        let address = server.url.strip_prefix("http://").expect("a scheme").to_owned();
        assert!(server.terminate().0);
        Self { _folder: folder, data, address, anna }
    }

    fn path(&self) -> &str {
        self.data.to_str().expect("UTF-8")
    }

    fn damage(&self, sql: &str) {
        assert!(database(&self.data).execute(sql, []).expect("it is written") > 0, "{sql}");
    }

    /// Anna's device goes on, and a new one sees the same; then everything is in order.
    async fn goes_on(&self) {
        let server = Running::start_on(&self.data, &self.address);
        create(&self.anna, 10..12).await;
        assert_eq!(count(&self.anna).await, 12);
        assert_eq!(count(&device(&server, self.path(), "anna").await).await, 12);
        assert!(server.terminate().0);
        assert_eq!(well(&["verify", "--data", self.path()]), "nothing is wrong\n");
        well(&["audit", "verify", "--data", self.path()]);
    }

    fn replaced(&self) -> bool {
        Path::new(&format!("{}/unisono.db.replaced", self.path())).exists()
    }
}

#[tokio::test]
async fn records_and_counts_are_made_again_from_the_log_and_no_device_notices() {
    let world = World::new().await;
    world.damage("UPDATE record SET doc = '{}' WHERE record IN ('s1', 's7')");
    world.damage("DELETE FROM record WHERE record = 's2'");
    world.damage("UPDATE bucket SET digest = zeroblob(16)");
    let told = well(&["repair", "--data", world.path()]);
    assert!(told.contains("2 rows of `record` are damaged") && told.contains("user:anna: made again"), "{told}");
    assert!(!told.contains("new history") && world.replaced(), "{told}");
    world.goes_on().await;
}

#[tokio::test]
async fn a_hole_in_the_log_is_for_devices_to_fill_once_the_loss_is_accepted() {
    let world = World::new().await;
    world.damage("UPDATE log SET write = '{}' WHERE revision = 4");
    let (told, why) = badly(&["repair", "--data", world.path()]);
    assert!(told.contains("the log's revision 4 is lost, of 10") && why.contains("--accept-loss"), "{told}{why}");
    assert!(!world.replaced());
    let told = well(&["repair", "--data", world.path(), "--accept-loss"]);
    assert!(told.contains("cut off after revision 3: 7 are for devices") && told.contains("new history"), "{told}");
    world.goes_on().await;
}

#[tokio::test]
async fn a_scope_without_its_own_row_is_found_by_its_name_and_begins_a_new_history() {
    let world = World::new().await;
    world.damage("UPDATE scope SET epoch = 'another'");
    let told = well(&["repair", "--data", world.path()]);
    assert!(told.contains("1 scopes have lost their own row") && told.contains("new history"), "{told}");
    world.goes_on().await;
}

#[tokio::test]
async fn a_page_that_is_gone_and_an_audit_row_that_was_lost_are_repaired_too() {
    let world = World::new().await;
    let root: u64 = database(&world.data)
        .query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'record'", [], |row| row.get::<_, i64>(0))
        .expect("a page")
        .cast_unsigned();
    world.damage("DELETE FROM audit WHERE id = 2");
    let mut file = std::fs::File::options().write(true).open(world.data.join("unisono.db")).expect("the file");
    file.seek(SeekFrom::Start((root - 1) * 4096)).expect("it is there");
    file.write_all(&[0; 4096]).expect("it is written");
    drop(file);
    let refused = running::run(&["serve", "--dev", "--listen", "127.0.0.1:0", "--data", world.path()]);
    let why = text(&refused.stderr);
    assert!(!refused.status.success() && why.contains("unisono-server repair --data"), "{why}");
    let told = well(&["repair", "--data", world.path()]);
    assert!(told.contains("`record` cannot be read") && told.contains("made again from its log"), "{told}");
    world.goes_on().await;
}
