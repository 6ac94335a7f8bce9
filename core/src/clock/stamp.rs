//! Stamps: the time of one write.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, InvalidCode};
use crate::model::DeviceId;
use crate::reading;

/// 48-bit milliseconds, 16-bit counter, device id; ordered in that way.
///
/// The text form `%012x-%04x-<device id>` sorts like the value.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    /// Milliseconds since the Unix epoch, below 2^48.
    pub ms: u64,
    /// Distinguishes stamps of one millisecond.
    pub counter: u16,
    /// Who made it; breaks ties.
    pub device: DeviceId,
}

/// The largest value of a stamp's milliseconds.
pub const MAX_MS: u64 = (1 << 48) - 1;

impl Stamp {
    /// The smallest stamp of `device` above (`ms`, `counter`): the counter's overflow carries into the milliseconds. Nothing
    /// is above the last stamp there is (in the year 10889); from there on it is that one, so that none is ever below.
    #[must_use]
    pub fn above(ms: u64, counter: u16, device: DeviceId) -> Self {
        match counter.checked_add(1) {
            Some(counter) if ms <= MAX_MS => Self { ms, counter, device },
            None if ms < MAX_MS => Self { ms: ms + 1, counter: 0, device },
            _ => Self { ms: MAX_MS, counter: u16::MAX, device },
        }
    }

    /// Its instant without the device: what lifting and bounding compare.
    #[must_use]
    pub fn instant(&self) -> (u64, u16) {
        (self.ms, self.counter)
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012x}-{:04x}-{}", self.ms, self.counter, self.device)
    }
}

impl fmt::Debug for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Stamp {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        parse(text).ok_or_else(|| {
            Error::invalid(InvalidCode::Stamp, "a stamp has the form `<12 hex digits>-<4 hex digits>-<device id>`")
        })
    }
}

/// Splits at the first two dashes only: device ids have dashes of their own. Exactly lower-case hex of full width, so that
/// one value has one text.
fn parse(text: &str) -> Option<Stamp> {
    let hex = |digits: &str, width: usize| {
        (digits.len() == width && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')))
            .then(|| u64::from_str_radix(digits, 16).ok())
            .flatten()
    };
    let mut parts = text.splitn(3, '-');
    let ms = hex(parts.next()?, 12)?;
    let counter = u16::try_from(hex(parts.next()?, 4)?).ok()?;
    let device = DeviceId::new(parts.next()?).ok()?;
    Some(Stamp { ms, counter, device })
}

reading::text!(Stamp, to_string);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stamps() -> impl Strategy<Value = Stamp> {
        (0..=MAX_MS, any::<u16>(), "[a-c-]{1,4}").prop_map(|(ms, counter, device)| Stamp {
            ms,
            counter,
            device: DeviceId::new(device).unwrap(),
        })
    }

    proptest! {
        #[test]
        fn the_text_sorts_like_the_value_and_reads_back(a in stamps(), b in stamps()) {
            prop_assert_eq!(a.to_string().cmp(&b.to_string()), a.cmp(&b));
            prop_assert_eq!(a.to_string().parse::<Stamp>().unwrap(), a.clone());
            prop_assert_eq!(format!("{a:?}"), a.to_string());
        }

        #[test]
        fn above_is_the_next_instant(ms in 0..MAX_MS, counter in any::<u16>()) {
            let device = DeviceId::new("d").unwrap();
            let next = Stamp::above(ms, counter, device);
            prop_assert!(next.instant() > (ms, counter));
        }
    }

    #[test]
    fn at_the_end_of_time_no_stamp_is_below_the_one_before() {
        for (ms, counter) in [(MAX_MS, u16::MAX), (MAX_MS + 1, 0), (u64::MAX, u16::MAX)] {
            assert_eq!(Stamp::above(ms, counter, DeviceId::new("d").unwrap()).instant(), (MAX_MS, u16::MAX));
        }
        assert_eq!(Stamp::above(MAX_MS, u16::MAX, DeviceId::new("d").unwrap()).to_string(), "ffffffffffff-ffff-d");
        assert_eq!(Stamp::above(MAX_MS, 4, DeviceId::new("d").unwrap()).instant(), (MAX_MS, 5));
        assert_eq!(Stamp::above(MAX_MS - 1, u16::MAX, DeviceId::new("d").unwrap()).instant(), (MAX_MS, 0));
    }

    #[test]
    fn malformed_stamps_are_refused() {
        for text in [
            "",
            "-",
            "000000000001-0001",
            "000000000001-0001-",
            "00000000001-0001-d",
            "00000000000A-0001-d",
            "000000000001-001-d",
            "+00000000001-0001-d",
            "000000000001_0001_d",
        ] {
            assert_eq!(text.parse::<Stamp>().unwrap_err().code(), "invalid_stamp", "{text:?}");
        }
    }
}
