//! Settings.

use js_sys::Promise;
use unisono::SettingsClient;
use unisono::error::InvalidCode;
use unisono::settings::Level;
use wasm_bindgen::prelude::*;

use crate::collection::accepted;
use crate::error::{Result, invalid, thrown};
use crate::promise::promise;
use crate::stream::Iteration;
use crate::value::{from_json, text, to_js};

/// A document of settings.
#[wasm_bindgen]
pub struct Settings(unisono::settings::Settings);

/// The document `name`: `preferences`, `profile`, or the app's own group of that name where there are `defaults`.
pub(crate) fn document(settings: &SettingsClient, name: &JsValue, defaults: Option<String>) -> Result<Settings> {
    let name = text(name, "a group's name")?;
    Ok(Settings(match defaults {
        Some(defaults) => settings.group(&name, from_json(&defaults)?).map_err(thrown)?,
        None if name == "profile" => settings.profile(),
        None => settings.preferences(),
    }))
}

#[wasm_bindgen]
impl Settings {
    /// The same document, whose changes are made at a level.
    pub fn at(&self, level: &str) -> Result<Settings> {
        let level = match level {
            "device" => Level::Device,
            "user" => Level::User,
            "workspace" => Level::Workspace,
            "default" => Level::Default,
            _ => return Err(invalid(InvalidCode::Config, "a level is device, user or workspace")),
        };
        self.0.at(level).map(Self).map_err(thrown)
    }

    /// The whole document, defaults filled in.
    #[wasm_bindgen(unchecked_return_type = "Promise<Value>")]
    pub fn get(&self) -> Promise {
        let settings = self.0.clone();
        promise(async move { to_js(&settings.get().await.map_err(thrown)?) })
    }

    /// Applies an RFC 7396 merge patch. `null` if nothing changes.
    #[wasm_bindgen(unchecked_return_type = "Promise<string | null>")]
    pub fn update(&self, patch: String) -> Promise {
        let settings = self.0.clone();
        promise(async move { accepted(settings.update(from_json(&patch)?).await) })
    }

    /// Takes a choice back; whether there was one.
    #[wasm_bindgen(unchecked_return_type = "Promise<boolean>")]
    pub fn reset(&self, path: String) -> Promise {
        let settings = self.0.clone();
        promise(async move { Ok(settings.reset(&path).await.map_err(thrown)?.into()) })
    }

    /// Where a value comes from.
    #[wasm_bindgen(unchecked_return_type = "Promise<Level>")]
    pub fn level(&self, path: String) -> Promise {
        let settings = self.0.clone();
        promise(async move { to_js(&settings.level(&path).await.map_err(thrown)?) })
    }

    /// Follows the document.
    pub fn watch(&self) -> Result<Iteration> {
        Ok(Iteration::new(self.0.watch().map_err(thrown)?))
    }
}
