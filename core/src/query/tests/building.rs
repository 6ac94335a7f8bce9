//! Indexes that are declared when there are records already.

use serde_json::json;

use super::replica::{Replica, index, indexes, query, run};
use crate::query::{IndexSet, build_indexes, build_step, built_indexes, eq, pending_builds, ready_indexes, register};
use crate::storage::{Batch, Scan, Storage, Table};

fn filled(indexes: &IndexSet, count: u32) -> Replica {
    let ids: Vec<String> = (0..count).map(|n| format!("r{n:04}")).collect();
    Replica::with(indexes, ids.iter().map(String::as_str).zip((0..).map(|n| json!({"a": n % 10, "b": n}))))
}

fn entries(replica: &Replica) -> Vec<Vec<u8>> {
    let rows = run(replica.storage.scan(Scan::prefix(Table::Index, &[]))).unwrap();
    rows.into_iter().map(|row| row.key).collect()
}

#[test]
fn a_built_index_is_the_one_that_writing_would_have_made() {
    let declared = indexes(&[("a", &["a"]), ("ba", &["b", "a"])]);
    let (written, built) = (filled(&declared, 700), filled(&IndexSet::default(), 700));
    assert_eq!(run(build_indexes(&built, &declared)).unwrap(), declared);
    assert_eq!(entries(&built), entries(&written));
    // Again: nothing left to do, nothing changed.
    assert_eq!(run(build_indexes(&built, &declared)).unwrap(), declared);
    assert_eq!(entries(&built), entries(&written));
}

#[test]
fn a_stopped_build_goes_on_where_it_stopped_and_is_not_used_before() {
    let declared = indexes(&[("a", &["a"])]);
    let replica = filled(&IndexSet::default(), 700);
    let started = run(register(&replica, &declared)).unwrap();
    assert_eq!(pending_builds(&declared, &started).build, [index("a", &["a"])]);
    assert!(run(build_step(&replica)).unwrap());
    let after_one = entries(&replica).len();
    assert!(after_one > 0 && after_one < 700);

    // A restart registers again.
    let resumed = run(register(&replica, &declared)).unwrap();
    assert_eq!(ready_indexes(&declared, &resumed), IndexSet::default());
    assert!(run(build_step(&replica)).unwrap());
    assert_eq!(entries(&replica).len(), 2 * after_one);
    assert_eq!(run(build_indexes(&replica, &declared)).unwrap(), declared);
    assert_eq!(replica.ids(&declared, &query().filter(eq("a", 3))).len(), 70);
}

#[test]
fn a_record_that_is_written_during_the_build_has_its_newest_entry_alone() {
    let declared = indexes(&[("b", &["b"])]);
    let replica = filled(&IndexSet::default(), 50);
    run(register(&replica, &declared)).unwrap();
    // Lands between the build's read and its write.
    let mut batch = Batch::default();
    replica.change(&mut batch, &declared, "r0007", Some(&json!({"a": 7, "b": 7})), Some(json!({"b": 1000})));
    replica.interleave(batch);
    run(build_indexes(&replica, &declared)).unwrap();
    assert_eq!(entries(&replica).len(), 50);
    assert_eq!(replica.ids(&declared, &query().filter(eq("b", 1000))), ["r0007"]);
    assert!(replica.ids(&declared, &query().filter(eq("b", 7))).is_empty());
}

#[test]
fn b38_an_index_with_other_fields_is_built_anew_and_an_undeclared_one_is_dropped() {
    let first = indexes(&[("a", &["a"]), ("b", &["b"])]);
    let replica = filled(&IndexSet::default(), 300);
    run(build_indexes(&replica, &first)).unwrap();
    let second = indexes(&[("a", &["b", "a"])]);
    let pending = pending_builds(&second, &run(built_indexes(&replica)).unwrap());
    assert_eq!(
        (pending.build, pending.drop),
        (vec![index("a", &["b", "a"])], vec![index("a", &["a"]), index("b", &["b"])])
    );
    run(build_indexes(&replica, &second)).unwrap();
    assert_eq!(entries(&replica), entries(&filled(&second, 300)));
    run(build_indexes(&replica, &IndexSet::default())).unwrap();
    assert!(entries(&replica).is_empty());
}

#[test]
fn the_row_of_indexes_has_one_form() {
    let replica = filled(&IndexSet::default(), 1);
    let declared = indexes(&[("a", &["a", "/c/d"])]);
    let started = run(register(&replica, &declared)).unwrap();
    let row = json!({"indexes": [{"collection": "samples", "name": "a", "paths": ["/a", "/c/d"], "building": ""}]});
    assert_eq!(serde_json::to_value(&started).unwrap(), row);
    run(build_indexes(&replica, &declared)).unwrap();
    let row = json!({"indexes": [{"collection": "samples", "name": "a", "paths": ["/a", "/c/d"]}]});
    assert_eq!(serde_json::to_value(run(built_indexes(&replica)).unwrap()).unwrap(), row);
}
