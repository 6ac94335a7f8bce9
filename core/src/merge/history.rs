//! The writes to one record that a merge may need, found by place.

use std::collections::BTreeMap;

use super::clocks::LeafClock;
use super::write::LoggedWrite;
use crate::model::pointer::below;
use crate::model::{DeviceId, OpKind, Pointer, Revision, SyncAction, Value};

/// Writes to one record by ascending revision, indexed by place, so that a merge costs what it asks for and not what the
/// record has been through.
#[derive(Clone, Debug, Default)]
pub struct History {
    writes: Vec<LoggedWrite>,
    /// The operations at each place: the write, and which of its operations.
    places: BTreeMap<Pointer, Vec<(usize, usize)>>,
    /// The conflicts that were decided about each place: the write that decided, and which of its decisions.
    decided: BTreeMap<Pointer, Vec<(usize, usize)>>,
    creates: Vec<usize>,
}

/// An increment in the log.
pub(super) struct Increment {
    pub by: i64,
    pub clock: LeafClock,
}

impl History {
    /// Appends a write, which is newer than all that are there.
    pub fn push(&mut self, write: LoggedWrite) {
        let at = self.writes.len();
        for (number, op) in write.event.ops.iter().enumerate() {
            self.places.entry(op.path.clone()).or_default().push((at, number));
        }
        for (number, decision) in write.decisions.iter().enumerate() {
            if let Some(path) = &decision.path {
                self.decided.entry(path.clone()).or_default().push((at, number));
            }
        }
        if write.event.action == SyncAction::Create {
            self.creates.push(at);
        }
        self.writes.push(write);
    }

    /// The writes above `revision`.
    #[must_use]
    pub fn after(&self, revision: Revision) -> &[LoggedWrite] {
        &self.writes[self.writes.partition_point(|write| write.revision <= revision)..]
    }

    /// The operations at `path` by others than `device` above `revision`, ascending.
    fn at<'h>(
        &'h self,
        path: &str,
        device: &'h DeviceId,
        revision: Revision,
    ) -> impl Iterator<Item = (&'h LoggedWrite, usize)> + use<'h> {
        self.select(self.places.get(path).map_or(&[][..], Vec::as_slice), device, revision)
    }

    fn select<'h>(
        &'h self,
        found: &'h [(usize, usize)],
        device: &'h DeviceId,
        revision: Revision,
    ) -> impl Iterator<Item = (&'h LoggedWrite, usize)> + use<'h> {
        let begin = found.partition_point(|(at, _)| self.writes[*at].revision <= revision);
        let logged = found[begin..].iter().map(|(at, number)| (&self.writes[*at], *number));
        logged.filter(move |(write, _)| write.by.device != *device)
    }

    /// Whether another than `device` changed something that overlaps `path` above `revision`. What lost has changed nothing.
    pub(super) fn changed(&self, path: &Pointer, device: &DeviceId, revision: Revision) -> bool {
        let changed = |(write, number): (&LoggedWrite, usize)| !write.lost(number);
        let around = path.ancestors().chain([path.as_str()]);
        around.into_iter().any(|place| self.at(place, device, revision).any(changed))
            || below(&self.places, path).any(|(_, found)| self.select(found, device, revision).any(changed))
            || self.created(path, device, revision)
    }

    /// Whether another than `device` made something that overlaps `path` with a create above `revision`.
    fn created(&self, path: &Pointer, device: &DeviceId, revision: Revision) -> bool {
        let lost = |write: &LoggedWrite| {
            let mut decided = self.decided.get(path).into_iter().flatten();
            decided.any(|(at, number)| {
                let by = &self.writes[*at];
                by.revision == write.revision && by.decisions[*number].loser.revision == write.revision
            })
        };
        let creates = self.creates.iter().rev().map(|at| &self.writes[*at]);
        let mut after = creates.take_while(|write| write.revision > revision);
        after.any(|write| write.by.device != *device && write.made_at(path) && !lost(write))
    }

    /// Increments by others than `device` above `revision`, at `path` and below it. Those that met a delete never counted.
    pub(super) fn increments(
        &self,
        path: &Pointer,
        device: &DeviceId,
        revision: Revision,
    ) -> BTreeMap<Pointer, Vec<Increment>> {
        let found = self.places.get_key_value(path).into_iter().chain(below(&self.places, path));
        let counted = found.map(|(place, found)| {
            let increments = self.select(found, device, revision).filter_map(|(write, number)| {
                let op = &write.event.ops[number];
                let OpKind::Inc { by } = op.kind else { return None };
                (!write.met_delete()).then(|| Increment { by, clock: write.clock(op) })
            });
            (place.clone(), increments.collect::<Vec<_>>())
        });
        counted.filter(|(_, increments)| !increments.is_empty()).collect()
    }

    /// What stood at `path` as of `revision`, as far as it is known: before the first change by others than `device` since.
    pub(super) fn base(&self, path: &Pointer, device: &DeviceId, revision: Revision) -> Option<Value> {
        let around = path.ancestors().chain([path.as_str()]);
        let first = around.filter_map(|place| {
            self.at(place, device, revision).find(|(write, number)| !write.lost(*number)).map(|(write, _)| write)
        });
        let first = first.min_by_key(|write| write.revision);
        first.and_then(|write| write.replaced_at(path)).or_else(|| {
            let decided = self.decided.get(path)?.iter().map(|(at, number)| (&self.writes[*at], *number));
            let mut after = decided.filter(|(write, _)| write.revision > revision && write.by.device != *device);
            after.find_map(|(write, number)| write.decisions[number].base.clone())
        })
    }
}

impl FromIterator<LoggedWrite> for History {
    fn from_iter<I: IntoIterator<Item = LoggedWrite>>(writes: I) -> Self {
        let mut history = Self::default();
        writes.into_iter().for_each(|write| history.push(write));
        history
    }
}
