//! The transports of a browser as one end of the conformance kit: a page carries out what a test on a machine asks of a
//! [`Transport`](transport_core::Transport) or a [`Connector`](transport_core::Connector), call by call.
//!
//! [`wire`] is what the two say to each other, over a WebSocket on loopback. `Page` is the page's side, there in a browser
//! alone; `negotiator/web/tests/kit` is the test's. It is no part of the module that is shipped.

pub mod wire;

#[cfg(all(target_family = "wasm", target_os = "unknown"))]
mod call;
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
mod dial;
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
mod page;
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
mod waits;

#[cfg(all(target_family = "wasm", target_os = "unknown"))]
pub use page::Page;
