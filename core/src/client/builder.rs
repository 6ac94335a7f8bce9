//! Opening a client.

use std::sync::Arc;

use secrecy::SecretString;

use super::handle::Client;
use super::identity::Opener;
use crate::engine::{Credentials, Engine, EngineOptions, Tokens};
use crate::environment::SharedEnvironment;
use crate::error::{Error, InvalidCode, Result};
use crate::model::{CollectionName, Pointer, Policy};
use crate::query::{IndexDefinition, IndexSet};
use crate::queue::{OfflineQueue, PolicyTable, QueueLimits};
use crate::replica::Writer;
use crate::storage::Storage;
use crate::transport::{NoTransport, Transport};

/// Collects what a client needs.
#[derive(Debug, Default)]
#[must_use = "a builder does nothing before `build`"]
pub struct ClientBuilder {
    storage: Option<Arc<dyn Storage>>,
    transport: Option<Arc<dyn Transport>>,
    environment: Option<SharedEnvironment>,
    credentials: Option<Arc<dyn Credentials>>,
    account: Option<String>,
    claim: bool,
    policies: Vec<(String, Option<String>, Policy)>,
    indexes: Vec<(String, Vec<String>)>,
    schema: Option<u32>,
    limits: QueueLimits,
    options: EngineOptions,
}

impl ClientBuilder {
    /// Where the replica is kept.
    pub fn storage(mut self, storage: impl Storage) -> Self {
        self.storage = Some(Arc::new(storage));
        self
    }

    /// How the server is reached. Without it the client works on its replica alone.
    pub fn transport(mut self, transport: impl Transport) -> Self {
        self.transport = Some(Arc::new(transport));
        self
    }

    /// Clock, timer, randomness and tasks; [`TokioEnvironment`](crate::TokioEnvironment) by default on native targets.
    pub fn environment(mut self, environment: impl crate::Environment) -> Self {
        self.environment = Some(Arc::new(environment));
        self
    }

    /// Whose replica this is; read from the token's `sub` if it is not given. Where both are there, they must agree: a token at
    /// hand is compared whatever is said here. A replica that was made without either is anonymous: it keeps what is written,
    /// and syncs once it is [claimed](Self::claim_anonymous).
    ///
    /// With an account given, opening asks a [source of tokens](Self::credentials) for none, unless the replica is sealed.
    pub fn account(mut self, account: impl Into<String>) -> Self {
        self.account = Some(account.into());
        self
    }

    /// Allows the account to take over a replica that was written anonymously. That happens once.
    pub fn claim_anonymous(mut self) -> Self {
        self.claim = true;
        self
    }

    /// The bearer token or API key.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.credentials = Some(Tokens::fixed(SecretString::from(token.into())));
        self
    }

    /// A source of tokens, asked for the first one and whenever the server has refused one.
    pub fn credentials(mut self, credentials: impl Credentials) -> Self {
        self.credentials = Some(Arc::new(credentials));
        self
    }

    /// Declares an index over fields of a collection (JSON Pointers or top-level names), built at the next open.
    pub fn index<P: AsRef<str>>(mut self, collection: impl Into<String>, paths: impl IntoIterator<Item = P>) -> Self {
        let paths = paths.into_iter().map(|path| path.as_ref().to_owned()).collect();
        self.indexes.push((collection.into(), paths));
        self
    }

    /// Who wins conflicts in a collection.
    pub fn policy(mut self, collection: impl Into<String>, policy: Policy) -> Self {
        self.policies.push((collection.into(), None, policy));
        self
    }

    /// Who wins conflicts at a field (a JSON Pointer) and all below it.
    pub fn field_policy(mut self, collection: impl Into<String>, path: impl Into<String>, policy: Policy) -> Self {
        self.policies.push((collection.into(), Some(path.into()), policy));
        self
    }

    /// The version of the app's data, stamped on its events; 1 by default.
    pub fn schema(mut self, version: u32) -> Self {
        self.schema = Some(version);
        self
    }

    /// How much the queue holds before it refuses writes.
    pub fn queue_limits(mut self, limits: QueueLimits) -> Self {
        self.limits = limits;
        self
    }

    /// How the engine works.
    pub fn engine_options(mut self, options: EngineOptions) -> Self {
        self.options = options;
        self
    }

    /// Opens the replica. Nothing runs in the background before [`Client::start`].
    ///
    /// # Errors
    /// `invalid_config`; `identity_mismatch` if the replica is another account's (as `account` or the token says), or anonymous
    /// and not claimed; `sealed` after a sign-out, without a token of its account; `auth_required` if the token that was needed
    /// is not to be had, or is refused; `unreachable` and its kin if the server had to be asked whose token it is; the storage's
    /// (`already_open`, `newer_schema`, `storage_corrupt`, …).
    pub async fn build(self) -> Result<Client> {
        let config = |message: &str| Error::invalid(InvalidCode::Config, message);
        let storage = self.storage.ok_or_else(|| config("a client needs a storage"))?;
        let environment = match self.environment {
            Some(environment) => environment,
            None => default_environment().ok_or_else(|| config("a client needs an environment"))?,
        };
        let transport = self.transport.unwrap_or_else(|| Arc::new(NoTransport));
        let indexes = Arc::new(declare(&self.indexes)?);
        let mut policies = PolicyTable::default();
        for (collection, path, policy) in &self.policies {
            let path = path.as_ref().map(|path| Pointer::parse(path)).transpose()?;
            policies.set(CollectionName::new(collection)?, path, *policy);
        }

        let tokens = Tokens::new(self.credentials);
        let opened = async {
            let writer = Writer::open(storage.clone(), environment.clone(), indexes.clone()).await?;
            let queue = OfflineQueue::new(writer, self.limits, policies);
            let engine = Engine::new(queue.clone(), transport, environment.clone(), tokens, self.options);
            let opener = Opener::of(&engine, &*environment, self.account).await?;
            Opener { claim: self.claim, ..opener }.enter(queue.writer()).await?;
            crate::query::build_indexes(&*storage, &indexes).await?;
            Ok((Arc::new(engine), queue))
        }
        .await;
        let (engine, queue) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                // The caller has no client to close.
                drop(storage.close().await);
                return Err(error);
            }
        };
        Ok(Client::new(engine, queue, self.schema.unwrap_or(1)))
    }
}

fn declare(indexes: &[(String, Vec<String>)]) -> Result<IndexSet> {
    let definitions = indexes.iter().map(|(collection, paths)| {
        // The fields are the name: another choice of fields is another index.
        IndexDefinition::new(CollectionName::new(collection)?, paths.join(","), paths)
    });
    IndexSet::new(definitions.collect::<Result<Vec<_>>>()?)
}

#[cfg(feature = "native")]
#[expect(clippy::unnecessary_wraps, reason = "there is none without the native feature")]
fn default_environment() -> Option<SharedEnvironment> {
    Some(Arc::new(crate::TokioEnvironment))
}

#[cfg(not(feature = "native"))]
fn default_environment() -> Option<SharedEnvironment> {
    None
}
