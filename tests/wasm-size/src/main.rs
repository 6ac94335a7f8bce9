//! Pulls the core's pure parts into one WebAssembly module, whose size `cargo xtask check` prints.
//!
//! A program rather than a library: a library's exports need `#[unsafe(no_mangle)]`, a program exports its `main`. The
//! inputs pass through `black_box`, so that the compiler can neither run the code ahead of time nor drop it.

use std::hint::black_box;

use serde_json::Value;
use unisono::merge::{Lift, LoggedWrite, StoredRecord, Write, apply_event, fold_note, lift, merge};
use unisono::model::{Author, SyncEvent, ops_of_patch, value};
use unisono::protocol::{FeedLine, PushRequest, PushResponse};

fn main() {
    let input = black_box(Vec::<u8>::new());
    if let Some(output) = exercise(&input) {
        black_box(output);
    }
}

/// Reads, checks, applies and merges; nothing here is meant to make sense as a whole.
fn exercise(input: &[u8]) -> Option<Vec<u8>> {
    let mut push: PushRequest = serde_json::from_slice(input).ok()?;
    let answer: PushResponse = serde_json::from_slice(input).ok()?;
    let mut output = serde_json::to_vec(&answer).ok()?;
    FeedLine::parse(input).ok()?.write(&mut output);
    let record: Option<StoredRecord> = serde_json::from_slice(input).ok()?;
    let unseen: Vec<LoggedWrite> = serde_json::from_slice(input).ok()?;
    let author = Author { user: push.account.clone(), device: push.device_id.clone() };
    let mut event: SyncEvent = push.events.pop()?;
    event.ops = ops_of_patch(serde_json::from_slice(input).ok()?, &Value::Null).ok()?;
    event.admit().ok()?;
    lift(&mut event, &mut Lift { highest_at: &mut |_| None, previous: None, now_ms: answer.server_now });
    let write = Write { event: &event, author: &author, push_seq: push.push_seq, position: 0, revision: 1 };
    let merged = merge(record.as_ref(), &unseen, &write).ok()?;
    for decision in &merged.decisions {
        output.extend(value::canonical(&fold_note(None, &event.key(), merged.record.floor, decision)));
    }
    output.extend(value::canonical(&apply_event(Some(merged.record.doc), &event)?));
    Some(output)
}
