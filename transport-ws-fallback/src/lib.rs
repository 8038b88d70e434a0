//! The WebSocket relay as a beach transport: the emergency exit.
//!
//! A [`WsFallbackConnector`] gets a token from its [`TokenProvider`], opens *one* WebSocket to the
//! relay and carries links to any number of peers over it. While no link is open there is no socket:
//! the fallback sleeps. When the first link is dialled the socket opens, when the last one ends it
//! closes.
//!
//! Where a network lets no WebSocket through, the same bytes travel over plain HTTP: one answer without an end comes
//! down, numbered requests go up. The socket, its links and everything above do not notice ([`CarrierChoice`]).
//!
//! In a browser the same links run over the browser's own WebSocket and its `fetch`; only `wire` and
//! `carrier::http::exchange` know.
//!
//! What is emulated, and how: the reliable lane is the WebSocket's own order and completeness. The
//! datagram lane is *emulated*: nothing is lost or reordered once it left, it is held up by whatever
//! is before it, and it is bounded by dropping the oldest unsent message here and in the relay. Its
//! profile says so. The relay cuts whoever falls behind, so the two ends of a link hold each other back
//! with a window: a reader that pauses stops its writer, and nobody is cut.
//!
//! What it is not: it seals nothing (that is `Secure<T>` above), resumes nothing (that is the session
//! above) and decides nothing (that is the policy).
//!
//! ```no_run
//! use std::sync::Arc;
//! use beach_lifeguard_client::membership::Credentials;
//! use transport_core::{Connector, DialRole, Generation, PeerId, SessionId, Target};
//! use transport_ws_fallback::{TokenProvider, WsConfig, WsFallbackConnector};
//!
//! # async fn dial(tokens: Arc<dyn TokenProvider>, credentials: Credentials, session: SessionId, me: PeerId, host: PeerId) -> Result<(), Box<dyn std::error::Error>> {
//! let config = WsConfig::new("https://control.example".parse()?, credentials);
//! let connector = WsFallbackConnector::new(config, tokens)?;
//! let link = connector.connect(&Target::new(session, me, host, DialRole::Offerer, Generation(1))).await?;
//! println!("{}", link.profile().path);
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod carrier;
mod config;
mod connector;
mod dial;
mod early;
mod entry;
mod error;
mod heartbeat;
mod link;
mod links;
mod outcome;
mod prefetch;
mod put_out;
mod question;
mod runtime;
mod socket;
mod spares;
mod token;
mod transport;
mod wire;
mod ws;

pub use carrier::{CarrierChoice, StreamFailed};
pub use config::{ConfigError, Deadlines, EntitlementProof, WsConfig};
pub use connector::WsFallbackConnector;
pub use error::{CloseAtHandshake, NeitherCarrier};
pub use token::{Grant, TokenFailure, TokenFor, TokenProvider, TokenRefused};
pub use transport::WsTransport;
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
pub use ws::UpgradeRefused;
// It stands in `WsConfig`.
pub use beach_outbound;

/// The registered name of this transport.
pub const ID: transport_core::TransportId = transport_core::TransportId::from_static("ws-fallback");
