//! The text of stamps, and the clock that makes them.

use unisono::clock::{ClockState, HybridClock, Stamp};
use unisono::model::DeviceId;

use crate::bytes::Bytes;

/// The largest instant that a stamp can name.
const END_OF_TIME: (u64, u16) = ((1 << 48) - 1, u16::MAX);

/// Two texts, a line feed between them, are stamps exactly if they have the documented form, print as they were read and
/// sort like what they mean. The same bytes, as choices, walk a clock.
///
/// # Panics
/// If not.
pub fn stamp(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let (one, other) = text.split_once('\n').unwrap_or((text, ""));
        if let (Some(a), Some(b)) = (check(one), check(other)) {
            assert_eq!(a.cmp(&b), one.cmp(other), "{one:?} and {other:?}");
        }
    }
    walk(&mut Bytes::new(data));
}

fn check(text: &str) -> Option<Stamp> {
    match text.parse::<Stamp>() {
        Ok(stamp) => {
            assert!(has_form(text), "{text:?} is accepted");
            assert_eq!(stamp.to_string(), text);
            let stored = serde_json::to_string(&stamp).expect("a stamp serializes");
            assert_eq!(serde_json::from_str::<Stamp>(&stored).expect("and comes back"), stamp);
            Some(stamp)
        }
        Err(error) => {
            assert_eq!(error.code(), "invalid_stamp");
            assert!(!has_form(text), "{text:?} is refused");
            None
        }
    }
}

/// `<12 hex digits>-<4 hex digits>-<device id>`, by place.
fn has_form(text: &str) -> bool {
    let bytes = text.as_bytes();
    let hex = |at: usize| bytes.get(at).is_some_and(|byte| b"0123456789abcdef".contains(byte));
    (0..12).all(hex)
        && bytes.get(12) == Some(&b'-')
        && (13..17).all(hex)
        && bytes.get(17) == Some(&b'-')
        && (19..=18 + 256).contains(&bytes.len())
        && !bytes.contains(&0)
}

/// Ticks, receipts and corrections in any order: each tick is above all that the clock has made or received since it last
/// fell back, above all that it ever received, and not below the corrected wall clock.
fn walk(bytes: &mut Bytes<'_>) {
    let device = DeviceId::new("d").expect("a name");
    let mut clock = HybridClock::new(ClockState::default());
    let mut made = (0, 0);
    let mut received = (0, 0);
    let mut wall = 0;
    while !bytes.is_empty() {
        let choice = bytes.byte();
        // Small steps and any number at all, up to the end of time.
        let number = if choice & 0x80 == 0 { u64::from(bytes.u16()) } else { bytes.u64() };
        match choice % 4 {
            0 => {
                wall = number;
                let stamp = clock.tick(wall, &device);
                assert!(
                    stamp.instant() > made.max(received) || stamp.instant() == END_OF_TIME,
                    "{stamp} after {made:?}"
                );
                assert!(stamp.ms >= clock.corrected(wall));
                assert_eq!(stamp.to_string().parse::<Stamp>().expect("it is read back"), stamp);
                made = stamp.instant();
            }
            1 => {
                let stamp = Stamp { ms: number.min(END_OF_TIME.0), counter: bytes.u16(), device: device.clone() };
                clock.receive(&stamp);
                received = received.max(stamp.instant());
            }
            2 => {
                if clock.learn_offset(number, wall, wall.saturating_add(u64::from(bytes.byte()))) {
                    clock.fall_back(wall);
                    made = (0, 0);
                    assert!((clock.state().ms, clock.state().counter) >= received);
                    assert!(clock.state().ms >= clock.corrected(wall));
                }
            }
            _ => {
                let stored = serde_json::to_vec(&clock.state()).expect("the state serializes");
                clock = HybridClock::new(serde_json::from_slice(&stored).expect("and comes back"));
            }
        }
    }
}
