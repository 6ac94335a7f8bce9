//! The primitives of a model check.
//!
//! Tokio's are checked by Tokio; what matters here is what the kernels do with them. So each stand-in keeps Tokio's contract
//! (order, permits, what a dropped future passes on) on one loom lock, and a step of it is one step of the model.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

pub use loom::sync::atomic::{AtomicBool, Ordering};
pub use loom::sync::{Mutex, MutexGuard, RwLock};

use super::lock;

/// At most one permit, handed to those who wait in their order.
#[derive(Debug)]
struct Permit {
    state: Mutex<Permits>,
}

#[derive(Debug)]
struct Permits {
    free: bool,
    next: u64,
    waiting: VecDeque<(u64, Waker)>,
    /// Those who were woken with a permit that they have not yet taken.
    granted: Vec<u64>,
}

impl Permit {
    fn new(free: bool) -> Self {
        Self { state: Mutex::new(Permits { free, next: 0, waiting: VecDeque::new(), granted: Vec::new() }) }
    }

    fn release(&self) {
        let first = {
            let mut state = lock(&self.state);
            match state.waiting.pop_front() {
                Some((waiter, waker)) => {
                    state.granted.push(waiter);
                    Some(waker)
                }
                None => {
                    state.free = true;
                    None
                }
            }
        };
        if let Some(waker) = first {
            waker.wake();
        }
    }

    fn acquire(&self) -> Acquire<'_> {
        Acquire { permit: self, waiter: None }
    }
}

/// Waits for the permit. Dropped with a permit that it was granted, it passes it on.
#[derive(Debug)]
struct Acquire<'a> {
    permit: &'a Permit,
    waiter: Option<u64>,
}

impl Future for Acquire<'_> {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = lock(&self.permit.state);
        let waiter = match self.waiter {
            None if std::mem::take(&mut state.free) => return Poll::Ready(()),
            None => {
                state.next += 1;
                state.next
            }
            Some(waiter) => waiter,
        };
        if let Some(at) = state.granted.iter().position(|granted| *granted == waiter) {
            state.granted.swap_remove(at);
            drop(state);
            self.waiter = None;
            return Poll::Ready(());
        }
        match state.waiting.iter_mut().find(|(known, _)| *known == waiter) {
            Some((_, waker)) => waker.clone_from(context.waker()),
            None => state.waiting.push_back((waiter, context.waker().clone())),
        }
        drop(state);
        self.waiter = Some(waiter);
        Poll::Pending
    }
}

impl Drop for Acquire<'_> {
    fn drop(&mut self) {
        let Some(waiter) = self.waiter else { return };
        let granted = {
            let mut state = lock(&self.permit.state);
            state.waiting.retain(|(known, _)| *known != waiter);
            let before = state.granted.len();
            state.granted.retain(|granted| *granted != waiter);
            state.granted.len() < before
        };
        if granted {
            self.permit.release();
        }
    }
}

/// As Tokio's `Notify`, with what the kernels use of it.
#[derive(Debug)]
pub struct Notify(Permit);

impl Default for Notify {
    fn default() -> Self {
        Self(Permit::new(false))
    }
}

impl Notify {
    /// Wakes the first who waits, or else the next one.
    pub fn notify_one(&self) {
        self.0.release();
    }

    /// Waits to be woken.
    pub fn notified(&self) -> Notified<'_> {
        Notified(self.0.acquire())
    }
}

/// Waits to be woken.
#[derive(Debug)]
pub struct Notified<'a>(Acquire<'a>);

impl Future for Notified<'_> {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(context)
    }
}

/// As a Tokio mutex of nothing, with what the kernels use of it.
#[derive(Debug)]
pub struct TurnLock(Permit);

impl Default for TurnLock {
    fn default() -> Self {
        Self(Permit::new(true))
    }
}

impl TurnLock {
    /// Waits for the turn.
    pub async fn lock(&self) -> BorrowedTurn<'_> {
        self.0.acquire().await;
        BorrowedTurn(self)
    }

    /// Waits for the turn.
    pub async fn lock_owned(self: Arc<Self>) -> OwnedTurn {
        self.0.acquire().await;
        OwnedTurn(self)
    }

    /// The turn, if nobody has it.
    pub fn try_lock_owned(self: Arc<Self>) -> Result<OwnedTurn, Taken> {
        let free = std::mem::take(&mut lock(&self.0.state).free);
        if free { Ok(OwnedTurn(self)) } else { Err(Taken) }
    }
}

/// Somebody has the turn.
#[derive(Debug)]
pub struct Taken;

/// Holds a [`TurnLock`].
#[derive(Debug)]
pub struct BorrowedTurn<'a>(&'a TurnLock);

impl Drop for BorrowedTurn<'_> {
    fn drop(&mut self) {
        self.0.0.release();
    }
}

/// Holds a [`TurnLock`].
#[derive(Debug)]
pub struct OwnedTurn(Arc<TurnLock>);

impl Drop for OwnedTurn {
    fn drop(&mut self) {
        self.0.0.release();
    }
}

/// As Tokio's `oneshot`, with what the kernels use of it.
pub mod oneshot {
    use super::{Arc, Context, Future, Mutex, Pin, Poll, Waker, lock};

    #[derive(Debug)]
    struct State<T> {
        value: Option<T>,
        waker: Option<Waker>,
        closed: bool,
    }

    type Shared<T> = Arc<Mutex<State<T>>>;

    /// Sends one value.
    #[derive(Debug)]
    pub struct Sender<T>(Option<Shared<T>>);

    /// Receives one value.
    #[derive(Debug)]
    pub struct Receiver<T>(Shared<T>);

    /// A channel for one value.
    pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
        let shared = Arc::new(Mutex::new(State { value: None, waker: None, closed: false }));
        (Sender(Some(shared.clone())), Receiver(shared))
    }

    impl<T> Sender<T> {
        /// Sends, or gives the value back if nobody will receive it.
        pub fn send(mut self, value: T) -> Result<(), T> {
            let Some(shared) = self.0.take() else { return Err(value) };
            let waker = {
                let mut state = lock(&shared);
                if state.closed {
                    return Err(value);
                }
                (state.value, state.closed) = (Some(value), true);
                state.waker.take()
            };
            waker.into_iter().for_each(Waker::wake);
            Ok(())
        }
    }

    impl<T> Drop for Sender<T> {
        fn drop(&mut self) {
            let Some(shared) = self.0.take() else { return };
            let waker = {
                let mut state = lock(&shared);
                state.closed = true;
                state.waker.take()
            };
            waker.into_iter().for_each(Waker::wake);
        }
    }

    impl<T> Future for Receiver<T> {
        type Output = Result<T, ()>;
        fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
            let mut state = lock(&self.0);
            match state.value.take() {
                Some(value) => Poll::Ready(Ok(value)),
                None if state.closed => Poll::Ready(Err(())),
                None => {
                    state.waker = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        }
    }

    impl<T> Drop for Receiver<T> {
        fn drop(&mut self) {
            // A value that nobody took is dropped here, after the lock: its drop may do anything.
            let _value = {
                let mut state = lock(&self.0);
                state.closed = true;
                state.value.take()
            };
        }
    }
}
