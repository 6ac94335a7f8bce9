//! The environment of a JavaScript host (a page, a worker, Node): its event loop's timers and tasks, its clock and randomness.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use js_sys::Function;
use wasm_bindgen::prelude::*;

use super::{BlockingJob, BoxFuture};
use crate::environment::Environment;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = setTimeout)]
    fn set_timeout(call: &Function, ms: i32) -> JsValue;
    #[wasm_bindgen(js_name = clearTimeout)]
    fn clear_timeout(timer: &JsValue);
    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn performance_now() -> f64;
    #[wasm_bindgen(js_namespace = crypto, js_name = getRandomValues)]
    fn get_random_values(buffer: &mut [u8]);
}

/// `setTimeout` takes longer waits for none at all: a longer sleep is several (almost 25 days each).
const LONGEST_TIMER: Duration = Duration::from_millis(i32::MAX as u64);
/// Most bytes that `getRandomValues` fills at once.
const RANDOM_AT_ONCE: usize = 65_536;

/// Runs on the event loop of the JavaScript host. There are no threads: what [`blocking`](Environment::blocking) is given
/// runs at once.
#[derive(Debug, Clone, Copy, Default)]
pub struct WebEnvironment;

impl Environment for WebEnvironment {
    fn now_ms(&self) -> u64 {
        // A float that is out of range saturates.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let now = js_sys::Date::now() as u64;
        now
    }

    fn monotonic(&self) -> Duration {
        Duration::try_from_secs_f64(performance_now() / 1000.0).unwrap_or_default()
    }

    fn random(&self, buffer: &mut [u8]) {
        buffer.chunks_mut(RANDOM_AT_ONCE).for_each(get_random_values);
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let mut rest = duration;
            while rest > LONGEST_TIMER {
                Timer::new(LONGEST_TIMER).await;
                rest -= LONGEST_TIMER;
            }
            Timer::new(rest).await;
        })
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        wasm_bindgen_futures::spawn_local(task);
    }

    fn blocking(&self, job: BlockingJob) -> BoxFuture<'static, ()> {
        Box::pin(async { job() })
    }
}

/// One `setTimeout`. Dropping it clears the timer, so that an abandoned wait keeps no process and no closure alive.
struct Timer {
    handle: JsValue,
    state: Rc<RefCell<TimerState>>,
    _call: Closure<dyn FnMut()>,
}

#[derive(Default)]
struct TimerState {
    rung: bool,
    waker: Option<Waker>,
}

impl Timer {
    fn new(duration: Duration) -> Self {
        let state = Rc::new(RefCell::new(TimerState::default()));
        let shared = Rc::clone(&state);
        let call = Closure::new(move || {
            let waker = {
                let mut state = shared.borrow_mut();
                state.rung = true;
                state.waker.take()
            };
            if let Some(waker) = waker {
                waker.wake();
            }
        });
        // Rounded up: a sleep is never shorter than asked.
        let ms = i32::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX);
        let handle = set_timeout(call.as_ref().unchecked_ref(), ms);
        Self { handle, state, _call: call }
    }
}

impl Future for Timer {
    type Output = ();

    fn poll(self: std::pin::Pin<&mut Self>, context: &mut std::task::Context<'_>) -> Poll<()> {
        let mut state = self.state.borrow_mut();
        if state.rung {
            return Poll::Ready(());
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        clear_timeout(&self.handle);
    }
}
