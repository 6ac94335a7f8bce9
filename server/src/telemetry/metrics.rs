//! Counts for Prometheus. Labels come from fixed lists (routes of the table, known methods, outcomes), never from what a
//! client sends, so that nobody can make the registry grow.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::{Method, StatusCode};
use unisono::model::ReceiptStatus;

use super::process;
use crate::store::{COMMIT_BUCKETS, StoreFigures};
use crate::sync::{Counts, SyncService};

/// Upper bounds of the latency buckets, in seconds.
const BUCKETS: [f64; 12] = [0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// The outcomes of a pushed event, in the order of their counters.
const OUTCOMES: [&str; 6] = ["applied", "merged", "superseded", "conflict", "rejected", "skipped"];

/// Counters of one server.
#[derive(Debug, Default)]
pub struct Metrics {
    requests: Mutex<BTreeMap<(String, &'static str, u16), u64>>,
    latencies: Mutex<BTreeMap<String, Latency>>,
    in_flight: AtomicU64,
    events: [AtomicU64; OUTCOMES.len()],
    refusals: Mutex<BTreeMap<String, u64>>,
    /// By the wall clock.
    started_ms: u64,
}

/// How long the requests of one route took.
#[derive(Debug, Default)]
struct Latency {
    /// Per bucket; the sum over the lower ones is taken when it is written.
    buckets: [u64; BUCKETS.len()],
    count: u64,
    sum: Duration,
}

/// Counts a request as in flight while it lives.
#[derive(Debug)]
pub(crate) struct InFlight<'a>(&'a AtomicU64);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Metrics {
    /// Counts of a server that starts at `now_ms`.
    #[must_use]
    pub fn new(now_ms: u64) -> Self {
        Self { started_ms: now_ms, ..Self::default() }
    }

    /// A request begins.
    pub(crate) fn begin(&self) -> InFlight<'_> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(&self.in_flight)
    }

    /// A request has been answered; `route` is the template of its path, or `unmatched`.
    pub(crate) fn answered(&self, route: &str, method: &Method, status: StatusCode, took: Duration) {
        let key = (route.to_owned(), method_label(method), status.as_u16());
        // A panic while counting leaves counts, nothing that could be inconsistent.
        *self.requests.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default() += 1;
        let mut latencies = self.latencies.lock().unwrap_or_else(PoisonError::into_inner);
        let latency = latencies.entry(route.to_owned()).or_default();
        if let Some(at) = BUCKETS.iter().position(|bound| took.as_secs_f64() <= *bound) {
            latency.buckets[at] += 1;
        }
        latency.count += 1;
        latency.sum += took;
    }

    /// A request was refused, or its answer broken off, with one of the server's own codes.
    pub(crate) fn refused(&self, code: &str) {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        match refusals.get_mut(code) {
            Some(count) => *count += 1,
            None => drop(refusals.insert(code.to_owned(), 1)),
        }
    }

    /// An event has been judged.
    pub(crate) fn judged(&self, outcome: ReceiptStatus) {
        let index = match outcome {
            ReceiptStatus::Applied => 0,
            ReceiptStatus::Merged => 1,
            ReceiptStatus::Superseded => 2,
            ReceiptStatus::Conflict => 3,
            ReceiptStatus::Rejected => 4,
            ReceiptStatus::Skipped => 5,
        };
        self.events[index].fetch_add(1, Ordering::Relaxed);
    }

    /// All counts in Prometheus' text format (0.0.4), with those of `service` and of the process.
    #[must_use]
    pub fn render(&self, service: &SyncService) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut out);
        let _ = write_counts(&mut out, service.counts());
        let _ = write_store(&mut out, &service.store_figures());
        let _ = process::write(&mut out, self.started_ms);
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        family(out, "unisono_build_info", "gauge", "The running version.")?;
        writeln!(out, "unisono_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"))?;
        family(out, "unisono_http_requests_in_flight", "gauge", "Requests being answered.")?;
        writeln!(out, "unisono_http_requests_in_flight {}", self.in_flight.load(Ordering::Relaxed))?;
        family(out, "unisono_push_events_total", "counter", "Pushed events by outcome.")?;
        for (outcome, count) in OUTCOMES.iter().zip(&self.events) {
            writeln!(out, "unisono_push_events_total{{outcome=\"{outcome}\"}} {}", count.load(Ordering::Relaxed))?;
        }
        family(out, "unisono_http_requests_total", "counter", "Answered requests.")?;
        for ((route, method, status), count) in self.requests.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            writeln!(
                out,
                "unisono_http_requests_total{{route=\"{route}\",method=\"{method}\",status=\"{status}\"}} {count}"
            )?;
        }
        family(out, "unisono_refusals_total", "counter", "Requests that were refused or broken off, by code.")?;
        for (code, count) in self.refusals.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            writeln!(out, "unisono_refusals_total{{code=\"{code}\"}} {count}")?;
        }
        let name = "unisono_http_request_duration_seconds";
        family(out, name, "histogram", "Time from a request's head to its answer's head.")?;
        for (route, latency) in self.latencies.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let mut below = 0;
            for (bound, count) in BUCKETS.iter().zip(latency.buckets) {
                below += count;
                writeln!(out, "{name}_bucket{{route=\"{route}\",le=\"{bound}\"}} {below}")?;
            }
            writeln!(out, "{name}_bucket{{route=\"{route}\",le=\"+Inf\"}} {}", latency.count)?;
            writeln!(out, "{name}_sum{{route=\"{route}\"}} {}", latency.sum.as_secs_f64())?;
            writeln!(out, "{name}_count{{route=\"{route}\"}} {}", latency.count)?;
        }
        Ok(())
    }
}

fn write_counts(out: &mut String, counts: &Counts) -> std::fmt::Result {
    let each = [
        ("unisono_epochs_begun_total", "Histories that began since a client proved a restore.", &counts.epochs),
        ("unisono_purged_tombstones_total", "Tombstones dropped after the horizon.", &counts.purged_tombstones),
        ("unisono_purged_audit_rows_total", "Audit rows dropped after their retention.", &counts.purged_audit_rows),
    ];
    for (name, help, count) in each {
        family(out, name, "counter", help)?;
        writeln!(out, "{name} {}", count.load(Ordering::Relaxed))?;
    }
    Ok(())
}

fn write_store(out: &mut String, figures: &StoreFigures) -> std::fmt::Result {
    let each = [
        ("unisono_database_bytes", "gauge", "Bytes of the database's file.", figures.database_bytes),
        ("unisono_wal_bytes", "gauge", "Bytes of its write-ahead log.", figures.wal_bytes),
        ("unisono_damage_total", "counter", "How often damage was met in it.", figures.damaged),
        ("unisono_commit_failures_total", "counter", "Commits that failed.", figures.failed_commits),
    ];
    for (name, kind, help, value) in each {
        family(out, name, kind, help)?;
        writeln!(out, "{name} {value}")?;
    }
    let name = "unisono_last_backup_timestamp_seconds";
    family(out, name, "gauge", "When the last backup was made, since 1970; nothing before the first.")?;
    if let Some(at_ms) = figures.last_backup_ms {
        writeln!(out, "{name} {}", at_ms / 1000)?;
    }
    let name = "unisono_commit_duration_seconds";
    family(out, name, "histogram", "Time of a commit, with the flush to the disk.")?;
    let mut below = 0;
    for (bound, count) in COMMIT_BUCKETS.iter().zip(figures.commits.buckets) {
        below += count;
        writeln!(out, "{name}_bucket{{le=\"{bound}\"}} {below}")?;
    }
    writeln!(out, "{name}_bucket{{le=\"+Inf\"}} {}", figures.commits.count)?;
    writeln!(out, "{name}_sum {}", figures.commits.sum.as_secs_f64())?;
    writeln!(out, "{name}_count {}", figures.commits.count)
}

pub(super) fn family(out: &mut String, name: &str, kind: &str, help: &str) -> std::fmt::Result {
    writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}")
}

/// Methods are whatever a client sends: the label is one of the known.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_appear_with_their_labels_and_buckets_add_up() {
        let metrics = Metrics::default();
        let running = metrics.begin();
        for millis in [1, 3, 300, 60_000] {
            metrics.answered("/x", &Method::GET, StatusCode::OK, Duration::from_millis(millis));
        }
        metrics.answered("unmatched", &Method::from_bytes(b"BREW").unwrap(), StatusCode::NOT_FOUND, Duration::ZERO);
        metrics.judged(ReceiptStatus::Merged);
        let mut text = String::new();
        metrics.write(&mut text).unwrap();
        for line in [
            "unisono_http_requests_in_flight 1",
            "unisono_http_requests_total{route=\"/x\",method=\"GET\",status=\"200\"} 4",
            "unisono_http_requests_total{route=\"unmatched\",method=\"other\",status=\"404\"} 1",
            "unisono_http_request_duration_seconds_bucket{route=\"/x\",le=\"0.001\"} 1",
            "unisono_http_request_duration_seconds_bucket{route=\"/x\",le=\"0.005\"} 2",
            "unisono_http_request_duration_seconds_bucket{route=\"/x\",le=\"10\"} 3",
            "unisono_http_request_duration_seconds_bucket{route=\"/x\",le=\"+Inf\"} 4",
            "unisono_http_request_duration_seconds_count{route=\"/x\"} 4",
            "unisono_push_events_total{outcome=\"merged\"} 1",
            "unisono_push_events_total{outcome=\"applied\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        drop(running);
        let mut text = String::new();
        metrics.write(&mut text).unwrap();
        assert!(text.contains("in_flight 0\n"));
    }
}
