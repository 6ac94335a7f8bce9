//! The app's code as the library calls it: failing, calling back, slow, silent.

use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;

use serde_json::json;
use unisono::UnisonoError;
use unisono::events::ClientEvent;
use unisono_ffi::{CallbackError, Client, ClientOptions, EventListener, TokenRequest, TokenSource};

fn options(folder: &Path) -> ClientOptions {
    ClientOptions {
        path: folder.join("a.db").to_str().unwrap().to_owned(),
        url: None,
        account: Some("anna".into()),
        token: None,
        token_source: None,
        claim_anonymous: false,
        indexes: Vec::new(),
        schema: None,
        sync_interval: None,
    }
}

/// Calls the client back, waits for the test, and fails.
struct Listener {
    client: Arc<Client>,
    heard: Sender<(String, u64, ThreadId)>,
    goes_on: Mutex<Receiver<()>>,
}

impl EventListener for Listener {
    fn on_event(&self, event: ClientEvent) -> Result<(), CallbackError> {
        if let ClientEvent::Changed { key, .. } = event {
            let told = (key.record.to_string(), self.client.status().pending, std::thread::current().id());
            self.heard.send(told).unwrap();
            self.goes_on.lock().unwrap().recv().unwrap();
        }
        Err(CallbackError::Failed { reason: "a listener's own mistake".into() })
    }
}

#[tokio::test]
async fn a_listener_may_fail_call_back_and_be_slow_and_hears_everything_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let client = Client::open(options(folder.path())).await.unwrap();
    let (heard, hears) = channel();
    let (go_on, goes_on) = channel();
    let listener = Listener { client: client.clone(), heard, goes_on: Mutex::new(goes_on) };
    client.listen(Arc::new(listener)).unwrap();
    let samples = client.collection("samples".into());
    for id in ["kick", "snare", "hat"] {
        samples.create(id.into(), json!({})).await.unwrap();
    }
    // The listener still waits in its first event: the writes did not wait for it.
    assert_eq!(client.pending().await.unwrap().len(), 3);
    for id in ["kick", "snare", "hat"] {
        let (record, pending, thread) = hears.recv().unwrap();
        assert_eq!(record, id);
        assert!(pending > 0);
        assert_ne!(thread, std::thread::current().id());
        go_on.send(()).unwrap();
    }
    client.close().await.unwrap();
}

type Answer = fn(&TokenRequest) -> Result<(), CallbackError>;

/// Fails, says no, or forgets the question.
struct Source(Mutex<Vec<Answer>>);

impl TokenSource for Source {
    fn token_wanted(&self, request: Arc<TokenRequest>) -> Result<(), CallbackError> {
        let answer = self.0.lock().unwrap().remove(0);
        answer(&request)
    }
}

#[tokio::test]
async fn a_source_without_a_token_is_an_auth_error_and_the_next_sync_asks_again() {
    let folder = tempfile::tempdir().unwrap();
    let source = Source(Mutex::new(vec![
        |_| Err(CallbackError::Failed { reason: "the login page is down".into() }),
        |request| {
            request.refuse("nobody is signed in".into());
            Ok(())
        },
        |_| Ok(()),
        |request| {
            request.give("a token".into());
            request.refuse("too late to say so".into());
            Ok(())
        },
    ]));
    let url = Some("http://127.0.0.1:9".into());
    let options = ClientOptions { url, token_source: Some(Arc::new(source)), ..options(folder.path()) };
    let client = Client::open(options).await.unwrap();
    for words in ["the login page is down", "nobody is signed in", "without an answer"] {
        let UnisonoError::Failed { code, detail, .. } = client.sync_now(None).await.unwrap_err();
        assert_eq!(code, "auth_required");
        assert!(detail.contains(words), "{detail}");
    }
    let UnisonoError::Failed { code, retryable, .. } = client.sync_now(None).await.unwrap_err();
    assert_eq!((code.as_str(), retryable), ("unreachable", true), "with a token it reaches for the server");
    client.close().await.unwrap();
}

#[tokio::test]
async fn a_token_and_a_source_of_tokens_do_not_go_together() {
    let folder = tempfile::tempdir().unwrap();
    let source: Arc<dyn TokenSource> = Arc::new(Source(Mutex::default()));
    let options = ClientOptions { token: Some("a".into()), token_source: Some(source), ..options(folder.path()) };
    let UnisonoError::Failed { code, .. } = Client::open(options).await.unwrap_err();
    assert_eq!(code, "invalid_config");
}
