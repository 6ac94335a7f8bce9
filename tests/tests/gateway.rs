//! Behind a gateway that answers while the server does not, a queue drains soon after it is back (I10, pitfall B64); only the
//! server's own word keeps a client waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use secrecy::SecretString;
use unisono::engine::{Credentials, SyncState, TokenReason};
use unisono::platform::BoxFuture;
use unisono::protocol::Problem;
use unisono::testing::{CallKind, Fault};
use unisono_tests::{Books, Device, World, gaps, millis, running};

/// How often and at what intervals a push is tried against 60 of these answers, without anybody asking.
fn tried_against(seed: u64, answer: &Fault) -> Vec<Duration> {
    let (world, a, b, mut books) = running(seed);
    a.push_faults(std::iter::repeat_n(answer.clone(), 60));
    books.count(&world, &a, 1);
    world.pass(24 * 3_600);
    assert_eq!(a.network.unmet_faults(), 0);
    let pushes = a.network.calls().into_iter().filter(|call| call.asked.kind() == CallKind::Push);
    let gaps = gaps(&pushes.map(|call| call.at).collect::<Vec<_>>());
    b.synced(&world);
    books.check_settled(&world, &[&a, &b]);
    gaps
}

#[test]
fn b64_behind_a_gateway_a_server_that_is_back_is_found_within_thirty_seconds() {
    for (seed, status) in (100..).zip([502, 503, 504, 500, 429, 403, 401, 404, 405]) {
        let gaps = tried_against(seed, &Fault::status(status));
        assert!(gaps.iter().all(|gap| *gap <= Duration::from_secs(26)), "{status}: {gaps:?}");
        assert!(gaps.iter().any(|gap| *gap > Duration::from_secs(15)), "{status} is not hammered: {gaps:?}");
    }
}

/// Has a token once the network is back.
#[derive(Clone, Debug, Default)]
struct Login(Arc<AtomicBool>);

impl Credentials for Login {
    fn token(&self, _: TokenReason) -> BoxFuture<'_, Result<SecretString, String>> {
        let token = if self.0.load(Ordering::SeqCst) { Ok("anna.2".into()) } else { Err("no network".to_owned()) };
        Box::pin(std::future::ready(token))
    }
}

#[test]
fn b64_a_source_of_tokens_that_fails_is_asked_again_within_thirty_seconds() {
    let (world, a, b, mut books) = running(110);
    let login = Login::default();
    a.client.set_credentials(Arc::new(login.clone()));
    books.count(&world, &a, 1);
    world.pass(200);
    assert_eq!(a.client.status().state, SyncState::AuthRequired);
    login.0.store(true, Ordering::SeqCst);
    world.pass(26);
    assert_eq!(a.client.status().pending, 0);
    b.synced(&world);
    books.check_settled(&world, &[&a, &b]);
}

#[test]
fn b64_a_write_the_network_and_a_resume_wake_a_client_that_waits_after_a_gateways_answer() {
    let ways: [fn(&World, &Device, &mut Books); 3] = [
        |world, a, books| drop(books.count(world, a, 1)),
        |_, a, _| a.client.set_online(true),
        |world, a, _| world.run(a.client.resume()).unwrap(),
    ];
    for (seed, wake) in (120..).zip(ways) {
        let (world, a, b, mut books) = running(seed);
        a.push_faults(std::iter::repeat_n(Fault::status(502), 1_000));
        books.count(&world, &a, 1);
        world.pass(150);
        // A moment at which the next try is far away.
        while !matches!(a.client.status().state, SyncState::Offline { next_try: Some(wait) } if wait > Duration::from_secs(12))
        {
            millis(&world, 100);
        }
        a.network.heal();
        wake(&world, &a, &mut books);
        millis(&world, 2_100);
        assert_eq!(a.client.status().pending, 0, "{:?}", a.client.status());
        b.synced(&world);
        books.check_settled(&world, &[&a, &b]);
    }
}

#[test]
fn b64_an_app_that_writes_all_the_time_does_not_hammer_a_gateway() {
    let (world, a, b, mut books) = running(130);
    a.push_faults(std::iter::repeat_n(Fault::status(502), 1_000));
    for _ in 0..600 {
        books.count(&world, &a, 1);
        millis(&world, 100);
    }
    let tries = a.network.count(CallKind::Push);
    assert!((20..=60).contains(&tries), "one every two seconds: {tries}");
    a.network.heal();
    world.pass(30);
    b.synced(&world);
    books.check_settled(&world, &[&a, &b]);
}

#[test]
fn any_retry_after_is_taken_and_none_ends_the_worker() {
    let (world, a, b, mut books) = running(140);
    let problem = Problem { retry_after: Some(u64::MAX), ..Problem::new(503, "unavailable", "come back later") };
    a.push_faults([Fault::answer(problem)]);
    books.count(&world, &a, 1);
    world.pass(25 * 3_600);
    assert_eq!(a.client.status().pending, 0, "nobody is sent away for longer than a day");
    b.synced(&world);
    books.check_settled(&world, &[&a, &b]);
}

#[test]
fn a_server_that_speaks_another_version_judges_no_event() {
    for (seed, status) in [(150, 400), (151, 426)] {
        let (world, _, b, mut books) = running(seed);
        books.count(&world, &b, 4);
        let refusal = Fault::answer(Problem::new(status, "unsupported_protocol", "no common version"));
        b.push_faults(std::iter::repeat_n(refusal, 20));
        assert_eq!(b.sync(&world).unwrap_err().code(), "unsupported_protocol");
        assert!(b.parked(&world).is_empty(), "parked by a server that has not read it");
        assert_eq!(b.network.count(CallKind::Push), 1, "and sent once");
        b.network.heal();
        b.synced(&world);
        books.check_with_server(&world, &[&b]);
    }
}
