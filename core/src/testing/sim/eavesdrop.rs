//! Listens to everything that is traced during a run, at the finest level, for what must never be there (I15).

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::access::CANARY;

/// A subscriber that reads all and keeps the first leak.
#[derive(Clone, Debug, Default)]
pub struct Eavesdropper {
    leaked: Arc<Mutex<Option<String>>>,
}

impl Eavesdropper {
    /// Runs `run` and listens; returns what it returned, and the first leak.
    pub fn listen<T>(run: impl FnOnce() -> T) -> (T, Option<String>) {
        let listener = Self::default();
        let done = tracing::subscriber::with_default(listener.clone(), run);
        let leaked = listener.leaked.lock().unwrap_or_else(PoisonError::into_inner).take();
        (done, leaked)
    }

    fn read(&self, name: &str, record: impl FnOnce(&mut dyn Visit)) {
        let mut reader = Reader { text: name.to_owned() };
        record(&mut reader);
        if reader.text.contains(CANARY) {
            self.leaked.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reader.text);
        }
    }
}

/// Everything that a span or an event says.
struct Reader {
    text: String,
}

impl Visit for Reader {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        use fmt::Write;
        // Writing into a string does not fail.
        let _ = write!(self.text, " {field}={value:?}");
    }
}

impl Subscriber for Eavesdropper {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.read(span.metadata().name(), |reader| span.record(reader));
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        self.read("", |reader| values.record(reader));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        self.read(event.metadata().name(), |reader| event.record(reader));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_in_a_span_or_an_event_is_heard_and_nothing_else() {
        let leak = |run: fn()| Eavesdropper::listen(run).1;
        assert_eq!(leak(|| tracing::trace!(count = 1, "all is well")), None);
        assert!(leak(|| tracing::trace!(token = %format_args!("{CANARY}.anna.1"), "it slipped out")).is_some());
        assert!(leak(|| drop(tracing::debug_span!("call", context = ?Some(CANARY)).entered())).is_some());
    }
}
