//! Collects records in a query's order, and keeps no more of them than the answer can hold.

use std::collections::BinaryHeap;

use super::query::{OrderKey, Record};

/// A record and its place.
#[derive(Debug)]
struct Ranked {
    key: OrderKey,
    record: Record,
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Ranked {}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}

/// Takes records run by run. All of one run come before all of the next; within a run they may come in any order.
///
/// A sort is the case of one run, an index that gives the whole order that of a run for each record.
#[derive(Debug)]
pub(super) struct Collector {
    limit: usize,
    done: Vec<Ranked>,
    /// The least records of the present run, as many as there is room for; the greatest on top.
    run: BinaryHeap<Ranked>,
}

impl Collector {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, done: Vec::new(), run: BinaryHeap::new() }
    }

    pub(super) fn offer(&mut self, key: OrderKey, record: Record) {
        self.run.push(Ranked { key, record });
        if self.done.len() + self.run.len() > self.limit {
            self.run.pop();
        }
    }

    /// Ends the present run, if there is one. Returns whether all that is wanted is there.
    pub(super) fn end_run(&mut self) -> bool {
        self.done.extend(std::mem::take(&mut self.run).into_sorted_vec());
        self.room() == 0
    }

    /// Records that still have room after the ended runs.
    pub(super) fn room(&self) -> usize {
        self.limit - self.done.len()
    }

    pub(super) fn finish(mut self) -> Vec<(OrderKey, Record)> {
        self.end_run();
        self.done.into_iter().map(|Ranked { key, record }| (key, record)).collect()
    }
}
