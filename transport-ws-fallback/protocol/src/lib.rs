//! The wire between a beach endpoint, the lifeguard relay and its control plane, and nothing else.
//!
//! [`hello`] opens a relay socket, [`frame`] and [`control`] are what it carries, [`close`] says how
//! it ends; [`token`] is what admits an endpoint, [`session`] what the host says of its session and
//! [`membership`] what proves that an endpoint belongs to it; [`api`] and [`signaling`] are the control plane's HTTP and WebSocket messages; [`v1`] is
//! the wire of clients already deployed; [`websocket`] is what lies below all of it, and [`stream`] how it travels
//! where no WebSocket gets through. `docs/wire.md` has the tables.
//!
//! What it is not: a client, a server, a guardrail, a router. It opens no socket, reads no clock and
//! draws no random number, so both sides and other languages can be tested against the same vectors.
//!
//! ```
//! use beach_lifeguard_client::frame::{Header, Kind, Lane, LinkNumber, PeerAddr};
//!
//! let header = Header { kind: Kind::Data, lane: Lane::Reliable, peer: PeerAddr::new(1, 7), link: LinkNumber(3) };
//! let frame = header.frame(b"sealed");
//! let (decoded, payload) = Header::split(frame)?;
//! assert_eq!((decoded, &payload[..]), (header, &b"sealed"[..]));
//! # Ok::<(), beach_lifeguard_client::frame::FrameError>(())
//! ```
//!
//! Signing and verifying tokens needs a crypto provider of `jsonwebtoken` in the binary that does it.
#![forbid(unsafe_code)]

#[cfg(all(test, target_family = "wasm"))]
#[macro_use(test)]
extern crate wasm_bindgen_test;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub mod api;
pub mod close;
pub mod control;
mod encoding;
pub mod frame;
pub mod hello;
pub mod membership;
pub mod reason;
pub mod session;
pub mod signaling;
pub mod stream;
pub mod stun;
pub mod token;
pub mod v1;
pub mod websocket;

/// Keys and what they prove.
pub use beach_identity as identity;
pub use close::{CloseCode, RetryClass, Text};
pub use frame::{Header, Kind, Lane, LinkNumber, PeerAddr};
pub use hello::{ClientHello, ServerHello};
pub use reason::Reason;
pub use session::{SessionDocument, SignedDocument};
pub use token::{Access, Claims, FallbackToken, FeatureBits, Role};

/// The path of a relay's WebSocket endpoint, version 2.
pub const RELAY_PATH: &str = "/v2/ws";

/// The WebSocket subprotocol of version 2 (`Sec-WebSocket-Protocol`).
pub const SUBPROTOCOL: &str = "beach-lifeguard.v2";
