//! The program as an operator meets it: its output, its errors, its end.
#![cfg(unix)]

mod running;

use secrecy::SecretString;
use unisono::protocol::StatusResponse;
use unisono::transport::{HttpTransport, Method, RequestContext, Transport};

use running::{Running, run, text};

#[tokio::test]
async fn a_development_server_serves_the_tokens_that_the_program_mints_and_ends_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("new/data");
    let path = data.to_str().expect("UTF-8");
    let server = Running::start(&data);

    let minted = run(&["token", "--dev", "--data", path, "--user", "alice", "--ttl", "1h"]);
    assert!(minted.status.success(), "{}", text(&minted.stderr));
    let token = text(&minted.stdout).trim_end().to_owned();
    assert_eq!((token.split('.').count(), token.lines().count(), text(&minted.stderr).as_str()), (3, 1, ""));
    let transport = HttpTransport::new(&server.url).expect("a loopback URL");
    let context = RequestContext { token: Some(SecretString::from(token.clone())), deadline: None };
    let answer = transport.request(&context, Method::Get, "/sync/status", None).await.expect("an answer");
    let first: StatusResponse = serde_json::from_slice(&answer.body).expect("a status");
    assert_eq!(first.account, "alice");

    // The data belong to one server at a time.
    let second = run(&["serve", "--dev", "--listen", "127.0.0.1:0", "--data", path]);
    assert!(!second.status.success() && text(&second.stderr).contains("another server"), "{}", text(&second.stderr));
    // So does the port.
    let address = server.url.strip_prefix("http://").expect("a scheme").to_owned();
    let other = folder.path().join("other");
    let taken = run(&["serve", "--dev", "--listen", &address, "--data", other.to_str().expect("UTF-8")]);
    assert!(!taken.status.success() && text(&taken.stderr).contains("is in use"), "{}", text(&taken.stderr));
    assert!(!other.exists(), "a failed start leaves no trace");

    let (well, log) = server.terminate();
    assert!(well && log.contains("stopped"), "{log}");
    assert!(!log.contains(&token), "{log}");

    // Secret and identity outlive the process.
    let server = Running::start(&data);
    let transport = HttpTransport::new(&server.url).expect("a loopback URL");
    let answer = transport.request(&context, Method::Get, "/sync/status", None).await.expect("an answer");
    let again: StatusResponse = serde_json::from_slice(&answer.body).expect("a status");
    assert_eq!(again.server_id, first.server_id);
    assert!(server.terminate().0);
}

#[test]
fn errors_say_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let data = data.to_str().expect("UTF-8");
    let file = folder.path().join("file");
    std::fs::write(&file, "short").expect("a file");
    let file = file.to_str().expect("UTF-8");
    for (args, advice) in [
        (vec!["serve", "--data", data], "openssl rand -hex 32"),
        (vec!["token", "--user", "alice"], "--jwt-secret-file"),
        (vec!["serve", "--data", data, "--jwt-secret-file", file], "at least 32"),
        (vec!["serve", "--data", data, "--jwt-secret-file", "no/such/file"], "no/such/file"),
        (vec!["serve", "--dev", "--data", file, "--listen", "127.0.0.1:0"], "data directory"),
        (vec!["serve", "--dev", "--data", data, "--listen", "0.0.0.0:0"], "this machine only"),
        (vec!["serve", "--dev", "--data", data, "--listen", "nowhere"], "127.0.0.1:4747"),
        (vec!["serve", "--dev", "--data", data, "--log", "=,="], "log filter"),
        (vec!["token", "--dev", "--data", data, "--user", "alice"], "serve --dev"),
        (vec!["token", "--dev", "--data", data, "--user", ""], "--user"),
    ] {
        let output = run(&args);
        assert!(!output.status.success(), "{args:?}");
        assert!(text(&output.stderr).contains(advice), "{args:?}: {}", text(&output.stderr));
        assert_eq!(text(&output.stdout), "", "{args:?}");
    }
}

#[test]
fn help_explains_with_examples() {
    for args in
        [&["--help"][..], &["serve", "--help"], &["token", "--help"], &["backup", "--help"], &["verify", "--help"]]
    {
        let output = run(args);
        assert!(output.status.success());
        assert!(text(&output.stdout).contains("unisono-server "), "{args:?}");
    }
    let output = run(&[]);
    assert!(!output.status.success() && text(&output.stderr).contains("Usage"));
}

#[test]
fn the_log_begins_with_version_and_settings_and_machines_read_numbers() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Running::start_with(folder.path(), &["--log-format", "json", "--max-connections", "77"]);
    let answer = missing(&server.url);
    assert!(answer.contains("404"), "{answer}");
    let (well, log) = server.terminate();
    assert!(well, "{log}");
    let lines: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))).collect();
    let first = &lines[0]["fields"];
    assert_eq!((first["message"].as_str(), first["max_connections"].as_u64()), (Some("starting"), Some(77)));
    assert_eq!(first["version"], env!("CARGO_PKG_VERSION"));
    let answered = lines.iter().find(|line| line["fields"]["message"] == "answered").expect("a line");
    assert!(answered["fields"]["took_ms"].is_number() && answered["fields"]["status"] == 404, "{answered}");
    assert_eq!(answered["fields"]["code"], "not_found");
    assert_eq!(answered["span"]["peer"], "127.0.0.1", "{answered}");
    assert!(answered["span"]["id"].is_string(), "{answered}");
}

/// The answer to a request for what there is not.
fn missing(url: &str) -> String {
    use std::io::{Read, Write};
    let mut stream =
        std::net::TcpStream::connect(url.strip_prefix("http://").expect("a scheme")).expect("a connection");
    stream.write_all(b"GET /nothing HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").expect("it is sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    text
}
