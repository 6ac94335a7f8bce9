//! The client.

use js_sys::Promise;
use unisono::engine::NetworkKind;
use unisono::error::InvalidCode;
use unisono::model::{EventId, Scope, value};
use unisono::transport::Method;
use wasm_bindgen::prelude::*;

use crate::collection::Collection;
use crate::error::{Result, invalid, thrown};
use crate::open::milliseconds;
use crate::promise::promise;
use crate::settings::{Settings, document};
use crate::stream::Iteration;
use crate::value::{from_json, text, to_js};

/// A replica with its queue and engine.
#[wasm_bindgen]
pub struct Client(unisono::Client);

#[wasm_bindgen]
impl Client {
    /// Opens a replica. Nothing runs in the background before `start`. `options` are the JSON text of those that have one.
    #[wasm_bindgen(unchecked_return_type = "Promise<Client>")]
    pub fn open(options: String, token: JsValue, wait_ms: f64) -> Promise {
        promise(async move { crate::open::open(&options, token, wait_ms).await.map(|client| Self(client).into()) })
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
    #[wasm_bindgen(js_name = subscribeWorkspace, unchecked_return_type = "Promise<void>")]
    pub fn subscribe_workspace(&self, workspace: JsValue) -> Promise {
        let client = self.0.clone();
        promise(async move { nothing(client.workspace(text(&workspace, "a workspace's id")?).subscribe().await) })
    }

    /// A document of settings: `preferences`, `profile`, or a group of the app's own where there are `defaults`.
    pub fn settings(&self, name: JsValue, defaults: Option<String>) -> Result<Settings> {
        document(&self.0.settings(), &name, defaults)
    }

    /// The same as a member of a workspace has it.
    #[wasm_bindgen(js_name = workspaceSettings, unchecked_return_type = "Promise<Settings>")]
    pub fn workspace_settings(&self, workspace: JsValue, name: JsValue, defaults: Option<String>) -> Promise {
        let client = self.0.clone();
        promise(async move {
            let workspace = text(&workspace, "a workspace's id")?;
            let settings = client.settings().in_workspace(&workspace).await.map_err(thrown)?;
            Ok(document(&settings, &name, defaults)?.into())
        })
    }

    /// The server's answer to a request for what it alone has: `path` begins after `/settings`, `body` is JSON.
    #[wasm_bindgen(js_name = askSettings, unchecked_return_type = "Promise<Value>")]
    pub fn ask_settings(&self, method: &str, path: String, body: Option<String>) -> Promise {
        let client = self.0.clone();
        let method = match method {
            "POST" => Method::Post,
            "PUT" => Method::Put,
            "PATCH" => Method::Patch,
            "DELETE" => Method::Delete,
            _ => Method::Get,
        };
        promise(async move {
            let answer = client.settings().ask(method, &path, body.map(String::into_bytes)).await;
            to_js(&answer.map_err(thrown)?)
        })
    }

    /// How much room the account's records take, as this replica counts.
    #[wasm_bindgen(js_name = storageEstimate, unchecked_return_type = "Promise<StorageStats>")]
    pub fn storage_estimate(&self) -> Promise {
        let client = self.0.clone();
        promise(async move { to_js(&client.settings().storage_estimate().await.map_err(thrown)?) })
    }

    /// Tells which network the device is on.
    #[wasm_bindgen(js_name = setNetwork)]
    pub fn set_network(&self, metered: bool) {
        self.0.set_network(if metered { NetworkKind::Metered } else { NetworkKind::Unmetered });
    }

    /// Starts background sync.
    #[wasm_bindgen(unchecked_return_type = "Promise<void>")]
    pub fn start(&self) -> Promise {
        let client = self.0.clone();
        promise(async move { nothing(client.start().await) })
    }

    /// Syncs every scope now, for at most `deadline_ms`, and waits until that is done.
    #[wasm_bindgen(js_name = syncNow, unchecked_return_type = "Promise<SyncReport>")]
    pub fn sync_now(&self, deadline_ms: Option<f64>) -> Promise {
        let client = self.0.clone();
        promise(async move {
            let report = match deadline_ms {
                None => client.sync_now().await,
                Some(ms) => {
                    let deadline = milliseconds(ms);
                    let wrong = || invalid(InvalidCode::Config, "a deadline is a number of ms");
                    client.sync_within(deadline.ok_or_else(wrong)?).await
                }
            };
            to_js(&report.map_err(thrown)?)
        })
    }

    /// The client's state; touches neither disk nor network.
    #[wasm_bindgen(unchecked_return_type = "Status")]
    pub fn status(&self) -> Result<JsValue> {
        to_js(&self.0.status())
    }

    /// What happens in the client from now on.
    pub fn events(&self) -> Iteration {
        Iteration::new(self.0.events())
    }

    /// Unsettled events, in queue order.
    #[wasm_bindgen(unchecked_return_type = "Promise<QueuedEvent[]>")]
    pub fn pending(&self) -> Promise {
        let client = self.0.clone();
        promise(async move { to_js(&client.pending().await.map_err(thrown)?) })
    }

    /// Events that were refused and wait for the app.
    #[wasm_bindgen(unchecked_return_type = "Promise<QueuedEvent[]>")]
    pub fn parked(&self) -> Promise {
        let client = self.0.clone();
        promise(async move { to_js(&client.parked().await.map_err(thrown)?) })
    }

    /// Open conflict notes of every scope.
    #[wasm_bindgen(unchecked_return_type = "Promise<Conflict[]>")]
    pub fn conflicts(&self) -> Promise {
        let client = self.0.clone();
        promise(async move { to_js(&client.conflicts().await.map_err(thrown)?) })
    }

    /// Marks a conflict note as resolved, on every device; `null` if it is. Without `scope` it is looked for in every scope.
    #[wasm_bindgen(unchecked_return_type = "Promise<string | null>")]
    pub fn resolve(&self, note: JsValue, scope: JsValue) -> Promise {
        let client = self.0.clone();
        promise(async move {
            let note = text(&note, "a note's id")?;
            let id = if scope.is_undefined() {
                client.resolve(&note).await
            } else {
                let scope: Scope = text(&scope, "a scope")?.parse().map_err(thrown)?;
                client.resolve_in(&scope, &note).await
            };
            crate::collection::accepted(id)
        })
    }

    /// The value behind a reference of a conflict note.
    #[wasm_bindgen(js_name = conflictValue, unchecked_return_type = "Promise<Value>")]
    pub fn conflict_value(&self, note: JsValue, sha256: JsValue) -> Promise {
        let client = self.0.clone();
        promise(async move {
            let (note, sha256) = (text(&note, "a note's id")?, text(&sha256, "a reference")?);
            to_js(&client.conflict_value(note, sha256).await.map_err(thrown)?)
        })
    }

    /// Puts a parked event back into the queue.
    #[wasm_bindgen(unchecked_return_type = "Promise<void>")]
    pub fn retry(&self, id: JsValue) -> Promise {
        let client = self.0.clone();
        promise(async move { nothing(client.retry(&event_id(&id)?).await) })
    }

    /// Drops a parked event.
    #[wasm_bindgen(unchecked_return_type = "Promise<void>")]
    pub fn discard(&self, id: JsValue) -> Promise {
        let client = self.0.clone();
        promise(async move { nothing(client.discard(&event_id(&id)?).await) })
    }

    /// Replaces a parked event's content: a create gets it as its document, an update as its merge patch.
    #[wasm_bindgen(unchecked_return_type = "Promise<string>")]
    pub fn replace(&self, id: JsValue, content: String) -> Promise {
        let client = self.0.clone();
        promise(async move {
            let id = client.replace_content(&event_id(&id)?, from_json(&content)?).await.map_err(thrown)?;
            Ok(id.as_str().into())
        })
    }

    /// Says what is wrong and what to do, the worst first.
    #[wasm_bindgen(unchecked_return_type = "Promise<Finding[]>")]
    pub fn doctor(&self) -> Promise {
        let client = self.0.clone();
        promise(async move { to_js(&client.doctor().await.map_err(thrown)?) })
    }

    /// Holds background sync until `resume`.
    pub fn pause(&self) {
        self.0.pause();
    }

    /// Takes up background sync.
    #[wasm_bindgen(unchecked_return_type = "Promise<void>")]
    pub fn resume(&self) -> Promise {
        let client = self.0.clone();
        promise(async move { nothing(client.resume().await) })
    }

    /// Switches sync on or off on this device, durably.
    #[wasm_bindgen(js_name = setEnabled, unchecked_return_type = "Promise<void>")]
    pub fn set_enabled(&self, enabled: bool) -> Promise {
        let client = self.0.clone();
        promise(async move { nothing(if enabled { client.enable().await } else { client.disable().await }) })
    }

    /// Gives an anonymous replica to an account.
    #[wasm_bindgen(unchecked_return_type = "Promise<void>")]
    pub fn claim(&self, account: JsValue) -> Promise {
        let client = self.0.clone();
        promise(async move { nothing(client.claim(text(&account, "an account")?).await) })
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
    #[wasm_bindgen(unchecked_return_type = "Promise<void>")]
    pub fn close(&self) -> Promise {
        let client = self.0.clone();
        promise(async move { nothing(client.close().await) })
    }
}

/// `undefined`, once it is done.
fn nothing(done: unisono::Result<()>) -> Result<JsValue> {
    done.map(|()| JsValue::UNDEFINED).map_err(thrown)
}

fn event_id(id: &JsValue) -> Result<EventId> {
    text(id, "an event's id")?.parse().map_err(thrown)
}

/// The canonical JSON text of a value: equal values have equal texts, in every language.
#[wasm_bindgen(js_name = canonicalJson)]
pub fn canonical_json(json: &str) -> Result<String> {
    let mut value = from_json(json)?;
    value::normalize(&mut value);
    Ok(String::from_utf8(value::canonical(&value)).unwrap_or_default())
}

/// Reads a JSON text exactly: integers beyond 2^53 become `bigint`s, and what would be changed in silence is refused.
#[wasm_bindgen(js_name = parseJson, unchecked_return_type = "Value")]
pub fn parse_json(json: JsValue) -> Result<JsValue> {
    to_js(&unisono::model::parse_value(&text(&json, "JSON")?).map_err(thrown)?)
}
