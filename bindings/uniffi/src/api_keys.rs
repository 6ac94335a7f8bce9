//! The account's API keys.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use unisono::protocol::{ApiKey, NewApiKey};

use crate::Result;
use crate::executor::On;

/// The account's API keys, with which programs that cannot sign in reach the server. Every call asks the server: without a
/// network it fails with `offline`.
#[derive(Debug, uniffi::Object)]
pub struct ApiKeys(On<unisono::settings::ApiKeys>);

impl ApiKeys {
    pub(crate) fn new(keys: On<unisono::settings::ApiKeys>) -> Self {
        Self(keys)
    }
}

/// A key and its secret, which no later call tells again.
#[derive(Debug, uniffi::Record)]
pub struct IssuedApiKey {
    /// The key.
    pub key: ApiKey,
    /// The whole key as a program sends it.
    pub secret: Arc<Secret>,
}

impl From<unisono::settings::IssuedApiKey> for IssuedApiKey {
    fn from(issued: unisono::settings::IssuedApiKey) -> Self {
        Self { key: issued.key, secret: Arc::new(Secret(issued.secret)) }
    }
}

/// A text that no log and no error shows: as text it is `[redacted]`.
#[derive(uniffi::Object)]
#[uniffi::export(Debug, Display)]
pub struct Secret(SecretString);

#[uniffi::export]
impl Secret {
    /// The text itself.
    pub fn reveal(&self) -> String {
        self.0.expose_secret().to_owned()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[uniffi::export]
impl ApiKeys {
    /// Makes a key. If the answer is lost, the key may exist nevertheless: `list` shows it, and since nobody knows its secret,
    /// it can only be deleted or rotated.
    pub async fn create(&self, key: NewApiKey) -> Result<IssuedApiKey> {
        self.0.call(|keys| async move { keys.create(&key).await.map(IssuedApiKey::from) }).await
    }

    /// All keys, oldest first, without their secrets.
    pub async fn list(&self) -> Result<Vec<ApiKey>> {
        self.0.call(|keys| async move { keys.list().await }).await
    }

    /// Gives a key another name.
    pub async fn rename(&self, key_id: String, name: String) -> Result<ApiKey> {
        self.0.call(|keys| async move { keys.rename(&key_id, &name).await }).await
    }

    /// Switches a key on or off. One that is off is refused from then on.
    pub async fn set_active(&self, key_id: String, is_active: bool) -> Result<ApiKey> {
        self.0.call(|keys| async move { keys.set_active(&key_id, is_active).await }).await
    }

    /// Gives a key a new secret. The one before stays good for `overlap` (whole seconds, at most a week), so that programs can
    /// change over one by one.
    pub async fn rotate(&self, key_id: String, overlap: Duration) -> Result<IssuedApiKey> {
        self.0.call(|keys| async move { keys.rotate(&key_id, overlap).await.map(IssuedApiKey::from) }).await
    }

    /// Deletes a key, for good.
    pub async fn delete(&self, key_id: String) -> Result<()> {
        self.0.call(|keys| async move { keys.delete(&key_id).await }).await
    }
}
