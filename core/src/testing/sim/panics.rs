//! Counts panics, also those that somebody catches: a task's, a blocking job's, the server's (I16).

use std::cell::Cell;
use std::sync::Once;

thread_local! {
    static PANICS: Cell<u64> = const { Cell::new(0) };
}

/// How many there were on this thread since the first call. A run has one thread.
pub(super) fn count() -> u64 {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICS.set(PANICS.get() + 1);
            hook(info);
        }));
    });
    PANICS.get()
}
