//! Unisono for JavaScript: the core's objects and callbacks through wasm-bindgen. No sync logic.
//!
//! Everything here borrows shared: a callback may call any method, the client that called it included. Values cross by
//! `value`, errors by `error`, and the rest is the core's JSON. What is convenience of the language (async iterators,
//! generics, loading the module) is the npm package's, in `bindings/js`.
//!
//! Built twice, for two modules: with `client`, which every page loads, and with `recovery` alone, which one loads whose replica
//! is damaged.
#![cfg(all(target_family = "wasm", target_os = "unknown"))]
#![deny(missing_docs)]

#[cfg(feature = "client")]
mod client;
#[cfg(feature = "client")]
mod collection;
mod error;
#[cfg(feature = "client")]
mod open;
mod panic;
mod promise;
#[cfg(feature = "recovery")]
mod recovery;
#[cfg(feature = "client")]
mod settings;
#[cfg(feature = "client")]
mod stream;
#[cfg(feature = "client")]
mod tokens;
mod types;
mod value;
