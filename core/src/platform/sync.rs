//! The primitives that the [concurrency kernels](crate::concurrency) are made of.
//!
//! They are std's and Tokio's. Under `cfg(loom)` they are loom's, and stand-ins on loom's lock for Tokio's, so that a model
//! check of a kernel runs the kernel's own code and sees each of its steps. This is the only place that knows of it.

#[cfg(not(loom))]
mod primitives {
    #[cfg(any(feature = "sqlite", feature = "testing", test))]
    pub use std::sync::RwLock;
    pub use std::sync::atomic::{AtomicBool, Ordering};
    pub use std::sync::{Mutex, MutexGuard};

    pub use tokio::sync::Notify;
    pub use tokio::sync::futures::Notified;
    #[cfg(feature = "testing")]
    pub use tokio::sync::oneshot;

    /// A lock to be waited for asynchronously, first come, first served. It guards no data: it is a turn.
    pub type TurnLock = tokio::sync::Mutex<()>;
    /// Holds a [`TurnLock`].
    pub type OwnedTurn = tokio::sync::OwnedMutexGuard<()>;
}

#[cfg(loom)]
#[path = "sync/loom.rs"]
mod primitives;

use std::sync::PoisonError;

pub use primitives::*;

/// Locks `mutex`, poisoned or not: a kernel's critical sections are a few moves, which no panic leaves half-done.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
