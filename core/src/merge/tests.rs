//! The merge table, row by row.

mod beneath;
mod corners;
mod laws;

use serde_json::json;

use super::*;
use crate::clock::Stamp;
use crate::model::{
    Author, DeviceId, Mode, OpKind, Pointer, Policy, ReceiptStatus, Revision, SyncAction, SyncEvent, Value, value,
};

/// A server of one record: it stamps, merges and logs, and nothing else.
#[derive(Clone, Default)]
struct Server {
    record: Option<StoredRecord>,
    history: History,
    revision: Revision,
    horizon: Revision,
    forgets: Revision,
    push_seq: u64,
    decisions: Vec<Decision>,
}

/// A write in short: device, stamp, base, and what it does.
#[derive(Clone, Debug)]
struct Draft {
    device: &'static str,
    ms: u64,
    base: Revision,
    action: SyncAction,
    doc: Option<Value>,
    ops: Vec<(&'static str, OpKind)>,
    policy: Option<Policy>,
    mode: Mode,
}

fn draft(device: &'static str, ms: u64, base: Revision, action: SyncAction) -> Draft {
    Draft { device, ms, base, action, doc: None, ops: Vec::new(), policy: None, mode: Mode::Merge }
}

fn create(device: &'static str, ms: u64, base: Revision, doc: Value) -> Draft {
    Draft { doc: Some(doc), ..draft(device, ms, base, SyncAction::Create) }
}

fn delete(device: &'static str, ms: u64, base: Revision) -> Draft {
    draft(device, ms, base, SyncAction::Delete)
}

fn op(device: &'static str, ms: u64, base: Revision, path: &'static str, kind: OpKind) -> Draft {
    Draft { ops: vec![(path, kind)], ..draft(device, ms, base, SyncAction::Update) }
}

fn set(value: Value) -> OpKind {
    OpKind::Set { value }
}

fn add(value: Value) -> OpKind {
    OpKind::Add { values: vec![value] }
}

fn remove(value: Value) -> OpKind {
    OpKind::Remove { values: vec![value] }
}

impl Draft {
    fn policy(self, policy: Policy) -> Self {
        Self { policy: Some(policy), ..self }
    }

    fn strict(self) -> Self {
        Self { mode: Mode::Strict, ..self }
    }

    fn event(&self) -> SyncEvent {
        let device = DeviceId::new(self.device).unwrap();
        let mut event = SyncEvent {
            id: crate::model::EventId::new(format!("{}-{}", self.device, self.ms)).unwrap(),
            collection: crate::model::CollectionName::new("samples").unwrap(),
            record: crate::model::RecordId::new("kick").unwrap(),
            action: self.action,
            ops: Vec::new(),
            doc: self.doc.clone(),
            base: self.base,
            stamp: Stamp { ms: self.ms, counter: 0, device },
            group: None,
            depends_on: Vec::new(),
            needs: Vec::new(),
            schema: 1,
            mode: self.mode,
            policy: self.policy,
        };
        event.ops = self
            .ops
            .iter()
            .map(|(path, kind)| crate::model::Op {
                path: Pointer::parse(path).unwrap(),
                kind: kind.clone(),
                base: None,
                stamp: None,
            })
            .collect();
        event
    }
}

impl Server {
    fn with(drafts: &[Draft]) -> Self {
        let mut server = Self::default();
        for draft in drafts {
            server.take(draft).unwrap();
        }
        server
    }

    fn take(&mut self, draft: &Draft) -> Result<ReceiptStatus, Refusal> {
        let author = Author { user: "alice".into(), device: DeviceId::new(draft.device).unwrap() };
        self.push_seq += 1;
        let event = draft.event();
        let revision = self.revision + 1;
        let (push_seq, horizon, forgets) = (self.push_seq, self.horizon, self.forgets);
        let write = Write { event: &event, author: &author, push_seq, position: 0, revision, horizon, forgets };
        let before = self.record.clone();
        let made = merge(&mut self.record, &self.history, &write);
        let merged = match made {
            Ok(merged) => merged,
            Err(refusal) => {
                assert_eq!(self.record, before, "a refused write changes nothing");
                return Err(refusal);
            }
        };
        // A merge is a function, it can be taken back, and it needs only what is relevant of the history.
        let newer = self.history.after(draft.base).iter();
        let needed: History = newer.filter(|logged| relevant(logged, &author.device)).cloned().collect();
        let mut again = before.clone();
        let repeated = merge(&mut again, &needed, &write).unwrap();
        assert_eq!((&again, &repeated.decisions), (&self.record, &merged.decisions), "deterministic");
        assert_eq!((repeated.status, &repeated.trace), (merged.status, &merged.trace), "deterministic");
        assert_eq!(repeated.undo.revert(again.unwrap()), before, "taken back");
        let size = |record: &Option<StoredRecord>| value::canonical_len(&record.as_ref().unwrap().doc) as i64;
        if let (Some(growth), Some(_)) = (merged.growth, &before) {
            assert_eq!(size(&before) + growth, size(&self.record), "{event:?} on {before:?}");
        }
        if merged.as_applied {
            let shown = before.as_ref().filter(|record| record.alive).map(|record| record.doc.clone());
            assert_eq!(apply_event(shown, &event), self.doc(), "{event:?} on {before:?}");
        }
        assert_eq!(self.record.as_ref().unwrap().revision, revision);
        let stored = serde_json::to_string(&self.record).unwrap();
        assert_eq!(serde_json::from_str::<Option<StoredRecord>>(&stored).unwrap(), self.record, "{stored}");
        self.revision = revision;
        self.history.push(LoggedWrite {
            event,
            by: author,
            push_seq: self.push_seq,
            position: 0,
            revision,
            previous: before.map_or(0, |record| record.revision),
            applied_edits: merged.applied_edits,
            decisions: merged.decisions.clone(),
            trace: merged.trace,
        });
        self.decisions.extend(merged.decisions);
        Ok(merged.status)
    }

    /// Drops the record's tombstone, as the server does after the horizon.
    fn forget(&mut self) {
        let tombstone = self.record.take_if(|record| !record.alive).expect("a tombstone");
        self.horizon = tombstone.revision;
        self.history = History::default();
    }

    fn doc(&self) -> Option<Value> {
        self.record.as_ref().filter(|record| record.alive).map(|record| record.doc.clone())
    }

    /// The losing values, as shown in the inbox.
    fn lost(&self) -> Vec<Value> {
        self.decisions.iter().map(|decision| decision.loser.value.clone().unwrap_or(json!("(removed)"))).collect()
    }
}

use ReceiptStatus::{Applied, Merged as MergedStatus, Superseded};

/// What it shows, history, the write, its status, the document afterwards, values noted as lost.
type Row = (&'static str, Vec<Draft>, Draft, ReceiptStatus, Option<Value>, Vec<Value>);

#[test]
fn the_table() {
    let start = |doc| vec![create("a", 1, 0, doc)];
    #[rustfmt::skip]
    let rows: Vec<Row> = vec![
        ("a writer in sight of the value wins, whatever the clock says",
         start(json!({"n": 1})), op("b", 0, 1, "/n", set(json!(2))), Applied, Some(json!({"n": 2})), vec![]),
        ("its own earlier write counts as seen",
         vec![create("a", 1, 0, json!({"n": 1})), op("a", 9, 1, "/n", set(json!(2)))],
         op("a", 5, 1, "/n", set(json!(3))), Applied, Some(json!({"n": 3})), vec![]),
        ("of concurrent writes the later stamp wins",
         vec![create("a", 1, 0, json!({"n": 1})), op("a", 5, 1, "/n", set(json!(2)))],
         op("b", 6, 1, "/n", set(json!(3))), MergedStatus, Some(json!({"n": 3})), vec![json!(2)]),
        ("and the earlier one is kept in the inbox",
         vec![create("a", 1, 0, json!({"n": 1})), op("a", 5, 1, "/n", set(json!(2)))],
         op("b", 4, 1, "/n", set(json!(3))), Superseded, Some(json!({"n": 2})), vec![json!(3)]),
        ("equal stamps: the greater device id",
         vec![create("a", 1, 0, json!({"n": 1})), op("a", 5, 1, "/n", set(json!(2)))],
         op("b", 5, 1, "/n", set(json!(3))), MergedStatus, Some(json!({"n": 3})), vec![json!(2)]),
        ("both wrote the same: no conflict is noted",
         vec![create("a", 1, 0, json!({"n": 1})), op("a", 5, 1, "/n", set(json!(2)))],
         op("b", 6, 1, "/n", set(json!(2))), MergedStatus, Some(json!({"n": 2})), vec![]),
        ("different leaves do not meet",
         vec![create("a", 1, 0, json!({"n": 1})), op("a", 5, 1, "/n", set(json!(2)))],
         op("b", 4, 1, "/m", set(json!(3))), Applied, Some(json!({"m": 3, "n": 2})), vec![]),
        ("a later unset removes a concurrent value",
         vec![create("a", 1, 0, json!({"n": 1})), op("a", 5, 1, "/n", set(json!(2)))],
         op("b", 6, 1, "/n", OpKind::Unset), MergedStatus, Some(json!({})), vec![json!(2)]),
        ("an earlier unset loses",
         vec![create("a", 1, 0, json!({"n": 1})), op("a", 5, 1, "/n", set(json!(2)))],
         op("b", 4, 1, "/n", OpKind::Unset), Superseded, Some(json!({"n": 2})), vec![json!("(removed)")]),
        ("assigning a parent hides older children, and notes them",
         vec![create("a", 1, 0, json!({"p": {"x": 1}})), op("a", 5, 1, "/p/x", set(json!(2)))],
         op("b", 6, 1, "/p", set(json!("flat"))), MergedStatus, Some(json!({"p": "flat"})), vec![json!(2)]),
        ("a newer child makes a scalar parent an object",
         vec![create("a", 1, 0, json!({"p": {"x": 1}})), op("a", 5, 1, "/p", set(json!("flat")))],
         op("b", 6, 1, "/p/x", set(json!(2))), MergedStatus, Some(json!({"p": {"x": 2}})), vec![json!("flat")]),
        ("an older child stays hidden below a newer parent",
         vec![create("a", 1, 0, json!({"p": {"x": 1}})), op("a", 5, 1, "/p", set(json!("flat")))],
         op("b", 4, 1, "/p/x", set(json!(2))), Superseded, Some(json!({"p": "flat"})), vec![json!(2)]),
        ("a newer child survives an older assignment of its parent",
         vec![create("a", 1, 0, json!({"p": {"x": 1, "y": 1}})), op("a", 6, 1, "/p/x", set(json!(2)))],
         op("b", 5, 1, "/p", set(json!({"z": 3}))), MergedStatus, Some(json!({"p": {"x": 2, "z": 3}})), vec![]),
        ("increments of both sides count once",
         vec![create("a", 1, 0, json!({"n": 10})), op("a", 5, 1, "/n", OpKind::Inc { by: 2 })],
         op("b", 4, 1, "/n", OpKind::Inc { by: 3 }), MergedStatus, Some(json!({"n": 15})), vec![]),
        ("an increment of an absent field counts from 0",
         start(json!({})), op("b", 4, 1, "/n", OpKind::Inc { by: -3 }), Applied, Some(json!({"n": -3})), vec![]),
        ("a concurrent assignment keeps unseen increments on top",
         vec![create("a", 1, 0, json!({"n": 10})), op("a", 5, 1, "/n", OpKind::Inc { by: 2 })],
         op("b", 6, 1, "/n", set(json!(100))), MergedStatus, Some(json!({"n": 102})), vec![]),
        ("an assignment in sight of the increments replaces them",
         vec![create("a", 1, 0, json!({"n": 10})), op("a", 5, 1, "/n", OpKind::Inc { by: 2 })],
         op("b", 6, 2, "/n", set(json!(100))), Applied, Some(json!({"n": 100})), vec![]),
        ("concurrent adds are both kept, in the order of their stamps",
         vec![create("a", 1, 0, json!({"t": ["m"]})), op("a", 6, 1, "/t", add(json!("x")))],
         op("b", 5, 1, "/t", add(json!("y"))), Applied, Some(json!({"t": ["m", "y", "x"]})), vec![]),
        ("of a concurrent add and remove of one element the later wins",
         vec![create("a", 1, 0, json!({"t": ["m"]})), op("a", 5, 1, "/t", remove(json!("m")))],
         op("b", 6, 1, "/t", add(json!("m"))), MergedStatus, Some(json!({"t": ["m"]})), vec![json!("(removed)")]),
        ("and the earlier is noted",
         vec![create("a", 1, 0, json!({"t": ["m"]})), op("a", 6, 1, "/t", add(json!("m")))],
         op("b", 5, 1, "/t", remove(json!("m"))), Superseded, Some(json!({"t": ["m"]})), vec![json!("(removed)")]),
        // Every pair with a tombstone, in both orders.
        ("delete meets a concurrent update: delete wins, the update is noted",
         vec![create("a", 1, 0, json!({"n": 1})), op("a", 9, 1, "/n", set(json!(2)))],
         delete("b", 5, 1), MergedStatus, None, vec![json!(2)]),
        ("update meets a concurrent delete: delete wins, the update is noted",
         vec![create("a", 1, 0, json!({"n": 1})), delete("b", 5, 1)],
         op("a", 9, 1, "/n", set(json!(2))), Superseded, None, vec![json!(2)]),
        ("delete in sight of the update",
         vec![create("a", 1, 0, json!({"n": 1})), op("a", 9, 1, "/n", set(json!(2)))],
         delete("b", 5, 2), Applied, None, vec![]),
        ("delete after delete", vec![create("a", 1, 0, json!({"n": 1})), delete("a", 5, 1)],
         delete("b", 6, 1), Applied, None, vec![]),
        ("create in sight of the delete revives, with its own fields only",
         vec![create("a", 1, 0, json!({"n": 1, "m": 1})), delete("a", 5, 1)],
         create("b", 6, 2, json!({"n": 2})), Applied, Some(json!({"n": 2})), vec![]),
        ("create that had not seen the delete meets it",
         vec![create("a", 1, 0, json!({"n": 1})), delete("a", 5, 1)],
         create("b", 6, 0, json!({"n": 2})), Superseded, None, vec![json!({"n": 2})]),
        ("delete that had not seen a concurrent create of the same name",
         vec![create("a", 1, 0, json!({"n": 1}))], delete("b", 6, 0), MergedStatus, None, vec![json!({"n": 1})]),
        ("an update from before the delete meets it even though the record lives again",
         vec![create("a", 1, 0, json!({"n": 1})), delete("a", 5, 1), create("a", 6, 2, json!({"m": 2}))],
         op("b", 9, 1, "/n", set(json!(3))), Superseded, Some(json!({"m": 2})), vec![json!(3)]),
        ("a delete from before another delete kills the revived record too, if it had not seen it",
         vec![create("a", 1, 0, json!({"n": 1})), delete("a", 5, 1), create("a", 6, 2, json!({"m": 2}))],
         delete("b", 9, 1), MergedStatus, None, vec![json!({"m": 2})]),
        ("update of an unknown record meets a delete",
         vec![], op("b", 9, 0, "/n", set(json!(3))), Superseded, None, vec![json!(3)]),
        ("delete of an unknown record", vec![], delete("b", 9, 0), Applied, None, vec![]),
        ("two creates of one natural key merge leaf by leaf",
         start(json!({"n": 1, "x": 1})), create("b", 5, 0, json!({"n": 2, "y": 2})), MergedStatus,
         Some(json!({"n": 2, "x": 1, "y": 2})), vec![json!(1)]),
        ("update_wins on the update keeps the record",
         vec![create("a", 1, 0, json!({"n": 1})), delete("b", 5, 1)],
         op("a", 4, 1, "/n", set(json!(2))).policy(Policy::UpdateWins), MergedStatus, Some(json!({"n": 2})),
         vec![json!("(removed)")]),
        ("update_wins on the delete keeps the record",
         vec![create("a", 1, 0, json!({"n": 1})), op("a", 4, 1, "/n", set(json!(2)))],
         delete("b", 5, 1).policy(Policy::UpdateWins), Superseded, Some(json!({"n": 2})), vec![json!("(removed)")]),
        ("update_wins on the earlier update keeps the record",
         vec![create("a", 1, 0, json!({"n": 1})), op("a", 4, 1, "/n", set(json!(2))).policy(Policy::UpdateWins)],
         delete("b", 5, 1), Superseded, Some(json!({"n": 2})), vec![json!("(removed)")]),
        ("update_wins on the earlier delete revives for an update that had not seen it",
         vec![create("a", 1, 0, json!({"n": 1})), delete("b", 5, 1).policy(Policy::UpdateWins)],
         op("a", 4, 1, "/n", set(json!(2))), MergedStatus, Some(json!({"n": 2})), vec![json!("(removed)")]),
        ("server_wins loses every concurrent leaf",
         vec![create("a", 1, 0, json!({"n": 1})), op("a", 5, 1, "/n", set(json!(2)))],
         op("b", 6, 1, "/n", set(json!(3))).policy(Policy::ServerWins), Superseded, Some(json!({"n": 2})), vec![json!(3)]),
        ("client_wins wins every concurrent leaf",
         vec![create("a", 1, 0, json!({"n": 1})), op("a", 5, 1, "/n", set(json!(2)))],
         op("b", 4, 1, "/n", set(json!(3))).policy(Policy::ClientWins), MergedStatus, Some(json!({"n": 3})), vec![json!(2)]),
        ("strict applies where nothing that it touches was changed",
         vec![create("a", 1, 0, json!({"n": 1})), op("a", 5, 1, "/n", set(json!(2)))],
         op("b", 4, 1, "/m", set(json!(3))).strict(), Applied, Some(json!({"m": 3, "n": 2})), vec![]),
    ];
    for (shows, history, write, status, doc, lost) in rows {
        let mut server = Server::with(&history);
        server.decisions.clear();
        assert_eq!(server.take(&write), Ok(status), "{shows}");
        assert_eq!(server.doc(), doc, "{shows}");
        assert_eq!(server.lost(), lost, "{shows}");
    }
}

/// Where they differ, the server must send the record back, and the user sees a value change that nobody else touched.
#[test]
fn what_a_replica_shows_of_its_own_write_is_what_the_server_makes_of_it() {
    #[rustfmt::skip]
    let rows = [
        ("removing an element of nothing leaves a scalar parent",
         json!({"p": 3}), remove(json!(1)), "/p/x", Ok(json!({"p": 3}))),
        ("and so does unsetting", json!({"p": 3}), OpKind::Unset, "/p/x", Ok(json!({"p": 3}))),
        ("an element that is added makes it an object",
         json!({"p": 3}), add(json!(1)), "/p/x", Ok(json!({"p": {"x": [1]}}))),
        ("an array to which is added becomes a set",
         json!({"t": [1, 2, 1]}), add(json!(3)), "/t", Ok(json!({"t": [1, 2, 3]}))),
        ("elements that are added at once come in canonical order, each once",
         json!({"t": [2]}), OpKind::Add { values: vec![json!(3), json!(1), json!(3), json!(2)] }, "/t",
         Ok(json!({"t": [2, 1, 3]}))),
        ("adding nothing makes the array", json!({}), OpKind::Add { values: vec![] }, "/p/x", Ok(json!({"p": {"x": []}}))),
        ("and one from which is removed",
         json!({"t": [2, 1, 2, 1]}), remove(json!(1)), "/t", Ok(json!({"t": [2]}))),
        ("removing an element below an array",
         json!({"t": [1]}), remove(json!(1)), "/t/x", Err("pointer_into_array")),
    ];
    for (shows, doc, kind, path, expected) in rows {
        let mut server = Server::with(&[create("a", 1, 0, doc.clone())]);
        let write = op("a", 2, 1, path, kind);
        let mut view = doc;
        let shown = match apply(&mut view, &write.event().ops).pop() {
            None => Ok(view),
            Some(skipped) => Err(skipped.code),
        };
        assert_eq!(shown, expected, "shown: {shows}");
        let made = match server.take(&write) {
            Ok(_) => Ok(server.doc().unwrap()),
            Err(Refusal::Rejected { code, .. }) => Err(code),
            Err(Refusal::Conflict) => panic!("{shows}"),
        };
        assert_eq!(made, expected, "made: {shows}");
    }
}

#[test]
fn what_cannot_be_applied_is_refused_and_changes_nothing() {
    let history = [create("a", 1, 0, json!({"n": u64::MAX, "s": "x", "t": [1]})), op("a", 5, 1, "/s", set(json!("y")))];
    let strict = [
        op("b", 6, 1, "/s", set(json!("z"))).strict(),
        delete("b", 6, 1).strict(),
        create("b", 6, 2, json!({})).strict(),
    ];
    for write in strict {
        assert_eq!(Server::with(&history).take(&write), Err(Refusal::Conflict), "{write:?}");
    }
    for (write, expected) in [
        (op("b", 6, 2, "/n", OpKind::Inc { by: 1 }), "type_mismatch"),
        (op("b", 6, 2, "/s", OpKind::Inc { by: 1 }), "type_mismatch"),
        (op("b", 6, 2, "/s", add(json!(1))), "type_mismatch"),
        (op("b", 6, 2, "/t/x", set(json!(1))), "pointer_into_array"),
    ] {
        let mut server = Server::with(&history);
        let before = server.doc();
        match server.take(&write) {
            Err(Refusal::Rejected { code, .. }) => assert_eq!(code, expected, "{write:?}"),
            other => panic!("{write:?}: {other:?}"),
        }
        assert_eq!(server.doc(), before);
    }
}

#[test]
fn events_about_notes_make_no_notes_and_those_about_settings_do() {
    let mut event = op("b", 6, 1, "/n", set(json!(3))).event();
    let server = Server::with(&[create("a", 1, 0, json!({"n": 1})), op("a", 5, 1, "/n", set(json!(2)))]);
    let author = Author { user: "u".into(), device: DeviceId::new("b").unwrap() };
    for (collection, noted) in [(CONFLICTS, 0), ("$settings", 1)] {
        event.collection = crate::model::CollectionName::new(collection).unwrap();
        let write =
            Write { event: &event, author: &author, push_seq: 1, position: 0, revision: 9, horizon: 0, forgets: 0 };
        let merged = merge(&mut server.record.clone(), &server.history, &write).unwrap();
        assert_eq!(merged.decisions.len(), noted, "{collection}");
    }
}
