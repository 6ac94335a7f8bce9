//! What is read, and what a query shows while others write.

use serde_json::{Value, json};

use super::replica::{GENERATION, Replica, indexes, query, run, samples};
use crate::model::{RecordId, RecordKey, Scope};
use crate::query::{IndexSet, Reader, RecordState, eq, ge, lt, prefix};
use crate::replica::keys;
use crate::replica::rows::RecordRow;
use crate::storage::{Batch, Storage};

fn library() -> Vec<(String, Value)> {
    include_str!("../../../tests/fixtures/samples.ndjson")
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|doc| (doc["id"].as_str().unwrap().to_owned(), doc))
        .collect()
}

fn many(count: u32) -> Vec<(String, Value)> {
    (0..count)
        .map(|n| (format!("r{n:05}"), json!({"n": n, "hundredth": n % 100, "name": format!("{:05}", n * 7 % count)})))
        .collect()
}

fn replica(indexes: &IndexSet, records: &[(String, Value)]) -> Replica {
    Replica::with(indexes, records.iter().map(|(id, doc)| (id.as_str(), doc.clone())))
}

#[test]
fn a_real_library_answers_by_category_and_name() {
    let indexes = indexes(&[("category", &["category", "name"]), ("length", &["duration_ms"])]);
    let library = library();
    let replica = replica(&indexes, &library);
    let drums = query().filter(eq("/category", "drum")).order_by("/name");
    let mut expected: Vec<&str> = library
        .iter()
        .filter(|(_, doc)| doc["category"] == "drum")
        .map(|(_, doc)| doc["name"].as_str().unwrap())
        .collect();
    expected.sort_unstable();
    assert!(expected.len() > 3);
    let page = replica.ask(&indexes, &drums.clone().limit(50));
    assert_eq!(page.records.iter().map(|record| record.doc["name"].as_str().unwrap()).collect::<Vec<_>>(), expected);
    assert_eq!(replica.rows_read(), (expected.len(), expected.len()));
    assert_eq!(page.next, None);

    let long = replica.ask(&indexes, &query().filter(ge("duration_ms", 5000)).order_by_desc("duration_ms"));
    let lengths: Vec<f64> = long.records.iter().map(|record| record.doc["duration_ms"].as_f64().unwrap()).collect();
    assert!(lengths.len() > 1 && lengths.is_sorted_by(|a, b| a >= b) && lengths.iter().all(|length| *length >= 5000.0));
    assert_eq!(replica.rows_read().1, lengths.len());
}

#[test]
fn a_continuation_goes_on_with_another_filter() {
    let records: Vec<(String, Value)> = [("a", "c", "a"), ("b", "b", "m"), ("z", "c", "z")]
        .map(|(id, category, name)| (id.to_owned(), json!({"category": category, "name": name})))
        .into();
    for indexes in [IndexSet::default(), indexes(&[("both", &["category", "name"])])] {
        let replica = replica(&indexes, &records);
        for ordered in [query().order_by("category").order_by("name"), query().order_by("category")] {
            let page = replica.ask(&indexes, &ordered.clone().limit(1));
            assert_eq!(page.records[0].id.as_str(), "b");
            let rest = ordered.after(page.next.unwrap());
            assert_eq!(replica.ids(&indexes, &rest), ["a", "z"]);
            assert_eq!(replica.ids(&indexes, &rest.clone().filter(eq("category", "c"))), ["a", "z"]);
            assert_eq!(replica.ids(&indexes, &rest.filter(eq("category", "a"))), [""; 0]);
        }
    }
}

#[test]
fn an_index_reads_about_as_many_rows_as_match() {
    let indexes = indexes(&[("hundredth", &["hundredth"]), ("name", &["name"]), ("both", &["hundredth", "n"])]);
    let records = many(10_000);
    let replica = replica(&indexes, &records);
    let count = |query| {
        let found = replica.ask(&indexes, &query).records.len();
        (found, replica.rows_read())
    };
    assert_eq!(count(query().filter(eq("hundredth", 7))), (100, (100, 100)));
    assert_eq!(count(query().filter(eq("hundredth", 7).and(lt("n", 1000)))), (10, (10, 10)));
    assert_eq!(count(query().filter(eq("hundredth", 7)).order_by_desc("n").limit(3)), (3, (16, 16)));
    assert_eq!(count(query().filter(prefix("name", "0012"))), (10, (10, 10)));
    assert_eq!(count(query().order_by("name").limit(50)), (50, (51, 51)));
    assert_eq!(count(query().limit(50)), (50, (0, 51)));
    assert_eq!(count(query().filter(eq("n", 5))), (1, (0, 10_000)));
}

#[test]
fn a_late_page_reads_no_more_than_the_first() {
    let indexes = indexes(&[("name", &["name"])]);
    let records = many(5_000);
    let replica = replica(&indexes, &records);
    for base in [
        query().order_by("name"),
        query().order_by_desc("name"),
        query(),
        query().filter(ge("name", "00100")).order_by("name"),
    ] {
        let mut page = replica.ask(&indexes, &base.clone().limit(100));
        let mut found = page.records.len();
        while let Some(after) = page.next {
            replica.rows_read();
            page = replica.ask(&indexes, &base.clone().limit(100).after(after));
            assert!(replica.rows_read().1 <= 101);
            found += page.records.len();
        }
        assert!(found >= 4_900);
    }
}

#[test]
fn a_write_between_two_reads_never_shows_a_record_twice_or_wrong() {
    let indexes = indexes(&[("name", &["name"])]);
    let doc = |name: &str| json!({ "name": name });
    // On every reading, a record that was already read moves behind the place where reading stands.
    for writes in 1..5 {
        let records: Vec<(String, Value)> = (0..40).map(|n| (format!("r{n:02}"), doc(&format!("{n:02}")))).collect();
        let replica = replica(&indexes, &records);
        for n in 0..writes {
            let mut batch = Batch::default();
            replica.change(
                &mut batch,
                &indexes,
                &format!("r{n:02}"),
                Some(&doc(&format!("{n:02}"))),
                Some(doc(&format!("z{n}"))),
            );
            replica.interleave(batch);
        }
        let ids = replica.ids(&indexes, &query().order_by("name").limit(40));
        let mut unique = ids.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), ids.len(), "{writes} writes: {ids:?}");
        if writes == 1 {
            assert_eq!(
                (ids.len(), ids.last().map(String::as_str)),
                (40, Some("r00")),
                "the second reading is undisturbed"
            );
        }
    }
}

#[test]
fn the_view_is_what_is_shown() {
    let replica = Replica::default();
    let none = IndexSet::default();
    let row = |id: &str, row: RecordRow| {
        let key = RecordKey { collection: samples(), record: RecordId::new(id).unwrap() };
        (keys::record(&Scope::User, GENERATION, &key), serde_json::to_vec(&row).unwrap())
    };
    let confirmed = RecordRow { revision: 4, doc: Some(json!({"n": 1})), ..RecordRow::default() };
    let edited = RecordRow { overlay: Some(Some(json!({"n": 2}))), pending: vec![1], ..confirmed.clone() };
    let deleted = RecordRow { overlay: Some(None), pending: vec![2], ..confirmed.clone() };
    let put = vec![
        row("confirmed", confirmed),
        row("deleted", deleted),
        row("edited", edited),
        row("tombstone", RecordRow { revision: 5, ..RecordRow::default() }),
    ];
    run(replica.storage.apply(Batch { put, ..Batch::default() })).unwrap();
    let page = replica.ask(&none, &query());
    let shown: Vec<_> = page.records.iter().map(|r| (r.id.as_str(), &r.doc["n"], r.revision, r.state)).collect();
    assert_eq!(
        shown,
        [("confirmed", &json!(1), 4, RecordState::Synced), ("edited", &json!(2), 4, RecordState::Pending)]
    );
    let get = |id: &str| {
        let key = RecordKey { collection: samples(), record: RecordId::new(id).unwrap() };
        run(Reader::new(&replica, &Scope::User, GENERATION, &none).get(&key)).unwrap().map(|record| record.doc)
    };
    assert_eq!((get("edited"), get("deleted"), get("nobody")), (Some(json!({"n": 2})), None, None));
}

#[test]
fn a_damaged_row_is_an_error_not_a_gap() {
    let replica = Replica::default();
    let key = RecordKey { collection: samples(), record: RecordId::new("r").unwrap() };
    let put = vec![(keys::record(&Scope::User, GENERATION, &key), b"{".to_vec())];
    run(replica.storage.apply(Batch { put, ..Batch::default() })).unwrap();
    let none = IndexSet::default();
    let reader = Reader::new(&replica, &Scope::User, GENERATION, &none);
    assert_eq!(run(reader.run(&query())).unwrap_err().code(), "storage_corrupt");
    assert_eq!(run(reader.run(&query().limit(0))).unwrap_err().code(), "invalid_query");
}

#[test]
fn a_running_query_can_move_between_threads() {
    fn assert_send<T: Send>(_: &T) {}
    let (replica, none, query) = (Replica::default(), IndexSet::default(), query());
    let reader = Reader::new(&replica, &Scope::User, GENERATION, &none);
    assert_send(&reader.run(&query));
    assert_send(&crate::query::build_indexes(&replica, &none));
}
