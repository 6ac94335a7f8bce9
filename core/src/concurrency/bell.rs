//! Waking a worker.

use crate::platform::sync::{AtomicBool, Notified, Notify, Ordering};

/// Rung when there is a cause to work; heard by one worker.
///
/// A ring is never lost: one that comes while the worker works, or between its look at the work and its wait, is heard by
/// its next wait. Rings that come together are heard once.
#[derive(Debug, Default)]
pub struct Bell {
    rung: Notify,
    urgent: AtomicBool,
}

impl Bell {
    /// There is a cause to work.
    pub fn ring(&self) {
        self.rung.notify_one();
    }

    /// There is a cause that cannot wait. Said before the ring, so that whoever hears it knows.
    pub fn ring_urgently(&self) {
        self.urgent.store(true, Ordering::Release);
        self.rung.notify_one();
    }

    /// Completes when the bell was rung since it was last heard. May be dropped: what it has heard, the next one hears.
    pub fn heard(&self) -> Notified<'_> {
        self.rung.notified()
    }

    /// Whether a cause waits that cannot.
    #[must_use]
    pub fn is_urgent(&self) -> bool {
        self.urgent.load(Ordering::Acquire)
    }

    /// Whether a cause waits that cannot; takes note of it. To be called before the work, which then covers the cause.
    pub fn take_urgent(&self) -> bool {
        self.urgent.swap(false, Ordering::AcqRel)
    }
}
