//! One request with `fetch`, and its answer's body as a stream that is aborted when it is dropped.

use js_sys::{Promise, Reflect, Uint8Array};
use secrecy::{ExposeSecret, SecretString};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    AbortController, Headers, ReadableStreamDefaultReader, RequestCache, RequestCredentials, RequestInit,
    RequestRedirect, Response,
};

use crate::platform::BoxFuture;
use crate::protocol::{PROTOCOL_HEADER, Problem, ProblemCode};
use crate::transport::TransportError;
use crate::transport::body::{self, Body};
use crate::transport::pace::Pace;
use crate::transport::wire::protocol_versions;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = fetch)]
    fn fetch(url: &str, init: &RequestInit) -> Promise;
}

/// A request that is about to be made.
pub(super) struct Exchange<'r> {
    pub url: &'r str,
    pub method: &'r str,
    pub accept: &'r str,
    pub token: Option<&'r SecretString>,
    pub body: Option<Vec<u8>>,
}

/// A successful answer.
pub(super) struct Answer {
    pub status: u16,
    headers: Headers,
    pub body: Stream,
}

impl Answer {
    /// A header, if the host shows it.
    pub(super) fn header(&self, name: &str) -> Option<String> {
        header(&self.headers, name)
    }
}

fn header(headers: &Headers, name: &str) -> Option<String> {
    headers.get(name).ok().flatten()
}

impl Exchange<'_> {
    /// Sends it and passes on a successful answer.
    pub(super) async fn run(self, pace: &mut Pace) -> Result<Answer, TransportError> {
        let guard = AbortGuard(AbortController::new().map_err(|exception| unreachable("cannot begin", &exception))?);
        let init = self.init(&guard)?;
        let answered = async {
            let answer = JsFuture::from(fetch(self.url, &init)).await;
            answer.map_err(|exception| unreachable("no connection", &exception))
        };
        let response: Response = pace.within(answered).await?.unchecked_into();
        let (status, headers) = (response.status(), response.headers());
        let reader = match response.body() {
            Some(stream) => {
                let reader = stream.get_reader();
                Some(reader.unchecked_into())
            }
            None => None,
        };
        let wait = retry_after(&headers);
        let body = body::successful(status, wait, Stream { reader, _guard: guard }, pace).await?;
        Ok(Answer { status, headers, body })
    }

    fn init(&self, guard: &AbortGuard) -> Result<RequestInit, TransportError> {
        let headers = Headers::new().map_err(|exception| unreachable("cannot begin", &exception))?;
        let set = |name: &str, value: &str| {
            headers.set(name, value).map_err(|_| {
                // The only value that is not our own.
                TransportError::problem(
                    Problem::of(ProblemCode::AuthRequired, "The request was not sent")
                        .detail("the token has characters that no header may hold"),
                )
            })
        };
        set("accept", self.accept)?;
        set(PROTOCOL_HEADER, &protocol_versions())?;
        if let Some(token) = self.token {
            set("authorization", &format!("Bearer {}", token.expose_secret()))?;
        }
        let init = RequestInit::new();
        if let Some(body) = &self.body {
            set("content-type", "application/json")?;
            init.set_body(&Uint8Array::from(body.as_slice()));
        }
        init.set_method(self.method);
        init.set_headers(&headers);
        init.set_cache(RequestCache::NoStore);
        init.set_credentials(RequestCredentials::Omit);
        init.set_redirect(RequestRedirect::Manual);
        init.set_referrer("");
        init.set_signal(Some(&guard.0.signal()));
        Ok(init)
    }
}

/// Aborts its request when it is dropped; one that has ended takes no notice.
struct AbortGuard(AbortController);

impl Drop for AbortGuard {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A body as it comes.
pub(super) struct Stream {
    /// Absent if the answer has no body.
    reader: Option<ReadableStreamDefaultReader>,
    _guard: AbortGuard,
}

impl Body for Stream {
    type Part = Vec<u8>;

    fn part(&mut self) -> BoxFuture<'_, Result<Option<Vec<u8>>, TransportError>> {
        Box::pin(async {
            let Some(reader) = &self.reader else { return Ok(None) };
            let broken = |exception: JsValue| unreachable("the answer broke off", &exception);
            let read = JsFuture::from(reader.read()).await.map_err(broken)?;
            if Reflect::get(&read, &"done".into()).map_err(broken)?.is_truthy() {
                return Ok(None);
            }
            let part = Reflect::get(&read, &"value".into()).map_err(broken)?;
            Ok(Some(part.unchecked_into::<Uint8Array>().to_vec()))
        })
    }
}

/// The Retry-After header in seconds.
fn retry_after(headers: &Headers) -> Option<u64> {
    let value = header(headers, "retry-after")?;
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(value.parse().unwrap_or(u64::MAX));
    }
    let until = js_sys::Date::parse(value);
    let now = header(headers, "date").map(|date| js_sys::Date::parse(&date)).filter(|date| !date.is_nan());
    let wait = (until - now.unwrap_or_else(js_sys::Date::now)) / 1000.0;
    // A float that is out of range saturates.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    (!wait.is_nan()).then_some(wait as u64)
}

/// No answer, in words. `fetch` says little, and never the URL (whose query holds ids).
fn unreachable(what: &str, exception: &JsValue) -> TransportError {
    // Node hides the reason in `cause`.
    let text_of = |value: &JsValue, name: &str| Reflect::get(value, &name.into()).ok();
    let cause = text_of(exception, "cause").filter(JsValue::is_object);
    let words = text_of(cause.as_ref().unwrap_or(exception), "message").and_then(|message| message.as_string());
    TransportError::Unreachable(format!("{what}: {}", words.unwrap_or_default()))
}
