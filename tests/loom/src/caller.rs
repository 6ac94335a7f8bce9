//! Callers that go away.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

/// Polls `future` until it is done or has been found waiting `waits` + 1 times; then drops it there and returns `None`.
///
/// With each number of waits, each await of the future is one where its caller goes away. Between the last poll and the drop
/// anything may happen, a wake-up for the one who goes away too.
pub async fn abandon_after<F: Future>(waits: usize, future: F) -> Option<F::Output> {
    let mut left = waits;
    let mut future = pin!(future);
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}

/// Lets others in, once.
pub async fn pause() {
    let mut paused = false;
    poll_fn(|context| {
        if std::mem::replace(&mut paused, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
