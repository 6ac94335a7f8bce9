//! Background sync: when it works, when it rests, and that nothing makes it stop for good (I10, pitfalls B10, B11).

use std::time::Duration;

use serde_json::json;
use unisono::engine::{EngineOptions, SyncState};
use unisono::model::Scope;
use unisono::replica::rows::Outcome;
use unisono::storage::MemoryStorage;
use unisono::testing::{CallKind, Fault, SeededRandom, TEST_EPOCH_MS};
use unisono::{ClientBuilder, Environment};
use unisono_tests::{Books, Device, World, gaps, millis, running};

const TEN_YEARS_MS: i64 = 315_360_000_000;

fn attempts(device: &Device) -> Vec<Duration> {
    device.network.calls().iter().map(|call| call.at).collect()
}

#[test]
fn what_others_write_arrives_within_the_interval() {
    let (world, a, b, _) = running(1);
    world.run(b.samples().create("kick", json!({}))).unwrap();
    b.synced(&world);
    assert_eq!(a.get(&world, "kick"), None);
    world.pass(61);
    assert!(a.get(&world, "kick").is_some());
    a.network.clear_calls();
    world.pass(601);
    assert_eq!(a.network.count(CallKind::Changes), 10, "one pull a minute");
    assert_eq!(a.network.calls().len(), 10, "and nothing else");
}

#[test]
fn a_burst_of_writes_goes_in_one_push() {
    let (world, a, _, mut books) = running(2);
    for index in 0..10 {
        let id = world.run(a.samples().create(format!("s{index}"), json!({}))).unwrap();
        books.accept(&a, [id]);
        millis(&world, 1);
    }
    millis(&world, 100);
    let pushes = a.network.pushes();
    assert_eq!((pushes.len(), pushes[0].events.len()), (1, 10));
    assert_eq!(a.client.status().pending, 0);
    books.check_with_server(&world, &[&a]);
}

#[test]
fn nothing_is_asked_while_the_app_says_that_there_is_no_network() {
    let (world, a, _, mut books) = running(3);
    a.client.set_online(false);
    millis(&world, 1);
    a.network.clear_calls();
    books.count(&world, &a, 1);
    world.pass(3_600);
    assert!(a.network.calls().is_empty());
    assert_eq!(a.client.status().state, SyncState::Offline { next_try: None });
    assert!(a.findings(&world).contains(&"no_network".to_owned()));
    a.client.set_online(true);
    millis(&world, 100);
    assert_eq!((a.client.status().state, a.client.status().pending), (SyncState::Idle, 0), "at once");
}

#[test]
fn the_network_that_returns_ends_a_backoff() {
    let (world, a, _, mut books) = running(4);
    a.push_faults([Fault::too_many_requests(86_400)]);
    books.count(&world, &a, 1);
    world.pass(600);
    let SyncState::Offline { next_try: Some(wait) } = a.client.status().state else {
        panic!("{:?}", a.client.status())
    };
    assert!(wait >= Duration::from_secs(86_400));
    a.client.set_online(true);
    millis(&world, 100);
    assert_eq!((a.client.status().state, a.client.status().pending), (SyncState::Idle, 0));
}

#[test]
fn a_sync_that_its_caller_gives_up_is_not_told_to_go_on() {
    let world = World::new(41);
    let a = world.device("anna");
    let mut books = Books::opened_by(&world, &a);
    a.synced(&world);
    let idle = a.client.status();
    books.count(&world, &a, 1);
    a.push_faults([Fault::hang()]);
    let error = world.run(a.client.sync_within(Duration::from_secs(5))).unwrap_err();
    assert_eq!(error.code(), "deadline");
    assert_eq!(a.client.status().state, idle.state, "nobody is syncing");
    a.synced(&world);
    books.check_settled(&world, &[&a]);
}

#[test]
fn a_paused_client_syncs_when_asked_only() {
    let (world, a, _, mut books) = running(5);
    a.client.pause();
    millis(&world, 1);
    a.network.clear_calls();
    books.count(&world, &a, 1);
    // A new token is no reason to go on.
    a.client.set_token("anna.2");
    world.pass(600);
    assert!(a.network.calls().is_empty());
    assert!(a.findings(&world).contains(&"paused".to_owned()));
    a.synced(&world);
    assert_eq!(a.client.status().pending, 0, "the app may sync all the same");
    books.count(&world, &a, 1);
    world.run(a.client.resume()).unwrap();
    millis(&world, 100);
    assert_eq!(a.client.status().pending, 0);
}

#[test]
fn a_client_that_is_synced_by_hand_is_idle_and_says_that_nothing_runs() {
    let world = World::new(1);
    let a = world.device("anna");
    for _ in 0..2 {
        let status = a.client.status();
        assert_eq!((status.state, status.started), (SyncState::Idle, false));
        a.synced(&world);
    }
    world.run(a.client.start()).unwrap();
    assert!(a.client.status().started);
}

#[test]
fn a_disabled_client_stays_so_over_a_restart() {
    let (world, mut a, _, mut books) = running(6);
    world.run(a.client.disable()).unwrap();
    millis(&world, 1);
    books.count(&world, &a, 1);
    for _ in 0..2 {
        a.network.clear_calls();
        world.pass(600);
        assert!(a.network.calls().is_empty());
        assert_eq!(a.client.status().state, SyncState::Disabled);
        assert!(a.findings(&world).contains(&"disabled".to_owned()));
        assert_eq!(a.sync(&world).unwrap_err().code(), "disabled");
        books.check(&world, &[&a]);
        a.restart(&world);
        world.run(a.client.start()).unwrap();
    }
    world.run(a.client.enable()).unwrap();
    millis(&world, 100);
    assert_eq!((a.client.status().state, a.client.status().pending), (SyncState::Idle, 0));
    books.check_with_server(&world, &[&a]);
}

#[test]
fn a_suspended_client_touches_nothing_and_goes_on_when_resumed() {
    let (world, a, b, mut books) = running(7);
    books.count(&world, &a, 1);
    world.run(a.client.suspend()).unwrap();
    a.network.clear_calls();
    world.pass(3_600);
    assert!(a.network.calls().is_empty());
    assert_eq!(world.run(a.samples().create("kick", json!({}))).unwrap_err().code(), "suspended");
    world.run(a.client.resume()).unwrap();
    millis(&world, 100);
    books.count(&world, &a, 1);
    millis(&world, 100);
    b.synced(&world);
    books.check_settled(&world, &[&a, &b]);
}

#[test]
fn a_client_closed_in_mid_sync_ends_and_loses_nothing() {
    let (world, mut a, b, mut books) = running(8);
    books.count(&world, &a, 1);
    a.push_faults([Fault::hang()]);
    millis(&world, 100);
    assert_eq!(a.network.pushes_in_flight(&Scope::User), 1);
    let before = a.network.calls().len();
    world.run(a.client.close()).unwrap();
    world.run(a.client.close()).unwrap();
    for error in [world.run(a.client.start()).unwrap_err(), a.sync(&world).unwrap_err()] {
        assert_eq!(error.code(), "closed");
    }
    world.pass(3_600);
    assert_eq!(a.network.calls().len(), before, "nothing goes on in the background");
    a.restart(&world);
    books.check(&world, &[&a]);
    a.synced(&world);
    b.synced(&world);
    books.check_settled(&world, &[&a, &b]);
}

#[test]
fn b11_the_way_to_a_server_out_of_reach_is_tried_every_fifteen_seconds_at_most() {
    let (world, a, other, mut books) = running(9);
    world.run(other.client.start()).unwrap();
    world.env.run_until_idle();
    other.network.clear_calls();
    for device in [&a, &other] {
        device.network.set_online(false);
        books.count(&world, device, 1);
    }
    world.pass(3_600);
    let (times, others) = (attempts(&a), attempts(&other));
    let gaps = gaps(&times);
    assert!(gaps.iter().all(|gap| *gap <= Duration::from_millis(15_100)), "{gaps:?}");
    let longest = gaps.iter().max().unwrap();
    assert!(*longest > Duration::from_secs(10), "full jitter uses the whole range: {longest:?}");
    assert!((300..1_000).contains(&times.len()), "no hammering, no giving up: {}", times.len());
    let together = times.iter().filter(|at| others.contains(at)).count();
    assert!(together * 20 < times.len(), "devices do not come back together: {together} of {}", times.len());
    assert!(a.findings(&world).contains(&"offline".to_owned()));
    for device in [&a, &other] {
        device.network.set_online(true);
    }
    world.pass(16);
    assert_eq!((a.client.status().pending, other.client.status().pending), (0, 0));
}

#[test]
fn b10_after_any_outage_the_queue_drains_within_thirty_seconds() {
    for seed in 0..200 {
        let (world, a, b, mut books) = running(1_000 + seed);
        let mut random = SeededRandom::new(seed);
        for _ in 0..random.below(8) + 2 {
            match random.below(6) {
                0 | 1 => a.network.set_online(false),
                2 => a.network.set_online(true),
                3 => a.push_faults([Fault::drop_request(), Fault::drop_response()]),
                4 => a.network.script(CallKind::Changes, [Fault::cut_feed(0), Fault::drop_request()]),
                _ => a.push_faults([Fault::hang(), Fault::none().response_delayed(Duration::from_secs(20))]),
            }
            books.count(&world, &a, 1);
            millis(&world, random.below(40_000));
            books.check(&world, &[&a]);
        }
        // Nothing hangs on a dead connection any more, and nothing is lost from now on.
        a.network.heal();
        a.network.set_online(false);
        a.network.set_online(true);
        let healed = world.env.monotonic();
        while a.client.status().pending > 0 {
            millis(&world, 100);
            let waited = world.env.monotonic() - healed;
            assert!(waited <= Duration::from_secs(30), "seed {seed}: {:?}", a.client.status());
        }
        b.synced(&world);
        a.synced(&world);
        books.check_settled(&world, &[&a, &b]);
    }
}

#[test]
fn b10_what_failed_is_tried_again_soon_whatever_it_was_and_whoever_had_asked() {
    let (world, a, b, mut books) = running(20);
    // The app's own sync fails, while the worker rests until its interval ends.
    a.network.script(CallKind::Changes, [Fault::drop_request()]);
    a.sync(&world).unwrap_err();
    assert!(matches!(a.client.status().state, SyncState::Offline { next_try: Some(_) }));
    millis(&world, 300);
    assert_eq!(a.client.status().state, SyncState::Idle, "as its status had said");
    // An answer that nobody can read: not a matter of waiting, and tried again all the same.
    a.push_faults([Fault::garble()]);
    books.count(&world, &a, 1);
    millis(&world, 21);
    assert!(matches!(a.client.status().state, SyncState::Stalled { .. }), "{:?}", a.client.status());
    millis(&world, 1_000);
    assert_eq!((a.client.status().state, a.client.status().pending), (SyncState::Idle, 0));
    b.synced(&world);
    books.check_settled(&world, &[&a, &b]);
}

#[test]
fn b10_a_transport_that_hangs_is_given_up() {
    for (seed, kind) in [(21, CallKind::Push), (22, CallKind::Changes)] {
        let (world, a, b, mut books) = running(seed);
        a.network.script(kind, [Fault::hang(), Fault::hang()]);
        books.count(&world, &a, 1);
        millis(&world, 100);
        assert_eq!(a.client.status().state, SyncState::Syncing);
        world.pass(90);
        assert_eq!(a.network.unmet_faults(), 0);
        assert_eq!((a.client.status().state, a.client.status().pending), (SyncState::Idle, 0));
        b.synced(&world);
        books.check_settled(&world, &[&a, &b]);
    }
}

#[test]
fn b10_a_sync_without_any_progress_is_started_again() {
    // Deadlines so long that the watchdog alone can help.
    let world = World::new(23);
    let options = EngineOptions { deadline: Duration::from_secs(86_400), ..EngineOptions::default() };
    let a = world.device_with("anna", move |builder: ClientBuilder| builder.engine_options(options.clone()));
    let mut books = Books::opened_by(&world, &a);
    a.synced(&world);
    world.run(a.client.start()).unwrap();
    world.env.run_until_idle();
    a.push_faults([Fault::hang()]);
    books.count(&world, &a, 1);
    millis(&world, 120_021);
    assert!(a.findings(&world).contains(&"stalled".to_owned()), "it says so");
    world.pass(1);
    assert_eq!((a.client.status().state, a.client.status().pending), (SyncState::Idle, 0));
    books.check_settled(&world, &[&a]);
}

#[test]
fn a_scope_that_hangs_holds_up_no_other() {
    let (world, a, _, mut books) = running(24);
    let songs = a.client.workspace("band").collection("songs");
    let id = world.run(songs.create("ours", json!({}))).unwrap();
    books.accept(&a, [id]);
    world.pass(1);
    assert_eq!(a.client.status().pending, 0);
    a.push_faults([Fault::hang()]);
    let hanging = books.count(&world, &a, 1);
    millis(&world, 100);
    assert_eq!(a.network.pushes_in_flight(&Scope::User), 1);
    let id = world.run(songs.update("ours", json!({"takes": 1}))).unwrap().expect("an edit");
    books.accept(&a, [id.clone()]);
    millis(&world, 100);
    assert!(matches!(world.run(a.client.outcome(&id)).unwrap(), Some(Outcome::Applied { .. })));
    assert!(matches!(world.run(a.client.outcome(&hanging)).unwrap(), Some(Outcome::Pending { .. })));
    world.pass(60);
    assert_eq!(a.client.status().pending, 0);
    books.check_with_server(&world, &[&a]);
}

#[test]
fn the_doctor_names_the_reason_of_each_stuck_state() {
    let (world, a, b, mut books) = running(25);
    assert!(a.findings(&world).is_empty(), "all is well");
    assert!(b.findings(&world).contains(&"not_started".to_owned()));
    a.push_faults(std::iter::once(Fault::drop_response()).chain(std::iter::repeat_n(Fault::garble(), 99)));
    books.count(&world, &a, 1);
    millis(&world, 100);
    let findings = a.findings(&world);
    assert!(
        findings.contains(&"offline".to_owned()) && findings.contains(&"unanswered_push".to_owned()),
        "{findings:?}"
    );
    world.pass(16);
    assert!(matches!(a.client.status().state, SyncState::Stalled { .. }));
    assert!(a.findings(&world).contains(&"stalled".to_owned()));
    a.network.heal();
    world.server.access().refuse("anna");
    world.pass(180);
    assert_eq!(a.findings(&world)[0], "auth_required");
    a.client.set_token("anna.2");
    world.pass(1);
    assert!(a.findings(&world).is_empty(), "{:?}", a.findings(&world));
}

#[test]
fn b24_a_clock_ten_years_off_decides_no_conflict() {
    for (seed, offset) in [(31, TEN_YEARS_MS), (32, -TEN_YEARS_MS)] {
        let world = World::new(seed);
        let right = world.device("anna");
        let wrong = world.device_on("anna", MemoryStorage::new(), offset);
        // Written before it could know better.
        let early = world.run(wrong.samples().create("early", json!({"n": 1}))).unwrap();
        world.run(right.samples().create("kick", json!({"bpm": 0, "key": ""}))).unwrap();
        for device in [&wrong, &right, &wrong] {
            device.synced(&world);
        }
        assert!(matches!(world.run(wrong.client.outcome(&early)).unwrap(), Some(Outcome::Applied { .. })));
        assert!(wrong.findings(&world).contains(&"clock_skew".to_owned()));
        for round in 0..3 {
            // Each writes last once, none has seen the other.
            world.run(wrong.samples().update("kick", json!({"bpm": round}))).unwrap();
            world.pass(5);
            world.run(right.samples().update("kick", json!({"bpm": 100 + round, "key": "right"}))).unwrap();
            world.pass(5);
            world.run(wrong.samples().update("kick", json!({"key": format!("wrong {round}")}))).unwrap();
            for device in [&right, &wrong, &right, &wrong] {
                device.synced(&world);
            }
            assert_eq!(
                right.get(&world, "kick"),
                Some(json!({"bpm": 100 + round, "key": format!("wrong {round}")})),
                "{offset}"
            );
            world.assert_converged(&[&right, &wrong]);
        }
        stamps_are_bounded(&world, &right);
    }
}

#[test]
fn b24_a_clock_that_jumps_ten_years_is_mended_at_the_next_sync() {
    for (seed, jump) in [(33, TEN_YEARS_MS), (34, -TEN_YEARS_MS)] {
        let world = World::new(seed);
        let (right, wrong) = (world.device("anna"), world.device("anna"));
        world.run(right.samples().create("kick", json!({"bpm": 0}))).unwrap();
        for device in [&right, &wrong] {
            device.synced(&world);
        }
        wrong.env.jump_wall(jump);
        let ids: Vec<_> =
            (0..5).map(|index| world.run(wrong.samples().create(format!("s{index}"), json!({}))).unwrap()).collect();
        wrong.synced(&world);
        for id in &ids {
            assert!(matches!(world.run(wrong.client.outcome(id)).unwrap(), Some(Outcome::Applied { .. })));
        }
        right.synced(&world);
        stamps_are_bounded(&world, &right);
        // Longer than the minute by which the server lets a clock be ahead.
        world.pass(120);
        world.run(wrong.samples().update("kick", json!({"bpm": 1}))).unwrap();
        world.pass(5);
        world.run(right.samples().update("kick", json!({"bpm": 2}))).unwrap();
        for device in [&right, &wrong, &right] {
            device.synced(&world);
        }
        assert_eq!(wrong.get(&world, "kick"), Some(json!({"bpm": 2})), "the later one wins");
        world.assert_converged(&[&right, &wrong]);
    }
}

/// No stamp that `device` has heard of is more than a minute ahead of the world.
fn stamps_are_bounded(world: &World, device: &Device) {
    let clock = world.run(device.client.replica().replica()).unwrap().clock;
    let now = TEST_EPOCH_MS + u64::try_from(world.env.monotonic().as_millis()).unwrap();
    assert!(clock.received.0 <= now + 60_000, "{} is ahead of {now}", clock.received.0);
}

#[test]
fn i13_a_client_that_is_closed_while_a_burst_gathers_leaves_no_task() {
    let world = World::new(1);
    let device = world.device("anna");
    world.run(device.client.start()).unwrap();
    world.env.run_until_idle();
    world.run(device.samples().create("kick", json!({"n": 1}))).unwrap();
    // The worker waits for more of the burst.
    world.env.run_until_idle();
    world.run(device.client.close()).unwrap();
    world.env.run_until_idle();
    assert_eq!(device.env.abort_tasks(), 0);
}
