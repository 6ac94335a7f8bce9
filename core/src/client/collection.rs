//! A collection: the calls that an app makes most.

use serde::Serialize;

use super::edit::Edit;
use super::handle::{Client, app_collection};
use super::reading::Reading;
use crate::error::{Error, InvalidCode, Result};
use crate::model::{CollectionName, EventId, Mode, Policy, RecordId, RecordKey, Scope, Value};
use crate::query::Record;
use crate::queue::{Draft, Mutation};

/// A collection of records in one scope. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Collection {
    pub(super) client: Client,
    /// A bad name is reported by the first call that can fail.
    place: Result<(Scope, CollectionName), BadName>,
    options: WriteOptions,
}

/// What is wrong with a name; an [`Error`] cannot be cloned.
pub(super) type BadName = (InvalidCode, String);

pub(super) fn bad_name(error: Error) -> BadName {
    match error {
        Error::Invalid { code, message } => (code, message),
        other => (InvalidCode::Id, other.to_string()),
    }
}

/// How a write meets concurrent ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteOptions {
    /// Leaf by leaf, or all or nothing.
    pub mode: Mode,
    /// Overrides the policies that the client was given.
    pub policy: Option<Policy>,
    /// Events that must be settled first.
    pub depends_on: Vec<EventId>,
}

/// The state of one record's sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "uniffi", derive(uniffi::Enum))]
#[cfg_attr(feature = "wasm", derive(tsify::Tsify))]
#[serde(rename_all = "snake_case")]
pub enum RecordState {
    /// The server has acknowledged what the app sees.
    Synced,
    /// Events wait to be sent or answered.
    Pending,
    /// An event was refused and waits for the app.
    Parked,
    /// An open conflict note tells of a value that lost.
    Conflicted,
}

impl Collection {
    pub(super) fn new(client: Client, scope: Result<Scope, BadName>, name: String) -> Self {
        let place = scope.and_then(|scope| Ok((scope, app_collection(&name).map_err(bad_name)?)));
        Self { client, place, options: WriteOptions::default() }
    }

    pub(super) fn reserved(client: Client, scope: Scope, name: &str) -> Result<Self> {
        Ok(Self { client, place: Ok((scope, CollectionName::new(name)?)), options: WriteOptions::default() })
    }

    /// The same collection, whose writes carry `options`.
    #[must_use]
    pub fn with(&self, options: WriteOptions) -> Self {
        Self { options, ..self.clone() }
    }

    /// The same collection, whose writes apply only if nothing that they touch was changed meanwhile by another device.
    #[must_use]
    pub fn strict(&self) -> Self {
        self.with(WriteOptions { mode: Mode::Strict, ..self.options.clone() })
    }

    /// The same collection, whose writes wait until `events` are settled. One that the replica has forgotten was settled long
    /// ago; what is no event of this scope is refused as `event_state`.
    #[must_use]
    pub fn after(&self, events: impl IntoIterator<Item = EventId>) -> Self {
        self.with(WriteOptions { depends_on: events.into_iter().collect(), ..self.options.clone() })
    }

    pub(super) fn place(&self) -> Result<&(Scope, CollectionName)> {
        self.place.as_ref().map_err(|(code, message)| Error::invalid(*code, message.clone()))
    }

    pub(super) fn draft(&self, id: &str, mutation: Mutation) -> Result<(Scope, Draft)> {
        let (scope, collection) = self.place()?;
        let key = RecordKey { collection: collection.clone(), record: RecordId::new(id)? };
        let WriteOptions { mode, policy, depends_on } = self.options.clone();
        let schema = self.client.inner.schema;
        Ok((scope.clone(), Draft { key, mutation, mode, policy, depends_on, schema }))
    }

    async fn write(&self, id: &str, mutation: Mutation) -> Result<EventId> {
        let (scope, draft) = self.draft(id, mutation)?;
        let ids = self.client.write(&scope, vec![draft]).await?;
        ids.into_iter().next().ok_or_else(|| Error::Internal("a write returned no id".into()))
    }

    /// Makes a record. Durable when this returns.
    ///
    /// # Errors
    /// `already_exists`; those of content (`not_an_object`, `document_too_large`, …); `queue_full`; the storage's.
    pub async fn create(&self, id: impl AsRef<str>, doc: Value) -> Result<EventId> {
        self.write(id.as_ref(), Mutation::Create(doc)).await
    }

    /// Applies an RFC 7396 merge patch: null removes a field. Durable when this returns.
    ///
    /// # Errors
    /// `not_found`; `invalid_patch`; those of content; `queue_full`; the storage's.
    pub async fn update(&self, id: impl AsRef<str>, patch: Value) -> Result<EventId> {
        self.write(id.as_ref(), Mutation::Update(patch)).await
    }

    /// Begins an edit of single fields: counters, sets, texts.
    pub fn edit(&self, id: impl Into<String>) -> Edit {
        Edit::new(self.clone(), id.into())
    }

    pub(super) async fn commit(&self, id: &str, mutation: Mutation) -> Result<EventId> {
        self.write(id, mutation).await
    }

    /// Deletes a record. Durable when this returns.
    ///
    /// # Errors
    /// `not_found`; `queue_full`; the storage's.
    pub async fn delete(&self, id: impl AsRef<str>) -> Result<EventId> {
        self.write(id.as_ref(), Mutation::Delete).await
    }

    /// The record as the app sees it: confirmed state plus its own unsettled writes.
    ///
    /// # Errors
    /// `invalid_id`; the storage's.
    pub async fn get(&self, id: impl AsRef<str>) -> Result<Option<Value>> {
        self.client.check_open()?;
        let (scope, collection) = self.place()?;
        let key = RecordKey { collection: collection.clone(), record: RecordId::new(id.as_ref())? };
        let row = self.client.reader().record(scope, &key).await?;
        Ok(row.and_then(|row| row.view().cloned()))
    }

    /// The state of a record's sync; `None` if there is neither a record nor an event on it.
    ///
    /// # Errors
    /// `invalid_id`; the storage's.
    pub async fn state(&self, id: impl AsRef<str>) -> Result<Option<RecordState>> {
        self.client.check_open()?;
        let (scope, collection) = self.place()?;
        let key = RecordKey { collection: collection.clone(), record: RecordId::new(id.as_ref())? };
        let reader = self.client.reader();
        let Some(row) = reader.record(scope, &key).await? else { return Ok(None) };
        for position in &row.pending {
            if reader.entry(scope, *position).await?.is_some_and(|entry| entry.parked.is_some()) {
                return Ok(Some(RecordState::Parked));
            }
        }
        if !row.pending.is_empty() {
            return Ok(Some(RecordState::Pending));
        }
        if self.has_open_note(&key).await? {
            return Ok(Some(RecordState::Conflicted));
        }
        Ok(row.view().map(|_| RecordState::Synced))
    }

    async fn has_open_note(&self, key: &RecordKey) -> Result<bool> {
        use crate::query::{and, eq, not};
        let (scope, _) = self.place()?;
        let notes = Self::reserved(self.client.clone(), scope.clone(), crate::merge::CONFLICTS)?;
        let open = and([
            eq("/collection", key.collection.as_str()),
            eq("/record", key.record.as_str()),
            not(eq("/resolved", true)),
        ]);
        Ok(!notes.query().filter(open).limit(1).all().await?.is_empty())
    }

    /// Begins a query.
    pub fn query(&self) -> Reading {
        Reading::new(self.clone())
    }

    /// Begins a query with options in their JSON form, as the bindings hand them over ([`Query::from_json`]).
    ///
    /// # Errors
    /// `invalid_query`; `invalid_id`, `reserved_name` for a bad collection name.
    ///
    /// [`Query::from_json`]: crate::query::Query::from_json
    pub fn query_from_json(&self, options: Value) -> Result<Reading> {
        Reading::from_json(self.clone(), options)
    }

    /// All records, by id.
    ///
    /// # Errors
    /// The storage's.
    pub async fn all(&self) -> Result<Vec<Record>> {
        self.query().all().await
    }
}
