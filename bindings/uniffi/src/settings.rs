//! Settings.

use std::sync::Arc;

use unisono::model::{EventId, Value};
use unisono::settings::{Level, StorageUse};

use crate::Result;
use crate::api_keys::ApiKeys;
use crate::executor::On;
use crate::stream::{Reader, Source};

/// The account's settings: choices by level over defaults in code.
#[derive(Debug, uniffi::Object)]
pub struct SettingsClient(On<unisono::SettingsClient>);

impl SettingsClient {
    pub(crate) fn new(settings: On<unisono::SettingsClient>) -> Self {
        Self(settings)
    }
}

#[uniffi::export]
impl SettingsClient {
    /// What the user prefers: `analysis`, `ui`, `notifications`, `cloud_sync`.
    pub fn preferences(&self) -> Arc<Settings> {
        Arc::new(Settings(self.0.with(self.0.inner.preferences())))
    }

    /// Who the user is: `username`, `email`, `avatar_url`, `bio`.
    pub fn profile(&self) -> Arc<Settings> {
        Arc::new(Settings(self.0.with(self.0.inner.profile())))
    }

    /// Settings of the app's own, by the group's name, with the app's defaults (an object).
    pub fn group(&self, name: String, defaults: Value) -> Result<Arc<Settings>> {
        Ok(Arc::new(Settings(self.0.with(self.0.inner.group(&name, defaults)?))))
    }

    /// The same settings as a member of a workspace has them: what it gives stands between the user's choices and the defaults.
    /// Makes the workspace one of those that are synced.
    pub async fn in_workspace(&self, id: String) -> Result<Arc<Self>> {
        let within = self.0.call(|settings| async move { settings.in_workspace(&id).await }).await?;
        Ok(Arc::new(Self(self.0.with(within))))
    }

    /// The account's API keys.
    pub fn api_keys(&self) -> Arc<ApiKeys> {
        Arc::new(ApiKeys::new(self.0.with(self.0.inner.api_keys())))
    }

    /// How much room the account's own records take and may take, as the server counts; as this replica does while no server can
    /// be reached.
    pub async fn storage(&self) -> Result<StorageUse> {
        self.0.call(|settings| async move { settings.storage().await }).await
    }
}

/// A document of settings. Reads never wait for the network; changes are durable when the call returns.
#[derive(Debug, uniffi::Object)]
pub struct Settings(On<unisono::settings::Settings>);

#[uniffi::export]
impl Settings {
    /// The same document, whose changes are made at `level`; without it they are the user's, on all devices.
    pub fn at(&self, level: Level) -> Result<Arc<Self>> {
        Ok(Arc::new(Self(self.0.with(self.0.inner.at(level)?))))
    }

    /// The whole document as it holds on this device, defaults filled in.
    pub async fn get(&self) -> Result<Value> {
        self.0.call(|settings| async move { settings.get().await }).await
    }

    /// Applies an RFC 7396 merge patch: null takes a choice back. What holds already is no choice: none if nothing changes.
    pub async fn update(&self, patch: Value) -> Result<Option<EventId>> {
        self.0.call(|settings| async move { settings.update(patch).await }).await
    }

    /// Takes back the choice at `path` and all below it; whether there was one. Without a level, the user's and this device's.
    pub async fn reset(&self, path: String) -> Result<bool> {
        self.0.call(|settings| async move { settings.reset(&path).await }).await
    }

    /// Where the value at `path` comes from.
    pub async fn level(&self, path: String) -> Result<Level> {
        self.0.call(|settings| async move { settings.level(&path).await }).await
    }

    /// Whether somebody has chosen the value at `path`.
    pub async fn is_overridden(&self, path: String) -> Result<bool> {
        self.0.call(|settings| async move { settings.is_overridden(&path).await }).await
    }

    /// Follows the document: first as it is, then whenever it changes, here or on another device.
    pub fn watch(&self) -> Result<Arc<SettingsWatch>> {
        Ok(Arc::new(SettingsWatch(Reader::new(self.0.with(()), self.0.inner.watch()?))))
    }
}

impl Source for unisono::settings::SettingsWatch {
    type Item = Value;

    async fn next(&mut self) -> unisono::Result<Option<Value>> {
        self.next().await
    }
}

/// Follows a document of settings. Dropping it ends it.
#[derive(Debug, uniffi::Object)]
pub struct SettingsWatch(Reader<unisono::settings::SettingsWatch>);

#[uniffi::export]
impl SettingsWatch {
    /// The document as it holds now; none once the client is closed.
    pub async fn next(&self) -> Result<Option<Value>> {
        self.0.next().await
    }
}
