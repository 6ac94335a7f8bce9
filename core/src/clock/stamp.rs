//! Stamps: the time of one write.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, InvalidCode};
use crate::model::DeviceId;

/// 48-bit milliseconds, 16-bit counter, device id; ordered in that way.
///
/// The text form `%012x-%04x-<device id>` sorts like the value.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
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
    /// The smallest stamp of `device` above (`ms`, `counter`): the counter's overflow carries into the milliseconds.
    #[must_use]
    pub fn above(ms: u64, counter: u16, device: DeviceId) -> Self {
        match counter.checked_add(1) {
            Some(counter) => Self { ms, counter, device },
            None => Self { ms: (ms + 1).min(MAX_MS), counter: 0, device },
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

impl From<Stamp> for String {
    fn from(stamp: Stamp) -> String {
        stamp.to_string()
    }
}

impl TryFrom<String> for Stamp {
    type Error = Error;
    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}
