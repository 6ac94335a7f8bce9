//! Reads what is stored of a document at each level.

use super::layers::{Level, merged};
use super::names::{Document, SETTINGS};
use crate::error::Result;
use crate::model::{CollectionName, RecordId, RecordKey, Scope, Value};
use crate::replica::Replica;

/// What is stored at `level`: an object, or `null` for nothing. Touches the replica only.
pub(crate) async fn stored(
    replica: &Replica,
    document: &Document,
    level: Level,
    workspace: Option<&Scope>,
) -> Result<Value> {
    let (scope, record) = match (level, workspace) {
        (Level::Device, _) => (&Scope::User, Document::device_record(&replica.snapshot().device)?),
        (Level::User, _) => (&Scope::User, document.record()?),
        (Level::Workspace, Some(scope)) => (scope, document.record()?),
        (Level::Workspace, None) | (Level::Default, _) => return Ok(Value::Null),
    };
    let mut value = view(replica, scope, record).await?;
    if level == Level::Device {
        for member in document.within_device() {
            value = value.get_mut(member).map(Value::take).unwrap_or_default();
        }
    }
    Ok(value)
}

async fn view(replica: &Replica, scope: &Scope, record: RecordId) -> Result<Value> {
    let key = RecordKey { collection: CollectionName::new(SETTINGS)?, record };
    let row = replica.record(scope, &key).await?;
    Ok(row.and_then(|row| row.view().cloned()).unwrap_or_default())
}

/// The document that holds at `level`: of it and the broader ones, over `defaults`.
pub(crate) async fn effective(
    replica: &Replica,
    document: &Document,
    level: Level,
    workspace: Option<&Scope>,
    defaults: Value,
) -> Result<Value> {
    let mut value = defaults;
    for layer in [Level::Workspace, Level::User, Level::Device].into_iter().filter(|layer| *layer >= level) {
        value = merged(value, &stored(replica, document, layer, workspace).await?);
    }
    Ok(value)
}

/// What the user has chosen of `member` of a document, on this device or on all: without defaults, for whoever has their own.
pub(crate) async fn preference(replica: &Replica, document: &Document, member: &str) -> Result<Value> {
    let mut chosen = effective(replica, document, Level::Device, None, Value::Null).await?;
    Ok(chosen.get_mut(member).map(Value::take).unwrap_or_default())
}
