//! Unisono for JavaScript: the core's objects and callbacks through wasm-bindgen. No sync logic.
//!
//! Everything here borrows shared: a callback may call any method, the client that called it included. Values cross by
//! `value`, errors by `error`, and the rest is the core's JSON. What is convenience of the language (async iterators,
//! generics, loading the module) is the npm package's, in `bindings/js`.
#![cfg(all(target_family = "wasm", target_os = "unknown"))]
#![deny(missing_docs)]

mod client;
mod collection;
mod error;
mod open;
mod panic;
mod promise;
mod stream;
mod tokens;
mod types;
mod value;
