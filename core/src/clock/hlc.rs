//! The client's clock: a hybrid logical clock over a wall clock that may be wrong.

use serde::Serialize;

use super::stamp::{MAX_MS, Stamp};
use crate::limits::MAX_CLOCK_AHEAD_MS;

/// Offsets, and changes of one, below this are noise: neither worth a commit nor a renewed stamp. In milliseconds.
pub(crate) const OFFSET_NOISE_MS: u64 = 250;
use crate::model::DeviceId;
use crate::reading;

/// The persisted part of a [`HybridClock`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ClockState {
    /// Milliseconds of the last stamp made or received.
    pub ms: u64,
    /// Counter of that stamp.
    pub counter: u16,
    /// The highest instant received from the server: (milliseconds, counter).
    pub received: (u64, u16),
    /// Server time minus device time, in milliseconds, once measured.
    pub offset_ms: Option<i64>,
}

reading::fields!(ClockState { ms, counter, received = (0, 0), offset_ms = None });

/// Makes and receives stamps. Pure: the wall clock is an argument, the state is plain data that the caller persists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HybridClock {
    state: ClockState,
}

impl HybridClock {
    /// A clock that goes on from `state`.
    #[must_use]
    pub fn new(state: ClockState) -> Self {
        Self { state }
    }

    /// What to persist.
    #[must_use]
    pub fn state(&self) -> ClockState {
        self.state
    }

    /// The wall clock, corrected by the measured offset.
    #[must_use]
    pub fn corrected(&self, wall_ms: u64) -> u64 {
        wall_ms.saturating_add_signed(self.state.offset_ms.unwrap_or(0)).min(MAX_MS)
    }

    /// A stamp for a local write: above every stamp made or received before, and not below the corrected wall clock.
    pub fn tick(&mut self, wall_ms: u64, device: &DeviceId) -> Stamp {
        let now = self.corrected(wall_ms);
        let stamp = if now > self.state.ms {
            Stamp { ms: now, counter: 0, device: device.clone() }
        } else {
            Stamp::above(self.state.ms, self.state.counter, device.clone())
        };
        (self.state.ms, self.state.counter) = stamp.instant();
        stamp
    }

    /// Takes note of a stamp from the server: later local stamps are above it. Stamps from the server are bounded by it,
    /// so none is refused here.
    pub fn receive(&mut self, stamp: &Stamp) {
        let instant = stamp.instant();
        self.state.received = self.state.received.max(instant);
        (self.state.ms, self.state.counter) = (self.state.ms, self.state.counter).max(instant);
    }

    /// Takes note of the server's time, read between two readings of the own wall clock. Returns whether the clock must
    /// fall back and unsent events be re-stamped: when the first offset shows that the stamps so far were wrong by more
    /// than 250 ms, and when the clock ran ahead of what the server accepts.
    pub fn learn_offset(&mut self, server_ms: u64, wall_before_ms: u64, wall_after_ms: u64) -> bool {
        let middle = wall_before_ms / 2 + wall_after_ms / 2 + (wall_before_ms & wall_after_ms & 1);
        let offset = i64::try_from(i128::from(server_ms) - i128::from(middle)).unwrap_or(0);
        let unknown = self.state.offset_ms.replace(offset).is_none();
        let wrong = unknown && offset.unsigned_abs() >= OFFSET_NOISE_MS;
        wrong || self.state.ms > server_ms.saturating_add(MAX_CLOCK_AHEAD_MS).max(self.state.received.0)
    }

    /// Falls back to max(corrected now, highest received stamp), so that one wrong boot does not poison a device. The
    /// caller re-stamps every unsent event, in order, in the same commit.
    pub fn fall_back(&mut self, wall_ms: u64) {
        let now = (self.corrected(wall_ms), 0);
        (self.state.ms, self.state.counter) = now.max(self.state.received);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(name: &str) -> DeviceId {
        DeviceId::new(name).unwrap()
    }

    #[test]
    fn ticks_strictly_increase_while_the_wall_clock_stands_or_goes_back() {
        let mut clock = HybridClock::new(ClockState::default());
        let mut last = clock.tick(1_000, &device("a"));
        for wall in [1_000, 999, 0, 1_000, 1_001, 5] {
            let next = clock.tick(wall, &device("a"));
            assert!(next > last, "{next} after {last}");
            last = next;
        }
    }

    #[test]
    fn the_counter_carries_into_the_milliseconds() {
        let mut clock = HybridClock::new(ClockState { ms: 7, counter: u16::MAX, ..ClockState::default() });
        assert_eq!(clock.tick(0, &device("a")).instant(), (8, 0));
    }

    #[test]
    fn a_received_stamp_is_exceeded_by_the_next_tick_even_on_a_tie() {
        let mut clock = HybridClock::new(ClockState::default());
        let received = Stamp { ms: 50, counter: 9, device: device("z") };
        clock.receive(&received);
        assert!(clock.tick(50, &device("a")) > received);
        clock.receive(&Stamp { ms: 50, counter: 3, device: device("z") });
        assert_eq!(clock.tick(1, &device("a")).instant(), (50, 11));
    }

    #[test]
    fn a_wrong_boot_does_not_poison_the_clock() {
        let ten_years = 315_360_000_000;
        let mut clock = HybridClock::new(ClockState::default());
        clock.tick(1_000 + ten_years, &device("a"));
        assert!(clock.learn_offset(1_000, 1_000 + ten_years, 1_000 + ten_years), "the first offset re-stamps");
        clock.fall_back(1_000 + ten_years);
        assert_eq!(clock.tick(1_001 + ten_years, &device("a")).instant(), (1_001, 0));
        assert!(!clock.learn_offset(1_002, 1_002 + ten_years, 1_002 + ten_years));
        // The wall clock is set right: the old offset now points ten years back, until it is measured again.
        clock.tick(1_003, &device("a"));
        assert!(!clock.learn_offset(1_004, 1_004, 1_004));
        assert_eq!(clock.tick(1_005, &device("a")).ms, 1_005);
    }

    #[test]
    fn the_offset_is_measured_from_the_middle_of_the_two_readings() {
        for (before, after, corrected) in [(5, 5, 10), (4, 6, 10), (5, 7, 9), (4, 4, 11)] {
            let mut clock = HybridClock::new(ClockState::default());
            clock.learn_offset(10, before, after);
            assert_eq!(clock.corrected(5), corrected, "between {before} and {after}");
        }
    }

    #[test]
    fn a_clock_that_was_right_keeps_its_stamps_when_the_first_offset_is_learnt() {
        let mut clock = HybridClock::new(ClockState::default());
        clock.tick(1_000, &device("a"));
        assert!(!clock.learn_offset(1_249, 1_000, 1_000));
        let mut clock = HybridClock::new(ClockState::default());
        assert!(clock.learn_offset(1_000, 1_250, 1_250));
    }

    #[test]
    fn a_clock_at_the_bound_or_at_what_it_received_has_not_run_ahead() {
        let known = ClockState { offset_ms: Some(0), ..ClockState::default() };
        let ahead = |ms: u64, received: u64| {
            let mut clock = HybridClock::new(ClockState { ms, received: (received, 0), ..known });
            clock.learn_offset(1_000, 1_000, 1_000)
        };
        let bound = 1_000 + MAX_CLOCK_AHEAD_MS;
        assert_eq!([bound, bound + 1].map(|ms| ahead(ms, 0)), [false, true]);
        assert_eq!([2 * bound, 2 * bound + 1].map(|ms| ahead(ms, 2 * bound)), [false, true]);
    }

    #[test]
    fn a_clock_that_ran_ahead_falls_back_but_never_below_what_it_received() {
        let mut clock = HybridClock::new(ClockState { offset_ms: Some(0), ..ClockState::default() });
        clock.receive(&Stamp { ms: 2_000, counter: 4, device: device("z") });
        clock.tick(1_000_000, &device("a"));
        assert!(clock.learn_offset(1_000, 1_000_000, 1_000_000));
        clock.fall_back(1_000_000);
        assert_eq!(clock.tick(1_000_000, &device("a")).instant(), (2_000, 5));
    }
}
