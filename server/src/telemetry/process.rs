//! Figures of the process, under the names that Prometheus' own client libraries use.

use std::fmt::{self, Write};
use std::fs;

use super::metrics::family;

/// The clock ticks of `/proc`, a second: fixed on every Linux that there is.
const TICKS: f64 = 100.0;

/// Writes what the system tells of this process; nothing where it has no `/proc`.
pub(super) fn write(out: &mut String, started_ms: u64) -> fmt::Result {
    family(out, "process_start_time_seconds", "gauge", "When the process started, since 1970.")?;
    writeln!(out, "process_start_time_seconds {}", started_ms / 1000)?;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        status.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse::<u64>().ok())
    };
    family(out, "process_resident_memory_bytes", "gauge", "Memory in use.")?;
    if let Some(kib) = field("VmRSS:") {
        writeln!(out, "process_resident_memory_bytes {}", kib << 10)?;
    }
    family(out, "process_threads", "gauge", "Threads.")?;
    if let Some(threads) = field("Threads:") {
        writeln!(out, "process_threads {threads}")?;
    }
    family(out, "process_open_fds", "gauge", "Open files and connections.")?;
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        writeln!(out, "process_open_fds {}", open.count())?;
    }
    family(out, "process_max_fds", "gauge", "How many can be open.")?;
    if let Some(most) = max_fds() {
        writeln!(out, "process_max_fds {most}")?;
    }
    family(out, "process_cpu_seconds_total", "counter", "Time of processors used.")?;
    if let Some(seconds) = cpu_seconds() {
        writeln!(out, "process_cpu_seconds_total {seconds}")?;
    }
    Ok(())
}

fn max_fds() -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    limits.lines().find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next()?.parse().ok())
}

fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The program's name may hold anything; what follows it does not.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u32>().ok();
    Some((f64::from(ticks()?) + f64::from(ticks()?)) / TICKS)
}
