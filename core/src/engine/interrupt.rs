//! Interrupting syncs: whoever closes, seals or suspends a replica does not wait for a server.

use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{Either, select};
use tokio::sync::watch;

/// Ends the work that is under way, and lets none begin, while anybody holds it up.
#[derive(Debug)]
pub(super) struct Interrupts {
    holders: Arc<watch::Sender<usize>>,
}

/// Holds work up until it is dropped.
#[derive(Debug)]
pub(super) struct Hold {
    holders: Arc<watch::Sender<usize>>,
}

impl Default for Interrupts {
    fn default() -> Self {
        Self { holders: Arc::new(watch::Sender::new(0)) }
    }
}

impl Interrupts {
    /// Interrupts what is under way.
    pub fn hold(&self) -> Hold {
        self.holders.send_modify(|holders| *holders += 1);
        Hold { holders: self.holders.clone() }
    }

    /// Waits until nobody holds work up.
    pub async fn over(&self) {
        // The sender lives as long as this.
        drop(self.holders.subscribe().wait_for(|holders| *holders == 0).await);
    }

    /// Does `work`; `None` if it was interrupted, which drops it.
    pub async fn unless_held<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut holders = self.holders.subscribe();
        let held = pin!(holders.wait_for(|holders| *holders > 0));
        match select(pin!(work), held).await {
            Either::Left((done, _)) => Some(done),
            Either::Right(_) => None,
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.holders.send_modify(|holders| *holders -= 1);
    }
}
