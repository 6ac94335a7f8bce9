//! Follows a document of settings.

use futures_util::future::select;

use super::client::collection;
use super::document::Settings;
use crate::client::{Watch, WatchUpdate};
use crate::error::Result;
use crate::model::{Scope, Value};

/// Follows a document of settings, whatever changes it: the user, here or on another device, or a workspace. Dropping it ends
/// it.
#[derive(Debug)]
pub struct SettingsWatch {
    settings: Settings,
    own: Watch,
    workspace: Option<Watch>,
    last: Option<Value>,
}

impl SettingsWatch {
    pub(super) fn new(settings: Settings) -> Result<Self> {
        let watch = |scope: &Scope| collection(&settings.client, scope)?.query().watch();
        let workspace = settings.workspace.as_ref().map(watch).transpose()?;
        Ok(Self { own: watch(&Scope::User)?, workspace, last: None, settings })
    }

    /// The document as it holds now; `None` once the client is closed. The first comes at once, later ones when something has
    /// changed. Cancelling loses nothing.
    ///
    /// # Errors
    /// The storage's.
    pub async fn next(&mut self) -> Result<Option<Value>> {
        loop {
            if self.changed().await?.is_none() {
                return Ok(None);
            }
            let now = self.settings.get().await?;
            if self.last.as_ref() != Some(&now) {
                self.last = Some(now.clone());
                return Ok(Some(now));
            }
        }
    }

    async fn changed(&mut self) -> Result<Option<WatchUpdate>> {
        match &mut self.workspace {
            None => self.own.next().await,
            Some(workspace) => {
                let (own, workspace) = (Box::pin(self.own.next()), Box::pin(workspace.next()));
                select(own, workspace).await.factor_first().0
            }
        }
    }
}
