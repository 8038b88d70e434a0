//! What lets a crate's unit tests run as WebAssembly, unchanged: an attribute `test` whose tests the runner of
//! `wasm-bindgen` finds. `scripts/web unit` runs them.
//!
//! A crate takes it as a dependency of its tests for a browser's target, under the name `wasm-bindgen-test`, because that is what the
//! attribute's code refers to, and puts it before the `test` of the standard library:
//!
//! ```ignore
//! #[cfg(all(test, target_family = "wasm"))]
//! #[macro_use(test)]
//! extern crate wasm_bindgen_test;
//! ```
//!
//! Tests of `tokio::test` name the standard library's by its path, and do not run there.
#![cfg(all(target_family = "wasm", target_os = "unknown"))]

pub use wasm_bindgen_test::{wasm_bindgen_test as test, *};
