//! The settings client: what an app reads and changes.

use super::api_keys::read;
use super::document::Settings;
use super::layers::defaults;
use super::names::{Document, SETTINGS};
use crate::client::{Client, ClientBuilder};
use crate::error::Result;
use crate::model::{Scope, Value};
use crate::transport::Method;

/// Settings of a user, with defaults in code.
///
/// It is one of the three parts of the SDK, beside the queue and the resolver. [`Client::settings`] gives one to an app that
/// syncs records of its own; one that wants nothing but settings [opens](Self::open) it over a storage and a transport.
#[derive(Clone, Debug)]
pub struct SettingsClient {
    client: Client,
    workspace: Option<Scope>,
}

impl SettingsClient {
    /// The settings of a client's account.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client, workspace: None }
    }

    /// Opens a replica for settings alone.
    ///
    /// # Errors
    /// Those of [`ClientBuilder::build`].
    pub async fn open(builder: ClientBuilder) -> Result<Self> {
        Ok(Self::new(builder.build().await?))
    }

    /// The client that keeps and syncs them: to start, sync and close.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The same settings as a member of a workspace has them: what the workspace gives stands between the user's own choices and
    /// the defaults. Makes the workspace one of those that are synced.
    ///
    /// # Errors
    /// `invalid_id`; the storage's.
    pub async fn in_workspace(&self, id: &str) -> Result<Self> {
        self.client.workspace(id).subscribe().await?;
        Ok(Self { client: self.client.clone(), workspace: Some(Scope::workspace(id)?) })
    }

    /// The server's answer, as JSON, to a request for what it alone has: `path` begins after `/settings` (docs/protocol.md), `body`
    /// is JSON. For bindings to a language with types of its own; others have [`api_keys`](Self::api_keys) and
    /// [`storage`](Self::storage).
    ///
    /// # Errors
    /// `offline`; the server's refusals; `malformed_answer`; those of credentials.
    pub async fn ask(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Result<Value> {
        let answer = self.client.ask(method, &format!("/settings{path}"), body).await?;
        if answer.is_empty() { Ok(Value::Null) } else { read(&answer) }
    }

    /// Who the user is: `username`, `email`, `avatar_url`, `bio`.
    #[must_use]
    pub fn profile(&self) -> Settings {
        self.document(Document::Profile)
    }

    /// What the user prefers: `analysis`, `ui`, `notifications`, `cloud_sync`.
    #[must_use]
    pub fn preferences(&self) -> Settings {
        self.document(Document::Preferences)
    }

    /// Settings of the app's own, by the group's name, with the app's `defaults` (an object). A newer version of the app may have
    /// other defaults: they hold at once, since no default is ever stored.
    ///
    /// # Errors
    /// `invalid_id` for a name that is not of 1 to 128 letters, digits, `_`, `-`, `.`; `not_an_object`.
    pub fn group(&self, name: &str, defaults: Value) -> Result<Settings> {
        crate::model::value::admit_document(&mut defaults.clone())?;
        Ok(Settings::new(self.client.clone(), self.workspace.clone(), Document::group(name)?, defaults))
    }

    fn document(&self, document: Document) -> Settings {
        let defaults = defaults(document.fields());
        Settings::new(self.client.clone(), self.workspace.clone(), document, defaults)
    }
}

impl Client {
    /// The account's settings.
    #[must_use]
    pub fn settings(&self) -> SettingsClient {
        SettingsClient::new(self.clone())
    }
}

/// The collection that holds settings in `scope`, which apps reach through this module only.
pub(super) fn collection(client: &Client, scope: &Scope) -> Result<crate::Collection> {
    crate::Collection::reserved(client.clone(), scope.clone(), SETTINGS)
}
