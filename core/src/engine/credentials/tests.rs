//! Tokens with several callers, as the engine asks for them.

use std::pin::pin;

use futures_util::future::join_all;
use futures_util::poll;
use secrecy::ExposeSecret;
use tokio::sync::oneshot;

use super::*;
use crate::testing::TestEnvironment;

/// A source that answers after a second and counts how often it was asked.
#[derive(Debug)]
struct Slow {
    environment: TestEnvironment,
    answer: Result<&'static str, &'static str>,
    asked: Mutex<u32>,
}

impl Slow {
    fn new(environment: &TestEnvironment, answer: Result<&'static str, &'static str>) -> Arc<Self> {
        Arc::new(Self { environment: environment.clone(), answer, asked: Mutex::default() })
    }

    fn asked(&self) -> u32 {
        *lock(&self.asked)
    }
}

impl Credentials for Slow {
    fn token(&self, _: TokenReason) -> BoxFuture<'_, Result<SecretString, String>> {
        *lock(&self.asked) += 1;
        Box::pin(async {
            self.environment.sleep(Duration::from_secs(1)).await;
            self.answer.map(SecretString::from).map_err(str::to_owned)
        })
    }
}

#[test]
fn b06_who_waited_for_a_refresh_takes_its_failure() {
    let environment = TestEnvironment::new(1);
    let source = Slow::new(&environment, Err("signed out"));
    let tokens = Tokens::new(Some(source.clone()));
    let results = environment.block_on(join_all((0..20).map(|_| tokens.refresh(None, &environment))));
    for result in results {
        assert!(matches!(result, Err(Error::NoToken(text)) if text.ends_with("signed out")));
    }
    assert_eq!(
        (source.asked(), environment.monotonic()),
        (1, Duration::from_secs(1)),
        "one call, which all waited for"
    );
    assert!(environment.block_on(tokens.current(&environment)).is_err());
    assert_eq!(source.asked(), 2, "who comes later asks anew");
}

#[test]
fn b12_a_token_of_the_source_that_was_replaced_is_not_installed() {
    let environment = TestEnvironment::new(2);
    let (old, new) = (Slow::new(&environment, Ok("old")), Slow::new(&environment, Ok("new")));
    let tokens = Tokens::new(Some(old));
    environment.block_on(async {
        let mut refresh = pin!(tokens.current(&environment));
        assert!(poll!(refresh.as_mut()).is_pending());
        tokens.replace(new.clone());
        assert_eq!(refresh.await.unwrap().value.expose_secret(), "new");
        assert_eq!(tokens.current(&environment).await.unwrap().value.expose_secret(), "new");
    });
    assert_eq!(new.asked(), 1);
}

#[test]
fn b54_a_caller_that_goes_away_while_it_refreshes_hands_over() {
    let environment = TestEnvironment::new(3);
    let source = Slow::new(&environment, Ok("token"));
    let tokens = Arc::new(Tokens::new(Some(source.clone())));
    environment.block_on(async {
        let (told, result) = oneshot::channel();
        {
            let mut leader = pin!(tokens.current(&environment));
            assert!(poll!(leader.as_mut()).is_pending());
            let (tokens, own) = (tokens.clone(), environment.clone());
            environment.spawn(Box::pin(async move {
                told.send(tokens.current(&own).await.is_ok()).unwrap();
            }));
            environment.sleep(Duration::ZERO).await;
        }
        assert_eq!(result.await, Ok(true));
    });
    assert_eq!(source.asked(), 2);
}
