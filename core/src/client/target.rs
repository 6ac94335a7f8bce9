//! The record that a write is to, and what its writer has seen of it.

use crate::error::{Error, InvalidCode, Result};
use crate::model::{Basis, RecordId, Seen};
use crate::query::Record;

/// The record that a write is to: by its id, or by a read of it.
///
/// A write by id is judged by what the replica shows when it is made. One by a read is judged by what that read showed: it is
/// concurrent with whatever came after, though a pull may have brought it meanwhile. So an editor that was open while a pull
/// arrived overwrites nothing unseen: what loses is kept in the inbox, and a strict write is refused.
#[derive(Clone, Debug)]
pub struct Target {
    id: String,
    seen: Option<Seen>,
}

impl Target {
    /// The record `id`, of which its writer has seen `seen`.
    #[must_use]
    pub fn new(id: impl Into<String>, seen: Option<Seen>) -> Self {
        Self { id: id.into(), seen }
    }

    /// Checks both.
    pub(super) fn take(self) -> Result<(RecordId, Option<Basis>)> {
        let id = RecordId::new(self.id)?;
        match self.seen {
            Some(seen) if seen.id != id => Err(Error::invalid(
                InvalidCode::Seen,
                format!("`seen` is a read of {:?}, the write is to {:?}", seen.id.as_str(), id.as_str()),
            )),
            seen => Ok((id, seen.map(|seen| seen.basis))),
        }
    }
}

impl From<String> for Target {
    fn from(id: String) -> Self {
        Self::new(id, None)
    }
}

impl From<&String> for Target {
    fn from(id: &String) -> Self {
        Self::new(id, None)
    }
}

impl From<&str> for Target {
    fn from(id: &str) -> Self {
        Self::new(id, None)
    }
}

/// What iterating over a list of ids gives.
impl From<&&str> for Target {
    fn from(id: &&str) -> Self {
        Self::new(*id, None)
    }
}

impl From<&RecordId> for Target {
    fn from(id: &RecordId) -> Self {
        Self::new(id.as_str(), None)
    }
}

impl From<&Record> for Target {
    fn from(record: &Record) -> Self {
        Self::new(record.id.as_str(), Some(record.seen()))
    }
}
