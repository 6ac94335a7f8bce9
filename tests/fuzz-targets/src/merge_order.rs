//! The merge under histories for which arrival order is promised not to matter (docs/adr/0010).

use serde_json::json;
use unisono::model::{Op, OpKind, SyncAction, SyncEvent, Value};

use crate::bytes::Bytes;
use crate::history::{OneRecord, device, event, op};

const DEVICES: usize = 4;
const WRITES: usize = 12;

/// Writes of four devices, none in sight of another's, merged in two orders that both keep each device's own: the same
/// document comes out, and the same values are lost or shown.
///
/// # Panics
/// If not.
pub fn merge_order(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let structured = bytes.below(2) == 1;
    let orders: [Vec<usize>; 2] = std::array::from_fn(|_| (0..WRITES).map(|_| bytes.below(DEVICES)).collect());
    let mut queues: [Vec<SyncEvent>; DEVICES] = Default::default();
    let mut clocks = [10u64; DEVICES];
    for number in 0..WRITES {
        if bytes.is_empty() {
            break;
        }
        let writer = bytes.below(DEVICES);
        // A device does not write on a record that it has deleted itself.
        if queues[writer].last().is_some_and(|last| last.action == SyncAction::Delete) {
            continue;
        }
        clocks[writer] += 1 + u64::from(bytes.byte());
        let action = if bytes.once_in(12) { SyncAction::Delete } else { SyncAction::Update };
        let mut event = event(&device(writer), number, clocks[writer], 1, action);
        if action == SyncAction::Update {
            event.ops = (0..=bytes.below(3)).map(|_| draft(&mut bytes, structured, number)).collect();
        }
        queues[writer].push(event);
    }
    let [one, other] = orders.map(|order| arrive(&queues, &order, structured));
    assert_eq!(members(&one), members(&other), "{queues:?}");
}

fn draft(bytes: &mut Bytes<'_>, structured: bool, number: usize) -> Op {
    let leaf = *bytes.of(if structured { &["/p", "/p/x", "/p/y"] } else { &["/n", "/s", "/m/k"] });
    let plain = json!(number + 1);
    match bytes.below(6) {
        0 | 1 if structured => {
            op(leaf, OpKind::Set { value: bytes.of(&[plain, json!("v"), json!({"x": 7}), json!({})]).clone() })
        }
        0 | 1 => op(leaf, OpKind::Set { value: plain }),
        // Of children below a parent that others assign, the order may tell: see the record of the decision.
        2 => op(if structured { "/p" } else { leaf }, OpKind::Unset),
        3 => op("/n", OpKind::Inc { by: i64::from(bytes.byte()) - 100 }),
        4 => op("/t", OpKind::Add { values: vec![json!(bytes.below(4))] }),
        _ => op("/t", OpKind::Remove { values: vec![json!(bytes.below(4))] }),
    }
}

/// Merges the queues' writes in the order in which `order` names the devices.
fn arrive(queues: &[Vec<SyncEvent>; DEVICES], order: &[usize], structured: bool) -> OneRecord {
    let mut server = OneRecord::default();
    let mut create = event(&device(3), 99, 1, 0, SyncAction::Create);
    let start = if structured { json!({"n": 5, "p": {"x": 1}, "t": []}) } else { json!({"n": 5, "s": 1, "t": [0, 1]}) };
    create.doc = Some(start);
    server.take(create, &device(3), 1).expect("a first create is applied");
    let mut queues = queues.each_ref().map(|queue| queue.iter());
    let mut picks = order.iter().copied().cycle();
    let mut push_seq = 1;
    loop {
        let pick = picks.next().unwrap_or(0);
        let next = (pick..pick + DEVICES).find_map(|at| Some((at % DEVICES, queues[at % DEVICES].next()?)));
        let Some((writer, event)) = next else { return server };
        push_seq += 1;
        if let Err(refused) = server.take(event.clone(), &device(writer), push_seq) {
            let (refusal, event) = *refused;
            panic!("{event:?}: {refusal:?}");
        }
    }
}

/// The document, its set in canonical order: where an element stands may depend on the order of arrival, and so may
/// whether the parent of a field that was made and removed stays behind, empty.
fn members(server: &OneRecord) -> Option<Value> {
    let mut doc = server.doc()?.clone();
    if doc.get("m") == Some(&json!({})) {
        doc.as_object_mut()?.remove("m");
    }
    if let Some(elements) = doc.get_mut("t").and_then(Value::as_array_mut) {
        elements.sort_by_key(ToString::to_string);
    }
    Some(doc)
}
