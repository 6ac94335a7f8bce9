use super::*;
use crate::environment::Environment;
use crate::storage::Table;
use crate::testing::block_on;

impl crate::testing::storage_suite::Replica for SimDisk {
    type Storage = Self;

    fn open(&self) -> BoxFuture<'_, Self> {
        Box::pin(async { self.boot() })
    }
}

crate::storage_suite!(full, SimDisk::new(Durability::Full));
crate::storage_suite!(normal, SimDisk::new(Durability::Normal));

fn put(key: &[u8]) -> Batch {
    let row = RowKey { table: Table::Record, key: key.to_vec() };
    Batch { put: vec![(row, Vec::new())], ..Batch::default() }
}

fn keys(disk: &SimDisk) -> Vec<Vec<u8>> {
    let rows = block_on(disk.contents().scan(Scan::prefix(Table::Record, b""))).unwrap();
    rows.into_iter().map(|row| row.key).collect()
}

fn written(durability: Durability) -> SimDisk {
    let disk = SimDisk::new(durability).boot();
    for key in [b"a", b"b", b"c", b"d"] {
        block_on(disk.apply(put(key))).unwrap();
    }
    disk
}

#[test]
fn a_full_disk_survives_a_loss_of_power_and_a_normal_one_keeps_the_oldest_writes() {
    let full = written(Durability::Full);
    assert_eq!((block_on(full.lose_power(0)), keys(&full).len()), (0, 4));
    let normal = written(Durability::Normal);
    assert_eq!(block_on(normal.lose_power(128)), 2);
    assert_eq!(keys(&normal), [b"a", b"b"]);
    block_on(normal.boot().apply(Batch { durable: true, ..put(b"e") })).unwrap();
    assert_eq!((block_on(normal.lose_power(0)), keys(&normal).len()), (0, 3));
    let lying = SimDisk::without_flushes().boot();
    block_on(lying.apply(put(b"a"))).unwrap();
    assert_eq!(block_on(lying.lose_power(0)), 1);
}

#[test]
fn a_process_dies_before_or_after_its_write_and_does_nothing_more() {
    use futures_util::FutureExt;
    for after in [false, true] {
        let disk = written(Durability::Normal);
        disk.crash_at(2, after);
        block_on(disk.apply(put(b"e"))).unwrap();
        assert_eq!(disk.apply(put(b"f")).now_or_never(), None, "the process is dead");
        assert!(disk.is_dead() && disk.died().now_or_never().is_some());
        assert_eq!(disk.apply(put(b"g")).now_or_never(), None);
        assert_eq!(keys(&disk).len(), if after { 6 } else { 5 });
        let next = disk.boot();
        assert!(!next.is_dead());
        assert_eq!(disk.apply(put(b"h")).now_or_never(), None, "the former process stays dead");
        block_on(next.apply(put(b"i"))).unwrap();
    }
}

#[test]
fn a_disk_fails_as_it_is_told_and_can_be_set_back() {
    let disk = written(Durability::Full);
    let copy = disk.copy();
    disk.fail(true, StorageError::Io("simulated".into()));
    disk.set_full(true);
    assert_eq!(block_on(disk.apply(put(b"e"))).unwrap_err().code(), "storage_io");
    assert_eq!(block_on(disk.apply(put(b"e"))).unwrap_err().code(), "storage_full");
    disk.heal();
    block_on(disk.apply(put(b"e"))).unwrap();
    disk.put_back(&copy);
    assert_eq!(keys(&disk.boot()).len(), 4);
    disk.wipe();
    assert!(keys(&disk.boot()).is_empty());
}

#[test]
fn a_disk_that_takes_time_shows_a_write_before_it_acknowledges_it() {
    let env = crate::testing::TestEnvironment::new(1);
    let disk = SimDisk::new(Durability::Full).boot();
    disk.attach(env.shared());
    disk.take_time(Duration::from_millis(50));
    let (mut between, mut at_once) = (0, 0);
    for key in 0..20u8 {
        env.block_on(async {
            let mut write = disk.apply(put(&[key]));
            if futures_util::poll!(&mut write).is_ready() {
                at_once += 1;
                return;
            }
            while futures_util::poll!(&mut write).is_pending() {
                let there = keys(&disk).contains(&vec![key]);
                assert_eq!(there, disk.is_committing());
                between += u32::from(there);
                env.sleep(Duration::from_millis(1)).await;
            }
        });
        assert!(keys(&disk).contains(&vec![key]) && !disk.is_committing());
    }
    assert!(between > 100 && at_once < 5, "{between} ms between effect and acknowledgement, {at_once} at once");
}

#[test]
fn rows_are_counted_as_they_are_read_and_written() {
    let disk = written(Durability::Full);
    assert_eq!(disk.rows(), 4);
    block_on(disk.scan(Scan::prefix(Table::Record, b""))).unwrap();
    assert_eq!(disk.rows(), 8);
    block_on(disk.get(vec![RowKey { table: Table::Record, key: b"a".to_vec() }])).unwrap();
    assert_eq!(disk.rows(), 9);
}
