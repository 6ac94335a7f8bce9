//! What opening a client takes.

use std::sync::Arc;
use std::time::Duration;

use unisono::engine::EngineOptions;
use unisono::environment::run_blocking;
use unisono::error::InvalidCode;
use unisono::storage::SqliteStorage;
use unisono::transport::HttpTransport;
use unisono::{Client, Error};

use crate::environment::GatedEnvironment;
use crate::tokens::{Asked, TokenSource};

/// How a client is opened. It has no text form: it may hold a token.
#[derive(uniffi::Record)]
pub struct ClientOptions {
    /// The replica's file; made if there is none. `:memory:` keeps it in memory, until it is closed.
    pub path: String,
    /// The server. Without it the client works on its replica alone.
    #[uniffi(default)]
    pub url: Option<String>,
    /// Whose replica this is; read from the token if it is not given.
    #[uniffi(default)]
    pub account: Option<String>,
    /// The bearer token or API key.
    #[uniffi(default)]
    pub token: Option<String>,
    /// Or where tokens come from.
    #[uniffi(default)]
    pub token_source: Option<Arc<dyn TokenSource>>,
    /// Allows the account to take over a replica that was written without one.
    #[uniffi(default = false)]
    pub claim_anonymous: bool,
    /// Indexes over fields of collections.
    #[uniffi(default)]
    pub indexes: Vec<IndexOptions>,
    /// The version of the app's data; 1 unless set.
    #[uniffi(default)]
    pub schema: Option<u32>,
    /// Between background syncs without a cause; a minute unless set.
    #[uniffi(default)]
    pub sync_interval: Option<Duration>,
}

/// An index over fields of a collection.
#[derive(Clone, Debug, uniffi::Record)]
pub struct IndexOptions {
    /// The collection.
    pub collection: String,
    /// JSON Pointers or top-level names, in order.
    pub fields: Vec<String>,
}

impl ClientOptions {
    /// Opens the core's client.
    pub(crate) async fn open(self, environment: GatedEnvironment) -> unisono::Result<Client> {
        let path = self.path;
        let opened = run_blocking(&environment, move || SqliteStorage::open(path)).await;
        let storage = opened.ok_or_else(|| Error::Internal("opening the replica panicked".into()))??;
        let mut builder = Client::builder().storage(storage).environment(environment);
        if let Some(url) = self.url {
            builder = builder.transport(HttpTransport::new(url)?);
        }
        if let Some(account) = self.account {
            builder = builder.account(account);
        }
        builder = match (self.token, self.token_source) {
            (Some(_), Some(_)) => {
                return Err(Error::invalid(InvalidCode::Config, "a token and a source of tokens: give one of them"));
            }
            (Some(token), None) => builder.token(token),
            (None, Some(source)) => builder.credentials(Asked::new(source)),
            (None, None) => builder,
        };
        if self.claim_anonymous {
            builder = builder.claim_anonymous();
        }
        for index in self.indexes {
            builder = builder.index(index.collection, index.fields);
        }
        if let Some(schema) = self.schema {
            builder = builder.schema(schema);
        }
        if let Some(interval) = self.sync_interval {
            builder = builder.engine_options(EngineOptions { interval, ..EngineOptions::default() });
        }
        builder.build().await
    }
}
