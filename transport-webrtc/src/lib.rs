//! WebRTC data channels as a beach transport.
//!
//! Two channels between two peers: `beach/ctrl/1`, reliable and ordered, carries the reliable lane;
//! `beach/term/1`, unordered and without retransmission, carries datagrams. Where the second cannot be
//! had, datagrams travel on the first and are declared as emulated.
//!
//! What it needs of a dial: a channel in [`Target::signaling`](transport_core::Target::signaling) through which
//! the two peers reach each other.
//! What it is not: it decides nothing about retries and fallbacks, encrypts nothing end to end beyond
//! what DTLS does, and lets no type of the WebRTC library through its API.
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

mod channel;
pub mod config;
mod connector;
mod dial;
mod error;
mod frame;
pub mod impair;
mod message;
mod peer;
mod rtt;
mod supervisor;
mod tls;
mod transport;
mod turn_shim;
pub mod wire;

use transport_core::TransportId;

pub use config::{IcePolicy, IceRestart, IceServer, IceUrl, WebRtcConfig};
pub use connector::WebRtcConnector;
pub use error::ConfigError;
/// How offers travel; the traits live in the core because the negotiator speaks over them too.
pub use transport_core::signaling;

/// The registered name of a direct link.
pub const ID: TransportId = TransportId::from_static("webrtc");

/// The registered name of a link through a TURN server.
pub const TURN_ID: TransportId = TransportId::from_static("webrtc-turn");
