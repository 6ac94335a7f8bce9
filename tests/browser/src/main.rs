//! A native device for the tests in browsers: a client on SQLite that does what the lines on its standard input say.
//!
//! `native-device <file> <url> <account> <token> [<collection>:<field>,<field> …]` opens it, with these indexes. Each line is
//! a step in the form of `tests/scenarios`, or `{"do": "canonical"}`; each answer is a line, `{"ok": …}` or `{"error": {code,
//! kind, retryable, message}}`. It ends with its input.

#[cfg(not(target_family = "wasm"))]
mod device;

#[cfg(not(target_family = "wasm"))]
fn main() -> std::process::ExitCode {
    device::main()
}

/// There is nothing native in a browser.
#[cfg(target_family = "wasm")]
fn main() {}
