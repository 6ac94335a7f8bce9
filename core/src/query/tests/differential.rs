//! Index, scan and naive evaluation give the same answer to random queries on random documents.

use std::cmp::Ordering;

use proptest::prelude::*;
use serde_json::Value;

use super::replica::{Replica, ids, indexes, query};
use crate::model::Pointer;
use crate::query::{IndexSet, Query, arbitrary, compare, eq};

/// A query's order in the test's own words: (field, descending).
type Order = Vec<(&'static str, bool)>;

fn order() -> impl Strategy<Value = Order> {
    prop::collection::vec((prop::sample::select(&arbitrary::FIELDS[..]), any::<bool>()), 0..3)
}

/// Orders in one direction, which an index can give, come up often.
fn query_order() -> impl Strategy<Value = Order> {
    (order(), prop::option::of(any::<bool>())).prop_map(|(mut order, direction)| {
        if let Some(descending) = direction {
            order.iter_mut().for_each(|by| by.1 = descending);
        }
        order
    })
}

fn many_indexes() -> IndexSet {
    indexes(&[
        ("a", &["a"]),
        ("ab", &["a", "b"]),
        ("bd", &["b", "/c/d"]),
        ("d", &["/c/d"]),
        ("dab", &["/c/d", "a", "b"]),
    ])
}

/// Any of the indexes alone, so that each gets its share of the plans.
fn some_indexes() -> impl Strategy<Value = IndexSet> {
    let all: Vec<_> = many_indexes().iter().cloned().collect();
    let one = prop::sample::select(all).prop_map(|one| IndexSet::new([one]).unwrap());
    prop_oneof![Just(many_indexes()), one]
}

fn naive(docs: &[Value], query: &Query, order: &Order) -> Vec<String> {
    let mut wanted: Vec<(String, &Value)> =
        docs.iter().enumerate().filter(|(_, doc)| query.filter.matches(doc)).map(|(i, doc)| (id(i), doc)).collect();
    wanted.sort_by(|(a_id, a), (b_id, b)| {
        let directed = |found: Ordering, descending: bool| if descending { found.reverse() } else { found };
        let by_fields = order.iter().map(|(field, descending)| {
            let pointer = Pointer::parse(field).unwrap();
            let found = match (pointer.find(a), pointer.find(b)) {
                (Some(a), Some(b)) => compare(a, b),
                (a, b) => a.is_some().cmp(&b.is_some()),
            };
            directed(found, *descending)
        });
        let ties = order.last().is_some_and(|(_, descending)| *descending);
        by_fields.fold(Ordering::Equal, Ordering::then).then(directed(a_id.cmp(b_id), ties))
    });
    wanted.into_iter().map(|(id, _)| id).collect()
}

fn id(i: usize) -> String {
    format!("r{i}")
}

/// A replica of `docs`, each under its own id.
fn holding(docs: &[Value], indexes: &IndexSet) -> Replica {
    let names: Vec<String> = (0..docs.len()).map(id).collect();
    Replica::with(indexes, names.iter().map(String::as_str).zip(docs.iter().cloned()))
}

fn ordered(query: Query, order: &Order) -> Query {
    order.iter().fold(
        query,
        |query, (field, descending)| {
            if *descending { query.order_by_desc(field) } else { query.order_by(field) }
        },
    )
}

fn pages(replica: &Replica, indexes: &IndexSet, query: &Query, size: usize) -> Vec<String> {
    let mut all = Vec::new();
    let mut next = query.clone().limit(size);
    loop {
        let page = replica.ask(indexes, &next);
        assert!(page.records.len() == size || page.next.is_none(), "only the last page is short");
        assert!(!page.records.is_empty() || all.is_empty(), "no page is empty but an only one");
        all.extend(ids(&page));
        match page.next {
            Some(after) => next = next.after(after),
            None => return all,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn b14_every_plan_gives_the_naive_answer_whole_and_in_pages_without_gaps_or_repeats(
        docs in prop::collection::vec(arbitrary::document(), 0..40),
        filter in prop_oneof![1 => Just(crate::query::and([])), 4 => arbitrary::filter()],
        order in query_order(),
        indexes in some_indexes(),
        size in 1usize..9,
    ) {
        let replica = holding(&docs, &indexes);
        let query = ordered(query().filter(filter), &order);
        let expected = naive(&docs, &query, &order);
        let none = IndexSet::default();
        prop_assert_eq!(&replica.ids(&none, &query), &expected);
        prop_assert_eq!(&replica.ids(&indexes, &query), &expected);
        prop_assert_eq!(&pages(&replica, &none, &query, size), &expected);
        prop_assert_eq!(&pages(&replica, &indexes, &query, size), &expected);
        let first: Vec<String> = expected.iter().take(size).cloned().collect();
        prop_assert_eq!(&replica.ids(&indexes, &query.limit(size)), &first);
    }

    #[test]
    fn a_continuation_goes_on_with_any_filter(
        docs in prop::collection::vec(arbitrary::document(), 0..40),
        filter in arbitrary::filter(),
        // Which field the filter holds equal besides, and to the value of which record.
        held in prop::option::of((prop::sample::select(&arbitrary::FIELDS[..]), any::<prop::sample::Index>())),
        order in query_order(),
        indexes in some_indexes(),
        size in 1usize..9,
    ) {
        let replica = holding(&docs, &indexes);
        let everything = ordered(query(), &order);
        let page = replica.ask(&indexes, &everything.clone().limit(size));
        let Some(after) = page.next else { return Ok(()) };
        let mut query = everything.clone();
        match held.and_then(|(field, of)| Some((field, Pointer::parse(field).ok()?.find(of.get(&docs))?.clone()))) {
            Some((field, value)) => query = query.filter(eq(field, value)),
            None => query = query.filter(filter),
        }
        let behind = naive(&docs, &everything, &order).split_off(size);
        let wanted = naive(&docs, &query, &order);
        let expected: Vec<String> = behind.into_iter().filter(|id| wanted.contains(id)).collect();
        let query = query.after(after);
        prop_assert_eq!(&replica.ids(&IndexSet::default(), &query), &expected);
        prop_assert_eq!(&replica.ids(&indexes, &query), &expected);
    }
}
