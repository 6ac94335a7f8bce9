//! Events and pushes as they come off the wire.

use unisono::model::SyncEvent;
use unisono::protocol::PushRequest;

/// A push, or a single event: what is read is written and read again the same, admission is idempotent, and the hash of
/// the content depends on nothing but the content.
///
/// # Panics
/// If not.
pub fn push_decode(data: &[u8]) {
    if let Ok(push) = serde_json::from_slice::<PushRequest>(data) {
        let written = serde_json::to_vec(&push).expect("a push serializes");
        assert_eq!(serde_json::from_slice::<PushRequest>(&written).expect("and comes back"), push);
        push.events.into_iter().for_each(check);
    } else if let Ok(event) = serde_json::from_slice::<SyncEvent>(data) {
        check(event);
    }
}

fn check(event: SyncEvent) {
    let again = rewritten(&event);
    assert_eq!(again, event);
    assert_eq!(again.payload_hash(), event.payload_hash());

    let mut admitted = event;
    if let Err(error) = admitted.admit() {
        assert!(!error.code().is_empty() && !error.retryable(), "{error}");
        return;
    }
    let mut twice = admitted.clone();
    twice.admit().expect("what was admitted is admissible");
    assert_eq!(twice, admitted, "admission changes nothing the second time");
    let hash = admitted.payload_hash();
    assert_eq!(rewritten(&admitted), admitted);

    // A client may lower bases and renew stamps when it re-offers an event; nothing else.
    let mut offered = admitted.clone();
    offered.base = offered.base.wrapping_add(7);
    offered.stamp.ms ^= 1;
    for op in &mut offered.ops {
        op.base = op.base.map_or(Some(3), |_| None);
        op.stamp = op.stamp.as_ref().map_or_else(|| Some(admitted.stamp.clone()), |_| None);
    }
    assert_eq!(offered.payload_hash(), hash);
    let mut other = admitted.clone();
    other.schema ^= 1;
    assert_ne!(other.payload_hash(), hash);
    let mut other = admitted;
    if other.ops.pop().is_some() {
        assert_ne!(other.payload_hash(), hash);
    }
}

fn rewritten(event: &SyncEvent) -> SyncEvent {
    let written = serde_json::to_vec(event).expect("an event serializes");
    serde_json::from_slice(&written).expect("and comes back")
}
