//! What lies in `ops/` fits the server: metrics that exist, options that exist, files that tools can read.
#![cfg(unix)]

mod running;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use running::{run, text};
use serde_json::Value;
use tower::ServiceExt;
use unisono::TokioEnvironment;
use unisono::environment::SharedEnvironment;
use unisono_server::auth::{JwtOptions, JwtSecret, JwtVerifier};
use unisono_server::{AppOptions, ServiceOptions, SqliteStore, SyncService, app};

fn ops() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("ops")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(ops().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The families of the server's metrics.
async fn families() -> BTreeSet<String> {
    let environment: SharedEnvironment = Arc::new(TokioEnvironment);
    let store = SqliteStore::in_memory().expect("a store");
    let service =
        SyncService::open(store, Arc::clone(&environment), ServiceOptions::default()).await.expect("a service");
    let secret = JwtSecret::new("0123456789abcdef0123456789abcdef").expect("a secret");
    let verifier = JwtVerifier::new(&secret, JwtOptions::default(), Arc::clone(&environment));
    let app = app(service, AppOptions::new(Arc::new(verifier), environment));
    let request = Request::get("/metrics").body(Body::empty()).expect("a request");
    let body = app.oneshot(request).await.expect("an answer").into_body();
    let metrics = String::from_utf8(to_bytes(body, 1 << 20).await.expect("a body").to_vec()).expect("UTF-8");
    let families: BTreeSet<_> =
        metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).map(str::to_owned).collect();
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let name = base(line.split(['{', ' ']).next().expect("a name"));
        assert!(families.contains(name), "{line} belongs to no family");
    }
    families
}

/// A family's name, without what a histogram adds.
fn base(name: &str) -> &str {
    ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name)
}

/// The metrics that a text names.
fn named(text: &str) -> BTreeSet<String> {
    text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
        .filter(|word| word.starts_with("unisono_") || word.starts_with("process_"))
        .map(|word| base(word).to_owned())
        .collect()
}

#[tokio::test]
async fn every_metric_that_is_named_exists() {
    let families = families().await;
    for name in ["alerts.yml", "dashboard.json"] {
        let named = named(&read(name));
        assert!(named.len() > 5, "{name} names {named:?}");
        let unknown: Vec<_> = named.difference(&families).collect();
        assert!(unknown.is_empty(), "{name} names {unknown:?}");
    }
    // And the manual knows every metric.
    let manual = std::fs::read_to_string(ops().join("../../docs/operations.md")).expect("the manual");
    let untold: Vec<_> = families.iter().filter(|family| !manual.contains(*family)).collect();
    assert!(untold.is_empty(), "docs/operations.md does not explain {untold:?}");
}

#[test]
fn every_alert_has_a_condition_a_severity_and_advice() {
    let rules = read("alerts.yml");
    let alerts: Vec<&str> = rules.split("- alert: ").skip(1).collect();
    assert!(alerts.len() >= 8);
    let mut names = BTreeSet::new();
    for alert in alerts {
        assert!(names.insert(alert.lines().next().expect("a name")), "twice: {alert}");
        for part in ["expr: '", "for: ", "summary: '", "description: '"] {
            assert_eq!(alert.matches(part).count(), 1, "{part}: {alert}");
        }
        assert!(
            ["critical", "warning"].iter().any(|severity| alert.contains(&format!("severity: {severity}"))),
            "{alert}"
        );
        let expression = alert.split("expr: '").nth(1).and_then(|rest| rest.split("'\n").next()).expect("a condition");
        for (open, close) in [('(', ')'), ('[', ']'), ('{', '}')] {
            assert_eq!(expression.matches(open).count(), expression.matches(close).count(), "{expression}");
        }
    }
}

#[test]
fn the_dashboard_is_one_that_grafana_reads() {
    let dashboard: Value = serde_json::from_str(&read("dashboard.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let mut places = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in panels {
        assert!(panel["title"].as_str().is_some_and(|title| !title.is_empty()));
        assert!(ids.insert(panel["id"].as_u64().expect("an id")));
        let place = &panel["gridPos"];
        assert!(places.insert((place["x"].as_u64(), place["y"].as_u64())), "two panels lie at {place}");
        let targets = panel["targets"].as_array().expect("targets");
        assert!(!targets.is_empty() && targets.iter().all(|target| target["expr"].is_string()), "{panel}");
    }
    assert!(dashboard["uid"].is_string() && dashboard["schemaVersion"].is_u64());
}

/// The options after a command in a text.
fn options(text: &str) -> BTreeSet<&str> {
    text.split([' ', '"', ',', '\n']).filter(|word| word.starts_with("--")).collect()
}

#[test]
fn units_and_image_start_the_program_with_options_that_it_has() {
    let help = |command: &str| text(&run(&[command, "--help"]).stdout);
    let line = |file: &str, begin: &str| {
        let text = read(file);
        text.lines().find(|line| line.starts_with(begin)).unwrap_or_else(|| panic!("{file}: {begin}")).to_owned()
    };
    for (command, line) in [
        ("serve", line("unisono-server.service", "ExecStart=")),
        ("serve", line("Containerfile", "CMD [")),
        ("backup", line("unisono-backup.service", "ExecStart=")),
    ] {
        let (help, options) = (help(command), options(&line));
        assert!(line.contains(command) && options.len() > 1, "{line}");
        for option in options {
            assert!(help.contains(option), "{line}: {option}");
        }
    }
    let image = read("Containerfile");
    for instruction in ["USER 10001", "STOPSIGNAL SIGTERM", "VOLUME", "EXPOSE 4747", "--locked"] {
        assert!(image.contains(instruction), "{instruction}");
    }
    assert!(
        image.lines().filter(|line| line.starts_with("FROM ")).all(|line| line.contains(':')),
        "bases have versions"
    );
}

/// Where systemd is at hand, its own judgement; the structure everywhere.
#[test]
fn units_are_what_systemd_understands() {
    let units = ["unisono-server.service", "unisono-backup.service", "unisono-backup.timer"];
    for unit in units {
        let mut section = None;
        for line in read(unit).lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            match line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                Some(name) => section = Some(name.to_owned()),
                None => assert!(section.is_some() && line.contains('='), "{unit}: {line}"),
            }
        }
    }
    let paths = units.map(|unit| ops().join(unit));
    let Ok(output) = Command::new("systemd-analyze").arg("verify").args(&paths).output() else { return };
    let complaints = text(&output.stderr);
    let complaints: Vec<_> =
        complaints.lines().filter(|line| line.contains("unisono") && !line.contains("is not executable")).collect();
    assert!(complaints.is_empty(), "{complaints:?}");
}
