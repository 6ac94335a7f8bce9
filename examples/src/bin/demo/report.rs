//! The closing tables, and the conflict inbox in words.

use std::collections::BTreeMap;

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;

use crate::judge::{Fate, Judge, Note};
use crate::screen::say;
use crate::script::Encounter;
use crate::wire::{Change, Fates, Synced};

/// Widest table where the terminal is wider, or there is none.
const WIDTH: u16 = 110;
/// Longest value that is shown in full, in characters.
const SHOWN: usize = 48;

/// One side of the comparison at the end.
pub struct State {
    pub name: String,
    pub records: u64,
    pub digest: String,
    /// The hash over the canonical bytes; the server's is that of the replica which was just made from it.
    pub content: Option<String>,
    pub notes: u64,
    pub same: bool,
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    let width = console::Term::stdout().size_checked().map_or(WIDTH, |(_, columns)| columns.min(WIDTH));
    table
        .load_style(presets::UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(width)
        .set_header(header);
    table
}

fn show(table: &Table) {
    for line in table.lines() {
        say(line);
    }
}

/// What became of each encounter.
pub fn encounters(encounters: &[Encounter], judge: &Judge<'_>) {
    let mut table = table(["while offline", "device A", "device B", "now"]);
    for Encounter { title, record, a, b } in encounters {
        let side = |change| format!("{}\n→ {}", described(change), words(judge.fate(record, change)));
        let after = judge.after.get(record).and_then(Option::as_ref);
        let now = after.map_or("deleted".to_owned(), |doc| touched(doc, [a, b]));
        table.add_row([format!("{title}\n{record}"), side(a), side(b), now]);
    }
    show(&table);
}

fn words(fate: Fate) -> &'static str {
    match fate {
        Fate::Stands => "stands",
        Fate::InInbox => "in the inbox",
        Fate::Partly => "stands in part, the rest is in the inbox",
        Fate::Lost => "LOST",
    }
}

fn described(change: &Change) -> String {
    match change {
        Change::Create { doc } => format!("creates it, name: {}", brief(doc.get("name").unwrap_or(doc))),
        Change::Set { path, value } => format!("{} := {}", field(path), brief(value)),
        Change::Increment { path, by } => format!("{} + {by}", field(path)),
        Change::Add { path, values } => format!("{} gets {}", field(path), values.join(", ")),
        Change::Delete => "deletes it".into(),
    }
}

/// The fields that the changes are about, as they are now.
fn touched(doc: &Value, changes: [&Change; 2]) -> String {
    let mut lines = BTreeMap::new();
    for change in changes {
        let paths: Vec<String> = match change {
            Change::Set { path, .. } | Change::Increment { path, .. } | Change::Add { path, .. } => vec![path.clone()],
            Change::Create { doc } => doc.as_object().into_iter().flatten().map(|(key, _)| format!("/{key}")).collect(),
            Change::Delete => Vec::new(),
        };
        for path in paths {
            let value = doc.pointer(&path).map_or("absent".to_owned(), brief);
            lines.insert(path.clone(), format!("{}: {value}", field(&path)));
        }
    }
    let lines: Vec<_> = lines.into_values().collect();
    // Of a whole record only its size and what is peculiar to it fits.
    match lines.len() {
        0..=3 => lines.join("\n"),
        count => format!("one record, {count} fields\nname: {}", brief(doc.get("name").unwrap_or(doc))),
    }
}

fn field(path: &str) -> &str {
    path.strip_prefix('/').unwrap_or(path)
}

fn brief(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        None => text,
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// What each device did, and what the server said to it.
pub fn devices<'a>(rows: impl IntoIterator<Item = (&'a str, usize, Synced, Fates)>) {
    let header =
        ["device", "written", "pushed", "pulled", "applied", "merged", "superseded", "folded", "pending", "parked"];
    let mut table = table(header);
    for (name, written, synced, fates) in rows {
        let Fates { applied, merged, superseded, folded, pending, parked, .. } = fates;
        let written = written as u64;
        let numbers = [written, synced.pushed, synced.pulled, applied, merged, superseded, folded, pending, parked];
        table.add_row(std::iter::once(name.to_owned()).chain(numbers.map(|number| number.to_string())));
    }
    show(&table);
}

/// The conflict inbox, a sentence for each value that was set aside.
pub fn inbox(notes: &[Note], devices: &BTreeMap<String, String>) {
    if notes.is_empty() {
        say("It is empty.");
    }
    let name = |device: &String| devices.get(device).unwrap_or(device).clone();
    let value = |value: Option<&Value>| value.map_or("a delete".to_owned(), brief);
    for note in notes {
        let place = match &note.path {
            Some(path) => format!("{}, field {}", note.record, field(path)),
            None => format!("{}, the whole record", note.record),
        };
        say(place);
        say(format_args!("  kept       {} by {}", value(note.winner.value.as_ref()), name(&note.winner.device)));
        for loser in &note.losers {
            let side = &loser.side;
            let (value, name, reason) = (value(side.value.as_ref()), name(&side.device), reason(&loser.rule));
            say(format_args!("  set aside  {value} by {name}: {reason}"));
        }
    }
}

fn reason(rule: &str) -> String {
    match rule {
        "stamp" => "it was written before the other, by corrected clocks".into(),
        "policy" => "a policy chose the other".into(),
        "delete" => "the record was deleted by someone who had not seen it".into(),
        "parent" => "the field around it was assigned".into(),
        "create" => "the other device had chosen the same name for a new record".into(),
        other => format!("by rule {other}"),
    }
}

/// Whether all hold the same.
pub fn comparison(states: &[State]) {
    let short = |hash: &String| hash.chars().take(16).collect::<String>();
    let mut table = table(["", "records", "notes", "content (SHA-256)", "digest", "same"]);
    for State { name, records, digest, content, notes, same } in states {
        let content = content.as_ref().map_or("".into(), short);
        let same = if *same { "✓" } else { "✗" };
        table.add_row([name.clone(), records.to_string(), notes.to_string(), content, short(digest), same.into()]);
    }
    show(&table);
}
