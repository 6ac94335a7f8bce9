//! Writes the Swift, Kotlin and Python sources that call `unisono-ffi`.
//!
//! A program of its own: a generator that is part of the library would be shipped in it.

fn main() {
    uniffi::uniffi_bindgen_main();
}
