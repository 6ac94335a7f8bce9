//! Lifting and bounding: the stamp under which the server records an event (design §4).

use crate::clock::Stamp;
use crate::limits::MAX_CLOCK_AHEAD_MS;
use crate::model::{Revision, SyncEvent};

/// What the server knows when it stamps an event.
pub struct Lift<'a> {
    /// The scope's highest stamp among revisions up to the given one.
    pub highest_at: &'a mut dyn FnMut(Revision) -> Option<Stamp>,
    /// The pushing device's previous effective stamp in this scope: the [newest](newest_stamp) of its previous event.
    pub previous: Option<&'a Stamp>,
    /// The server's clock, in milliseconds.
    pub now_ms: u64,
}

/// Lifts the event's stamps above the scope's highest at their bases and above the device's previous one, and bounds them to
/// the server's clock + 60 s, without ever falling to or below the device's previous one. An event may carry several stamps
/// (its own, and those of operations that were folded into it): they keep their order, and each is treated alike, by its own
/// base. Returns whether the event's own stamp changed.
pub fn lift(event: &mut SyncEvent, rules: &mut Lift<'_>) -> bool {
    let mut stamps: Vec<(Stamp, Revision)> = vec![(event.stamp.clone(), event.base)];
    stamps.extend(event.ops.iter().filter_map(|op| Some((op.stamp.clone()?, event.base_of(op)))));
    stamps.sort();

    let mut previous = rules.previous.map(Stamp::instant);
    let mut lifted: Vec<(Stamp, Stamp)> = Vec::with_capacity(stamps.len());
    let mut stamps = stamps.into_iter().peekable();
    while let Some((stamp, mut base)) = stamps.next() {
        // Equal stamps are one moment of one writer; they stay equal.
        while let Some((_, other)) = stamps.next_if(|(next, _)| *next == stamp) {
            base = base.max(other);
        }
        let seen = (rules.highest_at)(base).map(|stamp| stamp.instant());
        let floor = previous.max(seen);
        let ceiling = (rules.now_ms.saturating_add(MAX_CLOCK_AHEAD_MS), 0);
        let instant = stamp.instant().min(ceiling);
        let effective = match floor {
            Some(floor) if instant <= floor => Stamp::above(floor.0, floor.1, stamp.device.clone()),
            _ => Stamp { ms: instant.0, counter: instant.1, device: stamp.device.clone() },
        };
        previous = Some(effective.instant());
        lifted.push((stamp, effective));
    }
    let effective = |stamp: &Stamp| {
        lifted.iter().find(|(before, _)| before == stamp).map_or_else(|| stamp.clone(), |(_, after)| after.clone())
    };
    for op in &mut event.ops {
        op.stamp = op.stamp.as_ref().map(effective);
    }
    let stamp = effective(&event.stamp);
    let changed = stamp != event.stamp;
    event.stamp = stamp;
    changed
}

/// The newest of the event's stamps; the device's next event is lifted above it.
#[must_use]
pub fn newest_stamp(event: &SyncEvent) -> &Stamp {
    event.ops.iter().filter_map(|op| op.stamp.as_ref()).fold(&event.stamp, std::cmp::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DeviceId, Op, OpKind, Pointer};
    use proptest::prelude::*;

    fn stamp(ms: u64, counter: u16) -> Stamp {
        Stamp { ms, counter, device: DeviceId::new("d").unwrap() }
    }

    fn event(own: Stamp, folded: &[Stamp]) -> SyncEvent {
        let mut event: SyncEvent = serde_json::from_value(serde_json::json!({
            "id": "e", "collection": "c", "record": "r", "action": "update", "base": 4, "stamp": own, "ops": [],
        }))
        .unwrap();
        event.ops = folded
            .iter()
            .map(|stamp| Op {
                path: Pointer::parse("/a").unwrap(),
                kind: OpKind::Unset,
                base: None,
                stamp: Some(stamp.clone()),
            })
            .collect();
        event
    }

    fn lifted(mut event: SyncEvent, highest: Option<Stamp>, previous: Option<Stamp>, now_ms: u64) -> SyncEvent {
        lift(&mut event, &mut Lift { highest_at: &mut |_| highest.clone(), previous: previous.as_ref(), now_ms });
        event
    }

    #[test]
    fn a_slow_clock_is_lifted_above_what_its_writer_had_seen() {
        assert_eq!(lifted(event(stamp(5, 0), &[]), Some(stamp(90, 7)), None, 100).stamp, stamp(90, 8));
    }

    #[test]
    fn b24_a_clock_in_the_future_is_bounded_and_says_so() {
        let mut future = event(stamp(10_000_000, 3), &[]);
        let changed = lift(&mut future, &mut Lift { highest_at: &mut |_| None, previous: None, now_ms: 1_000 });
        assert!(changed);
        assert_eq!(future.stamp, stamp(61_000, 0));
    }

    #[test]
    fn a_stamp_in_order_stays_as_it_is() {
        let before = event(stamp(50, 2), &[stamp(40, 0)]);
        assert_eq!(lifted(before.clone(), Some(stamp(30, 0)), Some(stamp(39, 9)), 100), before);
    }

    proptest! {
        #[test]
        fn effective_stamps_of_a_device_strictly_increase_and_keep_the_order_within_an_event(
            events in proptest::collection::vec((0..500u64, 0..3u16, proptest::collection::vec(0..500u64, 0..4)), 1..12),
            now in 0..400u64,
            highest in proptest::option::of(0..600u64),
        ) {
            let mut previous: Option<Stamp> = None;
            for (ms, counter, folded) in events {
                let folded: Vec<_> = folded.into_iter().map(|ms| stamp(ms * 1_000, 0)).collect();
                let before = event(stamp(ms * 1_000, counter), &folded);
                let after = lifted(before.clone(), highest.map(|ms| stamp(ms * 100, 0)), previous.clone(), now * 1_000);
                let pairs: Vec<_> = std::iter::once((&before.stamp, &after.stamp))
                    .chain(before.ops.iter().zip(&after.ops).map(|(a, b)| (a.stamp.as_ref().unwrap(), b.stamp.as_ref().unwrap())))
                    .collect();
                for (a, a_after) in &pairs {
                    for (b, b_after) in &pairs {
                        prop_assert_eq!(a.cmp(b), a_after.cmp(b_after));
                    }
                    if let Some(previous) = &previous {
                        prop_assert!(a_after.instant() > previous.instant());
                    }
                }
                previous = Some(newest_stamp(&after).clone());
            }
        }
    }
}
