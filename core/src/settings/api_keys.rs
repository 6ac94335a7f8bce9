//! The account's API keys. They live at the server alone: nothing of them is kept in the replica.

use std::time::Duration;

use secrecy::SecretString;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::client::SettingsClient;
use crate::client::Client;
use crate::error::{Error, Result};
use crate::protocol::{ApiKey, ApiKeyList, CreatedApiKey, NewApiKey, RenameApiKey, RotateApiKey, ToggleApiKey};
use crate::transport::{Method, TransportError, wire};

#[cfg(test)]
mod tests;

/// Where they are, below the base path.
const PATH: &str = "/settings/api-keys";

/// The account's API keys, with which programs that cannot sign in reach the server. Every call asks the server.
#[derive(Clone, Debug)]
pub struct ApiKeys {
    client: Client,
}

/// A key and its secret, which no later call tells again. Its `Debug` form is redacted.
#[derive(Clone, Debug)]
pub struct IssuedApiKey {
    /// The key.
    pub key: ApiKey,
    /// The whole key as a program sends it.
    pub secret: SecretString,
}

impl SettingsClient {
    /// The account's API keys.
    #[must_use]
    pub fn api_keys(&self) -> ApiKeys {
        ApiKeys { client: self.client().clone() }
    }
}

impl ApiKeys {
    /// Makes a key. If the answer is lost, the key may exist nevertheless: [`list`](Self::list) shows it, and since nobody knows
    /// its secret, it can only be deleted or rotated.
    ///
    /// # Errors
    /// `offline`; `settings_invalid` or another refusal of the server's; those of credentials.
    pub async fn create(&self, key: &NewApiKey) -> Result<IssuedApiKey> {
        issued(&self.client.ask(Method::Post, PATH, Some(body(key)?)).await?)
    }

    /// All keys, oldest first. Secrets are not among what is told.
    ///
    /// # Errors
    /// `offline`; those of credentials.
    pub async fn list(&self) -> Result<Vec<ApiKey>> {
        let list: ApiKeyList = read(&self.client.ask(Method::Get, PATH, None).await?)?;
        Ok(list.api_keys)
    }

    /// Gives a key another name.
    ///
    /// # Errors
    /// As [`create`](Self::create), and the server's `not_found`.
    pub async fn rename(&self, key_id: &str, name: &str) -> Result<ApiKey> {
        let body = body(&RenameApiKey { name: name.to_owned() })?;
        read(&self.client.ask(Method::Patch, &place(key_id, ""), Some(body)).await?)
    }

    /// Switches a key on or off. One that is off is refused from then on.
    ///
    /// # Errors
    /// As [`rename`](Self::rename).
    pub async fn set_active(&self, key_id: &str, is_active: bool) -> Result<ApiKey> {
        let body = body(&ToggleApiKey { is_active: Some(is_active) })?;
        read(&self.client.ask(Method::Put, &place(key_id, "/toggle"), Some(body)).await?)
    }

    /// Gives a key a new secret. The one before stays good for `overlap` (whole seconds, at most a week), so that programs can
    /// change over one by one.
    ///
    /// # Errors
    /// As [`rename`](Self::rename).
    pub async fn rotate(&self, key_id: &str, overlap: Duration) -> Result<IssuedApiKey> {
        let body = body(&RotateApiKey { overlap_s: overlap.as_secs() })?;
        issued(&self.client.ask(Method::Post, &place(key_id, "/rotate"), Some(body)).await?)
    }

    /// Deletes a key, for good.
    ///
    /// # Errors
    /// As [`rename`](Self::rename).
    pub async fn delete(&self, key_id: &str) -> Result<()> {
        self.client.ask(Method::Delete, &place(key_id, ""), None).await.map(drop)
    }
}

fn place(key_id: &str, call: &str) -> String {
    let mut path = format!("{PATH}/");
    wire::percent_encode(key_id, &mut path);
    path + call
}

fn body(request: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(request).map_err(|error| Error::Internal(error.to_string()))
}

/// Reads an answer. What does not fit is not quoted: it may be a secret.
pub(super) fn read<T: DeserializeOwned>(answer: &[u8]) -> Result<T> {
    serde_json::from_slice(answer).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        TransportError::Malformed(format!("an answer about settings does not fit at {place}")).into()
    })
}

fn issued(answer: &[u8]) -> Result<IssuedApiKey> {
    let CreatedApiKey { key_id, name, provider, permissions, is_active, created_at, updated_at, expires_at, secret } =
        read(answer)?;
    let key =
        ApiKey { key_id, name, provider, permissions, is_active, created_at, updated_at, last_used: None, expires_at };
    Ok(IssuedApiKey { key, secret: secret.into() })
}
