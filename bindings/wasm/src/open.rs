//! Opening a client from its options.

use std::time::Duration;

use js_sys::Function;
use unisono::engine::EngineOptions;
use unisono::error::InvalidCode;
use unisono::model::Value;
use unisono::storage::{Durability, IndexedDbOptions, MemoryStorage};
use unisono::transport::{FetchOptions, FetchTransport};
use unisono::{Client, ClientBuilder, WebEnvironment};
use wasm_bindgen::prelude::*;

use crate::error::{Result, invalid, thrown};
use crate::tokens::TokenFunction;
use crate::value::{from_json, text};

#[wasm_bindgen(typescript_custom_section)]
const OPTIONS: &str = r#"
/** How a client is opened. */
export interface OpenOptions {
  /** The replica's name: a database of this origin's IndexedDB. `:memory:` keeps it in memory, until it is closed. */
  name: string;
  /** The server. Without it the client works on its replica alone. */
  url?: string;
  /** Whose replica this is; read from the token's `sub` if it is not given. */
  account?: string;
  /** The token or API key, or a function that gives one: asked for the first, and whenever the server refused one. */
  token?: string | ((reason: TokenReason) => string | Promise<string>);
  /** What an acknowledged write survives: a power loss (`full`, the default), or a crash of the browser. */
  durability?: "full" | "normal";
  /** Indexes: for each collection, lists of fields (names or JSON Pointers). */
  indexes?: { [collection: string]: string[][] };
  /** The version of the app's data, stamped on its events; 1 by default. */
  schema?: number;
  /** From one background sync without a cause to the next, in milliseconds; a minute by default. */
  sync_interval_ms?: number;
  /**
   * How long to wait, in milliseconds, while another client has the replica open, in this page or in another tab, before
   * `already_open`; a second by default, `Infinity` until it is closed.
   */
  wait_ms?: number;
  /** Allows the account to take over a replica that was written anonymously. */
  claim_anonymous?: boolean;
  /** Allows `http://` to hosts other than this machine, for tests in a closed network. */
  allow_plain_http?: boolean;
}
/** Why a token is asked for. */
export type TokenReason = "first" | "refused";
"#;

/// The name that stands for no database.
const IN_MEMORY: &str = ":memory:";
/// The options that come as JSON; `token` and `wait_ms` come beside it.
const KNOWN: [&str; 9] = [
    "name",
    "url",
    "account",
    "durability",
    "indexes",
    "schema",
    "sync_interval_ms",
    "claim_anonymous",
    "allow_plain_http",
];

/// Opens the client that the options describe.
pub async fn open(options: &str, token: JsValue, wait_ms: f64) -> Result<Client> {
    let options = Options::new(from_json(options)?)?;
    let mut builder = Client::builder().environment(WebEnvironment);
    if let Some(url) = options.text("url")? {
        let fetch = FetchOptions { allow_plain_http: options.flag("allow_plain_http")?, ..FetchOptions::default() };
        builder = builder.transport(FetchTransport::with_options(url, fetch).map_err(thrown)?);
    }
    if let Some(account) = options.text("account")? {
        builder = builder.account(account);
    }
    if options.flag("claim_anonymous")? {
        builder = builder.claim_anonymous();
    }
    if let Some(function) = token.dyn_ref::<Function>() {
        builder = builder.credentials(TokenFunction(function.clone()));
    } else if !token.is_undefined() && !token.is_null() {
        builder = builder.token(text(&token, "token")?);
    }
    if let Some(schema) = options.get("schema") {
        let version = schema.as_u64().and_then(|version| u32::try_from(version).ok());
        builder = builder.schema(version.ok_or_else(|| config("schema is a whole number"))?);
    }
    if let Some(interval) = options.get("sync_interval_ms") {
        let interval = interval.as_f64().and_then(milliseconds).filter(|interval| !interval.is_zero());
        let interval = interval.ok_or_else(|| config("sync_interval_ms is a number above 0"))?;
        builder = builder.engine_options(EngineOptions { interval, ..EngineOptions::default() });
    }
    let builder = indexed(builder, &options)?;
    let durability = match options.text("durability")? {
        None | Some("full") => Durability::Full,
        Some("normal") => Durability::Normal,
        Some(_) => return Err(config("durability is \"full\" or \"normal\"")),
    };
    let name = options.text("name")?.filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| config("a client needs a name for its replica"))?;
    if wait_ms.is_nan() || wait_ms < 0.0 {
        return Err(config("wait_ms is a number of milliseconds"));
    }
    // Last: from here on there is something to close.
    let builder = if name == IN_MEMORY {
        builder.storage(MemoryStorage::new())
    } else {
        let storage = IndexedDbOptions::default().durability(durability).wait(milliseconds(wait_ms)).open(name).await;
        builder.storage(storage.map_err(|error| thrown(unisono::Error::from(error)))?)
    };
    builder.build().await.map_err(thrown)
}

/// A duration, unless it is none or more than one holds.
pub fn milliseconds(ms: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(ms / 1000.0).ok()
}

fn indexed(mut builder: ClientBuilder, options: &Options) -> Result<ClientBuilder> {
    let Some(indexes) = options.get("indexes") else { return Ok(builder) };
    let wrong = || config("indexes lists, for each collection, lists of fields");
    for (collection, lists) in indexes.as_object().ok_or_else(wrong)? {
        for fields in lists.as_array().ok_or_else(wrong)? {
            let fields = fields.as_array().ok_or_else(wrong)?;
            let fields = fields.iter().map(|field| field.as_str().ok_or_else(wrong));
            builder = builder.index(collection.as_str(), fields.collect::<Result<Vec<_>>>()?);
        }
    }
    Ok(builder)
}

struct Options(Value);

impl Options {
    /// Refuses what it does not know: a misspelt option would do nothing in silence.
    fn new(options: Value) -> Result<Self> {
        let fields = options.as_object().ok_or_else(|| config("open takes an options object"))?;
        match fields.keys().find(|name| !KNOWN.contains(&name.as_str())) {
            Some(name) => Err(config(&format!("there is no option {name:?}"))),
            None => Ok(Self(options)),
        }
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    fn text(&self, name: &str) -> Result<Option<&str>> {
        let text = |value| Value::as_str(value).ok_or_else(|| config(&format!("{name} is a string")));
        self.get(name).map(text).transpose()
    }

    fn flag(&self, name: &str) -> Result<bool> {
        let value =
            self.get(name).map(|value| value.as_bool().ok_or_else(|| config(&format!("{name} is true or false"))));
        value.unwrap_or(Ok(false))
    }
}

fn config(message: &str) -> JsValue {
    invalid(InvalidCode::Config, message)
}
