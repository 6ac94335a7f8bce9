//! The merge under any history at all: what holds whatever devices do.

use std::collections::BTreeMap;

use serde_json::json;
use unisono::clock::Stamp;
use unisono::merge::{LoggedWrite, Refusal, StoredRecord, apply, apply_event};
use unisono::model::{
    DeviceId, Mode, OpKind, Policy, ReceiptStatus, Revision, SyncAction, SyncEvent, TextComponent, TextEdit, Value,
    value,
};

use crate::bytes::Bytes;
use crate::history::{OneRecord, Taken, device, event, op};

const PATHS: [&str; 8] = ["/n", "/s", "/t", "/p", "/p/x", "/p/y", "/p/x/z", "/q"];
const WRITES: usize = 24;

/// Bytes as a history: every write has one result, which can be stored and read; what a refused or beaten write leaves is
/// what was there; nothing from before a delete shows after it; a writer who had seen everything gets what its own replica
/// shows; and a value that loses is noted.
///
/// # Panics
/// If not.
pub fn merge(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let mut server = OneRecord::default();
    let mut seen: BTreeMap<DeviceId, Revision> = BTreeMap::new();
    // Without `update_wins` nothing of before a delete may come back.
    let policies = bytes.once_in(3);
    for number in 0..WRITES {
        if bytes.is_empty() {
            break;
        }
        let writer = device(bytes.below(3));
        let known = seen.entry(writer.clone()).or_default();
        if bytes.below(2) == 0 {
            *known = server.head();
        }
        let known = *known;
        let draft = draft(&mut bytes, &writer, number, known, policies);
        let record = server.record.clone();
        match server.take(draft, &writer, number as u64 + 1) {
            Ok(taken) => check(&server, &taken, &writer),
            Err(refused) => {
                let (refusal, event) = *refused;
                check_refusal(&server, record.as_ref(), &refusal, &event, &writer);
            }
        }
        if !policies {
            check_floor(&server);
        }
    }
}

/// An event that may do anything that admission lets through. Its values tell which write they are from.
fn draft(bytes: &mut Bytes<'_>, writer: &DeviceId, number: usize, known: Revision, policies: bool) -> SyncEvent {
    let action = *bytes.of(&[
        SyncAction::Update,
        SyncAction::Update,
        SyncAction::Update,
        SyncAction::Create,
        SyncAction::Update,
        SyncAction::Delete,
    ]);
    let ms = u64::from(bytes.byte());
    let mut event = event(writer, number, ms, known, action);
    if bytes.once_in(8) {
        event.mode = Mode::Strict;
    }
    if policies {
        event.policy = *bytes.of(&[
            None,
            Some(Policy::UpdateWins),
            Some(Policy::ServerWins),
            Some(Policy::ClientWins),
            Some(Policy::DeleteWins),
            Some(Policy::LastWriteWins),
        ]);
    }
    match action {
        SyncAction::Delete => {}
        SyncAction::Create => event.doc = Some(document(bytes, number)),
        SyncAction::Update => {
            for _ in 0..=bytes.below(3) {
                let path = bytes.of(&PATHS);
                let mut op = op(path, kind(bytes, number));
                if bytes.once_in(6) {
                    op.base = Some(known.min(Revision::from(bytes.byte())));
                }
                if bytes.once_in(6) {
                    let mut stamp = event.stamp.clone();
                    stamp.ms = stamp.ms.saturating_sub(u64::from(bytes.byte()));
                    op.stamp = Some(stamp);
                }
                event.ops.push(op);
            }
            in_order(&mut event);
        }
    }
    event.admit().expect("drafts are admissible");
    event
}

/// Gives no operation a lower stamp than one before it: operations stand in the order in which they were made.
fn in_order(event: &mut SyncEvent) {
    let mut latest: Option<Stamp> = None;
    for at in 0..event.ops.len() {
        let own = event.stamp_of(&event.ops[at]).clone();
        let stamp = latest.map_or(own.clone(), |latest| latest.max(own));
        event.ops[at].stamp = Some(stamp.clone()).filter(|stamp| *stamp != event.stamp);
        latest = Some(stamp);
    }
}

fn document(bytes: &mut Bytes<'_>, number: usize) -> Value {
    match bytes.below(6) {
        0 => json!({"n": 1, "s": scalar(number), "t": [element(number), 1]}),
        1 => json!({"p": {"x": scalar(number), "y": {}}, "n": 0.5}),
        2 => json!({"p": scalar(number), "t": [1, 1, 2]}),
        3 => json!({"p": {"x": {"z": scalar(number)}}, "q": null}),
        4 => json!({"n": u64::MAX, "s": "text", "t": []}),
        _ => json!({}),
    }
}

fn kind(bytes: &mut Bytes<'_>, number: usize) -> OpKind {
    let small = bytes.below(4);
    let elements = |bytes: &mut Bytes<'_>| match bytes.below(5) {
        0 => vec![element(number)],
        1 => vec![json!(1)],
        2 => vec![json!(2), json!(1), json!(2)],
        3 => vec![json!({"a": 1})],
        _ => vec![],
    };
    match bytes.below(10) {
        0 | 1 => OpKind::Set { value: scalar(number) },
        2 => OpKind::Unset,
        3 => OpKind::Set { value: json!(small) },
        4 => OpKind::Inc { by: [1, -3, i64::MAX, i64::MIN][small] },
        5 => OpKind::Add { values: elements(bytes) },
        6 => OpKind::Remove { values: elements(bytes) },
        7 => OpKind::Set { value: json!({"x": scalar(number), "y": {"z": small}}) },
        8 => OpKind::Set { value: [json!({}), json!([]), json!(null), json!([1, {"a": 1}, 1])][small].clone() },
        _ => OpKind::Text { edit: text(small) },
    }
}

fn text(choice: usize) -> TextEdit {
    let insert = TextComponent::Insert("é".to_owned());
    TextEdit(match choice {
        0 => vec![insert],
        1 => vec![TextComponent::Skip(1), insert],
        2 => vec![TextComponent::Delete { d: 1 }],
        _ => vec![TextComponent::Skip(2), TextComponent::Delete { d: 1 }, insert],
    })
}

fn scalar(number: usize) -> Value {
    json!(format!("w{number}"))
}

fn element(number: usize) -> Value {
    json!(format!("w{number}"))
}

fn check(server: &OneRecord, taken: &Taken, writer: &DeviceId) {
    let Taken { before, merged, event } = taken;
    let next = server.record.as_ref().expect("a merge makes a record");
    let logged = server.log.last().expect("it was logged");
    assert_eq!(next.revision, server.head());
    assert!(next.doc.is_object());
    let mut normalized = next.doc.clone();
    value::normalize(&mut normalized);
    assert_eq!(normalized, next.doc);
    assert!(next.floor <= next.revision && before.as_ref().is_none_or(|before| next.floor >= before.floor));
    assert_eq!(stored::<StoredRecord>(next), *next);
    assert_eq!(stored::<LoggedWrite>(logged), *logged);

    let effective = merged.status != ReceiptStatus::Superseded;
    if event.action == SyncAction::Delete && effective {
        assert!(!next.alive);
        assert_eq!(next.floor, next.revision);
    } else {
        assert_eq!(next.floor, before.as_ref().map_or(0, |before| before.floor), "only a delete raises the floor");
    }
    if !effective {
        let doc = before.as_ref().map_or_else(|| json!({}), |before| before.doc.clone());
        assert_eq!(next.doc, doc, "a superseded write changes no leaf");
        let lost: Vec<_> = merged.decisions.iter().filter_map(|decision| decision.loser.value.as_ref()).collect();
        for op in &event.ops {
            if let OpKind::Set { value: Value::String(text) } = &op.kind {
                let mine = event.ops.iter().filter(|other| other.path.overlaps(&op.path)).count() > 1;
                assert!(mine || lost.contains(&&json!(text)), "{text} lost and is not noted: {merged:?}");
            }
        }
    }
    if let Some(before) = before.as_ref().filter(|before| before.alive && had_seen_all(event, server, writer))
        && event.action != SyncAction::Delete
    {
        assert_eq!(merged.status, ReceiptStatus::Applied, "{event:?}");
        // What a child had displaced shows again when the child goes; only the server knows of it, and tells.
        if before.clocks.hidden.is_empty() {
            let shown = apply_event(Some(before.doc.clone()), event);
            assert_eq!(shown.as_ref(), server.doc(), "what its replica shows, and what the server makes of {event:?}");
        }
        assert!(merged.decisions.is_empty());
    }
}

/// Whether every foreign write is in the bases of the event (its own writes it knows).
fn had_seen_all(event: &SyncEvent, server: &OneRecord, writer: &DeviceId) -> bool {
    let base = event.ops.iter().map(|op| event.base_of(op)).fold(event.base, Revision::min);
    let foreign = server.log.iter().filter(|logged| logged.by.device != *writer);
    foreign.map(|logged| logged.revision).max().unwrap_or(0) <= base
}

fn check_refusal(
    server: &OneRecord,
    record: Option<&StoredRecord>,
    refusal: &Refusal,
    event: &SyncEvent,
    writer: &DeviceId,
) {
    assert_eq!(server.record.as_ref(), record, "a refusal changes nothing");
    match refusal {
        Refusal::Conflict => assert_eq!(event.mode, Mode::Strict),
        Refusal::Rejected { code, .. } => {
            assert!(["type_mismatch", "pointer_into_array"].contains(code), "{code}");
            if let Some(record) = record.filter(|record| record.alive && had_seen_all(event, server, writer)) {
                let mut doc = record.doc.clone();
                // What a replica that knew everything would have refused at the write.
                let refused = !apply(&mut doc, &event.ops).is_empty();
                assert!(refused || event.action == SyncAction::Create, "{event:?} on {}: {refusal:?}", record.doc);
            }
        }
    }
}

/// No visible text is from a write that had not seen the last delete.
fn check_floor(server: &OneRecord) {
    let Some(record) = server.record.as_ref().filter(|record| record.alive && record.floor > 0) else { return };
    let delete = &server.log[record.floor as usize - 1];
    let shown = record.doc.to_string();
    for logged in &server.log {
        let written = logged.event.id.as_str().replace('e', "w");
        if !shown.contains(&format!("\"{written}\"")) {
            continue;
        }
        let base = logged.event.ops.iter().map(|op| logged.event.base_of(op)).fold(logged.event.base, Revision::min);
        let saw = base >= record.floor || logged.by.device == delete.by.device;
        assert!(logged.revision > record.floor && saw, "{written} shows after a delete it had not seen: {shown}");
    }
}

fn stored<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
    let bytes = serde_json::to_vec(value).expect("what is stored serializes");
    serde_json::from_slice(&bytes).expect("and comes back")
}
