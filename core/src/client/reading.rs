//! Queries on a collection, run on the replica.

use super::collection::Collection;
use super::watch::Watch;
use crate::error::Result;
use crate::model::{CollectionName, Value};
use crate::query::{Continuation, Filter, Plan, Query, QueryPage, Reader, Record, RecordState};

/// A query on one collection, about to be run. See [`Query`] for what it means.
#[derive(Clone, Debug)]
#[must_use = "a query does nothing before it is run"]
pub struct Reading {
    collection: Collection,
    begun: Option<Query>,
    parts: Vec<Part>,
}

/// Kept as asked; a bad collection name is reported when the query is run.
#[derive(Clone, Debug)]
enum Part {
    Filter(Filter),
    Ascending(String),
    Descending(String),
    Limit(usize),
    After(Continuation),
}

impl Reading {
    pub(super) fn new(collection: Collection) -> Self {
        Self { collection, begun: None, parts: Vec::new() }
    }

    pub(super) fn from_json(collection: Collection, options: Value) -> Result<Self> {
        let begun = Query::from_json(collection.place()?.1.clone(), options)?;
        Ok(Self { collection, begun: Some(begun), parts: Vec::new() })
    }

    fn part(mut self, part: Part) -> Self {
        self.parts.push(part);
        self
    }

    /// Wants only records that `filter` wants, too.
    pub fn filter(self, filter: Filter) -> Self {
        self.part(Part::Filter(filter))
    }

    /// Orders by a field, the least first; after the fields given before.
    pub fn order_by(self, path: impl Into<String>) -> Self {
        self.part(Part::Ascending(path.into()))
    }

    /// Orders by a field, the greatest first; after the fields given before.
    pub fn order_by_desc(self, path: impl Into<String>) -> Self {
        self.part(Part::Descending(path.into()))
    }

    /// At most `limit` records, at least 1.
    pub fn limit(self, limit: usize) -> Self {
        self.part(Part::Limit(limit))
    }

    /// Goes on after the page that gave `continuation`.
    pub fn after(self, continuation: Continuation) -> Self {
        self.part(Part::After(continuation))
    }

    /// The query itself.
    ///
    /// # Errors
    /// `invalid_id`, `reserved_name` for a bad collection name.
    pub fn to_query(&self) -> Result<Query> {
        let collection: &CollectionName = &self.collection.place()?.1;
        let query = self.begun.clone().unwrap_or_else(|| Query::new(collection.clone()));
        Ok(self.parts.iter().cloned().fold(query, |query, part| match part {
            Part::Filter(filter) => query.filter(filter),
            Part::Ascending(path) => query.order_by(path),
            Part::Descending(path) => query.order_by_desc(path),
            Part::Limit(limit) => query.limit(limit),
            Part::After(continuation) => query.after(continuation),
        }))
    }

    /// The records.
    ///
    /// # Errors
    /// `invalid_query`; the storage's.
    pub async fn all(&self) -> Result<Vec<Record>> {
        Ok(self.page().await?.records)
    }

    /// The records, and where the next page begins.
    ///
    /// # Errors
    /// `invalid_query`; the storage's.
    pub async fn page(&self) -> Result<QueryPage> {
        let mut page = self.rows().await?;
        if page.records.iter().any(|record| record.state == RecordState::Synced) {
            let noted = self.collection.noted(None).await?;
            for record in &mut page.records {
                if record.state == RecordState::Synced && noted.contains(record.id.as_str()) {
                    record.state = RecordState::Conflicted;
                }
            }
        }
        Ok(page)
    }

    /// The records, as far as their own rows tell of them.
    pub(super) async fn records(&self) -> Result<Vec<Record>> {
        Ok(self.rows().await?.records)
    }

    async fn rows(&self) -> Result<QueryPage> {
        self.collection.client.check_shown()?;
        let query = self.to_query()?;
        let (scope, _) = self.collection.place()?;
        let replica = self.collection.client.reader();
        let mut generation = replica.generation(scope).await?;
        loop {
            let page = Reader::new(&**replica.storage(), scope, generation, replica.indexes()).run(&query).await;
            // A re-bootstrap may have swapped the generation, and cleared this one, meanwhile.
            let now = replica.generation(scope).await?;
            if now == generation {
                return page;
            }
            generation = now;
        }
    }

    /// Follows the query's answer: first as it is, then whenever it changes.
    ///
    /// # Errors
    /// `invalid_query`.
    pub fn watch(&self) -> Result<Watch> {
        self.collection.client.check_shown()?;
        let query = self.to_query()?;
        query.check()?;
        Ok(Watch::new(self.clone(), self.collection.place()?.0.clone(), query, self.collection.client.commits()))
    }

    /// Whether the client closes, or is closed.
    pub(super) fn is_over(&self) -> bool {
        self.collection.client.check_open().is_err()
    }

    /// How the query will be answered: by which index, and whether it has to sort.
    ///
    /// # Errors
    /// `invalid_query`.
    pub fn explain(&self) -> Result<Plan> {
        let query = self.to_query()?;
        let (scope, _) = self.collection.place()?;
        let replica = self.collection.client.reader();
        Reader::new(&**replica.storage(), scope, 0, replica.indexes()).explain(&query)
    }
}
