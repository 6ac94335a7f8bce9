//! The program as an operator meets it: its output, its errors, its end.
#![cfg(unix)]

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use secrecy::SecretString;
use unisono::protocol::StatusResponse;
use unisono::transport::{HttpTransport, Method, RequestContext, Transport};

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unisono-server"));
    for name in ["UNISONO_JWT_SECRET", "UNISONO_DATA", "UNISONO_LISTEN", "UNISONO_LOG"] {
        command.env_remove(name);
    }
    command
}

fn run(args: &[&str]) -> Output {
    program().args(args).output().expect("the program runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// A running server, which ends with the test.
struct Running {
    child: Child,
    url: String,
}

impl Running {
    fn start(data: &Path) -> Self {
        let mut child = program()
            .args(["serve", "--dev", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("its output")).read_line(&mut line).expect("a line");
        let url = line.trim_end().strip_prefix("listening on ").map(str::to_owned);
        let url = url.unwrap_or_else(|| panic!("not the announced line: {line:?}"));
        Self { child, url }
    }

    /// Sends SIGTERM; answers whether the program ended well, and its log.
    fn terminate(mut self) -> (bool, String) {
        let sent = Command::new("kill").arg(self.child.id().to_string()).status().expect("a signal is sent");
        assert!(sent.success());
        let mut log = String::new();
        self.child.stderr.take().expect("its log").read_to_string(&mut log).expect("UTF-8");
        (self.child.wait().expect("it ends").success(), log)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Already gone after a good test.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

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
    for args in [&["--help"][..], &["serve", "--help"], &["token", "--help"]] {
        let output = run(args);
        assert!(output.status.success());
        assert!(text(&output.stdout).contains("unisono-server "), "{args:?}");
    }
    let output = run(&[]);
    assert!(!output.status.success() && text(&output.stderr).contains("Usage"));
}
