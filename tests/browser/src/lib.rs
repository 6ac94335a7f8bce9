//! Tests of the core's browser backends. They are in `tests/`, and empty on every target but the browser's.
