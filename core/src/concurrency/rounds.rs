//! Rounds: work that waits is done together, by whoever came first.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::platform::sync::{Mutex, Notify, lock};
use crate::platform::{BoxFuture, MaybeSend, MaybeSync};

/// Does the work of a round.
pub trait Crew: MaybeSend + MaybeSync + 'static {
    /// A unit of work. It knows whom to tell what became of it; dropped untold, it tells that it was interrupted.
    type Work: MaybeSend + 'static;

    /// Does all of `work`, in its order.
    fn work(&self, work: Vec<Self::Work>) -> BoxFuture<'_, ()>;

    /// A round was dropped or has panicked half-way.
    fn interrupted(&self);

    /// Runs `task` in the background.
    fn spawn(&self, task: BoxFuture<'static, ()>);
}

/// Most units of a round: what a round holds in memory, and keeps others waiting for, stays bounded.
const MOST: usize = 256;

/// Work for a crew, done in rounds: one at a time, each with what waits when it begins.
///
/// Whoever finds the crew idle runs a round itself; what comes meanwhile is the next round's, in the background. A round that
/// has begun is finished even if its caller goes away. Every unit is done once or dropped, and none waits for ever: if a
/// round panics, or its executor ends, what waits goes to a new task, and is dropped if there is no executor left to run it.
pub struct Rounds<C: Crew> {
    crew: C,
    queue: Mutex<Queue<C::Work>>,
    /// No round is under way any more.
    rested: Notify,
}

struct Queue<W> {
    waiting: VecDeque<W>,
    running: bool,
}

impl<C: Crew> fmt::Debug for Rounds<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (waiting, running) = {
            let queue = lock(&self.queue);
            (queue.waiting.len(), queue.running)
        };
        f.debug_struct("Rounds").field("waiting", &waiting).field("running", &running).finish_non_exhaustive()
    }
}

impl<C: Crew> Rounds<C> {
    /// Rounds of `crew`.
    pub fn new(crew: C) -> Self {
        Self { crew, queue: Mutex::new(Queue { waiting: VecDeque::new(), running: false }), rested: Notify::default() }
    }

    /// Adds `work`, and runs the round that it begins, if it begins one. The work may not be done when this returns: it is
    /// the work that tells.
    pub async fn join(self: &Arc<Self>, work: C::Work) {
        let idle = {
            let mut queue = lock(&self.queue);
            queue.waiting.push_back(work);
            !std::mem::replace(&mut queue.running, true)
        };
        if idle {
            let duty = Duty { rounds: Some(self.clone()), begun: true };
            Finishing { rounds: self.clone(), future: Some(Box::pin(first(duty))) }.await;
        }
    }

    /// Completes when no round is under way and nothing waits for one: what a caller has left behind has ended, too.
    pub async fn rest(&self) {
        while lock(&self.queue).running {
            self.rested.notified().await;
        }
        // Whoever else waits.
        self.rested.notify_one();
    }
}

/// The first round; what arrived meanwhile goes on in the background.
async fn first<C: Crew>(duty: Duty<C>) {
    // Those who are polled beside this one, in the same task (`join_all`), get to say what they want: a round that began at
    // once would keep the thread until its commit is durable, and so would each of theirs.
    let_others_in().await;
    if let Some(mut duty) = duty.round().await
        && let Some(rounds) = duty.rounds.take()
    {
        go_on(rounds);
    }
}

/// Runs rounds in the background until nothing waits.
fn go_on<C: Crew>(rounds: Arc<Rounds<C>>) {
    let mut duty = Duty { rounds: Some(rounds.clone()), begun: false };
    rounds.crew.spawn(Box::pin(async move {
        duty.begun = true;
        let mut next = Some(duty);
        while let Some(duty) = next {
            next = duty.round().await;
        }
    }));
}

/// The duty to run rounds until nothing waits. Held by one at a time, from the moment `running` is set until it is unset.
struct Duty<C: Crew> {
    rounds: Option<Arc<Rounds<C>>>,
    /// Whether it was ever taken up by an executor.
    begun: bool,
}

impl<C: Crew> Duty<C> {
    /// Runs one round; the duty stays if more waits.
    async fn round(mut self) -> Option<Self> {
        let rounds = self.rounds.clone()?;
        let work: Vec<_> = {
            let mut queue = lock(&rounds.queue);
            let most = queue.waiting.len().min(MOST);
            queue.waiting.drain(..most).collect()
        };
        rounds.crew.work(work).await;
        let mut queue = lock(&rounds.queue);
        queue.running = !queue.waiting.is_empty();
        if queue.running {
            drop(queue);
            return Some(self);
        }
        drop(queue);
        rounds.rested.notify_one();
        self.rounds = None;
        None
    }
}

impl<C: Crew> Drop for Duty<C> {
    fn drop(&mut self) {
        let Some(rounds) = self.rounds.take() else { return };
        rounds.crew.interrupted();
        let (running, dropped) = {
            let mut queue = lock(&rounds.queue);
            // A task that ended before it began: nothing runs tasks any more.
            let dropped = if self.begun { VecDeque::new() } else { std::mem::take(&mut queue.waiting) };
            queue.running = !queue.waiting.is_empty();
            (queue.running, dropped)
        };
        if running {
            go_on(rounds);
        } else {
            rounds.rested.notify_one();
        }
        // After the lock: it tells its callers.
        drop(dropped);
    }
}

/// Waits for one turn of whoever polls.
async fn let_others_in() {
    let mut waited = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Runs a future; if it is dropped before the end, the rest runs in the background.
struct Finishing<C: Crew> {
    rounds: Arc<Rounds<C>>,
    future: Option<BoxFuture<'static, ()>>,
}

impl<C: Crew> Future for Finishing<C> {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        // Out of its place while it is polled: one that panics is not run any further.
        let Some(mut future) = self.future.take() else { return Poll::Ready(()) };
        let poll = future.as_mut().poll(context);
        if poll.is_pending() {
            self.future = Some(future);
        }
        poll
    }
}

impl<C: Crew> Drop for Finishing<C> {
    fn drop(&mut self) {
        if let Some(future) = self.future.take() {
            self.rounds.crew.spawn(future);
        }
    }
}
