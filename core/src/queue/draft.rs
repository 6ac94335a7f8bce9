//! Drafts: writes as the app asks for them, before they are events.

use crate::model::{Basis, EventId, Mode, OpKind, Pointer, Policy, RecordKey, Value};

/// One write.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// The record.
    pub key: RecordKey,
    /// What is done to it.
    pub mutation: Mutation,
    /// What its writer had seen of the record; `None` for what the replica shows when the write is made.
    pub seen: Option<Basis>,
    /// How it meets concurrent writes.
    pub mode: Mode,
    /// Who wins a conflict; `None` for last write wins.
    pub policy: Option<Policy>,
    /// Events that must be settled first.
    pub depends_on: Vec<EventId>,
    /// Version of the app's data.
    pub schema: u32,
}

/// What a write does.
#[derive(Clone, Debug, PartialEq)]
pub enum Mutation {
    /// Makes a record; it must not be alive.
    Create(Value),
    /// Makes a record, or changes the one that is alive to exactly this.
    Put(Value),
    /// Applies an RFC 7396 merge patch; the record must be alive.
    Update(Value),
    /// Applies an RFC 7396 merge patch to the record, or to nothing where it is not alive: then it is made.
    Upsert(Value),
    /// Applies field operations; the record must be alive.
    Edit(Vec<(Pointer, OpKind)>),
    /// Deletes the record; it must be alive.
    Delete,
}

impl Draft {
    /// A write with default mode, policy and schema.
    #[must_use]
    pub fn new(key: RecordKey, mutation: Mutation) -> Self {
        Self { key, mutation, seen: None, mode: Mode::Merge, policy: None, depends_on: Vec::new(), schema: 1 }
    }
}
