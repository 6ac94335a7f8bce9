//! The gate through which all work of this library goes, until the process ends.
//!
//! To end a runtime while its tasks are polled makes a panic of each timer that they then look at, and a task that completes
//! calls the other language, which may have ended. So the work is stopped first: once the gate is shut nobody is inside and
//! nobody gets in, and what is left is only dropped.

use std::pin::Pin;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

/// See the [module](self).
#[derive(Debug)]
pub struct Gate {
    state: Mutex<State>,
    empty: Condvar,
}

#[derive(Debug)]
struct State {
    open: bool,
    inside: usize,
}

/// Being inside.
#[derive(Debug)]
pub struct Pass<'a>(&'a Gate);

impl Gate {
    /// An open gate.
    pub const fn new() -> Self {
        Self { state: Mutex::new(State { open: true, inside: 0 }), empty: Condvar::new() }
    }

    /// Gets in, until the pass is dropped; `None` if the gate is shut.
    pub fn enter(&self) -> Option<Pass<'_>> {
        let mut state = self.lock();
        if !state.open {
            return None;
        }
        state.inside += 1;
        Some(Pass(self))
    }

    /// Shuts the gate and waits until nobody is inside, for `patience` at most. Returns whether nobody is.
    pub fn shut(&self, patience: Duration) -> bool {
        let mut state = self.lock();
        state.open = false;
        let waited = self.empty.wait_timeout_while(state, patience, |state| state.inside > 0);
        waited.unwrap_or_else(PoisonError::into_inner).0.inside == 0
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.inside -= 1;
        if state.inside == 0 {
            self.0.empty.notify_all();
        }
    }
}

/// Work that is polled inside a gate, and never again once it is shut.
pub struct Gated<F> {
    gate: &'static Gate,
    work: Pin<Box<F>>,
}

impl<F> Gated<F> {
    /// `work`, inside `gate`.
    pub fn new(gate: &'static Gate, work: F) -> Self {
        Self { gate, work: Box::pin(work) }
    }
}

impl<F: Future> Future for Gated<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let Some(_inside) = self.gate.enter() else { return Poll::Pending };
        self.work.as_mut().poll(context)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    #[test]
    fn once_it_is_shut_nobody_is_inside_and_nobody_gets_in() {
        let gate = &Gate::new();
        let (entered, inside) = channel();
        let (leave, may_leave) = channel::<()>();
        std::thread::scope(|threads| {
            threads.spawn(move || {
                let pass = gate.enter();
                entered.send(pass.is_some()).unwrap();
                may_leave.recv().unwrap();
            });
            assert!(inside.recv().unwrap());
            assert!(!gate.shut(Duration::ZERO), "somebody is inside");
            assert!(gate.enter().is_none());
            leave.send(()).unwrap();
            assert!(gate.shut(PATIENCE));
        });
    }

    #[tokio::test]
    async fn work_is_not_polled_once_the_gate_is_shut() {
        static GATE: Gate = Gate::new();
        assert_eq!(Gated::new(&GATE, async { 7 }).await, 7);
        let mut late = Gated::new(&GATE, async { unreachable!("the gate is shut") });
        assert!(GATE.shut(PATIENCE));
        std::future::poll_fn(|context| {
            assert!(Pin::new(&mut late).poll(context).is_pending());
            Poll::Ready(())
        })
        .await;
    }
}
