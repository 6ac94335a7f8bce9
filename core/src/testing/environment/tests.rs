use super::*;
use crate::environment::{run_blocking, timeout};
use tokio::sync::{Notify, mpsc};

fn panic_message(run: impl FnOnce()) -> String {
    let payload = std::panic::catch_unwind(AssertUnwindSafe(run)).expect_err("it panics");
    payload.downcast::<String>().map_or_else(|_| "no message".to_owned(), |text| *text)
}

#[test]
fn is_send_and_sync() {
    fn assert<T: Send + Sync>(_: &T) {}
    assert(&TestEnvironment::new(0));
}

#[test]
fn time_jumps_to_the_next_timer_only_when_nothing_can_run() {
    let env = TestEnvironment::new(1);
    let (sender, mut receiver) = mpsc::unbounded_channel();
    for (name, seconds) in [("c", 3600), ("a", 1), ("b", 60)] {
        let (env, sender) = (env.clone(), sender.clone());
        env.clone().spawn(Box::pin(async move {
            env.sleep(Duration::from_secs(seconds)).await;
            sender.send((name, env.monotonic().as_secs())).unwrap();
        }));
    }
    drop(sender);
    let order = env.block_on(async {
        let mut order = Vec::new();
        while let Some(entry) = receiver.recv().await {
            order.push(entry);
        }
        order
    });
    assert_eq!(order, [("a", 1), ("b", 60), ("c", 3600)]);
    assert_eq!(env.now_ms(), TEST_EPOCH_MS + 3_600_000);
}

#[test]
fn tasks_run_first_come_first_served() {
    let env = TestEnvironment::new(1);
    let (sender, mut receiver) = mpsc::unbounded_channel();
    for name in 0..5 {
        let (env, sender) = (env.clone(), sender.clone());
        env.clone().spawn(Box::pin(async move {
            sender.send(name).unwrap();
            env.sleep(Duration::ZERO).await;
            sender.send(name + 10).unwrap();
        }));
    }
    env.run_until_idle();
    let mut order = Vec::new();
    while let Ok(name) = receiver.try_recv() {
        order.push(name);
    }
    assert_eq!(order, [0, 1, 2, 3, 4, 10, 11, 12, 13, 14]);
    assert_eq!(env.live_tasks(), 0);
}

#[test]
fn run_until_idle_stops_before_time_passes_and_advance_goes_exactly_as_far_as_told() {
    let env = TestEnvironment::new(1);
    let done = Arc::new(AtomicBool::new(false));
    env.spawn(Box::pin({
        let (env, done) = (env.clone(), Arc::clone(&done));
        async move {
            env.sleep(Duration::from_secs(10)).await;
            done.store(true, Ordering::SeqCst);
        }
    }));
    env.run_until_idle();
    assert_eq!(env.monotonic(), Duration::ZERO);
    env.advance(Duration::from_millis(9_999));
    assert!(!done.load(Ordering::SeqCst));
    env.advance(Duration::from_millis(1));
    assert!(done.load(Ordering::SeqCst));
    assert_eq!(env.monotonic(), Duration::from_secs(10));
}

#[test]
fn waiting_for_what_cannot_come_is_a_deadlock() {
    let env = TestEnvironment::new(1);
    let message = panic_message(|| env.block_on(Notify::new().notified()));
    assert!(message.starts_with("deadlock: "), "{message}");
    // The world is usable again.
    env.block_on(env.sleep(Duration::from_secs(1)));
}

#[test]
fn driving_the_world_from_within_a_task_is_refused() {
    let env = TestEnvironment::new(1);
    let message = panic_message(|| env.block_on(async { env.block_on(async {}) }));
    assert!(message.starts_with("block_on was called while"), "{message}");
}

#[test]
fn a_timeout_loses_against_a_result_of_the_same_moment() {
    let env = TestEnvironment::new(1);
    let limit = Duration::from_secs(5);
    assert_eq!(env.block_on(timeout(&env, limit, async { 7 })), Some(7));
    assert_eq!(env.block_on(timeout(&env, limit, std::future::pending::<()>())), None);
    assert_eq!(env.monotonic(), limit);
}

#[test]
fn devices_share_time_but_neither_wall_clock_nor_randomness() {
    let (env, twin) = (TestEnvironment::new(9), TestEnvironment::new(9));
    let (fast, slow) = (env.device(3_600_000), env.device(-5));
    assert_eq!(fast.now_ms(), env.now_ms() + 3_600_000);
    assert_eq!(slow.now_ms(), env.now_ms() - 5);
    env.advance(Duration::from_secs(1));
    assert_eq!(fast.monotonic(), Duration::from_secs(1));
    fast.jump_wall(-7_200_000);
    slow.set_wall(5);
    assert_eq!(env.now_ms(), TEST_EPOCH_MS + 1000);
    assert_eq!(fast.now_ms(), env.now_ms() - 3_600_000);
    assert_eq!(slow.now_ms(), 5);
    slow.jump_wall(i64::MIN);
    assert_eq!(slow.now_ms(), 0);

    let draws = [env.random_u64(), fast.random_u64(), slow.random_u64()];
    assert!(draws[0] != draws[1] && draws[1] != draws[2]);
    let (twin_fast, twin_slow) = (twin.device(0), twin.device(0));
    // Whoever draws first does not change what the others draw.
    assert_eq!([twin_slow.random_u64(), twin_fast.random_u64(), twin.random_u64()], [draws[2], draws[1], draws[0]]);
}

#[test]
fn a_crashed_device_runs_no_further_and_the_others_do() {
    let env = TestEnvironment::new(1);
    let phone = env.device(0);
    let (sender, mut receiver) = mpsc::unbounded_channel();
    for (device, name) in [(&env, "server"), (&phone, "phone")] {
        let (device, sender) = (device.clone(), sender.clone());
        device.clone().spawn(Box::pin(async move {
            device.sleep(Duration::from_secs(1)).await;
            sender.send(name).unwrap();
        }));
    }
    env.run_until_idle();
    assert_eq!(phone.abort_tasks(), 1);
    env.advance(Duration::from_secs(2));
    assert_eq!(receiver.try_recv(), Ok("server"));
    assert!(receiver.try_recv().is_err());
}

#[test]
fn blocking_runs_inline_and_survives_a_panicking_job() {
    let env = TestEnvironment::new(1);
    assert_eq!(env.block_on(run_blocking(&env, || 7)), Some(7));
    assert_eq!(env.block_on(run_blocking(&env, || -> u8 { panic!("expected by the test") })), None);
}
