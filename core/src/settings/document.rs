//! One document of settings: read, changed and watched.

use serde_json::Map;

use super::check::check_values;
use super::client::collection;
use super::layer_reader::{effective, stored};
use super::layers::{Level, overrides};
use super::names::Document;
use super::watch::SettingsWatch;
use crate::client::Client;
use crate::error::{Error, InvalidCode, Result};
use crate::model::{EventId, Pointer, Scope, Value};
use crate::queue::Mutation;

/// A document of settings. Reads never wait for the network; changes are durable when the call returns, and sync like any
/// record, field by field.
#[derive(Clone, Debug)]
pub struct Settings {
    pub(super) client: Client,
    pub(super) workspace: Option<Scope>,
    document: Document,
    defaults: Value,
    level: Option<Level>,
}

impl Settings {
    pub(super) fn new(client: Client, workspace: Option<Scope>, document: Document, defaults: Value) -> Self {
        Self { client, workspace, document, defaults, level: None }
    }

    /// The same document, whose changes are made at `level`. Without it, they are the user's, on all devices.
    ///
    /// # Errors
    /// `invalid_config` for the level of defaults, which are code, and for that of a workspace outside of one.
    pub fn at(&self, level: Level) -> Result<Self> {
        match level {
            Level::Default => Err(Error::invalid(InvalidCode::Config, "a default is code: it cannot be changed")),
            Level::Workspace if self.workspace.is_none() => Err(Error::invalid(
                InvalidCode::Config,
                "these settings are no workspace's: ask for them with `in_workspace`",
            )),
            level => Ok(Self { level: Some(level), ..self.clone() }),
        }
    }

    /// The whole document as it holds on this device: defaults filled in, and unknown fields of newer versions as they are.
    ///
    /// # Errors
    /// The storage's.
    pub async fn get(&self) -> Result<Value> {
        self.holding(Level::Device).await
    }

    /// [`get`](Self::get) as a type of the app's.
    ///
    /// # Errors
    /// `invalid_json` if the document does not fit the type; the storage's.
    #[cfg(feature = "native")]
    pub async fn get_as<T: serde::de::DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_value(self.get().await?).map_err(|error| Error::invalid(InvalidCode::Json, error.to_string()))
    }

    async fn holding(&self, level: Level) -> Result<Value> {
        self.client.check_shown()?;
        let (replica, workspace) = (self.client.reader(), self.workspace.as_ref());
        effective(&replica, &self.document, level, workspace, self.defaults.clone()).await
    }

    async fn stored(&self, level: Level) -> Result<Value> {
        self.client.check_shown()?;
        stored(&self.client.reader(), &self.document, level, self.workspace.as_ref()).await
    }

    /// Applies an RFC 7396 merge patch. A member that says what holds already is no choice and is not written; `null` takes a
    /// choice back. `None` if nothing changes.
    ///
    /// # Errors
    /// `settings_invalid`, with every field that does not fit; `invalid_patch`; those of a write.
    pub async fn update(&self, patch: Value) -> Result<Option<EventId>> {
        if !patch.is_object() {
            return Err(Error::invalid(
                InvalidCode::Patch,
                "a change of settings is a JSON object of the fields to change",
            ));
        }
        let errors = check_values(self.document.fields(), &patch);
        if !errors.is_empty() {
            return Err(Error::Settings(errors));
        }
        let level = self.level.unwrap_or(Level::User);
        let chosen = overrides(patch, &self.holding(level).await?, &self.stored(level).await?);
        self.write(level, chosen).await
    }

    /// Takes back the choice at `path` (a JSON Pointer, or the name of a member) and all below it, so that what a broader level
    /// or the default says holds again. Without a [level](Self::at), the user's and this device's. Whether there was one.
    ///
    /// # Errors
    /// `invalid_pointer`; those of a write.
    pub async fn reset(&self, path: &str) -> Result<bool> {
        let path = pointer(path)?;
        let levels = self.level.map_or(vec![Level::Device, Level::User], |level| vec![level]);
        let mut any = false;
        for level in levels {
            if is_set(&path, &self.stored(level).await?) {
                let names: Vec<_> = path.keys().collect();
                let within = |below, name: &std::borrow::Cow<'_, str>| member(name, below);
                any |= self.write(level, names.iter().rev().fold(Value::Null, within)).await?.is_some();
            }
        }
        Ok(any)
    }

    /// Where the value at `path` comes from: the narrowest level that has it.
    ///
    /// # Errors
    /// `invalid_pointer`; the storage's.
    pub async fn level(&self, path: &str) -> Result<Level> {
        let path = pointer(path)?;
        for level in [Level::Device, Level::User, Level::Workspace] {
            if is_set(&path, &self.stored(level).await?) {
                return Ok(level);
            }
        }
        Ok(Level::Default)
    }

    /// Whether somebody has chosen the value at `path`: the user, for all devices or this one, or a workspace.
    ///
    /// # Errors
    /// Those of [`level`](Self::level).
    pub async fn is_overridden(&self, path: &str) -> Result<bool> {
        Ok(self.level(path).await? != Level::Default)
    }

    /// Follows the document: first as it is, then whenever it changes, here or on another device.
    ///
    /// # Errors
    /// The storage's.
    pub fn watch(&self) -> Result<SettingsWatch> {
        SettingsWatch::new(self.clone())
    }

    async fn write(&self, level: Level, patch: Value) -> Result<Option<EventId>> {
        if patch.as_object().is_some_and(Map::is_empty) {
            return Ok(None);
        }
        let (scope, record, patch) = match (level, &self.workspace) {
            (Level::Device, _) => {
                let place = self.document.within_device();
                let patch = place.iter().rev().fold(patch, |below, name| member(name, below));
                (&Scope::User, Document::device_record(&self.client.reader().snapshot().device)?, patch)
            }
            (Level::Workspace, Some(scope)) => (scope, self.document.record()?, patch),
            _ => (&Scope::User, self.document.record()?, patch),
        };
        collection(&self.client, scope)?.write((&record).into(), Mutation::Upsert(patch)).await
    }
}

fn member(name: &str, value: Value) -> Value {
    let mut object = Map::new();
    object.insert(name.to_owned(), value);
    Value::Object(object)
}

fn pointer(path: &str) -> Result<Pointer> {
    if path.starts_with('/') { Pointer::parse(path) } else { Ok(Pointer::top(path)) }
}

fn is_set(path: &Pointer, stored: &Value) -> bool {
    path.find(stored).is_some_and(|value| !value.is_null())
}
