//! The client.

use std::time::Duration;

use unisono::error::InvalidCode;
use unisono::model::{EventId, value};
use wasm_bindgen::prelude::*;

use crate::collection::Collection;
use crate::error::{Result, invalid, thrown};
use crate::stream::Events;
use crate::value::{from_js, text, to_js};

/// A replica with its queue and engine.
#[wasm_bindgen]
pub struct Client(unisono::Client);

#[wasm_bindgen]
impl Client {
    /// Opens a replica. Nothing runs in the background before `start`.
    pub async fn open(#[wasm_bindgen(unchecked_param_type = "OpenOptions")] options: JsValue) -> Result<Client> {
        crate::open::open(&options).await.map(Self)
    }

    /// A collection of the account's own scope.
    pub fn collection(&self, name: JsValue) -> Result<Collection> {
        Ok(Collection::new(self.0.collection(text(&name, "a collection's name")?)))
    }

    /// A collection of a workspace.
    #[wasm_bindgen(js_name = workspaceCollection)]
    pub fn workspace_collection(&self, workspace: JsValue, name: JsValue) -> Result<Collection> {
        let workspace = self.0.workspace(text(&workspace, "a workspace's id")?);
        Ok(Collection::new(workspace.collection(text(&name, "a collection's name")?)))
    }

    /// Makes a workspace one of those that are synced.
    #[wasm_bindgen(js_name = subscribeWorkspace)]
    pub async fn subscribe_workspace(&self, workspace: JsValue) -> Result<()> {
        self.0.workspace(text(&workspace, "a workspace's id")?).subscribe().await.map_err(thrown)
    }

    /// Starts background sync.
    pub async fn start(&self) -> Result<()> {
        self.0.start().await.map_err(thrown)
    }

    /// Syncs every scope now, for at most `deadline_ms`, and waits until that is done.
    #[wasm_bindgen(js_name = syncNow, unchecked_return_type = "SyncReport")]
    pub async fn sync_now(&self, deadline_ms: Option<f64>) -> Result<JsValue> {
        let report = match deadline_ms {
            None => self.0.sync_now().await,
            Some(ms) => {
                let deadline = Duration::try_from_secs_f64(ms / 1000.0);
                let deadline = deadline.map_err(|_| invalid(InvalidCode::Config, "a deadline is a number of ms"))?;
                self.0.sync_within(deadline).await
            }
        };
        to_js(&report.map_err(thrown)?)
    }

    /// The client's state; touches neither disk nor network.
    #[wasm_bindgen(unchecked_return_type = "Status")]
    pub fn status(&self) -> Result<JsValue> {
        to_js(&self.0.status())
    }

    /// What happens in the client from now on.
    pub fn events(&self) -> Events {
        Events::new(self.0.events())
    }

    /// Unsettled events, in queue order.
    #[wasm_bindgen(unchecked_return_type = "QueuedEvent[]")]
    pub async fn pending(&self) -> Result<JsValue> {
        to_js(&self.0.pending().await.map_err(thrown)?)
    }

    /// Events that were refused and wait for the app.
    #[wasm_bindgen(unchecked_return_type = "QueuedEvent[]")]
    pub async fn parked(&self) -> Result<JsValue> {
        to_js(&self.0.parked().await.map_err(thrown)?)
    }

    /// Open conflict notes.
    #[wasm_bindgen(unchecked_return_type = "Record[]")]
    pub async fn conflicts(&self) -> Result<JsValue> {
        to_js(&self.0.conflicts().await.map_err(thrown)?)
    }

    /// Marks a conflict note as resolved, on every device.
    pub async fn resolve(&self, note: JsValue) -> Result<String> {
        let id = self.0.resolve(&text(&note, "a note's id")?).await.map_err(thrown)?;
        Ok(id.to_string())
    }

    /// Puts a parked event back into the queue.
    pub async fn retry(&self, id: JsValue) -> Result<()> {
        self.0.retry(&event_id(&id)?).await.map_err(thrown)
    }

    /// Drops a parked event.
    pub async fn discard(&self, id: JsValue) -> Result<()> {
        self.0.discard(&event_id(&id)?).await.map_err(thrown)
    }

    /// Tells whether there is a network; `true` syncs at once.
    #[wasm_bindgen(js_name = setOnline)]
    pub fn set_online(&self, online: bool) {
        self.0.set_online(online);
    }

    /// Replaces the token, after the user has signed in again.
    #[wasm_bindgen(js_name = setToken)]
    pub fn set_token(&self, token: JsValue) -> Result<()> {
        self.0.set_token(text(&token, "a token")?);
        Ok(())
    }

    /// Ends sync, flushes and closes the replica.
    pub async fn close(&self) -> Result<()> {
        self.0.close().await.map_err(thrown)
    }
}

fn event_id(id: &JsValue) -> Result<EventId> {
    text(id, "an event's id")?.parse().map_err(thrown)
}

/// The canonical JSON text of a value: equal values have equal texts, in every language.
#[wasm_bindgen(js_name = canonicalJson)]
pub fn canonical_json(#[wasm_bindgen(unchecked_param_type = "Value")] js: JsValue) -> Result<String> {
    let mut value = from_js(&js)?;
    value::normalize(&mut value);
    Ok(String::from_utf8(value::canonical(&value)).unwrap_or_default())
}

/// Reads a JSON text exactly: integers beyond 2^53 become `bigint`s, and what would be changed in silence is refused.
#[wasm_bindgen(js_name = parseJson, unchecked_return_type = "Value")]
pub fn parse_json(json: JsValue) -> Result<JsValue> {
    to_js(&unisono::model::parse_value(&text(&json, "JSON")?).map_err(thrown)?)
}
