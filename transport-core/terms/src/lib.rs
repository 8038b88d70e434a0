//! Words that the seam between transports and the wire of the relay share, each once.
//!
//! `transport-core` and `beach-lifeguard-client` both need a close code, a lane, a role and a way to
//! show what a stranger wrote. Neither depends on the other, so the words live below both
//! (`docs/adr/0015-words-shared-by-seam-and-wire.md`). Both re-export them; nobody else needs this crate.
//!
//! What it is not: a place for helpers. A type belongs here when the seam and the wire mean the same
//! thing by it. It knows no byte layout: numbers on a wire belong to that wire.
//!
//! ```
//! use beach_terms::{CloseCode, RetryClass, Text};
//!
//! assert_eq!(CloseCode::DRAIN.retry_class(), RetryClass::Reconnect);
//! assert_eq!(Text::from_bytes(b"back in 3 s\x1b[2J").as_str(), "back in 3 s[2J");
//! ```
#![forbid(unsafe_code)]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod close;
mod lane;
mod role;
mod text;

pub use close::{CloseCode, RetryClass};
pub use lane::Lane;
pub use role::{Access, Role};
pub use text::Text;
