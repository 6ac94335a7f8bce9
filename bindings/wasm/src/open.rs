//! Opening a client from an options object.

use js_sys::{Function, Object, Reflect};
use unisono::error::InvalidCode;
use unisono::storage::{Durability, IndexedDbOptions, MemoryStorage};
use unisono::transport::{FetchOptions, FetchTransport};
use unisono::{Client, ClientBuilder, WebEnvironment};
use wasm_bindgen::prelude::*;

use crate::error::{Result, invalid, thrown};
use crate::tokens::TokenFunction;
use crate::value::{from_js, text};

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
const KNOWN: [&str; 9] =
    ["name", "url", "account", "token", "durability", "indexes", "schema", "claim_anonymous", "allow_plain_http"];

/// Opens the client that `options` describe.
pub async fn open(options: &JsValue) -> Result<Client> {
    let options = Options::new(options)?;
    let mut builder = Client::builder().environment(WebEnvironment);
    if let Some(url) = options.text("url")? {
        let fetch = FetchOptions { allow_plain_http: options.flag("allow_plain_http")?, ..FetchOptions::default() };
        builder = builder.transport(FetchTransport::with_options(&url, fetch).map_err(thrown)?);
    }
    if let Some(account) = options.text("account")? {
        builder = builder.account(account);
    }
    if options.flag("claim_anonymous")? {
        builder = builder.claim_anonymous();
    }
    let token = options.get("token")?;
    if let Some(function) = token.dyn_ref::<Function>() {
        builder = builder.credentials(TokenFunction(function.clone()));
    } else if let Some(token) = options.text("token")? {
        builder = builder.token(token);
    }
    let schema = options.get("schema")?;
    if !schema.is_undefined() {
        let version = from_js(&schema)?.as_u64().and_then(|version| u32::try_from(version).ok());
        builder = builder.schema(version.ok_or_else(|| config("schema is a whole number"))?);
    }
    let builder = indexed(builder, &options)?;
    let durability = match options.text("durability")?.as_deref() {
        None | Some("full") => Durability::Full,
        Some("normal") => Durability::Normal,
        Some(_) => return Err(config("durability is \"full\" or \"normal\"")),
    };
    let name = options.text("name")?.filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| config("a client needs a name for its replica"))?;
    // Last: from here on there is something to close.
    let builder = if name == IN_MEMORY {
        builder.storage(MemoryStorage::new())
    } else {
        let storage = IndexedDbOptions::default().durability(durability).open(&name).await;
        builder.storage(storage.map_err(|error| thrown(unisono::Error::from(error)))?)
    };
    builder.build().await.map_err(thrown)
}

fn indexed(mut builder: ClientBuilder, options: &Options) -> Result<ClientBuilder> {
    let indexes = options.get("indexes")?;
    if indexes.is_undefined() {
        return Ok(builder);
    }
    let wrong = || config("indexes lists, for each collection, lists of fields");
    for (collection, lists) in from_js(&indexes)?.as_object().ok_or_else(wrong)? {
        for fields in lists.as_array().ok_or_else(wrong)? {
            let fields = fields.as_array().ok_or_else(wrong)?;
            let fields = fields.iter().map(|field| field.as_str().ok_or_else(wrong));
            builder = builder.index(collection.as_str(), fields.collect::<Result<Vec<_>>>()?);
        }
    }
    Ok(builder)
}

struct Options(Object);

impl Options {
    /// Refuses what it does not know: a misspelt option would do nothing in silence.
    fn new(options: &JsValue) -> Result<Self> {
        if !options.is_object() {
            return Err(config("open takes an options object"));
        }
        let options: &Object = options.unchecked_ref();
        for name in Object::keys(options).iter().filter_map(|name| name.as_string()) {
            if !KNOWN.contains(&name.as_str()) {
                return Err(config(&format!("there is no option {name:?}")));
            }
        }
        Ok(Self(options.clone()))
    }

    fn get(&self, name: &str) -> Result<JsValue> {
        let value = Reflect::get(&self.0, &name.into())?;
        Ok(if value.is_null() { JsValue::UNDEFINED } else { value })
    }

    fn text(&self, name: &str) -> Result<Option<String>> {
        let value = self.get(name)?;
        if value.is_undefined() { Ok(None) } else { text(&value, name).map(Some) }
    }

    fn flag(&self, name: &str) -> Result<bool> {
        let value = self.get(name)?;
        if value.is_undefined() {
            return Ok(false);
        }
        value.as_bool().ok_or_else(|| config(&format!("{name} is true or false")))
    }
}

fn config(message: &str) -> JsValue {
    invalid(InvalidCode::Config, message)
}
