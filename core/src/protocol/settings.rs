//! API keys and storage, as the routes under `/settings` tell them.

use serde::{Deserialize, Serialize};

use crate::reading;

/// What an API key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "uniffi", derive(uniffi::Enum))]
#[cfg_attr(feature = "wasm", derive(tsify::Tsify))]
#[serde(rename_all = "snake_case")]
pub enum KeyPermission {
    /// Read records and settings.
    Read,
    /// Write them. The answers to writes tell records, so it includes `read`.
    Write,
}

/// What an API key is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "uniffi", derive(uniffi::Enum))]
#[cfg_attr(feature = "wasm", derive(tsify::Tsify))]
#[serde(rename_all = "snake_case")]
pub enum KeyProvider {
    /// Anything.
    #[default]
    Custom,
    /// A plugin of a host application.
    Plugin,
    /// Another service.
    Integration,
}

impl KeyProvider {
    /// Its name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Custom => "custom",
            Self::Plugin => "plugin",
            Self::Integration => "integration",
        }
    }
}

/// An API key, without its secret. Times are milliseconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "uniffi", derive(uniffi::Record))]
#[cfg_attr(feature = "wasm", derive(tsify::Tsify))]
pub struct ApiKey {
    /// Its public part, which is also in the key itself.
    pub key_id: String,
    /// What its user calls it.
    pub name: String,
    /// What it is for.
    pub provider: KeyProvider,
    /// What it may do.
    pub permissions: Vec<KeyPermission>,
    /// Whether it is switched on.
    pub is_active: bool,
    /// When it was made.
    pub created_at: u64,
    /// When its user last changed it.
    pub updated_at: u64,
    /// When it was last used, to the minute; absent if never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<u64>,
    /// From when on it is not good any more; absent for never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
}

reading::fields!(ApiKey {
    key_id, name, provider, permissions, is_active, created_at, updated_at, last_used = None, expires_at = None,
});

/// Answer to `GET /settings/api-keys`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApiKeyList {
    /// The account's keys, oldest first.
    pub api_keys: Vec<ApiKey>,
}

reading::fields!(ApiKeyList { api_keys });

/// `POST /settings/api-keys`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "uniffi", derive(uniffi::Record))]
#[cfg_attr(feature = "wasm", derive(tsify::Tsify))]
pub struct NewApiKey {
    /// What to call it: 1 to 100 characters.
    pub name: String,
    /// What it is for; `custom` if absent.
    #[serde(default)]
    pub provider: KeyProvider,
    /// What it may do; `read` if absent.
    pub permissions: Vec<KeyPermission>,
    /// From when on it is not to be good any more, in milliseconds since the Unix epoch; absent for never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "uniffi", uniffi(default = None))]
    pub expires_at: Option<u64>,
}

reading::fields!(NewApiKey {
    name, provider = KeyProvider::Custom, permissions = vec![KeyPermission::Read], expires_at = None,
});

/// `PATCH /settings/api-keys/{key_id}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RenameApiKey {
    /// What to call it: 1 to 100 characters.
    pub name: String,
}

reading::fields!(RenameApiKey { name });

/// `PUT /settings/api-keys/{key_id}/toggle`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ToggleApiKey {
    /// Whether it is to be on; if absent, it is switched over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_active: Option<bool>,
}

reading::fields!(ToggleApiKey { is_active = None });

/// `POST /settings/api-keys/{key_id}/rotate`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RotateApiKey {
    /// How long the secret before stays good beside the new one, in seconds: 0 (it ends now, and if absent) to 604,800.
    #[serde(default)]
    pub overlap_s: u64,
}

reading::fields!(RotateApiKey { overlap_s = 0 });

/// An API key with its secret, as creation and rotation answer once.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CreatedApiKey {
    /// Its public part, which is also in the key itself.
    pub key_id: String,
    /// What its user calls it.
    pub name: String,
    /// What it is for.
    pub provider: KeyProvider,
    /// What it may do.
    pub permissions: Vec<KeyPermission>,
    /// Whether it is switched on.
    pub is_active: bool,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_at: u64,
    /// When its user last changed it, in milliseconds since the Unix epoch.
    pub updated_at: u64,
    /// From when on it is not good any more, in milliseconds since the Unix epoch; absent for never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
    /// The whole key, as a program sends it: `unisono_<kind>_<key id>_<secret><checksum>`. The server does not keep it.
    pub secret: String,
}

reading::fields!(CreatedApiKey {
    key_id, name, provider, permissions, is_active, created_at, updated_at, expires_at = None, secret,
});

impl std::fmt::Debug for CreatedApiKey {
    /// Without the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CreatedApiKey").field("key_id", &self.key_id).field("name", &self.name).finish_non_exhaustive()
    }
}

/// Answer to `GET /settings/storage`. Bytes are those of canonical documents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "uniffi", derive(uniffi::Record))]
#[cfg_attr(feature = "wasm", derive(tsify::Tsify))]
pub struct StorageStats {
    /// Bytes of the live records in the account's private scope, without the inbox of conflicts.
    pub storage_used: u64,
    /// Most bytes that it may come to; absent for no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_quota: Option<u64>,
    /// By collection, by name.
    pub collections: Vec<CollectionStorage>,
}

reading::fields!(StorageStats { storage_used, storage_quota = None, collections });

/// What a collection holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "uniffi", derive(uniffi::Record))]
#[cfg_attr(feature = "wasm", derive(tsify::Tsify))]
pub struct CollectionStorage {
    /// Its name.
    pub collection: String,
    /// Live records.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
}

reading::fields!(CollectionStorage { collection, records, bytes });
