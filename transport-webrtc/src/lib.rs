//! WebRTC data channels as a beach transport.
//!
//! Two channels between two peers: `beach/ctrl/1`, reliable and ordered, carries the reliable lane;
//! `beach/term/1`, unordered and without retransmission, carries datagrams. Where the second cannot be
//! had, or one side is a browser, datagrams travel on the first and are declared as emulated.
//!
//! What it needs of a dial: a channel in [`Target::signaling`](transport_core::Target::signaling) through which
//! the two peers reach each other.
//! What it is not: it decides nothing about retries and fallbacks, encrypts nothing end to end beyond
//! what DTLS does, and lets no type of the WebRTC library through its API.
//!
//! In a browser (`wasm32-unknown-unknown`) the connector is the same and the WebRTC is the browser's own; what a page
//! cannot decide (ports, addresses, patience of ICE) has no effect there: `docs/adr/0035-webrtc-in-a-browser.md`.
//!
//! ```no_run
//! use transport_core::{Connector, Target, Transport};
//! use transport_webrtc::{WebRtcConfig, WebRtcConnector};
//!
//! # async fn run(target: Target) -> Result<(), Box<dyn std::error::Error>> {
//! let connector = WebRtcConnector::new(WebRtcConfig::from_env()?)?;
//! let link = connector.connect(&target).await?;
//! println!("connected over {}", link.profile().path);
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(all(target_family = "wasm", target_os = "unknown"))]
mod browser;
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
mod channel;
pub mod config;
mod connector;
mod dial;
mod error;
mod fingerprint;
mod frame;
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
pub mod impair;
mod message;
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
mod peer;
mod peer_event;
mod remote;
mod rtt;
mod runtime;
mod supervisor;
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
mod tls;
mod transport;
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
mod turn_shim;
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
pub mod wire;

use transport_core::TransportId;

#[cfg(all(target_family = "wasm", target_os = "unknown"))]
use browser::{channel, peer};

pub use config::{IcePolicy, IceRestart, IceServer, IceUrl, WebRtcConfig};
pub use connector::WebRtcConnector;
pub use error::ConfigError;
/// How offers travel; the traits live in the core because the negotiator speaks over them too.
pub use transport_core::signaling;

/// The registered name of a direct link.
pub const ID: TransportId = TransportId::from_static("webrtc");

/// The registered name of a link through a TURN server.
pub const TURN_ID: TransportId = TransportId::from_static("webrtc-turn");
