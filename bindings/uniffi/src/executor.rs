//! The runtime on which all clients of a process run.
//!
//! UniFFI polls a call on whatever thread the other language has: Python's event loop, a Swift task, a Kotlin dispatcher. A
//! commit that waits for the disk there would hold up the app. So the work of a call is a task of this runtime, and what the
//! other language polls is only the wait for it.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::runtime::{Builder, EnterGuard, Handle, Runtime};
use tokio::task::{JoinError, JoinHandle};
use unisono::{Error, UnisonoError};

use crate::Result;
use crate::environment::GatedEnvironment;
use crate::gate::{Gate, Gated};

/// Enough for commits, requests and callbacks to overlap; work that waits for a disk leaves its thread to others.
const THREADS: usize = 2;

/// Runs the work of one process.
#[derive(Clone, Debug)]
pub struct Executor {
    handle: Handle,
    process: u32,
    gate: &'static Gate,
}

/// How long [`shut_down`] waits for the work that it finds, and then for the app's callbacks to come back.
const PATIENCE: Duration = Duration::from_secs(1);

/// A runtime.
#[derive(Debug)]
struct Current {
    /// Who made it.
    process: u32,
    runtime: Runtime,
    /// What all its work goes through.
    gate: &'static Gate,
}

/// The runtime in use.
static CURRENT: Mutex<Option<Current>> = Mutex::new(None);

fn current() -> MutexGuard<'static, Option<Current>> {
    CURRENT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends everything that runs, of every client; later calls fail with `closed`.
///
/// For a language whose own runtime ends before the process does, and does not expect calls afterwards: a thread of this
/// library that waits for Python's lock while Python ends takes the process down with it. What was committed is kept; the
/// clients' files are released with the process.
#[uniffi::export]
pub fn shut_down() {
    let ending = match current().take() {
        Some(ending) if ending.process == std::process::id() => ending,
        other => return std::mem::forget(other),
    };
    if ending.gate.shut(PATIENCE) {
        ending.runtime.shutdown_timeout(PATIENCE);
    } else {
        // Something waits for a disk that does not answer: to end the runtime beneath it would be a panic.
        std::mem::forget(ending);
    }
}

impl Executor {
    /// The executor of this process; made by the first that asks. A forked child has its parent's memory but none of its
    /// threads, so it gets one of its own.
    pub fn of_this_process() -> Result<Self> {
        let process = std::process::id();
        let mut current = current();
        if let Some(Current { process: maker, runtime, gate }) = &*current
            && *maker == process
        {
            return Ok(Self { handle: runtime.handle().clone(), process, gate });
        }
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("unisono")
            .enable_all()
            .build()
            .map_err(|error| Error::Internal(format!("the system gives no threads: {error}")))?;
        let handle = runtime.handle().clone();
        let gate: &'static Gate = Box::leak(Box::new(Gate::new()));
        // Ending the parent's runtime would wait for threads that are not there.
        std::mem::forget(current.replace(Current { process, runtime, gate }));
        Ok(Self { handle, process, gate })
    }

    /// Fails in a forked child and once all has ended, where a task would never run.
    pub fn check(&self) -> Result<()> {
        let runs = std::process::id() == self.process && self.gate.enter().is_some();
        if runs { Ok(()) } else { Err(Error::Closed.into()) }
    }

    /// The environment of clients whose work is this executor's.
    pub fn environment(&self) -> GatedEnvironment {
        GatedEnvironment(self.gate)
    }

    /// Runs `work` to its end on the runtime. Dropping the future cancels the work at its next await.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = unisono::Result<T>> + Send + 'static,
    ) -> Result<T> {
        self.check()?;
        match Cancelling(self.handle.spawn(Gated::new(self.gate, work))).await {
            Ok(result) => result.map_err(UnisonoError::from),
            Err(error) if error.is_cancelled() => Err(Error::Closed.into()),
            Err(error) => Err(Error::Internal(panicked(error)).into()),
        }
    }

    /// Lets `task` run in the background.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        self.handle.spawn(Gated::new(self.gate, task))
    }

    /// For plain calls into the core, which may start tasks.
    pub fn enter(&self) -> EnterGuard<'_> {
        self.handle.enter()
    }
}

/// A task that ends when nobody waits for it any more.
struct Cancelling<T>(JoinHandle<T>);

impl<T> Future for Cancelling<T> {
    type Output = std::result::Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context)
    }
}

impl<T> Drop for Cancelling<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What a task said when it panicked.
fn panicked(error: JoinError) -> String {
    let panic = error.into_panic();
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("a defect: {}", text.unwrap_or("it panicked without a word"))
}

/// What a call needs: the core's object, and where its work runs.
#[derive(Clone, Debug)]
pub struct On<T> {
    pub inner: T,
    pub executor: Arc<Executor>,
}

impl<T> On<T> {
    /// Another object, on the same executor.
    pub fn with<U>(&self, inner: U) -> On<U> {
        On { inner, executor: self.executor.clone() }
    }
}

impl<T: Clone + Send + 'static> On<T> {
    /// Runs a call of the core on the executor.
    pub async fn call<R, F>(&self, call: impl FnOnce(T) -> F) -> Result<R>
    where
        R: Send + 'static,
        F: Future<Output = unisono::Result<R>> + Send + 'static,
    {
        self.executor.run(call(self.inner.clone())).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_ends_in_an_error_and_the_executor_goes_on() {
        let executor = Executor::of_this_process().unwrap();
        let UnisonoError::Failed { code, detail, .. } =
            executor.run::<()>(async { panic!("number {}", 7) }).await.unwrap_err();
        assert_eq!((code.as_str(), detail.contains("number 7")), ("internal", true), "{detail}");
        assert_eq!(executor.run(async { Ok(1) }).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn dropping_a_call_drops_its_work() {
        let executor = Executor::of_this_process().unwrap();
        let (alive, dropped) = tokio::sync::oneshot::channel::<()>();
        let (started, running) = tokio::sync::oneshot::channel::<()>();
        let mut call = Box::pin(executor.run::<()>(async move {
            let _alive = alive;
            started.send(()).expect("the test listens");
            std::future::pending().await
        }));
        tokio::select! {
            biased;
            _ = &mut call => unreachable!("it never ends"),
            begun = running => begun.unwrap(),
        }
        drop(call);
        dropped.await.unwrap_err();
    }

    #[tokio::test]
    async fn another_process_s_executor_refuses_instead_of_waiting_for_ever() {
        let ours = Executor::of_this_process().unwrap();
        let parents = Executor { process: ours.process.wrapping_add(1), ..ours };
        let UnisonoError::Failed { code, .. } = parents.run(async { Ok(()) }).await.unwrap_err();
        assert_eq!(code, "closed");
    }
}
