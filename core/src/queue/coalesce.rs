//! Folding a write into the unsent event before it.
//!
//! The rule: folding never changes who wins. So every surviving operation keeps its own stamp and base, and an operation
//! disappears into another only where the server could not tell the difference.

use crate::model::{Mode, Op, OpKind, SyncAction, SyncEvent};
use crate::replica::rows::QueueEntry;

/// Most operations that folding gathers in one event.
const MAX_FOLDED_OPS: usize = 256;
/// Most bytes that folding gathers in one event.
const MAX_FOLDED_BYTES: u64 = 128 << 10;

/// What becomes of a later event behind an earlier, unsent one.
#[derive(Debug, PartialEq)]
pub(super) enum Fold {
    /// It stays an event of its own.
    Keep,
    /// Both are this one, under the later id.
    Into(Box<SyncEvent>),
    /// Both vanish.
    Cancel,
}

/// Decides whether `later` folds into `earlier`, the last event of its lane; `confirmed` tells whether the server has the record.
pub(super) fn fold(earlier: &QueueEntry, later: &SyncEvent, later_bytes: u64, confirmed: bool) -> Fold {
    let queued = &earlier.event;
    let unsent = !earlier.frozen && !earlier.absorbed && earlier.parked.is_none() && earlier.settled.is_none();
    let plain = |event: &SyncEvent| event.group.is_none() && event.mode == Mode::Merge && event.needs.is_empty();
    if !unsent || !plain(queued) || !plain(later) || !later.depends_on.is_empty() {
        return Fold::Keep;
    }
    match (queued.action, later.action) {
        // Another writer may have made the record meanwhile: then there is something to delete.
        (SyncAction::Create, SyncAction::Delete) if !confirmed => Fold::Cancel,
        (SyncAction::Create | SyncAction::Update, SyncAction::Update)
            if queued.policy == later.policy
                && queued.schema == later.schema
                && queued.ops.len() + later.ops.len() <= MAX_FOLDED_OPS
                && earlier.bytes + later_bytes <= MAX_FOLDED_BYTES =>
        {
            Fold::Into(Box::new(merge_updates(queued, later)))
        }
        _ => Fold::Keep,
    }
}

fn merge_updates(queued: &SyncEvent, later: &SyncEvent) -> SyncEvent {
    let mut event = queued.clone();
    event.id = later.id.clone();
    if event.action == SyncAction::Update {
        // The newer write gives the event its stamp and base; the older ops say their own.
        for op in &mut event.ops {
            op.stamp = Some(queued.stamp_of(op).clone());
            op.base = Some(queued.base_of(op));
        }
        event.stamp = later.stamp.clone();
        event.base = later.base;
    }
    for op in &later.ops {
        let op = Op { stamp: Some(later.stamp_of(op).clone()), base: Some(later.base_of(op)), ..op.clone() };
        push_op(&mut event.ops, op);
    }
    // What equals the event's own is not said twice.
    for op in &mut event.ops {
        op.stamp = op.stamp.take().filter(|stamp| *stamp != event.stamp);
        op.base = op.base.filter(|base| *base != event.base);
    }
    event
}

/// Appends `op`, or lets it take the place of an earlier one at the same path with the same base.
fn push_op(ops: &mut Vec<Op>, mut op: Op) {
    let touching = ops.iter().rposition(|earlier| earlier.path.overlaps(&op.path));
    if let Some(at) = touching
        && ops[at].path == op.path
        && ops[at].base == op.base
    {
        match (&ops[at].kind, &mut op.kind) {
            (OpKind::Set { .. } | OpKind::Unset, OpKind::Set { .. } | OpKind::Unset) => drop(ops.remove(at)),
            // Of a field below another one the stamp tells whether an increment outlives the parent's removal: there each keeps
            // its own.
            (OpKind::Inc { by: first }, OpKind::Inc { by: second }) if op.path.parent().is_none() => {
                if let Some(sum) = first.checked_add(*second) {
                    *second = sum;
                    ops.remove(at);
                }
            }
            // An increment counts on top of a concurrent assignment even where an own one follows or precedes it; elements of
            // sets have clocks of their own; texts are merged. Folding these would change who wins.
            _ => {}
        }
    }
    ops.push(op);
}
