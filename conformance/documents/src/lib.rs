//! Compiles what the documents show: each Rust block of each of them is a documentation test of this crate
//! (`cargo test -p beach-documents --doc`).
//!
//! A block stands alone: what a reader copies is what was compiled. The only thing from here that a block may name is
//! [`transport`], the shape of Beach's own transport module, so that the adapter is held against it.

pub mod transport;

#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/adding-a-transport.md")]
struct AddingATransport;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/testing-your-app.md")]
struct TestingYourApp;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/using-from-beach.md")]
struct UsingFromBeach;
