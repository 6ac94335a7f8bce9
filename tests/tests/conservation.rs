//! Whatever happens to a push or a pull: nothing is lost, nothing counts twice, and a device sees its own writes at every
//! step (I1, I2, I3, I6).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use secrecy::SecretString;
use serde_json::json;
use unisono::Environment;
use unisono::engine::{EngineOptions, SyncState, TokenFn, TokenReason};
use unisono::platform::BoxFuture;
use unisono::protocol::Problem;
use unisono::replica::rows::Outcome;
use unisono::testing::{Asked, CallKind, Fault};
use unisono_tests::{Books, Device, World};

/// A world in which two devices have begun to count.
fn counting(seed: u64) -> (World, Device, Device, Books) {
    let world = World::on_disk(seed);
    let (a, b) = (world.device("anna"), world.device("anna"));
    let books = Books::opened_by(&world, &a);
    a.synced(&world);
    b.synced(&world);
    books.check_with_server(&world, &[&a, &b]);
    (world, a, b, books)
}

/// What ends beside the push.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ends {
    Nothing,
    Device,
    Server,
    Both,
}

/// Lets every push meet `faults` in several rounds of counting, whatever else ends meanwhile, and checks the books after
/// every step.
fn survives(faults: &[Fault]) {
    for (seed, ends) in (1..).zip([Ends::Nothing, Ends::Device, Ends::Server, Ends::Both]) {
        let (mut world, mut a, b, mut books) = counting(seed);
        for round in 0..3 {
            books.count(&world, &a, 1);
            let made = world.run(a.samples().create(format!("s{round}"), json!({"round": round}))).unwrap();
            books.accept(&a, [made]);
            books.count(&world, &b, 10);
            a.push_faults(faults.iter().cloned());
            // Ends after five seconds, wherever the push is then.
            drop(world.run(a.client.sync_within(Duration::from_secs(5))));
            books.check(&world, &[&a, &b]);
            if matches!(ends, Ends::Server | Ends::Both) {
                world.server.restart();
                books.check(&world, &[&a, &b]);
            }
            if matches!(ends, Ends::Device | Ends::Both) {
                a.restart(&world);
                books.check(&world, &[&a, &b]);
            }
            // Written while nobody knows what became of the push.
            books.count(&world, &a, 100);
            books.check(&world, &[&a, &b]);
            b.synced(&world);
            books.check(&world, &[&a, &b]);
            for _ in faults {
                drop(a.sync(&world));
                books.check(&world, &[&a, &b]);
            }
            assert_eq!(a.network.unmet_faults(), 0, "{ends:?}: every fault was met");
        }
        for device in [&a, &b, &a] {
            device.synced(&world);
            books.check_with_server(&world, &[&a, &b]);
        }
        books.check_settled(&world, &[&a, &b]);
        assert_eq!(books.total(), 333);
    }
}

#[test]
fn a_push_that_is_lost_on_the_way_is_sent_again() {
    survives(&[Fault::drop_request(), Fault::drop_request()]);
}

#[test]
fn b01_a_push_whose_answer_is_lost_takes_effect_once() {
    survives(&[Fault::drop_response(), Fault::drop_response()]);
}

#[test]
fn b01_a_process_that_ends_between_commit_and_answer_loses_and_doubles_nothing() {
    survives(&[Fault::none().response_delayed(Duration::from_secs(10))]);
}

#[test]
fn a_process_that_ends_before_the_server_hears_of_a_push_loses_nothing() {
    survives(&[Fault::none().request_delayed(Duration::from_secs(10))]);
}

#[test]
fn a_push_that_hangs_is_given_up_and_sent_again() {
    survives(&[Fault::hang()]);
}

#[test]
fn an_error_of_the_server_is_no_verdict_on_an_event() {
    survives(&[Fault::status(500), Fault::status(503), Fault::status(408)]);
}

#[test]
fn b01_a_gateway_that_gives_up_on_a_push_that_succeeds_doubles_nothing() {
    survives(&[Fault::act_and_answer(Problem::new(504, "http_504", "Gateway Timeout"))]);
}

#[test]
fn a_server_that_asks_for_a_pause_loses_nothing() {
    survives(&[Fault::too_many_requests(3)]);
}

#[test]
fn an_answer_that_cannot_be_read_is_asked_for_again() {
    survives(&[Fault::garble(), Fault::garble()]);
}

#[test]
fn a_refused_token_in_mid_drain_loses_nothing() {
    survives(&[Fault::status(401), Fault::status(401)]);
}

#[test]
fn b09_a_pull_between_a_lost_answer_and_the_next_push_shows_no_effect_twice() {
    for (seed, restarts) in [(21, false), (22, true)] {
        let (world, mut a, b, mut books) = counting(seed);
        books.count(&world, &b, 1000);
        b.synced(&world);
        books.count(&world, &a, 1);
        a.push_faults([Fault::drop_response()]);
        a.sync(&world).unwrap_err();
        books.count(&world, &a, 10);
        // The engine pulls before it pushes again only while it builds a generation: here the server cannot read its cursor,
        // and the feed brings the lost push's effect while its receipt is still missing.
        a.push_faults([Fault::answer(Problem::new(400, "invalid_cursor", "scripted")), Fault::drop_request()]);
        let pulls = a.network.count(CallKind::Changes);
        a.sync(&world).unwrap_err();
        assert!(a.network.count(CallKind::Changes) > pulls, "it has pulled");
        books.check(&world, &[&a, &b]);
        let tally = a.get(&world, "tally").unwrap();
        assert_eq!((&tally[&a.name], &tally[&b.name]), (&json!(11), &json!(1000)));
        if restarts {
            a.restart(&world);
            books.check(&world, &[&a, &b]);
        }
        a.synced(&world);
        b.synced(&world);
        books.check_settled(&world, &[&a, &b]);
    }
}

#[test]
fn a_feed_that_breaks_goes_on_where_it_broke() {
    for (seed, restarts) in [(31, false), (32, true)] {
        let (world, mut a, b, mut books) = counting(seed);
        for index in 0..1_300 {
            let id = world.run(b.samples().create(format!("s{index}"), json!({"index": index}))).unwrap();
            books.accept(&b, [id]);
        }
        b.synced(&world);
        books.count(&world, &a, 1);
        let mut cursors = Vec::new();
        for chunks in [1, 0, 1] {
            a.network.script(CallKind::Changes, [Fault::cut_feed(chunks)]);
            a.sync(&world).unwrap_err();
            books.check_with_server(&world, &[&a, &b]);
            if restarts {
                a.restart(&world);
                books.check_with_server(&world, &[&a, &b]);
            }
            cursors.push(world.run(a.client.replica().scope(&unisono::model::Scope::User)).unwrap().cursor.clone());
        }
        assert!(cursors[0].is_some() && cursors[0] == cursors[1] && cursors[1] != cursors[2], "{cursors:?}");
        let report = a.synced(&world);
        assert!(report.pulled <= 302, "what came whole was kept: {} pulled again", report.pulled);
        let asked = a.network.calls().into_iter().rev().find_map(|call| match call.asked {
            Asked::Changes(request) => Some(request.cursor),
            _ => None,
        });
        assert_eq!(asked, Some(cursors[2].clone()), "it went on where it had come to");
        b.synced(&world);
        books.check_settled(&world, &[&a, &b]);
    }
}

#[test]
fn b11_the_worker_waits_as_long_as_the_server_asks() {
    let (world, a, b, mut books) = counting(41);
    world.run(a.client.start()).unwrap();
    world.env.run_until_idle();
    a.network.clear_calls();
    a.push_faults([Fault::too_many_requests(60), Fault::too_many_requests(90)]);
    for _ in 0..160 {
        // New writes do not make it impatient.
        books.count(&world, &a, 1);
        world.pass(1);
        books.check(&world, &[&a, &b]);
    }
    let at: Vec<_> =
        a.network.calls().into_iter().filter(|call| call.asked.kind() == CallKind::Push).map(|call| call.at).collect();
    assert!(at.len() >= 3, "it went on after the pauses: {at:?}");
    let (first, second) = (at[1] - at[0], at[2] - at[1]);
    assert!(first >= Duration::from_secs(60) && first <= Duration::from_secs(62), "the first pause: {first:?}");
    assert!(second >= Duration::from_secs(90) && second <= Duration::from_secs(92), "the second pause: {second:?}");
    world.pass(60);
    a.synced(&world);
    b.synced(&world);
    books.check_settled(&world, &[&a, &b]);
}

/// Credentials that give `anna.1`, `anna.2` and so on, a second after they were asked; counts why.
fn rotating(world: &World, asked: &Arc<[AtomicU64; 2]>) -> Device {
    let (env, asked) = (world.env.clone(), asked.clone());
    world.device_with("anna", move |builder| {
        let (env, asked) = (env.clone(), asked.clone());
        builder.credentials(TokenFn(move |reason| {
            let (env, asked) = (env.clone(), asked.clone());
            let token: BoxFuture<'static, Result<SecretString, String>> = Box::pin(async move {
                env.sleep(Duration::from_secs(1)).await;
                asked[usize::from(reason == TokenReason::Refused)].fetch_add(1, Ordering::Relaxed);
                let number: u64 = asked.iter().map(|count| count.load(Ordering::Relaxed)).sum();
                Ok(format!("anna.{number}").into())
            });
            token
        }))
    })
}

#[test]
fn b06_a_token_that_expires_is_renewed_once_for_all_scopes() {
    let world = World::new(51);
    let asked: Arc<[AtomicU64; 2]> = Arc::default();
    let device = rotating(&world, &asked);
    let band = device.client.workspace("band").collection("songs");
    let mut books = Books::opened_by(&world, &device);
    for index in 0..20 {
        books.count(&world, &device, 1);
        let id = world.run(band.create(format!("song{index}"), json!({}))).unwrap();
        books.accept(&device, [id]);
    }
    device.synced(&world);
    let counts = || [asked[0].load(Ordering::Relaxed), asked[1].load(Ordering::Relaxed)];
    assert_eq!(counts(), [1, 0], "both scopes asked for the first token together");
    for (round, renewed) in [(1, 1), (2, 2)] {
        world.server.access().refuse(&format!("anna.{round}"));
        books.count(&world, &device, 1);
        let id = world.run(band.update("song0", json!({"round": round}))).unwrap().expect("an edit");
        books.accept(&device, [id]);
        device.synced(&world);
        books.check_with_server(&world, &[&device]);
        assert_eq!(counts(), [1, renewed], "one renewal for both scopes");
    }
    books.check_settled(&world, &[&device]);
}

#[test]
fn b05_a_token_that_is_refused_for_good_leaves_the_queue_as_it_is() {
    let (world, mut a, b, mut books) = counting(61);
    world.run(a.client.start()).unwrap();
    world.env.run_until_idle();
    world.server.access().refuse("anna");
    let ids: Vec<_> = (0..50)
        .map(|index| {
            let id = world.run(a.samples().create(format!("s{index}"), json!({}))).unwrap();
            books.accept(&a, [id.clone()]);
            id
        })
        .collect();
    world.pass(600);
    assert_eq!(a.client.status().state, SyncState::AuthRequired);
    assert_eq!(a.client.status().pending, 50);
    assert!(a.findings(&world).contains(&"auth_required".to_owned()));
    books.check(&world, &[&a]);
    // The user does not come back today.
    a.restart(&world);
    books.check(&world, &[&a]);
    world.run(a.client.start()).unwrap();
    world.pass(600);
    assert_eq!(a.client.status().state, SyncState::AuthRequired);
    a.client.set_token("anna.2");
    world.pass(1);
    assert_eq!((a.client.status().state, a.client.status().pending), (SyncState::Idle, 0));
    for id in &ids {
        assert!(matches!(world.run(a.client.outcome(id)).unwrap(), Some(Outcome::Applied { .. })), "the same event");
    }
    b.client.set_token("anna.2");
    b.synced(&world);
    books.check_settled(&world, &[&a, &b]);
}

#[test]
fn b01_an_event_that_the_server_may_hold_is_not_called_refused_by_a_proxy() {
    for (seed, lost) in [(81, Fault::drop_response()), (82, Fault::drop_request())] {
        let (world, mut a, b, mut books) = counting(seed);
        let id = books.count(&world, &a, 1);
        a.push_faults([lost]);
        a.sync(&world).unwrap_err();
        let beside = world.run(a.samples().create("beside", json!({}))).unwrap();
        books.accept(&a, [beside.clone()]);
        a.push_faults([Fault::status(413)]);
        let is_uncertain = |a: &Device| {
            a.synced(&world);
            let parked = world.run(a.client.parked()).unwrap();
            assert_eq!((parked.len(), &parked[0].id), (1, &id));
            assert_eq!(parked[0].parked.as_ref().unwrap().code, "uncertain");
            assert!(a.findings(&world).contains(&"uncertain".to_owned()));
        };
        is_uncertain(&a);
        assert!(matches!(world.run(a.client.outcome(&beside)).unwrap(), Some(Outcome::Applied { .. })), "it goes on");
        books.check(&world, &[&a, &b]);
        let replaced = world.run(a.client.replace(&id, |event| event)).unwrap_err();
        assert_eq!(replaced.code(), "event_state", "under a new id it could count twice");
        a.restart(&world);
        // A push that was never sent before is refused on the way: of the event, that says no more.
        a.push_faults([Fault::status(413)]);
        world.run(a.client.retry(&id)).unwrap();
        is_uncertain(&a);
        books.check(&world, &[&a, &b]);
        world.run(a.client.retry(&id)).unwrap();
        a.synced(&world);
        b.synced(&world);
        assert!(matches!(world.run(a.client.outcome(&id)).unwrap(), Some(Outcome::Applied { .. })));
        books.check_settled(&world, &[&a, &b]);
    }
}

#[test]
fn b10_a_create_after_a_delete_by_another_device_is_settled_at_once() {
    let (world, a, b, mut books) = counting(84);
    for round in 0..3 {
        let id = world.run(a.samples().create("kick", json!({"round": round}))).unwrap();
        books.accept(&a, [id]);
        let report = a.synced(&world);
        assert_eq!((report.pushed, report.repaired, a.client.status().pending), (1, 0, 0), "round {round}");
        b.synced(&world);
        let id = world.run(b.samples().delete("kick")).unwrap();
        books.accept(&b, [id]);
        b.synced(&world);
        a.synced(&world);
    }
    books.check_settled(&world, &[&a, &b]);
}

#[test]
fn i6_after_a_push_was_given_up_nothing_is_sent_until_a_pull_has_told_of_it() {
    for broken in [false, true] {
        let (world, mut a, b, mut books) = {
            let world = World::on_disk(83);
            let small = EngineOptions { pull_limit: 1, ..EngineOptions::default() };
            let a = world.device_with("anna", move |builder| builder.engine_options(small.clone()));
            let b = world.device("anna");
            let books = Books::opened_by(&world, &a);
            a.synced(&world);
            b.synced(&world);
            (world, a, b, books)
        };
        // The first page tells of this alone.
        let id = world.run(b.samples().create("before", json!({}))).unwrap();
        books.accept(&b, [id]);
        b.synced(&world);
        books.count(&world, &a, 1);
        a.push_faults([Fault::drop_response()]);
        a.sync(&world).unwrap_err();
        let id = world.run(a.samples().create("beside", json!({}))).unwrap();
        books.accept(&a, [id]);
        a.push_faults([Fault::status(413)]);
        if broken {
            a.network.script(CallKind::Changes, [Fault::none(), Fault::drop_request()]);
            a.sync(&world).unwrap_err();
            books.check(&world, &[&a, &b]);
            a.restart(&world);
        }
        a.synced(&world);
        books.check(&world, &[&a, &b]);
        for id in a.parked(&world) {
            world.run(a.client.retry(&id)).unwrap();
        }
        for device in [&a, &b] {
            device.synced(&world);
        }
        books.check_settled(&world, &[&a, &b]);
    }
}

#[test]
fn b03_a_proxy_that_takes_no_large_push_stops_the_one_event_that_is_too_large() {
    let (world, mut a, b, mut books) = counting(71);
    world.server.access().limit_pushes(Some(6_000));
    let mut large = None;
    for index in 0..40 {
        let name = format!("s{index}");
        let text = if index == 17 { "x".repeat(20_000) } else { "y".to_owned() };
        let id = world.run(a.samples().create(name, json!({"text": text}))).unwrap();
        books.accept(&a, [id.clone()]);
        books.count(&world, &a, 1);
        if index == 17 {
            large = Some(id);
        }
    }
    let large = large.unwrap();
    let report = a.synced(&world);
    assert_eq!((report.parked, a.parked(&world)), (1, vec![large.clone()]));
    assert_eq!(a.client.status().pending, 0, "everything else has arrived");
    books.check_with_server(&world, &[&a, &b]);
    let parked = world.run(a.client.parked()).unwrap().remove(0);
    assert_eq!(parked.parked.unwrap().code, "http_413");
    assert!(a.findings(&world).contains(&"parked".to_owned()));
    assert!(a.get(&world, "s17").is_some(), "its writer goes on seeing it");
    a.restart(&world);
    books.check_with_server(&world, &[&a, &b]);
    // The operator lifts the limit.
    world.server.access().limit_pushes(None);
    world.run(a.client.retry(&large)).unwrap();
    a.synced(&world);
    b.synced(&world);
    books.check_settled(&world, &[&a, &b]);
    assert!(b.get(&world, "s17").is_some());
}
