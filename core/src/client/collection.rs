//! A collection: the calls that an app makes most.

use std::collections::BTreeSet;

use super::edit::Edit;
use super::handle::{Client, app_collection};
use super::reading::Reading;
use super::target::Target;
use crate::collections::set_of;
use crate::error::{Error, InvalidCode, Result};
use crate::model::{CollectionName, EventId, Mode, Policy, RecordId, RecordKey, Scope, Value, ops_between, value};
use crate::query::{Record, RecordState, row_state};
use crate::queue::{Draft, Mutation};
use crate::replica::keys::Generation;
use crate::replica::rows::RecordRow;

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

impl Collection {
    pub(super) fn new(client: Client, scope: Result<Scope, BadName>, name: String) -> Self {
        let place = scope.and_then(|scope| Ok((scope, app_collection(&name).map_err(bad_name)?)));
        Self { client, place, options: WriteOptions::default() }
    }

    pub(crate) fn reserved(client: Client, scope: Scope, name: &str) -> Result<Self> {
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

    pub(super) fn draft(&self, target: Target, mutation: Mutation) -> Result<(Scope, Draft)> {
        let (scope, collection) = self.place()?;
        let (record, seen) = target.take()?;
        let key = RecordKey { collection: collection.clone(), record };
        let WriteOptions { mode, policy, depends_on } = self.options.clone();
        let schema = self.client.inner.schema;
        Ok((scope.clone(), Draft { key, mutation, seen, mode, policy, depends_on, schema }))
    }

    pub(crate) async fn write(&self, target: Target, mutation: Mutation) -> Result<Option<EventId>> {
        let (scope, draft) = self.draft(target, mutation)?;
        Ok(self.client.write(&scope, vec![draft]).await?.pop().flatten())
    }

    /// A write that changes something whatever is there.
    async fn change(&self, target: Target, mutation: Mutation) -> Result<EventId> {
        let id = self.write(target, mutation).await?;
        id.ok_or_else(|| Error::Internal("a write returned no id".into()))
    }

    /// Makes a record. Durable when this returns.
    ///
    /// # Errors
    /// `already_exists`; those of content (`not_an_object`, `document_too_large`, …); `queue_full`; the storage's.
    pub async fn create(&self, id: impl AsRef<str>, doc: Value) -> Result<EventId> {
        self.change(id.as_ref().into(), Mutation::Create(doc)).await
    }

    /// Makes a record, or changes the one that is there to exactly this: only what differs is written. `None` if nothing does.
    /// Durable when this returns.
    ///
    /// # Errors
    /// Those of content; `queue_full`; the storage's.
    pub async fn put(&self, target: impl Into<Target>, doc: Value) -> Result<Option<EventId>> {
        self.write(target.into(), Mutation::Put(doc)).await
    }

    /// [`put`](Self::put) for many records, with few commits: one event's id each, in order, or `None` for one that is so already.
    /// Each is a write of its own, which the server judges by itself. All are checked before the first is written. What can still
    /// stop it half-way is the storage or a full queue: then the first ones are written, and to call it again does the rest.
    ///
    /// # Errors
    /// Those of [`put`](Self::put).
    pub async fn put_many<I: Into<Target>>(
        &self,
        docs: impl IntoIterator<Item = (I, Value)>,
    ) -> Result<Vec<Option<EventId>>> {
        let draft = |(target, mut doc): (I, Value)| {
            value::admit_document(&mut doc)?;
            Ok(self.draft(target.into(), Mutation::Put(doc))?.1)
        };
        let drafts = docs.into_iter().map(draft).collect::<Result<_>>()?;
        self.client.write_apart(&self.place()?.0, drafts).await
    }

    /// Applies an RFC 7396 merge patch: null removes a field. What is there already is no edit: `None` if the patch changes
    /// nothing. Durable when this returns.
    ///
    /// # Errors
    /// `not_found`; `invalid_patch`; those of content; `queue_full`; the storage's.
    pub async fn update(&self, target: impl Into<Target>, patch: Value) -> Result<Option<EventId>> {
        self.write(target.into(), Mutation::Update(patch)).await
    }

    /// Writes what differs between a read of a record and `new`, in sight of that read: what somebody else has changed beside it
    /// stays. `None` if nothing differs. Durable when this returns.
    ///
    /// # Errors
    /// `not_found`; those of content; `queue_full`; the storage's.
    pub async fn save(&self, old: &Record, mut new: Value) -> Result<Option<EventId>> {
        value::admit_document(&mut new)?;
        let edits = ops_between(&old.doc, new).into_iter().map(|op| (op.path, op.kind));
        self.write(old.into(), Mutation::Edit(edits.collect())).await
    }

    /// Begins an edit of single fields: counters, sets, texts.
    pub fn edit(&self, target: impl Into<Target>) -> Edit {
        Edit::new(self.clone(), target.into())
    }

    /// Deletes a record. Durable when this returns.
    ///
    /// # Errors
    /// `not_found`; `queue_full`; the storage's.
    pub async fn delete(&self, target: impl Into<Target>) -> Result<EventId> {
        self.change(target.into(), Mutation::Delete).await
    }

    /// The record's document as the app sees it: confirmed state plus its own unsettled writes.
    ///
    /// # Errors
    /// `invalid_id`; the storage's.
    pub async fn get(&self, id: impl AsRef<str>) -> Result<Option<Value>> {
        Ok(self.row(id.as_ref()).await?.1.and_then(|row| row.view().cloned()))
    }

    /// The record as the app sees it, with its revision and state. A write can name it as what its writer has seen.
    ///
    /// # Errors
    /// `invalid_id`; the storage's.
    pub async fn record(&self, id: impl AsRef<str>) -> Result<Option<Record>> {
        let (generation, row) = self.row(id.as_ref()).await?;
        let Some(row) = row else { return Ok(None) };
        let Some(doc) = row.view().cloned() else { return Ok(None) };
        let (id, revision, basis) = (RecordId::new(id.as_ref())?, row.revision, row.basis(generation));
        let state = self.state_of(&id, &row).await?;
        Ok(Some(Record { id, doc, revision, state, basis }))
    }

    /// The state of a record's sync; `None` if there is neither a record nor an event on it.
    ///
    /// # Errors
    /// `invalid_id`; the storage's.
    pub async fn state(&self, id: impl AsRef<str>) -> Result<Option<RecordState>> {
        let Some(row) = self.row(id.as_ref()).await?.1 else { return Ok(None) };
        let state = self.state_of(&RecordId::new(id.as_ref())?, &row).await?;
        Ok(Some(state).filter(|state| *state != RecordState::Synced || row.view().is_some()))
    }

    /// A record's row, and the generation that it was read in.
    async fn row(&self, id: &str) -> Result<(Generation, Option<RecordRow>)> {
        self.client.check_shown()?;
        let (scope, collection) = self.place()?;
        let key = RecordKey { collection: collection.clone(), record: RecordId::new(id)? };
        self.client.reader().record_in(scope, &key).await
    }

    async fn state_of(&self, id: &RecordId, row: &RecordRow) -> Result<RecordState> {
        let own = row_state(row);
        let noted = own == RecordState::Synced && !self.noted(Some(id)).await?.is_empty();
        Ok(if noted { RecordState::Conflicted } else { own })
    }

    /// Which records open conflict notes tell of: of all, or of `one`.
    pub(super) async fn noted(&self, one: Option<&RecordId>) -> Result<BTreeSet<String>> {
        use crate::query::{and, eq, not};
        let (scope, collection) = self.place()?;
        if collection.as_str() == crate::merge::CONFLICTS {
            return Ok(BTreeSet::new());
        }
        let notes = Self::reserved(self.client.clone(), scope.clone(), crate::merge::CONFLICTS)?;
        let mut open = and([eq("/collection", collection.as_str()), not(eq("/resolved", true))]);
        if let Some(id) = one {
            open = and([open, eq("/record", id.as_str())]);
        }
        let notes = notes.query().filter(open).records().await?;
        Ok(set_of(notes.iter().filter_map(|note| note.doc["record"].as_str()).map(str::to_owned)))
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
