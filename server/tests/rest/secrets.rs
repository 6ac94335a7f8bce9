//! A key's secret is in the answer that makes it, and nowhere else: no log line, no error, no byte of the database.

use std::fs;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::api::Api;

/// A log that can be read back.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody panicked").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn i15_a_keys_secret_is_in_no_log_line_error_or_byte_of_the_database() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .finish();
    let folder = tempfile::tempdir().unwrap();
    let api = Api::in_file(&folder.path().join("unisono.db"));
    let mut secrets = Vec::new();
    let mut answers = Vec::new();
    // Of the process: what other tests say meanwhile is heard too, and harms nothing.
    tracing::subscriber::set_global_default(subscriber).unwrap();
    {
        let token = api.token("anna");
        let (key_id, key) = api.key("anna", &["read"]);
        let rotate = format!("/settings/api-keys/{key_id}/rotate");
        let rotated = api.call("POST", &rotate, &token, json!({"overlap_s": 60})).json();
        let rotated = rotated["secret"].as_str().unwrap().to_owned();
        // Good, forbidden, mistyped, switched off, sent as a body and as a path.
        let typo = format!("{rotated}0");
        for key in [&key, &rotated] {
            answers.push(api.get("/sync/status", key));
            answers.push(api.get("/settings/api-keys", key));
            answers.push(api.call("PATCH", "/settings/preferences", key, json!({"ui": {"theme": key}})));
            answers.push(api.call("PATCH", "/settings/preferences", &token, json!({"ui": {"theme": key}})));
            answers.push(api.get(&format!("/settings/api-keys/{key}"), &token));
        }
        answers.push(api.get("/sync/status", &typo));
        answers.push(api.get("/settings/api-keys", &token));
        answers.push(api.send(("PUT", &format!("/settings/api-keys/{key_id}/toggle")), &token, &[], None));
        answers.push(api.get("/sync/status", &rotated));
        secrets.extend([key, rotated]);
    }
    assert!(answers.iter().any(|answer| answer.status == 200) && answers.iter().any(|answer| answer.status == 401));
    let log = log.0.lock().unwrap().clone();
    assert!(holds(&log, "status=401"), "the log was heard");
    for key in secrets {
        // The random part: what stands before it is public.
        let secret = key.rsplit('_').next().unwrap();
        assert!(secret.len() >= 33);
        let secret = &secret[..33];
        assert!(!holds(&log, secret), "the log has the secret");
        for answer in &answers {
            assert!(!holds(&answer.body, secret), "{} {:?}", answer.status, answer.body);
        }
        let mut files = 0;
        for file in fs::read_dir(folder.path()).unwrap() {
            let bytes = fs::read(file.unwrap().path()).unwrap();
            files += usize::from(holds(&bytes, "api_keys"));
            assert!(!holds(&bytes, secret), "the database has the secret");
        }
        assert!(files > 0, "the database was looked at");
    }
}
