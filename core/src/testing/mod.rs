//! Tools for tests: conformance suites and doubles. Exported under the `testing` feature.
