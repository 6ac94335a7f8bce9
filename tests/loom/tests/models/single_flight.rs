//! n callers, one refresh; all who waited for it get its result; nobody waits for ever.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;

use loom::future::block_on;
use loom::sync::Mutex;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::thread;
use unisono::concurrency::{Numbered, SingleFlight};
use unisono::platform::sync::TurnLock;
use unisono_loom::{abandon_after, check, check_within, find_failure, pause};

type Token = usize;
type Failure = &'static str;

/// What an engine needs of its tokens.
trait Renews: Default + Send + Sync + 'static {
    fn present(&self) -> Option<Numbered<Token>>;
    fn forget(&self);
    fn renew<F: Future<Output = Result<Token, Failure>>>(
        &self,
        refused: Option<u64>,
        call: impl Fn() -> F,
    ) -> impl Future<Output = Result<Numbered<Token>, Failure>>;
}

impl Renews for SingleFlight<Token, Failure> {
    fn present(&self) -> Option<Numbered<Token>> {
        SingleFlight::present(self)
    }

    fn forget(&self) {
        SingleFlight::forget(self);
    }

    fn renew<F: Future<Output = Result<Token, Failure>>>(
        &self,
        refused: Option<u64>,
        call: impl Fn() -> F,
    ) -> impl Future<Output = Result<Numbered<Token>, Failure>> {
        SingleFlight::renew(self, refused, call)
    }
}

/// The tokens and the app that gives them.
#[derive(Default)]
struct App<R> {
    tokens: R,
    /// What the app's source gives.
    source: AtomicUsize,
    calls: AtomicUsize,
    in_call: AtomicBool,
}

impl<R: Renews> App<R> {
    async fn ask(&self) -> Token {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let token = self.source.load(Ordering::Relaxed);
        self.in_call.store(true, Ordering::SeqCst);
        pause().await;
        self.in_call.store(false, Ordering::SeqCst);
        token
    }

    async fn renew(&self, refused: Option<u64>) -> Numbered<Token> {
        self.tokens.renew(refused, || async { Ok(self.ask().await) }).await.expect("the source does not fail")
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

fn stampede<R: Renews>(callers: usize) {
    let app = Arc::new(App::<R>::default());
    let first = block_on(app.renew(None));
    let others: Vec<_> = (1..callers)
        .map(|_| {
            let app = app.clone();
            thread::spawn(move || block_on(app.renew(Some(1))))
        })
        .collect();
    let own = block_on(app.renew(Some(1)));
    assert_eq!((first.number, own.number), (1, 2));
    for other in others {
        assert_eq!(other.join().unwrap().number, 2);
    }
    assert_eq!(app.calls(), 2, "the first token and one refresh");
}

#[test]
fn b06_n_callers_make_one_refresh_and_get_the_same_token() {
    check("single flight: 2 callers", || stampede::<SingleFlight<Token, Failure>>(2));
    check_within("single flight: 3 callers", 2, || stampede::<SingleFlight<Token, Failure>>(3));
}

/// A caller that comes while a call is under way that fails makes none of its own.
fn failing<R: Renews>() {
    let app = Arc::new(App::<R>::default());
    let refresh = |app: &App<R>| {
        let own = Cell::new(false);
        let mut renewal = pin!(app.tokens.renew(None, || async {
            own.set(true);
            app.ask().await;
            Err("the app is offline")
        }));
        let mut waited = false;
        let result = block_on(poll_fn(|context| {
            let poll = renewal.as_mut().poll(context);
            waited |= poll.is_pending() && !own.get() && app.in_call.load(Ordering::SeqCst);
            poll
        }));
        assert_eq!(result, Err("the app is offline"));
        assert!(!(waited && own.get()), "it waited for a call and made one of its own");
    };
    let other = thread::spawn({
        let app = app.clone();
        move || refresh(&app)
    });
    refresh(&app);
    other.join().unwrap();
}

#[test]
fn b06_who_waited_for_a_refresh_that_failed_takes_its_failure() {
    check("single flight: a failure", failing::<SingleFlight<Token, Failure>>);
}

/// One caller goes away after `waits`; the others get their token, by one call of their own if need be.
fn leader_goes_away<R: Renews>(waits: usize, callers: usize) {
    let app = Arc::new(App::<R>::default());
    let leaving = thread::spawn({
        let app = app.clone();
        move || block_on(abandon_after(waits, app.renew(None)))
    });
    let others: Vec<_> = (1..callers)
        .map(|_| {
            let app = app.clone();
            thread::spawn(move || block_on(app.renew(None)))
        })
        .collect();
    assert_eq!(block_on(app.renew(None)).number, 1);
    for other in others {
        assert_eq!(other.join().unwrap().number, 1);
    }
    assert!(leaving.join().unwrap().is_none_or(|token| token.number == 1));
    assert!((1..=2).contains(&app.calls()));
}

#[test]
fn b54_a_leader_that_goes_away_hands_over() {
    for waits in 0..3 {
        check(&format!("single flight: a caller that goes away after {waits} waits"), move || {
            leader_goes_away::<SingleFlight<Token, Failure>>(waits, 1);
        });
    }
    check_within("single flight: a caller that goes away beside 2 who stay", 2, || {
        leader_goes_away::<SingleFlight<Token, Failure>>(0, 2);
    });
}

/// The app signs in again while a refresh from the old source is under way.
fn source_is_replaced<R: Renews>() {
    let app = Arc::new(App::<R>::default());
    let refreshing = thread::spawn({
        let app = app.clone();
        move || block_on(app.renew(None))
    });
    app.source.store(1, Ordering::Relaxed);
    app.tokens.forget();
    assert!(app.tokens.present().is_none_or(|token| token.value == 1), "the old source's token after the replacement");
    assert_eq!(block_on(app.renew(None)).value, 1);
    assert!(refreshing.join().unwrap().number > 0);
    assert_eq!(app.tokens.present().map(|token| token.value), Some(1), "the old source's token is installed");
}

#[test]
fn b12_a_replaced_source_is_not_listened_to() {
    check("single flight: the source is replaced", source_is_replaced::<SingleFlight<Token, Failure>>);
}

/// Broken twice: every waiter asks again after a failure, and a call to a replaced source installs its token.
#[derive(Default)]
struct Naive {
    current: Mutex<(Option<Token>, u64)>,
    turn: TurnLock,
}

impl Renews for Naive {
    fn present(&self) -> Option<Numbered<Token>> {
        let current = self.current.lock().unwrap();
        Some(Numbered { value: current.0?, number: current.1 })
    }

    fn forget(&self) {
        self.current.lock().unwrap().0 = None;
    }

    async fn renew<F: Future<Output = Result<Token, Failure>>>(
        &self,
        refused: Option<u64>,
        call: impl Fn() -> F,
    ) -> Result<Numbered<Token>, Failure> {
        let _turn = self.turn.lock().await;
        if let Some(token) = self.present().filter(|token| refused != Some(token.number)) {
            return Ok(token);
        }
        let value = call().await?;
        let mut current = self.current.lock().unwrap();
        *current = (Some(value), current.1 + 1);
        Ok(Numbered { value, number: current.1 })
    }
}

#[test]
fn waiters_that_ask_again_after_a_failure_are_caught() {
    find_failure(
        "single_flight::waiters_that_ask_again_after_a_failure_are_caught",
        "single flight, broken: a failure is not shared",
        failing::<Naive>,
    );
}

#[test]
fn a_token_of_a_replaced_source_is_caught() {
    find_failure(
        "single_flight::a_token_of_a_replaced_source_is_caught",
        "single flight, broken: the old source wins",
        source_is_replaced::<Naive>,
    );
}

/// Broken: no turn; whoever finds no token asks.
#[derive(Default)]
struct NoTurn(Naive);

impl Renews for NoTurn {
    fn present(&self) -> Option<Numbered<Token>> {
        self.0.present()
    }

    fn forget(&self) {
        self.0.forget();
    }

    async fn renew<F: Future<Output = Result<Token, Failure>>>(
        &self,
        refused: Option<u64>,
        call: impl Fn() -> F,
    ) -> Result<Numbered<Token>, Failure> {
        if let Some(token) = self.present().filter(|token| refused != Some(token.number)) {
            return Ok(token);
        }
        let value = call().await?;
        let mut current = self.0.current.lock().unwrap();
        *current = (Some(value), current.1 + 1);
        Ok(Numbered { value, number: current.1 })
    }
}

#[test]
fn a_stampede_is_caught() {
    find_failure("single_flight::a_stampede_is_caught", "single flight, broken: no turn", || stampede::<NoTurn>(2));
}
