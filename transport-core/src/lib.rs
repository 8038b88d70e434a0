//! The seam on which beach's transports meet, and the judgement that chooses between them.
//!
//! A [`Transport`] is one live link between two endpoints; a [`Connector`] makes them. Everything
//! that decides (what one side of a session does in [`judge`], the failure quorum in [`policy`], the exactly-once bookkeeping in [`resume`], the
//! seal in [`secure`]) is sans-IO: plain structs that take the time as an argument and never open a
//! socket, read a clock or spawn a task. Thin shells elsewhere move the bytes.
//!
//! What it is not: an HTTP stack, a runtime driver, or a list of known transports. The set of
//! transports is open; see `docs/adding-a-transport.md`.
#![forbid(unsafe_code)]

#[cfg(all(test, target_family = "wasm"))]
#[macro_use(test)]
extern crate wasm_bindgen_test;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub mod backoff;
pub mod close;
pub mod connector;
pub mod error;
pub mod fragment;
pub mod ids;
pub mod judge;
pub mod lane;
pub mod memory;
pub mod policy;
pub mod queue;
pub mod resume;
pub mod rhythm;
pub mod secure;
pub mod signaling;
pub mod stats;
pub mod time;
pub mod transport;

pub use beach_terms::Role;
pub use close::{CloseCode, Closed, Initiator, RetryClass, Text};
pub use connector::{Connector, DialRole, Progress, Target};
pub use error::{ConnectError, ConnectErrorKind, Consequence, Refusal, Refused};
pub use ids::{Generation, PeerId, SessionId, TransportId};
pub use lane::{Carriage, Lane, LaneProfile, Profile};
pub use queue::LaneQueue;
pub use stats::{LaneStats, Stats};
pub use transport::{Inbound, Transport, TransportExt};
