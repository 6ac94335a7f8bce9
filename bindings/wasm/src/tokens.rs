//! Tokens from JavaScript: a string, or a function that gives one, at once or later.

use js_sys::{Function, Promise, Reflect};
use secrecy::SecretString;
use unisono::engine::{Credentials, TokenReason};
use unisono::platform::BoxFuture;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

/// The app's function, called with `"first"` or `"refused"`.
#[derive(Debug)]
pub struct TokenFunction(pub Function);

impl Credentials for TokenFunction {
    fn token(&self, reason: TokenReason) -> BoxFuture<'_, Result<SecretString, String>> {
        Box::pin(async move {
            let reason = match reason {
                TokenReason::First => "first",
                TokenReason::Refused => "refused",
            };
            let said = self.0.call1(&JsValue::UNDEFINED, &reason.into()).map_err(words)?;
            let token = JsFuture::from(Promise::resolve(&said)).await.map_err(words)?;
            token.as_string().map(SecretString::from).ok_or_else(|| "the token is not a string".to_owned())
        })
    }
}

fn words(exception: JsValue) -> String {
    let message = Reflect::get(&exception, &"message".into()).ok().and_then(|message| message.as_string());
    message.or_else(|| exception.as_string()).unwrap_or_else(|| "it threw".to_owned())
}
