//! An environment in which time, chance and the order of tasks are the test's.
//!
//! Nothing here looks at the real clock, starts a thread or leaves an order to the system, so that a run is decided by its
//! seed and by what the test does. Time stands still while anything can run and then jumps to the next timer: an hour of
//! backoff costs nothing, and a sleep that nobody ends is found at once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use super::SeededRandom;
use crate::environment::{Environment, SharedEnvironment};
use crate::platform::{BlockingJob, BoxFuture};

/// What the wall clock of a new environment shows, in milliseconds since the Unix epoch (2026-01-01T00:00:00Z).
pub const TEST_EPOCH_MS: u64 = 1_767_225_600_000;

/// Polls without any progress of virtual time after which a run counts as a livelock.
const MAX_POLLS_AT_ONE_TIME: u64 = 20_000_000;

/// A deterministic [`Environment`]: virtual time, seeded randomness, and one queue of tasks that the test drives.
///
/// Clones are the same environment. [`device`](Self::device) makes another device in the same world: it shares the tasks'
/// queue, the timers and the monotonic clock, and has a wall clock and a random stream of its own.
///
/// Tasks run only inside [`block_on`](Self::block_on), [`run_until_idle`](Self::run_until_idle) and
/// [`advance`](Self::advance), on the calling thread, first come, first served. A panic in a task reaches the caller.
/// Within asynchronous test code, [`sleep`](Environment::sleep) lets time pass; a sleep of zero ends when nothing else can
/// run at the present time.
#[derive(Clone)]
pub struct TestEnvironment {
    world: Arc<World>,
    device: Arc<Device>,
}

struct World {
    time: Mutex<Time>,
    tasks: Mutex<Tasks>,
    runnable: Arc<Mutex<Runnable>>,
    running: AtomicBool,
    seed: u64,
}

/// One device's own view of the world.
struct Device {
    index: u64,
    state: Mutex<DeviceState>,
}

struct DeviceState {
    /// Wall clock minus ([`TEST_EPOCH_MS`] plus monotonic time), in milliseconds.
    wall_offset_ms: i64,
    /// What the wall clock shows while it stands still.
    frozen_ms: Option<u64>,
    random: SeededRandom,
}

#[derive(Default)]
struct Time {
    now: Duration,
    next_timer: u64,
    /// By deadline, then by age.
    timers: BTreeMap<(Duration, u64), Waker>,
}

#[derive(Default)]
struct Tasks {
    next: u64,
    devices: u64,
    slots: BTreeMap<u64, Slot>,
}

struct Slot {
    device: u64,
    /// Absent while the task is being polled.
    future: Option<BoxFuture<'static, ()>>,
}

/// Tasks that were woken, each at most once, in the order of their wakes.
#[derive(Default)]
struct Runnable {
    queue: VecDeque<u64>,
    queued: BTreeSet<u64>,
}

impl Runnable {
    fn push(&mut self, task: u64) {
        if self.queued.insert(task) {
            self.queue.push_back(task);
        }
    }

    fn pop(&mut self) -> Option<u64> {
        let task = self.queue.pop_front()?;
        self.queued.remove(&task);
        Some(task)
    }
}

struct TaskWaker {
    task: u64,
    runnable: Arc<Mutex<Runnable>>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        lock(&self.runnable).push(self.task);
    }
}

/// No state here is left half-changed by a panic: whatever may panic runs outside the locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl TestEnvironment {
    /// A world of which `seed` decides all randomness. Its wall clock shows [`TEST_EPOCH_MS`], its monotonic clock zero.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let world = Arc::new(World {
            time: Mutex::default(),
            tasks: Mutex::default(),
            runnable: Arc::default(),
            running: AtomicBool::new(false),
            seed,
        });
        Self::on(world, 0)
    }

    /// Another device in this world, whose wall clock is `offset_ms` milliseconds ahead of this one's (behind, if
    /// negative). Its randomness depends on the world's seed and on how many devices there were before.
    #[must_use]
    pub fn device(&self, offset_ms: i64) -> Self {
        let wall_offset_ms = lock(&self.device.state).wall_offset_ms.saturating_add(offset_ms);
        Self::on(Arc::clone(&self.world), wall_offset_ms)
    }

    fn on(world: Arc<World>, wall_offset_ms: i64) -> Self {
        let index = {
            let mut tasks = lock(&world.tasks);
            tasks.devices += 1;
            tasks.devices
        };
        let random = SeededRandom::stream(world.seed, index);
        let state = Mutex::new(DeviceState { wall_offset_ms, frozen_ms: None, random });
        Self { world, device: Arc::new(Device { index, state }) }
    }

    /// This environment as the core takes it.
    #[must_use]
    pub fn shared(&self) -> SharedEnvironment {
        Arc::new(self.clone())
    }

    /// Sets this device's wall clock, in milliseconds since the Unix epoch. Timers do not notice.
    pub fn set_wall(&self, ms: u64) {
        let ms = i64::try_from(ms).unwrap_or(i64::MAX);
        let unset = self.wall_without_offset();
        lock(&self.device.state).wall_offset_ms = ms.saturating_sub(unset);
    }

    /// Moves this device's wall clock by `ms` milliseconds in either direction. Timers do not notice.
    pub fn jump_wall(&self, ms: i64) {
        let mut state = lock(&self.device.state);
        state.wall_offset_ms = state.wall_offset_ms.saturating_add(ms);
    }

    /// Stops this device's wall clock, or lets it go on from the right time. Timers do not notice.
    pub fn freeze_wall(&self, frozen: bool) {
        let now = self.now_ms();
        let mut state = lock(&self.device.state);
        state.frozen_ms = frozen.then(|| state.frozen_ms.unwrap_or(now));
    }

    fn wall_without_offset(&self) -> i64 {
        let since_start = u64::try_from(self.monotonic().as_millis()).unwrap_or(u64::MAX);
        i64::try_from(TEST_EPOCH_MS.saturating_add(since_start)).unwrap_or(i64::MAX)
    }

    /// 64 random bits from this device's stream.
    #[must_use]
    pub fn random_u64(&self) -> u64 {
        lock(&self.device.state).random.next_u64()
    }

    /// Runs `future`, and every spawned task beside it, until `future` is done. Tasks that are left over stay, and go on
    /// with the next call.
    ///
    /// # Panics
    /// With `deadlock: …` if `future` waits for something that nothing can bring about any more; with `livelock: …` if
    /// tasks keep waking each other while time stands still; if called from within a task of this world.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        let _run = self.enter("block_on");
        let mut future = pin!(future);
        let root = {
            let mut tasks = lock(&self.world.tasks);
            tasks.next += 1;
            tasks.next
        };
        let waker = self.waker(root);
        waker.wake_by_ref();
        let mut polls = 0;
        loop {
            while let Some(task) = self.next_runnable(&mut polls) {
                if task != root {
                    self.poll_task(task);
                } else if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                    return output;
                }
            }
            if !self.fire_next_timer(Duration::MAX, &mut polls) {
                let (waiting, now) = (self.live_tasks(), self.monotonic());
                panic!("deadlock: no timer is set and nothing can run ({waiting} spawned tasks wait, {now:?} in)");
            }
        }
    }

    /// Runs all that can run without time passing.
    ///
    /// # Panics
    /// With `livelock: …`, as [`block_on`](Self::block_on); if called from within a task of this world.
    pub fn run_until_idle(&self) {
        let _run = self.enter("run_until_idle");
        self.run_until(self.monotonic());
    }

    /// Lets `duration` pass, running each task when its time comes.
    ///
    /// # Panics
    /// As [`run_until_idle`](Self::run_until_idle).
    pub fn advance(&self, duration: Duration) {
        let _run = self.enter("advance");
        let target = self.monotonic().saturating_add(duration);
        self.run_until(target);
        lock(&self.world.time).now = target;
    }

    fn run_until(&self, target: Duration) {
        let mut polls = 0;
        loop {
            while let Some(task) = self.next_runnable(&mut polls) {
                self.poll_task(task);
            }
            if !self.fire_next_timer(target, &mut polls) {
                return;
            }
        }
    }

    /// Drops every task that was spawned through this device, as a crash of its process would: nothing of it runs on.
    /// Returns how many there were.
    pub fn abort_tasks(&self) -> usize {
        self.abort(|slot| slot.device == self.device.index)
    }

    /// Drops every task of this world. Ends what tasks hold of the environment, too, which else keeps both in memory.
    pub fn abort_all_tasks(&self) -> usize {
        self.abort(|_| true)
    }

    fn abort(&self, chosen: impl Fn(&Slot) -> bool) -> usize {
        let mut count = None;
        loop {
            let dropped: Vec<Slot> = {
                let mut tasks = lock(&self.world.tasks);
                let ids: Vec<u64> = tasks.slots.iter().filter(|(_, slot)| chosen(slot)).map(|(id, _)| *id).collect();
                ids.iter().filter_map(|id| tasks.slots.remove(id)).collect()
            };
            let count = *count.get_or_insert(dropped.len());
            if dropped.is_empty() {
                return count;
            }
            // Dropped here, outside the lock: a future's destructor may wake, and may spawn what has to go as well.
        }
    }

    /// Spawned tasks that have not ended.
    #[must_use]
    pub fn live_tasks(&self) -> usize {
        lock(&self.world.tasks).slots.len()
    }

    fn enter(&self, what: &str) -> Running<'_> {
        assert!(
            !self.world.running.swap(true, Ordering::SeqCst),
            "{what} was called while this world is being driven; within a task, await `sleep` instead"
        );
        Running(&self.world.running)
    }

    fn waker(&self, task: u64) -> Waker {
        Waker::from(Arc::new(TaskWaker { task, runnable: Arc::clone(&self.world.runnable) }))
    }

    fn next_runnable(&self, polls: &mut u64) -> Option<u64> {
        let task = lock(&self.world.runnable).pop()?;
        *polls += 1;
        assert!(*polls < MAX_POLLS_AT_ONE_TIME, "livelock: {polls} polls while virtual time stands still");
        Some(task)
    }

    fn poll_task(&self, id: u64) {
        let taken = lock(&self.world.tasks).slots.get_mut(&id).and_then(|slot| slot.future.take());
        // Ended or aborted tasks may still be woken.
        let Some(mut future) = taken else { return };
        let waker = self.waker(id);
        let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
        let mut tasks = lock(&self.world.tasks);
        let over = match polled {
            Poll::Ready(()) => {
                tasks.slots.remove(&id);
                Some(future)
            }
            Poll::Pending => match tasks.slots.get_mut(&id) {
                Some(slot) => {
                    slot.future = Some(future);
                    None
                }
                // It was aborted while it ran.
                None => Some(future),
            },
        };
        drop(tasks);
        drop(over);
    }

    /// Moves time to the next timer, if that is not after `limit`, and wakes all that are due then. Starts the count of
    /// `polls` again if time moved.
    fn fire_next_timer(&self, limit: Duration, polls: &mut u64) -> bool {
        let due: Vec<Waker> = {
            let mut time = lock(&self.world.time);
            let Some(&(deadline, _)) = time.timers.keys().next() else { return false };
            if deadline > limit {
                return false;
            }
            if deadline > time.now {
                time.now = deadline;
                *polls = 0;
            }
            let after = (time.now, u64::MAX);
            let later = time.timers.split_off(&after);
            std::mem::replace(&mut time.timers, later).into_values().collect()
        };
        due.into_iter().for_each(Waker::wake);
        true
    }
}

impl Environment for TestEnvironment {
    fn now_ms(&self) -> u64 {
        let since_start = self.wall_without_offset();
        let state = lock(&self.device.state);
        let ms = since_start.saturating_add(state.wall_offset_ms);
        state.frozen_ms.unwrap_or_else(|| u64::try_from(ms).unwrap_or(0))
    }

    fn monotonic(&self) -> Duration {
        lock(&self.world.time).now
    }

    fn random(&self, buffer: &mut [u8]) {
        lock(&self.device.state).random.fill(buffer);
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let mut time = lock(&self.world.time);
        time.next_timer += 1;
        let key = (time.now.saturating_add(duration), time.next_timer);
        drop(time);
        Box::pin(Sleep { world: Arc::clone(&self.world), key, waited: !duration.is_zero() })
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        let id = {
            let mut tasks = lock(&self.world.tasks);
            tasks.next += 1;
            let id = tasks.next;
            tasks.slots.insert(id, Slot { device: self.device.index, future: Some(task) });
            id
        };
        self.waker(id).wake();
    }

    fn blocking(&self, job: BlockingJob) -> BoxFuture<'static, ()> {
        // A panicking job ends its own caller's wait and nothing else, as it does on a thread.
        Box::pin(async move { drop(std::panic::catch_unwind(AssertUnwindSafe(job))) })
    }
}

impl fmt::Debug for TestEnvironment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestEnvironment")
            .field("seed", &self.world.seed)
            .field("device", &self.device.index)
            .field("monotonic", &self.monotonic())
            .field("now_ms", &self.now_ms())
            .finish_non_exhaustive()
    }
}

/// Marks the world as driven, for as long as it lives.
struct Running<'a>(&'a AtomicBool);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

struct Sleep {
    world: Arc<World>,
    key: (Duration, u64),
    /// Whether it may end as soon as its deadline is there: a sleep of zero first lets others run.
    waited: bool,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut time = lock(&self.world.time);
        let due = time.now >= self.key.0 && !time.timers.contains_key(&self.key);
        if due && self.waited {
            return Poll::Ready(());
        }
        let replaced = time.timers.insert(self.key, context.waker().clone());
        drop(time);
        // A foreign waker may own anything, therefore it goes outside the lock.
        drop(replaced);
        self.waited = true;
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        let waker = lock(&self.world.time).timers.remove(&self.key);
        drop(waker);
    }
}

#[cfg(test)]
mod tests;
