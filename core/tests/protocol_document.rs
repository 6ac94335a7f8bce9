//! `docs/protocol.md` says what the types do: its examples are read, its numbers computed again, its tables compared.

use std::collections::BTreeSet;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use unisono::error::InvalidCode;
use unisono::limits;
use unisono::model::{SyncEvent, Value, value};
use unisono::protocol::{
    ApiKeyList, CreatedApiKey, DigestResponse, FeedLine, NewApiKey, Page, Problem, ProblemCode, PushRequest,
    PushResponse, StatsResponse, StatusResponse, StorageStats, SyncSwitch, ValueResponse,
};

const DOCUMENT: &str = include_str!("../../docs/protocol.md");

/// The code blocks with this info string.
fn blocks(info: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = DOCUMENT.lines();
    while let Some(line) = lines.next() {
        if line.trim_start().strip_prefix("```") == Some(info) {
            let inside = lines.by_ref().take_while(|line| line.trim_start() != "```");
            blocks.push(inside.collect::<Vec<_>>().join("\n"));
        }
    }
    assert!(!blocks.is_empty(), "no block `{info}`");
    blocks
}

/// Reads each example as `T`, and finds nothing in the example that `T` does not write out again.
fn read<T: DeserializeOwned + Serialize>(info: &str) -> Vec<T> {
    let read = |text: &String| {
        let example: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{info}: {error}\n{text}"));
        let typed: T =
            serde_json::from_value(example.clone()).unwrap_or_else(|error| panic!("{info}: {error}\n{text}"));
        assert_holds(&serde_json::to_value(&typed).unwrap(), &example, info);
        typed
    };
    blocks(info).iter().map(read).collect()
}

/// Everything in `example` is in `written`. (A type may write defaults that the example leaves out.)
fn assert_holds(written: &Value, example: &Value, at: &str) {
    match (written, example) {
        (Value::Object(written), Value::Object(example)) => {
            for (key, value) in example {
                assert_holds(written.get(key).unwrap_or(&Value::Null), value, &format!("{at}/{key}"));
            }
        }
        (Value::Array(written), Value::Array(example)) => {
            assert_eq!(written.len(), example.len(), "{at}");
            written.iter().zip(example).enumerate().for_each(|(n, (a, b))| assert_holds(a, b, &format!("{at}/{n}")));
        }
        _ => assert_eq!(written, example, "{at}"),
    }
}

#[test]
fn every_example_is_what_the_types_read_and_write() {
    for mut event in read::<SyncEvent>("json event") {
        event.admit().unwrap();
    }
    for mut request in read::<PushRequest>("json push-request") {
        request.events.iter_mut().for_each(|event| event.admit().unwrap());
    }
    read::<PushResponse>("json push-response");
    read::<Page>("json page");
    read::<Problem>("json problem");
    read::<StatusResponse>("json status");
    read::<DigestResponse>("json digest");
    read::<StatsResponse>("json stats");
    read::<SyncSwitch>("json switch");
    read::<StorageStats>("json storage");
    read::<NewApiKey>("json new-api-key");
    read::<CreatedApiKey>("json created-api-key");
    read::<ApiKeyList>("json api-keys");
    read::<ValueResponse>("json value");
}

#[test]
fn every_feed_line_is_read_and_written_alike() {
    for line in blocks("json feed-lines").iter().flat_map(|block| block.lines()) {
        let mut written = Vec::new();
        let read = FeedLine::parse(line.as_bytes()).unwrap();
        assert_ne!(read, FeedLine::Unknown, "{line}");
        read.write(&mut written);
        assert_holds(&serde_json::from_slice(&written).unwrap(), &serde_json::from_str(line).unwrap(), line);
    }
}

#[test]
fn the_canonical_forms_are_those_of_the_code() {
    for line in blocks("text canonical").iter().flat_map(|block| block.lines()) {
        let (input, expected) = line.split_once('→').unwrap();
        let mut read: Value = serde_json::from_str(input.trim()).unwrap();
        value::normalize(&mut read);
        assert_eq!(String::from_utf8(value::canonical(&read)).unwrap(), expected.trim(), "{line}");
    }
}

#[test]
fn the_payload_hash_is_that_of_the_code() {
    let payload = blocks("text payload").remove(0);
    let hash = value::hex(&Sha256::digest(&payload));
    assert!(DOCUMENT.contains(&format!("with the hash `{hash}`")), "the document should say {hash}");
    // Bases and stamps play no part.
    let mut event: Value = serde_json::from_str(&payload).unwrap();
    event["base"] = 1.into();
    event["stamp"] = "019a3f2c11d0-0003-device".into();
    event["ops"][0]["base"] = 0.into();
    let event: SyncEvent = serde_json::from_value(event).unwrap();
    assert_eq!(event.payload_hash(), hash);
}

/// The formula as the document states it, apart from the code that syncs.
fn share(collection: &str, record: &str, revision: u64, canonical: &str) -> (u128, u8) {
    let name = |hash: Sha256, name: &str| {
        hash.chain_update(u32::try_from(name.len()).unwrap().to_be_bytes()).chain_update(name)
    };
    let key = name(name(Sha256::new(), collection), record);
    let bucket = key.clone().finalize()[0];
    let hash = key.chain_update(revision.to_be_bytes()).chain_update(canonical).finalize();
    (hash.iter().take(16).fold(0, |sum, byte| sum << 8 | u128::from(*byte)), bucket)
}

#[test]
fn the_digest_example_follows_from_the_formula() {
    let records = [("kick-01", 41, r#"{"bpm":120,"name":"Kick"}"#), ("sn_dub", 43, r#"{"gain":-0.5,"name":"Snare"}"#)];
    let mut total = 0u128;
    for (record, revision, canonical) in records {
        let (hash, bucket) = share("samples", record, revision, canonical);
        total = total.wrapping_add(hash);
        let row = format!("| `samples`, `{record}` | {revision} | `{canonical}` | `{hash:032x}` | {bucket} |");
        assert!(DOCUMENT.contains(&row), "the document should say {row}");
    }
    assert!(DOCUMENT.contains(&format!("| both | | | `{total:032x}` | |")), "the document should say {total:032x}");
    let (session, _) = share("samples", "kick-01", 1, r#"{"bpm":120,"name":"Kick"}"#);
    assert!(DOCUMENT.contains(&format!("{session:032x}")), "the session should say {session:032x}");
}

#[test]
fn the_table_of_requests_codes_is_that_of_the_code() {
    let (_, rest) = DOCUMENT.split_once("### Codes of requests").unwrap();
    let (table, _) = rest.split_once("\n### ").unwrap();
    let mut documented = BTreeSet::new();
    for row in table.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let Ok(status) = cells[1].parse::<u16>() else { continue };
        for code in cells[2].split('`').skip(1).step_by(2) {
            assert!(documented.insert((status, code.to_owned())), "{code} stands there twice");
        }
    }
    let coded = ProblemCode::ALL.iter().map(|code| (code.status(), code.as_str().to_owned())).collect();
    assert_eq!(documented, coded);
}

#[test]
fn every_code_of_refused_content_is_in_the_table() {
    use InvalidCode::*;
    let codes = [
        Id,
        ReservedName,
        Pointer,
        PointerIntoArray,
        Json,
        Number,
        LoneSurrogate,
        NulCharacter,
        NestingTooDeep,
        DocumentTooLarge,
        NotAnObject,
        TextEdit,
        TypeMismatch,
        EventShape,
        Stamp,
    ];
    let (_, table) = DOCUMENT.split_once("### Codes of `rejected` receipts").unwrap();
    for code in codes {
        assert!(table.contains(&format!("`{}`", code.as_str())), "{code:?}");
    }
}

#[test]
fn every_limit_is_that_of_the_code() {
    let row = |what: &str| {
        let line =
            DOCUMENT.lines().find(|line| line.starts_with(&format!("| {what} |"))).unwrap_or_else(|| panic!("{what}"));
        line.split('|').nth(2).unwrap().chars().filter(|c| *c != ',').collect::<String>()
    };
    let first = |what: &str| row(what).split_whitespace().next().unwrap().parse::<usize>().unwrap();
    assert_eq!(first("canonical document"), limits::MAX_DOCUMENT_BYTES);
    assert_eq!(first("nesting"), limits::MAX_DEPTH);
    assert_eq!(first("name"), limits::MAX_ID_BYTES);
    assert_eq!(first("pointer"), limits::MAX_POINTER_BYTES);
    assert_eq!(first("ops in one event"), limits::MAX_OPS_PER_EVENT);
    assert_eq!(first("events in one push"), limits::MAX_PUSH_EVENTS);
    assert_eq!(first("events in one group"), limits::MAX_GROUP_EVENTS);
    assert_eq!(first("changes between two cursor lines"), limits::MAX_CHANGES_PER_CURSOR);
    assert_eq!(first("`limit` of the feed"), limits::MAX_CHANGES_LIMIT);
    assert_eq!(first("a stamp ahead of the server"), usize::try_from(limits::MAX_CLOCK_AHEAD_MS).unwrap());
    assert_eq!(first("digest buckets"), limits::DIGEST_BUCKETS);
    assert_eq!(limits::MAX_PUSH_BYTES, 1 << 20);
    assert_eq!(limits::MAX_ANSWER_RECORD_BYTES, 1 << 20);
    assert_eq!(limits::MAX_PUSH_BYTES_HARD, 4 << 20);
    assert_eq!(limits::MAX_GROUP_BYTES, (4 << 20) - (64 << 10));
    let note = format!(
        "{} · {} KiB · {} KiB",
        limits::MAX_NOTE_LOSERS,
        limits::MAX_NOTE_VALUE_BYTES >> 10,
        limits::MAX_NOTE_BYTES >> 10
    );
    assert_eq!(row("losers in a note · a value in it · a note").trim(), note);
}
