//! No tracked file names a place on somebody's machine.

use crate::process::{Result, fail};
use crate::tracked;

/// First components of paths that exist on one machine only.
const MACHINE_ROOTS: [&str; 8] = ["home", "Users", "root", "work", "builds", "mnt", "private", "Volumes"];

/// Fails with a list of the places found.
pub fn check() -> Result {
    let mut found = Vec::new();
    for file in tracked::texts()? {
        for (number, line) in file.text.lines().enumerate() {
            if let Some(path) = machine_path(line) {
                found.push(format!("{}:{}: {path}", file.name, number + 1));
            }
        }
    }
    if found.is_empty() {
        eprintln!("No file names an absolute path of a machine.");
        return Ok(());
    }
    fail(format!("absolute machine paths:\n  {}", found.join("\n  ")))
}

/// The first absolute machine path in the line.
fn machine_path(line: &str) -> Option<&str> {
    line.match_indices('/').find_map(|(at, _)| {
        // Inside a word or a longer path (`docs/work/…`, `https://host/home/…`) it is not absolute.
        let absolute = !line[..at].ends_with(|before: char| before.is_alphanumeric() || "._-~*})]/".contains(before))
            || line[..at].ends_with("file://");
        let rest = &line[at + 1..];
        let (first, below) = rest.split_once('/')?;
        let named = below.starts_with(|next: char| next.is_alphanumeric() || "._-".contains(next));
        let end = rest.find(|c: char| c.is_whitespace() || "\"'`)>,;".contains(c)).unwrap_or(rest.len());
        (absolute && named && MACHINE_ROOTS.contains(&first)).then(|| &line[at..=at + end])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // Put together here, so that this file passes its own check.
    fn path(root: &str, rest: &str) -> String {
        ["", root, rest].join("/")
    }

    #[test]
    fn finds_paths_of_a_machine() {
        let home = path("home", "alice/project");
        for line in
            [home.clone(), format!("cd {home}"), format!("\"{home}\""), format!("x={home};"), format!("({home})")]
        {
            assert_eq!(machine_path(&line), Some(&*home), "{line}");
        }
        assert!(machine_path(&format!("file://{}", path("Users", "bob/x"))).is_some());
        assert!(machine_path(&path("root", ".cargo/registry")).is_some());
    }

    #[test]
    fn leaves_other_slashes_alone() {
        let roots = ["docs", &path("work", "plan.md")].concat();
        let url = ["https://example.org", &path("home", "page")].concat();
        for line in [&*roots, &*url, "read/work/write", "/api/v1/sync", "/usr/bin/env bash", "a / home / b"] {
            assert_eq!(machine_path(line), None, "{line}");
        }
    }
}
